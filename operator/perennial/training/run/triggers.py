"""Decides whether a run is due and which trigger starts it, and marks requests as handled."""

import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from perennial.api.trainingjob.resource import TrainingJob, TrainingJobStatus, Trigger
from perennial.core.labels import RUN_NOW_ANNOTATION
from perennial.core.names import digest_of
from perennial.core.times import format_time, seconds_since
from perennial.training.attempt.outcomes import short_digest
from perennial.training.context import Context
from perennial.training.observe import RetrainRequest
from perennial.training.run import schedule
from perennial.training.run.data_poll import new_data, with_data
from perennial.training.run.records import newest

MAX_VERDICTS = 64

ROLLOUT_START_SECONDS = 600.0
"""Time after a run in which the rollout of its artifact may still begin."""

HELD_RECHECK_SECONDS = 60.0
"""Delay before a held request is looked at again: a ModelDeployment does not wake a TrainingJob."""

_PLAIN_TOKEN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._:+-]{0,127}$")


def due(context: Context, status: TrainingJobStatus) -> Trigger | None:
    """Return the trigger of the run that should start now, or None. A failure triggers no run."""
    last = newest(status)
    if last is None:
        return Trigger(kind="Created")
    if last.spec_hash != context.spec_hash and context.spec.on_change != "Ignore":
        return Trigger(kind="SpecChanged")
    if last.result == "Replaced":
        return last.trigger  # the replaced run has not done what its trigger asked for
    return _requested(context, status)


def _requested(context: Context, status: TrainingJobStatus) -> Trigger | None:
    token = run_token(context.resource)
    if token is not None and token != status.run_now:
        return Trigger(kind="Manual", token=token)
    requests = requests_by_standing(context, status, Standing.OPEN)
    if requests:
        return Trigger(kind="Drift", monitor=requests[0].monitor, verdict=requests[0].verdict)
    data = new_data(status, context.polls)
    if data is not None:
        return Trigger(kind="NewData", digest=data.digest)
    time = schedule.due_time(context.spec, status, context.now)
    return Trigger(kind="Schedule", time=format_time(time)) if time is not None else None


def mark_handled(context: Context, status: TrainingJobStatus, trigger: Trigger) -> TrainingJobStatus:
    """Return the status with every open request marked as handled: one run satisfies all of them."""
    if trigger.kind == "Drift":
        status = acknowledge(status, requests_by_standing(context, status, Standing.OPEN))
    status = with_data(schedule.mark_handled(context.spec, status, context.now), context.polls)
    token = run_token(context.resource)
    return status if token is None else status.model_copy(update={"run_now": token})


def describe(trigger: Trigger) -> str:
    """Return the reason for a run in words."""
    match trigger.kind:
        case "Drift":
            return f"requested by DriftMonitor {trigger.monitor} (verdict {trigger.verdict})"
        case "Manual":
            return f"annotation {RUN_NOW_ANNOTATION} was set to {trigger.token}"
        case "NewData":
            return f"the inputs contain new data (digest {short_digest(trigger.digest or '')})"
        case "Schedule":
            return f"scheduled for {trigger.time}"
        case "Created":
            return "first run"
        case "SpecChanged":
            return "the spec changed"


def run_token(resource: TrainingJob) -> str | None:
    """Return the value of the run-now annotation; a hash of it if it is long or holds unusual characters."""
    value = resource.metadata.annotations.get(RUN_NOW_ANNOTATION, "").strip()
    if not value:
        return None
    return value if _PLAIN_TOKEN.match(value) else digest_of(value, 32)


class Standing(StrEnum):
    """What becomes of an unhandled request to retrain."""

    OPEN = "Open"
    """The model serves and has drifted: a run is due."""
    HELD = "Held"
    """A newer artifact is about to replace the model; whether it does decides."""
    OUTDATED = "Outdated"
    """Another model serves now: the request is set aside."""


def requests_by_standing(context: Context, status: TrainingJobStatus, wanted: Standing) -> tuple[RetrainRequest, ...]:
    """Return the unhandled requests of one standing."""
    unhandled = _unhandled(status, context.observed.requests)
    return tuple(request for request in unhandled if _standing(status, request, context.now) is wanted)


def acknowledge(status: TrainingJobStatus, requests: tuple[RetrainRequest, ...]) -> TrainingJobStatus:
    """Return the status with the verdicts of these requests marked as handled."""
    if not requests:
        return status
    handled = {**(status.verdicts or {}), **{request.monitor: request.verdict for request in requests}}
    return status.model_copy(update={"verdicts": _bounded(handled, {request.monitor for request in requests})})


def _unhandled(status: TrainingJobStatus, requests: tuple[RetrainRequest, ...]) -> tuple[RetrainRequest, ...]:
    handled = status.verdicts or {}
    return tuple(request for request in requests if handled.get(request.monitor) != request.verdict)


def _standing(status: TrainingJobStatus, request: RetrainRequest, now: datetime) -> Standing:
    """Compare a request with what serves. The newest artifact may never serve: its rollout may fail or be aborted."""
    serving, newest_digest = request.serving, status.artifact.digest if status.artifact else None
    if request.digest is None:
        return Standing.OPEN
    if request.digest != (serving.stable or newest_digest):
        return Standing.OUTDATED
    if newest_digest in (None, request.digest):
        return Standing.OPEN
    if serving.candidate == newest_digest:
        return Standing.HELD
    age = seconds_since(status.last_success_time, now, otherwise=ROLLOUT_START_SECONDS)
    starts = serving.follows and newest_digest not in serving.rolled_out and 0 <= age < ROLLOUT_START_SECONDS
    return Standing.HELD if starts else Standing.OPEN


def _bounded(handled: Mapping[str, str], fresh: set[str]) -> dict[str, str]:
    """Return at most as many entries as status may hold; the fresh ones stay."""
    dropped = [monitor for monitor in handled if monitor not in fresh][: max(0, len(handled) - MAX_VERDICTS)]
    return {monitor: verdict for monitor, verdict in handled.items() if monitor not in dropped}
