"""Results of a sweep: its best trial, its progress, its outcome and its Events."""

from collections.abc import Iterator
from dataclasses import replace

from perennial.api.contract.messages import Published
from perennial.api.trainingjob.resource import CurrentRun, TrainingJobSpec
from perennial.api.trainingjob.sweep import BestTrial, SweepStatus
from perennial.core.decision import EventNote
from perennial.training.attempt.outcomes import AttemptOutcome, version_uri
from perennial.training.attempt.phase import Progress
from perennial.training.job.plan import Lineage
from perennial.training.run.acceptance import finite_number


def better(sweep: SweepStatus, present: BestTrial | None, other: BestTrial | None) -> BestTrial | None:
    """Return the better trial by the sweep's objective; of equal ones the first."""
    if present is None or other is None:
        return present or other
    one, two = finite_number(present.value), finite_number(other.value)
    if one is None or two is None:
        return other if one is None else present
    if one == two:
        return min(present, other, key=lambda best: best.trial)
    wins = two > one if sweep.objective.goal == "Maximize" else two < one
    return other if wins else present


def progress_of_sweep(run: CurrentRun, sweep: SweepStatus, found: list[Progress]) -> Progress:
    """Return the progress of a running trial, or else of one that waits, with the counts of trials."""
    trials = sweep.trials
    by_interest = sorted(found, key=lambda item: (not item.running, not item.waiting))
    first = by_interest[0] if by_interest else Progress("Starting", f"run {run.name} is starting")
    ended = sum(trial.phase in {"Succeeded", "Failed"} for trial in trials)
    best = sweep.best
    so_far = f"; best {sweep.objective.metric} so far: {best.value} (trial {best.trial})" if best else ""
    why = f"; {first.message}" if first.waiting or first.reason == "Queued" else ""
    running = sum(trial.phase == "Running" for trial in trials)
    message = f"run {run.name}: {ended} of {len(trials)} trials ended, {running} running{so_far}"
    return replace(first, message=f"{message}{why}", recheck_after=None, failure=None)


def outcome_of_sweep(spec: TrainingJobSpec, sweep: SweepStatus, lineage: Lineage | None) -> AttemptOutcome:
    """Return the outcome of a sweep whose trials have all ended."""
    failed = [trial for trial in sweep.trials if trial.phase == "Failed"]
    best, most = sweep.best, spec.sweep.max_failed if spec.sweep is not None else 0
    last = f"; trial {failed[-1].number}: {failed[-1].message}" if failed else ""
    if len(failed) > most:
        said = f"failed trials: {len(failed)}, more than spec.sweep.maxFailed ({most}){last}"
        return AttemptOutcome("Fatal", "SweepFailed", said)
    if best is None or lineage is None or lineage.output is None:
        return AttemptOutcome("Fatal", "SweepFailed", f"no trial succeeded{last}")
    made = Published(
        uri=version_uri(lineage.output.uri, best.digest),
        digest=best.digest,
        files=0,
        bytes=0,
        metrics=best.metrics or {},
        time=best.time,
    )
    return AttemptOutcome("Succeeded", "RunSucceeded", "", made)


def attempts_of(sweep: SweepStatus) -> int:
    """Return the number of attempts of all trials together."""
    return sum(trial.attempt + 1 for trial in sweep.trials if trial.phase != "Skipped")


def trial_events(run: CurrentRun, before: SweepStatus, now: SweepStatus) -> Iterator[EventNote]:
    """Yield an Event for each trial that has just ended."""
    old = {trial.number: trial.phase for trial in before.trials}
    for trial in now.trials:
        if trial.phase == old.get(trial.number) or trial.phase not in {"Succeeded", "Failed"}:
            continue
        named = f"trial {trial.number} of run {run.name}"
        if trial.phase == "Succeeded":
            yield EventNote("Normal", "TrialSucceeded", f"{named}: {now.objective.metric} is {trial.value}")
        else:
            yield EventNote("Warning", "TrialFailed", f"{named}: {trial.message}")
