"""Takes a sweep one step further: up to `sweep.parallel` trials run at the same time.

Status says which trials run before their Jobs are created, so that a crash in between loses and
duplicates nothing.
"""

from dataclasses import dataclass, replace

from perennial.api.trainingjob.resource import CurrentRun, TrainingJobStatus
from perennial.api.trainingjob.sweep import SweepStatus, Trial
from perennial.core.decision import Action
from perennial.core.times import soonest
from perennial.training.attempt.phase import Progress
from perennial.training.attempt.retry import seconds_until_attempt
from perennial.training.context import ActiveRun, Context
from perennial.training.job.plan import lineage_of
from perennial.training.observe import AttemptJob
from perennial.training.run.finish import accept_or_reject, end_run, replace_run
from perennial.training.run.retention import conflicting_jobs, deletion
from perennial.training.run.step import NewAttempt, Step
from perennial.training.sweep.attempts import advance_trial, new_trial_attempt, trial_job, trial_spec
from perennial.training.sweep.results import attempts_of, better, outcome_of_sweep, progress_of_sweep, trial_events


@dataclass(frozen=True)
class SweepStep:
    """The next state of all trials, and what has to be done for them."""

    sweep: SweepStatus
    new_attempts: tuple[NewAttempt, ...]
    actions: tuple[Action, ...]
    progress: Progress
    requeue_after: float | None
    finished: bool
    """No trial is running or will run."""


def advance_sweep(context: Context, status: TrainingJobStatus, run: CurrentRun, sweep: SweepStatus) -> Step:
    """Take every trial a step further. When the sweep ends, the best trial's model becomes the run's."""
    changed = run.spec_hash != context.spec_hash
    if changed and context.spec.on_change == "Replace":
        return replace_run(context, status, ActiveRun(run, None, None, changed=True))
    if conflicting_jobs(context.observed.jobs, run):
        return Step(status.model_copy(update={"sweep": sweep}), requeue_after=0, status_first=True)
    step = _advance_trials(context, run, sweep, changed=changed)
    status = status.model_copy(update={"sweep": step.sweep})
    events = tuple(trial_events(run, sweep, step.sweep))
    if step.finished:
        ended = _end_sweep(context, status, run, step.sweep, changed=changed)
        return replace(ended, events=(*events, *ended.events))
    return Step(
        status,
        progress=step.progress,
        new_attempts=step.new_attempts,
        actions=step.actions,
        events=events,
        requeue_after=step.requeue_after,
        status_first=bool(step.new_attempts or step.actions),
    )


def _end_sweep(
    context: Context, status: TrainingJobStatus, run: CurrentRun, sweep: SweepStatus, *, changed: bool
) -> Step:
    best = next((item for item in sweep.trials if sweep.best and item.number == sweep.best.trial), None)
    run = run.model_copy(update={"attempt": attempts_of(sweep) - 1})
    job = trial_job(context, run, best) if best is not None else None
    lineage = job.plan.lineage if job is not None and job.plan is not None else None
    if lineage is None and best is not None and not changed:
        lineage = lineage_of(trial_spec(context.spec, best))
    active = ActiveRun(run, job, lineage, changed)
    outcome = outcome_of_sweep(context.spec, sweep, lineage)
    if outcome.ending == "Succeeded":
        return accept_or_reject(context, status, active, outcome)
    return end_run(context, status, active, "Failed", outcome)


def _advance_trials(context: Context, run: CurrentRun, sweep: SweepStatus, *, changed: bool) -> SweepStep:
    """Return the sweep one step further. Once the spec has changed, no new trials start."""
    steps = [advance_trial(context, run, sweep, trial, changed=changed) for trial in sweep.trials]
    best = sweep.best
    for step in steps:
        best = better(sweep, best, step.result)
    trials = tuple(step.trial for step in steps)
    failed = _count(trials, "Failed") > _max_failed(context)
    orphaned = _orphaned_jobs(context, run, trials)
    trials = _skip_pending(trials) if changed or failed else _start_pending(context, trials, len(orphaned))
    following = sweep.model_copy(update={"trials": trials, "best": best})
    waiting = [trial for trial in trials if not changed and _needs_job(context, run, trial)]
    delays = [left for trial in trials if (left := _delay_left(context, trial)) > 0]
    return SweepStep(
        sweep=following,
        new_attempts=tuple(new_trial_attempt(context, run, trial) for trial in waiting),
        actions=(*(action for step in steps for action in step.actions), *(deletion(item) for item in orphaned)),
        progress=progress_of_sweep(run, following, [step.progress for step in steps if step.progress is not None]),
        requeue_after=soonest(*(step.requeue_after for step in steps), *delays),
        finished=failed or not (_count(trials, "Pending") or _count(trials, "Running")),
    )


def _max_failed(context: Context) -> int:
    return context.spec.sweep.max_failed if context.spec.sweep is not None else 0


def _count(trials: tuple[Trial, ...], phase: str) -> int:
    return sum(trial.phase == phase for trial in trials)


def _delay_left(context: Context, trial: Trial) -> float:
    """Return the seconds before a trial that failed may be retried."""
    delayed = trial.phase == "Pending" and trial.attempt_time is not None
    return seconds_until_attempt(trial.attempt_time or "", context.now) if delayed else 0.0


def _skip_pending(trials: tuple[Trial, ...]) -> tuple[Trial, ...]:
    return tuple(
        trial.model_copy(update={"phase": "Skipped"}) if trial.phase == "Pending" else trial for trial in trials
    )


def _start_pending(context: Context, trials: tuple[Trial, ...], orphaned: int) -> tuple[Trial, ...]:
    """Start as many trials as `sweep.parallel` allows; orphaned Jobs count until they are deleted."""
    if context.spec.suspend or context.spec.sweep is None:
        return trials
    free = context.spec.sweep.parallel - _count(trials, "Running") - orphaned
    ready = [trial.number for trial in trials if trial.phase == "Pending" and _delay_left(context, trial) <= 0]
    chosen = set(ready[: max(free, 0)])
    return tuple(
        trial.model_copy(update={"phase": "Running", "attempt_time": None}) if trial.number in chosen else trial
        for trial in trials
    )


def _needs_job(context: Context, run: CurrentRun, trial: Trial) -> bool:
    return trial.phase == "Running" and not context.spec.suspend and trial_job(context, run, trial) is None


def _orphaned_jobs(context: Context, run: CurrentRun, trials: tuple[Trial, ...]) -> tuple[AttemptJob, ...]:
    """Return the sweep's active Jobs whose trial has ended or has moved on to another attempt."""
    wanted = {(trial.number, trial.attempt) for trial in trials if trial.phase == "Running"}
    return tuple(
        item
        for item in context.observed.jobs
        if item.number == run.number
        and item.trial
        and not (item.deleting or item.ended)
        and (item.trial, item.attempt) not in wanted
    )
