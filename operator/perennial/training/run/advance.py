"""Takes a run without a sweep one step further, by the state of its Job."""

from dataclasses import replace

from perennial.api.trainingjob.resource import CurrentRun, TrainingJobStatus
from perennial.core.decision import EventNote
from perennial.core.times import soonest
from perennial.training.attempt.phase import progress_of, queued, reported_reason, starting
from perennial.training.attempt.progress import read_of, with_progress
from perennial.training.attempt.retry import seconds_until_attempt
from perennial.training.attempt.workers import is_failing, outcome_of_attempt, slowest_worker, stuck_after
from perennial.training.context import ActiveRun, Context
from perennial.training.job.kueue import queue_of
from perennial.training.job.plan import lineage_of
from perennial.training.job.repair import repair
from perennial.training.job.suspend import suspension
from perennial.training.observe import AttemptJob
from perennial.training.run import records
from perennial.training.run.finish import after_attempt, end_run, replace_run
from perennial.training.run.start import create_job
from perennial.training.run.step import Step

RECHECK_SECONDS = 2.0
"""Delay before checking again for the final state of a pod; its watch event usually comes first."""

_POD_STARTED = ("Running", "Publishing", "InjectedContainerRuns", "Fetching", "Preparing")


def advance_run(context: Context, status: TrainingJobStatus, run: CurrentRun) -> Step:
    """Decide by the state of the present attempt's Job."""
    active = _active_run(context, run)
    if active.lineage is None:
        return replace_run(context, status, active)
    if active.job is None:
        return _without_job(context, status, run)
    outcome = outcome_of_attempt(context, active.job, active.lineage)
    succeeded = outcome is not None and outcome.ending == "Succeeded"
    if active.changed and context.spec.on_change == "Replace" and not succeeded:
        return replace_run(context, status, active)
    if outcome is not None:
        return after_attempt(context, status, active, outcome)
    return _not_ended(context, status, active, active.job)


def _active_run(context: Context, run: CurrentRun) -> ActiveRun:
    found = context.observed.job_of(run.number, run.attempt)
    if run.spec_hash == context.spec_hash:
        return ActiveRun(run, found, lineage_of(context.spec), changed=False)
    plan = found.plan if found is not None else None
    return ActiveRun(run, found, plan.lineage if plan is not None else None, changed=True)


def _without_job(context: Context, status: TrainingJobStatus, run: CurrentRun) -> Step:
    """Create the Job, whether it never existed or was deleted by someone.

    The name is the same in both cases. So if the cache is behind and the Job exists, no second one
    is created.
    """
    left = seconds_until_attempt(run.attempt_time, context.now)
    if context.spec.suspend or left > 0:
        return Step(status, requeue_after=None if context.spec.suspend else left)
    if reported_reason(status) not in _POD_STARTED:
        return create_job(context, status, run, ())
    message = f"Job {run.job} was deleted while it ran; it is created again"
    disrupted = _disrupted(run, message)
    status = status.model_copy(update={"current_run": disrupted})
    return create_job(context, status, disrupted, (EventNote("Warning", "JobDeleted", message),))


def _not_ended(context: Context, status: TrainingJobStatus, active: ActiveRun, found: AttemptJob) -> Step:
    """Suspend or resume the Job as the spec requires, or report what its pods do."""
    if found.ended:
        return Step(None, requeue_after=RECHECK_SECONDS)  # the pod's final state is not in the cache yet
    queue = queue_of(found.job)
    if queue is not None:
        return _in_queue(context, status, active, found, queue)
    if found.job.spec.suspend != context.spec.suspend:
        change = suspension(found.job, context.now, suspend=context.spec.suspend)
        return Step(status, actions=(change,), progress=starting(active.run))
    if context.spec.suspend:
        return Step(status)
    step = _watch(context, status, active, found)
    repaired = repair(found.job, found.workers)
    return step if repaired is None or step.status is None else replace(step, actions=(*step.actions, repaired))


def _in_queue(context: Context, status: TrainingJobStatus, active: ActiveRun, found: AttemptJob, queue: str) -> Step:
    """Follow a Job that Kueue starts and stops; `spec.suspend` takes it out of the queue."""
    run = active.run
    if context.spec.suspend:
        # The Job is deleted because it no longer belongs to the current attempt.
        following = records.restart(context.resource.metadata.name, run, context.now)
        return Step(status.model_copy(update={"current_run": following}), status_first=True)
    if not found.job.spec.suspend:
        return _watch(context, status, active, found)
    if reported_reason(status) not in _POD_STARTED:
        return Step(status, progress=queued(run, queue))
    message = f"queue {queue} evicted attempt {run.attempt + 1} of run {run.name}"
    evicted = _disrupted(run, message)
    return Step(
        status.model_copy(update={"current_run": evicted}),
        progress=queued(evicted, queue),
        events=(EventNote("Warning", "Evicted", f"{message}; it starts again when there is quota"),),
    )


def _watch(context: Context, status: TrainingJobStatus, active: ActiveRun, found: AttemptJob) -> Step:
    """Report the progress of the pods, and end the run if they can never start."""
    pods = context.observed.pods_of(found.job)
    stuck = stuck_after(pods, context.now)
    if is_failing(found.job):
        return Step(None, requeue_after=stuck)  # the other workers are being stopped
    progress = progress_of(active.run, found.job, slowest_worker(found.job, pods), context.now)
    if progress.failure is not None:
        return end_run(context, status, active, "Failed", progress.failure)
    changed = progress.waiting and reported_reason(status) != progress.reason
    events = (EventNote("Warning", progress.reason, progress.message),) if changed else ()
    read = read_of(context.spec, context.observed.leader_pod(found.job)) if progress.running else None
    answer = context.observed.answer(read) if read is not None else None
    run, left = with_progress(active.run, answer, context.now)
    return Step(
        status.model_copy(update={"current_run": run}),
        progress=progress,
        events=events,
        requeue_after=soonest(left, progress.recheck_after, stuck),
        read=read,
    )


def _disrupted(run: CurrentRun, message: str) -> CurrentRun:
    return run.model_copy(update={"disruptions": run.disruptions + 1, "last_failure": message})
