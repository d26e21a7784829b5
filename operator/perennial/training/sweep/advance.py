"""The walk of a sweep's trials: each is an attempt at a training of its own, and several may run at once.

Status says which trials run before their Jobs are made, so that a crash in between loses and doubles nothing.
"""

from dataclasses import dataclass

from perennial.api.trainingjob.resource import CurrentRun, TrainingJob
from perennial.api.trainingjob.sweep import BestTrial, SweepStatus, Trial
from perennial.core.clock import after, pause, seconds_until, soonest
from perennial.core.conditions import shorten
from perennial.core.decision import Action, Create
from perennial.training.attempt.exit_codes import ruled
from perennial.training.attempt.outcomes import AttemptOutcome
from perennial.training.attempt.phase import Progress, progress_of, queued
from perennial.training.attempt.workers import laggard, outcome_of_gang, stuck_after
from perennial.training.context import Context
from perennial.training.job.build import build_job
from perennial.training.job.kueue import queue_of
from perennial.training.job.plan import lineage_of, trial_job_name, trial_run_name
from perennial.training.job.suspend import suspension
from perennial.training.observe import AttemptJob
from perennial.training.run.acceptance import number
from perennial.training.run.retention import delete
from perennial.training.sweep.results import better, progress_of_sweep

_LOOK_AGAIN = 2.0
_MESSAGE_LENGTH = 256


@dataclass(frozen=True)
class Step:
    """What becomes of one trial."""

    trial: Trial
    best: BestTrial | None = None
    """Set when the trial has just succeeded."""
    actions: tuple[Action, ...] = ()
    progress: Progress | None = None
    wait: float | None = None


@dataclass(frozen=True)
class Advance:
    """What becomes of all trials."""

    sweep: SweepStatus
    actions: tuple[Action, ...]
    progress: Progress
    wait: float | None
    over: bool
    """Whether nothing is left to wait for."""


def advance(context: Context, run: CurrentRun, sweep: SweepStatus, *, changed: bool) -> Advance:
    """Return the sweep one step further. A changed spec lets trials end that run, and starts no others."""
    steps = [_follow(context, run, sweep, trial, changed=changed) for trial in sweep.trials]
    best = sweep.best
    for step in steps:
        best = better(sweep, best, step.best)
    trials = tuple(step.trial for step in steps)
    given_up = changed or _count(trials, "Failed") > _patience(context)
    strays = _strays(context, run, trials)
    trials = _skipped(trials) if given_up else _started(context, trials, len(strays))
    now = sweep.model_copy(update={"trials": trials, "best": best})
    creates = [_create(context, run, trial) for trial in trials if _needs_job(context, run, trial) and not changed]
    waits = [step.wait for step in steps if step.wait is not None]
    waits += [left for trial in trials if (left := _pause_left(context, trial)) > 0]
    actions = [*(action for step in steps for action in step.actions), *(delete(item) for item in strays)]
    broken = _count(trials, "Failed") > _patience(context)
    return Advance(
        sweep=now,
        actions=(*creates, *actions),
        progress=progress_of_sweep(run, now, [step.progress for step in steps if step.progress is not None]),
        wait=min(waits, default=None),
        over=broken or not (_count(trials, "Pending") or _count(trials, "Running")),
    )


def trial_job(context: Context, run: CurrentRun, trial: Trial) -> AttemptJob | None:
    """Return the Job of a trial's present attempt."""
    return context.observed.trial_job_of(run.number, trial.number, trial.attempt)


def parameters_of(resource: TrainingJob, trial: Trial) -> dict[str, str]:
    """Return all parameters that a trial runs with."""
    return {**(resource.spec.parameters or {}), **trial.parameters}


def _patience(context: Context) -> int:
    return context.spec.sweep.max_failed if context.spec.sweep is not None else 0


def _count(trials: tuple[Trial, ...], phase: str) -> int:
    return sum(trial.phase == phase for trial in trials)


def _pause_left(context: Context, trial: Trial) -> float:
    waits = trial.phase == "Pending" and trial.attempt_time is not None
    return seconds_until(trial.attempt_time or "", context.now) if waits else 0.0


def _skipped(trials: tuple[Trial, ...]) -> tuple[Trial, ...]:
    return tuple(
        trial.model_copy(update={"phase": "Skipped"}) if trial.phase == "Pending" else trial for trial in trials
    )


def _strays(context: Context, run: CurrentRun, trials: tuple[Trial, ...]) -> tuple[AttemptJob, ...]:
    """Return the Jobs of the sweep that still work though their trial has ended or gone on to another attempt."""
    wanted = {(trial.number, trial.attempt) for trial in trials if trial.phase == "Running"}
    return tuple(
        item
        for item in context.observed.jobs
        if item.number == run.number
        and item.trial
        and not (item.leaving or item.ended)
        and (item.trial, item.attempt) not in wanted
    )


