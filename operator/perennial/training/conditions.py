"""Conditions and phase of a TrainingJob, derived from its runs, for kubectl, kstatus, Argo CD and people.

Until a run of the present spec has succeeded, Reconciling or Stalled reports its progress. After
that, Ready stays True, and retraining is reported in Training and RetrainFailed.
"""

from dataclasses import dataclass

from perennial.api.trainingjob.resource import RunRecord, TrainingJob, TrainingJobStatus
from perennial.core.conditions import READY, Wanted, find, ready, reconciling, settle, stalled
from perennial.core.decision import EventNote
from perennial.training.attempt.outcomes import short_digest
from perennial.training.attempt.phase import TRAINING, Progress, starting
from perennial.training.context import Context
from perennial.training.run.records import newest, newest_success

COMPLETE, FAILED = "Complete", "Failed"
RETRAIN_FAILED = "RetrainFailed"
SUSPENDED = "Suspended"
POLL_FAILED = "PollFailed"
OUTPUT_UNREADABLE = "OutputUnreadable"
"""Type and reason of the condition, and reason of the Event."""
CHECKPOINT_NOT_KEPT = "CheckpointNotKept"
"""Type and reason of the condition, and reason of the Event."""

_UNSUCCESSFUL = ("Failed", "Rejected")
_PHASES = ("Queued", "Fetching", "Preparing", "Running", "Publishing")

_PENDING = Progress("Pending", "a run is about to start")


@dataclass(frozen=True)
class _Summary:
    """What the runs say about the present spec."""

    success: RunRecord | None
    """The newest successful run, if it ran the present spec."""
    failure: RunRecord | None
    """The newest run, if it failed or was rejected and ran the present spec."""
    progress: Progress | None
    """Progress of the current run; None if there is none."""


def with_conditions(context: Context, status: TrainingJobStatus, progress: Progress | None) -> TrainingJobStatus:
    """Return the status with the conditions, phase and observed generation that follow from its runs."""
    resource, polling = context.resource, context.polls.error
    generation = resource.metadata.generation
    run = status.current_run
    success, last = newest_success(status), newest(status)
    summary = _Summary(
        success=success if _ran_present_spec(context, success) else None,
        failure=last if last and last.result in _UNSUCCESSFUL and _ran_present_spec(context, last) else None,
        progress=(progress or starting(run)) if run is not None else None,
    )
    wanted = _suspended(summary) if resource.spec.suspend else _active(summary)
    if polling is not None:
        wanted = (*wanted, Wanted(POLL_FAILED, "True", polling.reason, polling.message))
    warnings = _output_warnings(status)
    if warnings is not None:
        wanted = (*wanted, Wanted(OUTPUT_UNREADABLE, "True", OUTPUT_UNREADABLE, warnings))
    problem = _checkpoint_problem(status)
    if problem is not None:
        wanted = (*wanted, Wanted(CHECKPOINT_NOT_KEPT, "True", CHECKPOINT_NOT_KEPT, problem))
    return status.model_copy(
        update={
            "observed_generation": generation,
            "conditions": settle(status.conditions, wanted, generation, context.now),
            "phase": _phase(resource, summary),
        }
    )


def poll_events(context: Context) -> tuple[EventNote, ...]:
    """Return an Event if polls have begun to fail or fail for another reason than before."""
    error = context.polls.error
    before = find(context.resource.status.conditions, POLL_FAILED)
    if error is None or (before is not None and before.reason == error.reason):
        return ()
    return (EventNote("Warning", error.reason, error.message),)


def _output_warnings(status: TrainingJobStatus) -> str | None:
    found = status.current_run.output_warnings if status.current_run is not None else None
    return f"the output cannot be published as it is: {'; '.join(found)}" if found else None


def _checkpoint_problem(status: TrainingJobStatus) -> str | None:
    kept = status.current_run.checkpoint if status.current_run is not None else None
    if kept is None or kept.problem is None:
        return None
    last = f"the last one is of {kept.time}" if kept.time else "there is none of this attempt"
    return f"{kept.problem}; {last}"


def run_events(context: Context, status: TrainingJobStatus) -> tuple[EventNote, ...]:
    """Return Events when output or checkpoints of a run have begun to lack; later changes are in the condition only."""
    told = ((OUTPUT_UNREADABLE, _output_warnings(status)), (CHECKPOINT_NOT_KEPT, _checkpoint_problem(status)))
    before = context.resource.status.conditions
    return tuple(EventNote("Warning", name, text) for name, text in told if text and find(before, name) is None)


def _ran_present_spec(context: Context, record: RunRecord | None) -> bool:
    """Tell whether a run counts for the present spec: under `onChange: Ignore` every run does."""
    return record is not None and (record.spec_hash == context.spec_hash or context.spec.on_change == "Ignore")


def _active(summary: _Summary) -> tuple[Wanted, ...]:
    progress, success, failure = summary.progress, summary.success, summary.failure
    if success is not None:
        return (*_ready_on(success), *_retraining(progress, failure), *_complete(success))
    if progress is not None:
        return (stalled if progress.needs_person else reconciling)(progress.reason, progress.message)
    if failure is not None:
        message = failure.message or ""
        return (*stalled(failure.reason, message), Wanted(FAILED, "True", failure.reason, message))
    return reconciling(_PENDING.reason, _PENDING.message)


def _suspended(summary: _Summary) -> tuple[Wanted, ...]:
    """Return the conditions under `spec.suspend`: neither Reconciling nor Stalled."""
    paused = Wanted(SUSPENDED, "True", "Suspended", "spec.suspend is true: pods are stopped, and no run starts")
    if summary.success is not None:
        retrain = _retraining(None, summary.failure)
        return (*_ready_on(summary.success), *retrain, *_complete(summary.success), paused)
    failure = summary.failure if summary.progress is None else None
    failed = (Wanted(FAILED, "True", failure.reason, failure.message or ""),) if failure else ()
    return (Wanted(READY, "False", "Suspended", paused.message), *failed, paused)


def _retraining(progress: Progress | None, failure: RunRecord | None) -> tuple[Wanted, ...]:
    if progress is not None:
        return (Wanted(TRAINING, "True", progress.reason, progress.message),)
    if failure is not None:
        return (Wanted(RETRAIN_FAILED, "True", failure.reason, failure.message or ""),)
    return ()


def _ready_on(success: RunRecord) -> tuple[Wanted, ...]:
    made = f" and published version {short_digest(success.artifact_digest)}" if success.artifact_digest else ""
    return ready("RunSucceeded", f"run {success.name} succeeded{made}")


def _complete(success: RunRecord) -> tuple[Wanted, ...]:
    return (Wanted(COMPLETE, "True", "RunSucceeded", f"run {success.name} succeeded"),)


def _phase(resource: TrainingJob, summary: _Summary) -> str:
    if resource.spec.suspend:
        return "Suspended"
    if summary.progress is not None:
        return summary.progress.reason if summary.progress.reason in _PHASES else "Starting"
    if summary.success is not None:
        return "Succeeded"
    return summary.failure.result if summary.failure is not None else "Pending"
