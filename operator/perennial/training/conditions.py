"""Conditions and phase of a TrainingJob: a pure view of its runs, for kubectl, kstatus, Argo CD and people.

Until the present spec has a model, Reconciling or Stalled tells how it goes. Once it has one, Ready stays true on it,
and retraining shows in Training and RetrainFailed.
"""

from dataclasses import dataclass
from datetime import datetime

from perennial.api.trainingjob.resource import RunRecord, TrainingJob, TrainingJobStatus
from perennial.core.conditions import READY, RECONCILING, Wanted, find, ready, reconciling, settle, stalled
from perennial.core.decision import EventNote
from perennial.training.attempt.phase import Progress, starting
from perennial.training.run.data_poll import PollError
from perennial.training.run.records import newest, newest_success

COMPLETE, FAILED = "Complete", "Failed"
TRAINING, RETRAIN_FAILED = "Training", "RetrainFailed"
SUSPENDED = "Suspended"
POLL_FAILED = "PollFailed"

_UNACCEPTED = ("Failed", "Rejected")
_PHASES = ("Queued", "Fetching", "Preparing", "Running", "Publishing")

_PENDING = Progress("Pending", "a run is about to start")


@dataclass(frozen=True)
class _Standing:
    """Where the present spec stands."""

    success: RunRecord | None
    """The newest success, if it is one of the present spec."""
    failure: RunRecord | None
    """The newest run, if it failed or was rejected, and is one of the present spec."""
    progress: Progress | None
    """What the current run does; None when there is none."""


def with_state(
    resource: TrainingJob,
    status: TrainingJobStatus,
    spec_hash: str,
    progress: Progress | None,
    now: datetime,
    *,
    polling: PollError | None = None,
) -> TrainingJobStatus:
    """Return the status with conditions, phase and observed generation that say what its runs say."""
    generation = resource.metadata.generation
    run = status.current_run
    doing = (progress or starting(run)) if run is not None else None
    success, last = newest_success(status), newest(status)
    standing = _Standing(
        success=success if _speaks_of(resource, success, spec_hash) else None,
        failure=last if last and last.result in _UNACCEPTED and _speaks_of(resource, last, spec_hash) else None,
        progress=doing,
    )
    wanted = _suspended(standing) if resource.spec.suspend else _active(standing)
    if polling is not None:
        wanted = (*wanted, Wanted(POLL_FAILED, "True", polling.reason, polling.message))
    return status.model_copy(
        update={
            "observed_generation": generation,
            "conditions": settle(status.conditions, wanted, generation, now),
            "phase": _phase(resource, standing),
        }
    )


def poll_events(before: TrainingJobStatus, error: PollError | None) -> tuple[EventNote, ...]:
    """Return the Event about polls that have begun to fail, or to fail for another reason."""
    told = find(before.conditions, POLL_FAILED)
    if error is None or (told is not None and told.reason == error.reason):
        return ()
    return (EventNote("Warning", error.reason, error.message),)


def activity(status: TrainingJobStatus) -> str | None:
    """Return the reason under which the current run's activity was last told of, if any."""
    told = [item for item in status.conditions if item.type in (RECONCILING, TRAINING)]
    return told[0].reason if told else None


def _speaks_of(resource: TrainingJob, record: RunRecord | None, spec_hash: str) -> bool:
    return record is not None and (record.spec_hash == spec_hash or resource.spec.on_change == "Ignore")


def _active(standing: _Standing) -> tuple[Wanted, ...]:
    doing, success, failure = standing.progress, standing.success, standing.failure
    if success is not None:
        return (*_ready_on(success), *_retraining(doing, failure), *_complete(success))
    if doing is not None:
        return reconciling(doing.reason, doing.message)
    if failure is not None:
        message = failure.message or ""
        return (*stalled(failure.reason, message), Wanted(FAILED, "True", failure.reason, message))
    return reconciling(_PENDING.reason, _PENDING.message)


def _suspended(standing: _Standing) -> tuple[Wanted, ...]:
    """Return the conditions of a resource that rests by its owner's wish: neither under way nor stuck."""
    paused = Wanted(SUSPENDED, "True", "Suspended", "spec.suspend is true: no pods run, and no run starts")
    if standing.success is not None:
        retrain = _retraining(None, standing.failure)
        return (*_ready_on(standing.success), *retrain, *_complete(standing.success), paused)
    failure = standing.failure if standing.progress is None else None
    failed = (Wanted(FAILED, "True", failure.reason, failure.message or ""),) if failure else ()
    return (Wanted(READY, "False", "Suspended", paused.message), *failed, paused)


def _retraining(doing: Progress | None, failure: RunRecord | None) -> tuple[Wanted, ...]:
    if doing is not None:
        return (Wanted(TRAINING, "True", doing.reason, doing.message),)
    if failure is not None:
        return (Wanted(RETRAIN_FAILED, "True", failure.reason, failure.message or ""),)
    return ()


def _ready_on(success: RunRecord) -> tuple[Wanted, ...]:
    made = f" and published {success.artifact_digest}" if success.artifact_digest else ""
    return ready("RunSucceeded", f"run {success.name} succeeded{made}")


def _complete(success: RunRecord) -> tuple[Wanted, ...]:
    return (Wanted(COMPLETE, "True", "RunSucceeded", f"run {success.name} succeeded"),)


def _phase(resource: TrainingJob, standing: _Standing) -> str:
    if resource.spec.suspend:
        return "Suspended"
    if standing.progress is not None:
        return standing.progress.reason if standing.progress.reason in _PHASES else "Starting"
    if standing.success is not None:
        return "Succeeded"
    return standing.failure.result if standing.failure is not None else "Pending"