def _started(context: Context, trials: tuple[Trial, ...], strays: int) -> tuple[Trial, ...]:
    """Return the trials with as many more of them running as may run at once, strays counted."""
    if context.spec.suspend or context.spec.sweep is None:
        return trials
    free = context.spec.sweep.parallel - _count(trials, "Running") - strays
    ready = [trial.number for trial in trials if trial.phase == "Pending" and _pause_left(context, trial) <= 0]
    chosen = set(ready[: max(free, 0)])
    return tuple(
        trial.model_copy(update={"phase": "Running", "attempt_time": None}) if trial.number in chosen else trial
        for trial in trials
    )


def _needs_job(context: Context, run: CurrentRun, trial: Trial) -> bool:
    return trial.phase == "Running" and not context.spec.suspend and trial_job(context, run, trial) is None


def _create(context: Context, run: CurrentRun, trial: Trial) -> Create:
    resource = context.resource
    name = resource.metadata.name
    spec = resource.spec.model_copy(update={"parameters": parameters_of(resource, trial)})
    as_run = run.model_copy(
        update={
            "name": trial_run_name(name, run.number, trial.number),
            "attempt": trial.attempt,
            "job": trial_job_name(name, run.number, trial.number, trial.attempt),
        }
    )
    return Create(build_job(resource.model_copy(update={"spec": spec}), as_run, context.config))


# One trial.


def _follow(context: Context, run: CurrentRun, sweep: SweepStatus, trial: Trial, *, changed: bool) -> Step:
    found = trial_job(context, run, trial) if trial.phase == "Running" else None
    if found is None:
        lost = changed and trial.phase == "Running"  # its Job is gone, and the spec to make it anew as well
        return Step(trial.model_copy(update={"phase": "Skipped"}) if lost else trial)
    lineage = found.plan.lineage if found.plan is not None else lineage_of(context.spec)
    outcome = outcome_of_gang(found.job, context.observed.pods_of(found.job), lineage, context.now)
    outcome = ruled(outcome, context.spec.retry)
    if outcome is not None:
        return _ended(context, sweep, trial, outcome)
    if found.ended:
        return Step(trial, wait=_LOOK_AGAIN)
    return _alive(context, run, sweep, trial, found)


def _alive(context: Context, run: CurrentRun, sweep: SweepStatus, trial: Trial, found: AttemptJob) -> Step:
    suspend, queue = context.spec.suspend, queue_of(found.job)
    if queue is not None and suspend:
        # Its Job goes as one that is no trial's any more.
        return Step(trial.model_copy(update={"phase": "Pending", "attempt": trial.attempt + 1}))
    if queue is not None and found.job.spec.suspend:
        return Step(trial, progress=queued(run, queue))
    if queue is None and found.job.spec.suspend != suspend:
        return Step(trial, actions=(suspension(found.job, context.now, suspend=suspend),))
    pods = context.observed.pods_of(found.job)
    progress = progress_of(run, found.job, laggard(found.job, pods), context.now)
    if progress.hopeless is not None:
        return _ended(context, sweep, trial, progress.hopeless)
    return Step(trial, progress=progress, wait=soonest(progress.look_after, stuck_after(pods, context.now)))


def _ended(context: Context, sweep: SweepStatus, trial: Trial, outcome: AttemptOutcome) -> Step:
    if outcome.ending == "Succeeded":
        return _succeeded(sweep, trial, outcome)
    failures = trial.failures + (outcome.ending == "Failed")
    if outcome.ending == "Fatal" or failures > context.spec.retry.limit:
        return Step(_failed(trial, outcome.message))
    again = {"phase": "Pending", "attempt": trial.attempt + 1, "failures": failures}
    wait = pause(trial.attempt + 1)
    return Step(trial.model_copy(update={**again, "attempt_time": after(context.now, wait)}), wait=wait)


def _succeeded(sweep: SweepStatus, trial: Trial, outcome: AttemptOutcome) -> Step:
    made, metric = outcome.published, sweep.objective.metric
    value = number(made.metrics.get(metric)) if made is not None else None
    if made is None or value is None:
        return Step(_failed(trial, f"metrics.json holds no number for {metric}, the objective of the sweep"))
    done = trial.model_copy(update={"phase": "Succeeded", "value": str(value), "digest": made.digest})
    best = BestTrial(
        trial=trial.number, value=str(value), digest=made.digest, time=made.time, metrics=made.metrics or None
    )
    return Step(done, best=best)


def _failed(trial: Trial, message: str) -> Trial:
    return trial.model_copy(update={"phase": "Failed", "message": shorten(message)[:_MESSAGE_LENGTH]})
