"""Takes one trial of a sweep one step further. Its attempts are retried like those of a run."""

from dataclasses import dataclass

from perennial.api.trainingjob.resource import CurrentRun, TrainingJobSpec
from perennial.api.trainingjob.sweep import BestTrial, SweepStatus, Trial
from perennial.core.conditions import shorten
from perennial.core.decision import Action
from perennial.core.times import soonest
from perennial.training.attempt.outcomes import AttemptOutcome
from perennial.training.attempt.phase import Progress, progress_of, queued
from perennial.training.attempt.retry import retry_delay, retry_time
from perennial.training.attempt.workers import outcome_of_attempt, slowest_worker, stuck_after
from perennial.training.context import Context
from perennial.training.job.kueue import queue_of
from perennial.training.job.plan import lineage_of, trial_job_name, trial_run_name
from perennial.training.job.repair import repair
from perennial.training.job.suspend import suspension
from perennial.training.observe import AttemptJob
from perennial.training.run.acceptance import finite_number
from perennial.training.run.advance import RECHECK_SECONDS
from perennial.training.run.step import NewAttempt

_MAX_MESSAGE_LENGTH = 256


@dataclass(frozen=True)
class TrialStep:
    """The next state of one trial, and what has to be done for it."""

    trial: Trial
    result: BestTrial | None = None
    """Set when the trial has just succeeded."""
    actions: tuple[Action, ...] = ()
    progress: Progress | None = None
    requeue_after: float | None = None


def advance_trial(context: Context, run: CurrentRun, sweep: SweepStatus, trial: Trial, *, changed: bool) -> TrialStep:
    """Decide by the state of the trial's Job; `changed`: the spec has changed since the run started."""
    found = trial_job(context, run, trial) if trial.phase == "Running" else None
    if found is None:
        lost = changed and trial.phase == "Running"  # neither the Job nor the spec to create it again exists
        return TrialStep(trial.model_copy(update={"phase": "Skipped"}) if lost else trial)
    lineage = found.plan.lineage if found.plan is not None else lineage_of(context.spec)
    outcome = outcome_of_attempt(context, found, lineage)
    if outcome is not None:
        return _ended(context, sweep, trial, outcome)
    if found.ended:
        return TrialStep(trial, requeue_after=RECHECK_SECONDS)
    return _not_ended(context, run, sweep, trial, found)


def trial_job(context: Context, run: CurrentRun, trial: Trial) -> AttemptJob | None:
    """Return the Job of the trial's present attempt."""
    return context.observed.trial_job_of(run.number, trial.number, trial.attempt)


def trial_spec(spec: TrainingJobSpec, trial: Trial) -> TrainingJobSpec:
    """Return the spec with the trial's parameters added to `spec.parameters`."""
    return spec.model_copy(update={"parameters": {**(spec.parameters or {}), **trial.parameters}})


def new_trial_attempt(context: Context, run: CurrentRun, trial: Trial) -> NewAttempt:
    """Return the trial's present attempt as a run of its own name and parameters."""
    name = context.resource.metadata.name
    update = {
        "name": trial_run_name(name, run.number, trial.number),
        "attempt": trial.attempt,
        "job": trial_job_name(name, run.number, trial.number, trial.attempt),
    }
    return NewAttempt(run.model_copy(update=update), context.spec, trial.parameters)


def _not_ended(context: Context, run: CurrentRun, sweep: SweepStatus, trial: Trial, found: AttemptJob) -> TrialStep:
    suspend, queue = context.spec.suspend, queue_of(found.job)
    if queue is not None and suspend:
        # The Job is deleted because it no longer belongs to any trial's current attempt.
        return TrialStep(trial.model_copy(update={"phase": "Pending", "attempt": trial.attempt + 1}))
    if queue is not None and found.job.spec.suspend:
        return TrialStep(trial, progress=queued(run, queue))
    if queue is None and found.job.spec.suspend != suspend:
        return TrialStep(trial, actions=(suspension(found.job, context.now, suspend=suspend),))
    pods = context.observed.pods_of(found.job)
    progress = progress_of(run, found.job, slowest_worker(found.job, pods), context.now)
    if progress.failure is not None:
        return _ended(context, sweep, trial, progress.failure)
    wait = soonest(progress.recheck_after, stuck_after(pods, context.now))
    change = repair(found.job, found.workers) if queue is None else None
    actions = (change,) if change is not None else ()
    return TrialStep(trial, progress=progress, actions=actions, requeue_after=wait)


def _ended(context: Context, sweep: SweepStatus, trial: Trial, outcome: AttemptOutcome) -> TrialStep:
    if outcome.ending == "Succeeded":
        return _succeeded(sweep, trial, outcome)
    failures = trial.failures + (outcome.ending == "Failed")
    if outcome.ending == "Fatal" or failures > context.spec.retry.limit:
        return TrialStep(_failed(trial, outcome.message))
    delay = retry_delay(trial.attempt + 1)
    update = {
        "phase": "Pending",
        "attempt": trial.attempt + 1,
        "failures": failures,
        "attempt_time": retry_time(context.now, delay),
    }
    return TrialStep(trial.model_copy(update=update), requeue_after=delay)


def _succeeded(sweep: SweepStatus, trial: Trial, outcome: AttemptOutcome) -> TrialStep:
    published, metric = outcome.published, sweep.objective.metric
    value = finite_number(published.metrics.get(metric)) if published is not None else None
    if published is None or value is None:
        return TrialStep(_failed(trial, f"metrics.json contains no number for {metric}, the objective of the sweep"))
    done = trial.model_copy(update={"phase": "Succeeded", "value": str(value), "digest": published.digest})
    result = BestTrial(
        trial=trial.number,
        value=str(value),
        digest=published.digest,
        time=published.time,
        metrics=published.metrics or None,
    )
    return TrialStep(done, result=result)


def _failed(trial: Trial, message: str) -> Trial:
    return trial.model_copy(update={"phase": "Failed", "message": shorten(message)[:_MAX_MESSAGE_LENGTH]})
