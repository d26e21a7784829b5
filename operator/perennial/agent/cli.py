"""`perennial agent <command>`: reads the configuration, runs the command, writes the termination message."""

import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

from pydantic import Field, TypeAdapter, ValidationError

from perennial.agent.logs import configure
from perennial.api.contract.audit import AuditAppend, AuditConfig, AuditShow, AuditVerify
from perennial.api.contract.commands import (
    CONFIG_VARIABLE,
    CaptureConfig,
    CheckModel,
    DriftConfig,
    EvaluateConfig,
    FetchInputs,
    FetchModel,
    PollConfig,
    PublishConfig,
    ReplayConfig,
    ShowConfig,
)
from perennial.api.contract.evidence import EvidenceConfig
from perennial.api.contract.messages import (
    MAX_BYTES,
    AgentMessage,
    DriftVerdict,
    Evaluated,
    Failure,
    Fetched,
    NoVerdict,
    Published,
    Replayed,
)
from perennial.api.contract.trace import TraceConfig
from perennial.core.failures import CONFIG_INVALID, INTERRUPTED, UNEXPECTED, AgentFailure

log = logging.getLogger(__name__)

TERMINATION_VARIABLE = "PERENNIAL_TERMINATION_LOG"
TERMINATION_LOG = "/dev/termination-log"
COMMANDS: dict[str, TypeAdapter[Any]] = {
    "fetch": TypeAdapter(Annotated[FetchInputs | FetchModel | CheckModel, Field(discriminator="kind")]),
    "publish": TypeAdapter(PublishConfig),
    "capture": TypeAdapter(CaptureConfig),
    "poll": TypeAdapter(PollConfig),
    "drift": TypeAdapter(DriftConfig),
    "evaluate": TypeAdapter(EvaluateConfig),
    "replay": TypeAdapter(ReplayConfig),
    "show": TypeAdapter(ShowConfig),
    "trace": TypeAdapter(TraceConfig),
    "evidence": TypeAdapter(EvidenceConfig),
    "audit": TypeAdapter(AuditConfig),
}
_LISTS: tuple[tuple[type[AgentMessage], str], ...] = (
    (Fetched, "inputs"),
    (DriftVerdict, "quality_findings"),
    (DriftVerdict, "features"),
    (Evaluated, "results"),
    (Replayed, "skipped"),
)
"""Lists whose last entries may be dropped, in this order."""
_MESSAGE_LENGTH = 640
"""Short enough for a pod with 16 containers, which share 12 KiB."""


def main(arguments: list[str]) -> int:
    """Run one command; return its exit code, one of `core.failures` or 0.

    SIGTERM must be blocked already (see `perennial.__main__`); each command handles it in its own way.
    """
    configure()
    audit = arguments[:1] == ["audit"] and arguments[1:]
    if (len(arguments) != 1 and not audit) or arguments[0] not in COMMANDS:
        return fail(CONFIG_INVALID, f"usage: perennial agent {'|'.join(COMMANDS)}")
    # Imported late, since boto3 takes several hundred milliseconds.
    from perennial.agent.storage.errors import AgentError

    try:
        config = _audit_config(arguments[1:]) if audit else read_config(arguments[0])
        message = _run(config)
    except BadConfig as error:
        return fail(CONFIG_INVALID, str(error))
    except AgentError as error:
        if error.failure is UNEXPECTED:
            log.exception("unexpected failure")
        return fail(error.failure, error.message)
    except Exception as error:
        log.exception("unexpected failure")
        return fail(UNEXPECTED, f"{type(error).__name__}: {error}")
    if message is not None:
        limits = PublishConfig | FetchInputs | PollConfig | DriftConfig | EvaluateConfig | ReplayConfig | AuditAppend
        limit = config.message_bytes if isinstance(config, limits) else MAX_BYTES
        write_termination_message(encode(message, limit))
    return 0


def _run(config: object) -> AgentMessage | None:
    """Run the command of a configuration. Modules are imported only when needed."""
    if isinstance(config, CaptureConfig):
        from perennial.agent.capture.service import run as capture

        capture(config)  # handles SIGTERM in its event loop
        return None
    from perennial.agent.storage.opening import open_storage

    if isinstance(config, PublishConfig):
        from perennial.agent.publish.command import publish_on_sigterm

        # SIGTERM stays blocked: a second one must not interrupt the upload.
        return publish_on_sigterm(config, open_storage(config.storage), lambda: signal.sigwait({signal.SIGTERM}))
    _exit_on_sigterm()
    if isinstance(config, DriftConfig | EvaluateConfig | ReplayConfig):
        return _measure(config)
    if isinstance(config, PollConfig):
        from perennial.agent.poll import poll

        return poll(config, open_storage(config.storage))
    if isinstance(config, ShowConfig | TraceConfig | EvidenceConfig | AuditAppend | AuditVerify | AuditShow):
        return _show(config)
    return _fetch(config)


def _show(
    config: ShowConfig | TraceConfig | EvidenceConfig | AuditAppend | AuditVerify | AuditShow,
) -> AgentMessage | None:
    """Run what writes to standard output, for a person."""
    from perennial.agent.storage.opening import open_storage

    store = open_storage(config.storage)
    if isinstance(config, ShowConfig):
        from perennial.agent.show import show

        show(config, store, sys.stdout)
    elif isinstance(config, EvidenceConfig):
        from perennial.agent.trace.evidence import run as evidence

        evidence(config, store, store, sys.stdout)
    elif isinstance(config, TraceConfig):
        from perennial.agent.trace.command import run as trace

        trace(config, store, sys.stdout)
    else:
        from perennial.agent.audit.command import run as audit

        return audit(config, store, sys.stdout)
    return None


