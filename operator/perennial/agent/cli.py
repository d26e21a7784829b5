"""`perennial agent <command>`: read the configuration, do the work, leave a message and an exit code."""

import json
import logging
import os
import signal
import sys
from pathlib import Path
from threading import Event

from pydantic import BaseModel, TypeAdapter, ValidationError

from perennial.agent.errors import AgentError
from perennial.agent.logs import configure
from perennial.api.agent import CONFIG_VARIABLE, CaptureConfig, DriftConfig, FetchInputs, FetchModel, PublishConfig
from perennial.api.messages import MAX_BYTES, AgentMessage, Failure, Published
from perennial.core.failures import CONFIG_INVALID, INTERRUPTED, UNEXPECTED

log = logging.getLogger(__name__)

TERMINATION_VARIABLE = "PERENNIAL_TERMINATION_LOG"
TERMINATION_LOG = "/dev/termination-log"
COMMANDS: dict[str, TypeAdapter[BaseModel]] = {
    "fetch": TypeAdapter(FetchInputs | FetchModel),
    "publish": TypeAdapter(PublishConfig),
    "capture": TypeAdapter(CaptureConfig),
    "drift": TypeAdapter(DriftConfig),
}
_MESSAGE_LENGTH = 1024


def main(arguments: list[str]) -> int:
    """Run one command; return its exit code, one of `core.failures` or 0."""
    told = _listen_for_the_end(arguments[:1])
    configure()
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        return _end(AgentError(CONFIG_INVALID, f"usage: perennial agent {'|'.join(COMMANDS)}"))
    try:
        message = _work(arguments[0], told)
    except AgentError as error:
        return _end(error)
    except KeyboardInterrupt:
        return _end(AgentError(INTERRUPTED, "the pod was stopped before the agent had ended"))
    except Exception as error:
        log.exception("the agent failed in a way that it does not know")
        return _end(AgentError(UNEXPECTED, f"{type(error).__name__}: {error}"))
    if message is not None:
        leave(encode(message))
    return 0


def _listen_for_the_end(command: list[str]) -> Event:
    """Have SIGTERM heard from the first moment on; as process 1 an unhandled one would be dropped by the kernel."""
    told = Event()

    def on_signal(_number: int, _frame: object) -> None:
        told.set()
        if command != ["publish"]:
            raise KeyboardInterrupt

    if command != ["capture"]:  # which has an event loop's own way
        signal.signal(signal.SIGTERM, on_signal)
    return told


def _work(command: str, told: Event) -> AgentMessage | None:
    config = read_config(command)
    if isinstance(config, CaptureConfig):
        from perennial.agent.capture.service import run as capture  # needs an event loop and uvloop

        capture(config)
        return None
    from perennial.agent.storage import open_storage  # boto3 takes a third of a second to load

    if isinstance(config, PublishConfig):
        from perennial.agent.publish import publish_when_told

        return publish_when_told(config, open_storage(config.storage), told)
    if isinstance(config, DriftConfig):
        from perennial.agent.drift import run as compare  # loads numpy, scipy and polars

        return compare(config, open_storage(config.storage))
    from perennial.agent.fetch import fetch_inputs, fetch_model

    if isinstance(config, FetchInputs):
        # A job with parameters only must not need storage.
        return fetch_inputs(config, open_storage(config.storage))
    assert isinstance(config, FetchModel)  # noqa: S101 - the adapters name no other
    return fetch_model(config, open_storage(config.storage))


def read_config(command: str) -> BaseModel:
    """Return the configuration of a command from the environment.

    Raises:
        AgentError: ConfigInvalid, naming the fields.
    """
    text = os.environ.get(CONFIG_VARIABLE)
    if not text:
        raise AgentError(CONFIG_INVALID, f"{CONFIG_VARIABLE} is not set")
    try:
        return COMMANDS[command].validate_python(json.loads(text))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:5])
        raise AgentError(CONFIG_INVALID, f"{CONFIG_VARIABLE} cannot be used: {wrong}") from error
    except ValueError as error:
        raise AgentError(CONFIG_INVALID, f"{CONFIG_VARIABLE} is not JSON: {error}") from error


def encode(message: AgentMessage) -> str:
    """Return a message's JSON of at most 4096 bytes; metrics are left out before anything else."""
    text = message.model_dump_json(by_alias=True, exclude_none=True)
    while len(text.encode()) > MAX_BYTES and isinstance(message, Published) and message.metrics:
        kept = dict(list(message.metrics.items())[:-1])
        message = message.model_copy(update={"metrics": kept, "metrics_dropped": message.metrics_dropped + 1})
        text = message.model_dump_json(by_alias=True, exclude_none=True)
    return text


def leave(text: str) -> None:
    """Write the termination message where the kubelet looks for it."""
    path = Path(os.environ.get(TERMINATION_VARIABLE, TERMINATION_LOG))
    try:
        path.write_text(text)
    except OSError as error:
        log.warning("the termination message could not be left in %s: %s", path, error)


def _end(error: AgentError) -> int:
    """Say what failed, in the log and in the message, and return the exit code."""
    message = f"{error.message}; {error.failure.next_step}"
    log.error("%s: %s", error.failure.reason, message)
    clean = "".join(max(character, " ") for character in message)
    leave(encode(Failure(reason=error.failure.reason, message=clean[:_MESSAGE_LENGTH])))
    return error.failure.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
