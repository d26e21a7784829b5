"""Whether a run is due, and why."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from perennial.api.trainingjob.resource import TrainingJob, TrainingJobStatus, Trigger
from perennial.core.labels import RUN_NOW_ANNOTATION
from perennial.core.names import digest_of
from perennial.core.times import format_time
from perennial.training.observe import RetrainRequest
from perennial.training.run import schedule
from perennial.training.run.data_poll import NO_POLLS, Polls, news, with_data
from perennial.training.run.records import newest

MOST_VERDICTS = 64


_PLAIN_TOKEN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._:+-]{0,127}$")


@dataclass(frozen=True)
class Asks:
    """What others ask for: DriftMonitors, and the data itself."""

    requests: tuple[RetrainRequest, ...] = ()
    polls: Polls = NO_POLLS


def due(resource: TrainingJob, spec_hash: str, status: TrainingJobStatus, asks: Asks, now: datetime) -> Trigger | None:
    """Return why a run should start now, or None. A run that failed is not repeated for its own sake."""
    spec, last = resource.spec, newest(status)
    if last is None:
        return Trigger(kind="Created")
    changed = last.spec_hash != spec_hash
    if changed and spec.on_change != "Ignore":
        return Trigger(kind="SpecChanged")
    if last.result == "Replaced":
        return last.trigger  # what the replaced run was to bring is still owed
    return _asked(resource, status, asks, now)


def _asked(resource: TrainingJob, status: TrainingJobStatus, asks: Asks, now: datetime) -> Trigger | None:
    token = run_token(resource)
    if token is not None and token != status.run_now:
        return Trigger(kind="Manual", token=token)
    requests = open_requests(status, asks.requests)
    if requests:
        return Trigger(kind="Drift", monitor=requests[0].monitor, verdict=requests[0].verdict)
    data = news(status, asks.polls)
    if data is not None:
        return Trigger(kind="NewData", digest=data.digest)
    time = schedule.due_time(resource.spec, status, now)
    return Trigger(kind="Schedule", time=format_time(time)) if time is not None else None


def answer(
    resource: TrainingJob, status: TrainingJobStatus, trigger: Trigger, asks: Asks, now: datetime
) -> TrainingJobStatus:
    """Return the status with all that the new run answers marked as seen: one training answers every wish there is."""
    if trigger.kind == "Drift":
        status = acknowledge(status, open_requests(status, asks.requests))
    status = with_data(schedule.answered(resource.spec, status, now), asks.polls)
    token = run_token(resource)
    return status if token is None else status.model_copy(update={"run_now": token})


def why(trigger: Trigger) -> str:
    """Return the reason for a run in words."""
    match trigger.kind:
        case "Drift":
            return f"DriftMonitor {trigger.monitor} found drift (verdict {trigger.verdict})"
        case "Manual":
            return f"annotation {RUN_NOW_ANNOTATION} asks for it ({trigger.token})"
        case "NewData":
            return f"the inputs hold new data ({trigger.digest})"
        case "Schedule":
            return f"spec.schedule asks for it ({trigger.time})"
        case "Created":
            return "it is the first"
        case "SpecChanged":
            return "the spec has changed"


def run_token(resource: TrainingJob) -> str | None:
    """Return what identifies the present wish of the annotation: its value, or a hash of one that is long or odd."""
    value = resource.metadata.annotations.get(RUN_NOW_ANNOTATION, "").strip()
    if not value:
        return None
    return value if _PLAIN_TOKEN.match(value) else digest_of(value, 32)


def open_requests(status: TrainingJobStatus, requests: tuple[RetrainRequest, ...]) -> tuple[RetrainRequest, ...]:
    """Return the requests that have not been acted on and speak of the present artifact."""
    return tuple(request for request in _unseen(status, requests) if not _is_outdated(status, request))


def outdated_requests(status: TrainingJobStatus, requests: tuple[RetrainRequest, ...]) -> tuple[RetrainRequest, ...]:
    """Return the requests that have not been acted on and speak of a model that has been replaced since."""
    return tuple(request for request in _unseen(status, requests) if _is_outdated(status, request))


def acknowledge(status: TrainingJobStatus, requests: tuple[RetrainRequest, ...]) -> TrainingJobStatus:
    """Return the status with these requests marked as seen."""
    if not requests:
        return status
    seen = {**(status.verdicts or {}), **{request.monitor: request.verdict for request in requests}}
    return status.model_copy(update={"verdicts": _bounded(seen, {request.monitor for request in requests})})


def _unseen(status: TrainingJobStatus, requests: tuple[RetrainRequest, ...]) -> tuple[RetrainRequest, ...]:
    seen = status.verdicts or {}
    return tuple(request for request in requests if seen.get(request.monitor) != request.verdict)


def _is_outdated(status: TrainingJobStatus, request: RetrainRequest) -> bool:
    present = status.artifact.digest if status.artifact else None
    return request.digest is not None and request.digest != present


def _bounded(seen: Mapping[str, str], fresh: set[str]) -> dict[str, str]:
    """Return at most as many entries as status may hold; the fresh ones stay."""
    spare = [monitor for monitor in seen if monitor not in fresh][: max(0, len(seen) - MOST_VERDICTS)]
    return {monitor: verdict for monitor, verdict in seen.items() if monitor not in spare}