def _measure(config: DriftConfig | EvaluateConfig | ReplayConfig) -> AgentMessage:
    from perennial.agent.storage.opening import open_storage

    store = open_storage(config.storage)
    if isinstance(config, DriftConfig):
        from perennial.agent.drift.command import run as compare

        return compare(config, store)
    if isinstance(config, EvaluateConfig):
        from perennial.agent.evaluate.command import run as evaluate

        return evaluate(config, store)
    from perennial.agent.replay.command import run as replay

    return replay(config, store)


def _fetch(config: object) -> AgentMessage:
    if isinstance(config, CheckModel):
        from perennial.agent.fetch.mounted import check_model

        return check_model(config)
    from perennial.agent.fetch.command import fetch_inputs, fetch_models
    from perennial.agent.storage.opening import open_storage

    if isinstance(config, FetchInputs):
        return fetch_inputs(config, open_storage(config.storage))
    assert isinstance(config, FetchModel)  # noqa: S101 - COMMANDS allows no other
    return fetch_models(config, open_storage(config.storage))


class BadConfig(ValueError):
    """The configuration is missing or invalid."""


def read_config(command: str) -> Any:
    """Return the configuration of a command from the environment.

    Raises:
        BadConfig: it is missing or invalid; the message names the fields.
    """
    text = os.environ.get(CONFIG_VARIABLE)
    if not text:
        raise BadConfig(f"{CONFIG_VARIABLE} is not set")
    try:
        return COMMANDS[command].validate_python(json.loads(text))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:5])
        raise BadConfig(f"{CONFIG_VARIABLE} is invalid: {wrong}") from error
    except (ValueError, RecursionError) as error:
        raise BadConfig(f"{CONFIG_VARIABLE} is not JSON: {error}") from error


def _audit_config(arguments: list[str]) -> Any:
    """Return the configuration that a command line of `audit` states, or that of the environment if it has no options.

    Raises:
        BadConfig: the environment holds none, or that of another command.
        SystemExit: the command line is wrong.
    """
    from perennial.agent.audit.arguments import KINDS, config_of

    if len(arguments) == 1 and arguments[0] in KINDS and os.environ.get(CONFIG_VARIABLE):
        config = read_config("audit")
        if config.kind != KINDS[arguments[0]]:
            raise BadConfig(f"{CONFIG_VARIABLE} is invalid: kind: {config.kind} is not for audit {arguments[0]}")
        return config
    return config_of(arguments)


def encode(message: AgentMessage, limit: int = MAX_BYTES) -> str:
    """Return a message as JSON of at most `limit` bytes, dropping the least important entries first."""
    text = message.model_dump_json(by_alias=True, exclude_none=True)
    while len(text.encode()) > limit and (shorter := _shorter(message)) is not None:
        message = shorter
        text = message.model_dump_json(by_alias=True, exclude_none=True)
    return text


def _shorter(message: AgentMessage) -> AgentMessage | None:
    """Drop one entry, or None if nothing may be dropped."""
    if isinstance(message, Published) and message.metrics:
        kept = dict(list(message.metrics.items())[:-1])
        return message.model_copy(update={"metrics": kept, "metrics_dropped": message.metrics_dropped + 1})
    if isinstance(message, Failure | NoVerdict) and message.message:
        return message.model_copy(update={"message": message.message[: len(message.message) * 3 // 4]})
    for kind, name in _LISTS:
        if isinstance(message, kind) and (items := getattr(message, name)):
            return message.model_copy(update={name: items[:-1]})
    return None


def write_termination_message(text: str) -> None:
    """Write the file that the kubelet reads the termination message from."""
    path = Path(os.environ.get(TERMINATION_VARIABLE, TERMINATION_LOG))
    if TERMINATION_VARIABLE not in os.environ and not path.exists():
        return  # not in a pod, where the kubelet makes the file
    try:
        path.write_bytes(text.encode())
    except OSError as error:
        log.warning("cannot write the termination message to %s: %s", path, error)


def fail(failure: AgentFailure, message: str) -> int:
    """Report a failure in log and termination message; return its exit code."""
    log.error("%s: %s; %s", failure.reason, message, failure.next_step)
    write_termination_message(encode(Failure(reason=failure.reason, message=failure_message(failure, message))))
    return failure.code


def failure_message(failure: AgentFailure, message: str) -> str:
    """Return what happened, truncated if long, followed by the next step in full."""
    clean = "".join(character if character.isprintable() else " " for character in message)
    limit = _MESSAGE_LENGTH - len(failure.next_step) - len("; ")
    short = clean if len(clean) <= limit else f"{clean[: limit - 1]}…"
    return f"{short}; {failure.next_step}"


def _exit_on_sigterm() -> None:
    """Exit immediately on SIGTERM, with a message. Completed downloads are kept for the next try."""
    signal.signal(signal.SIGTERM, _on_signal)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _on_signal(_number: int, _frame: object) -> NoReturn:
    # Not through the logger, which may be interrupted in the middle of a line.
    line = json.dumps({"level": "error", "message": "stopped by SIGTERM before the command had finished"})
    os.write(sys.stderr.fileno(), f"{line}\n".encode())
    text = failure_message(INTERRUPTED, "the agent was stopped")
    write_termination_message(encode(Failure(reason=INTERRUPTED.reason, message=text)))
    os._exit(INTERRUPTED.code)
