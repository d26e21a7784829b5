"""Decides whether a run is due and which trigger starts it, and marks requests as handled."""

import re
from collections.abc import Mapping

from perennial.api.trainingjob.resource import TrainingJob, TrainingJobStatus, Trigger
from perennial.core.labels import RUN_NOW_ANNOTATION
from perennial.core.names import digest_of
from perennial.core.times import format_time
from perennial.training.attempt.outcomes import short_digest
from perennial.training.context import Context
from perennial.training.observe import RetrainRequest
from perennial.training.run import schedule
from perennial.training.run.data_poll import new_data, with_data
from perennial.training.run.records import newest

MAX_VERDICTS = 64

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
    requests = open_requests(status, context.observed.requests)
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
        status = acknowledge(status, open_requests(status, context.observed.requests))
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


def open_requests(status: TrainingJobStatus, requests: tuple[RetrainRequest, ...]) -> tuple[RetrainRequest, ...]:
    """Return the unhandled requests about the present artifact."""
    return tuple(request for request in _unhandled(status, requests) if not _is_outdated(status, request))


def outdated_requests(status: TrainingJobStatus, requests: tuple[RetrainRequest, ...]) -> tuple[RetrainRequest, ...]:
    """Return the unhandled requests about a model that has been replaced since."""
    return tuple(request for request in _unhandled(status, requests) if _is_outdated(status, request))


def acknowledge(status: TrainingJobStatus, requests: tuple[RetrainRequest, ...]) -> TrainingJobStatus:
    """Return the status with the verdicts of these requests marked as handled."""
    if not requests:
        return status
    handled = {**(status.verdicts or {}), **{request.monitor: request.verdict for request in requests}}
    return status.model_copy(update={"verdicts": _bounded(handled, {request.monitor for request in requests})})


def _unhandled(status: TrainingJobStatus, requests: tuple[RetrainRequest, ...]) -> tuple[RetrainRequest, ...]:
    handled = status.verdicts or {}
    return tuple(request for request in requests if handled.get(request.monitor) != request.verdict)


def _is_outdated(status: TrainingJobStatus, request: RetrainRequest) -> bool:
    present = status.artifact.digest if status.artifact else None
    return request.digest is not None and request.digest != present


def _bounded(handled: Mapping[str, str], fresh: set[str]) -> dict[str, str]:
    """Return at most as many entries as status may hold; the fresh ones stay."""
    dropped = [monitor for monitor in handled if monitor not in fresh][: max(0, len(handled) - MAX_VERDICTS)]
    return {monitor: verdict for monitor, verdict in handled.items() if monitor not in dropped}
