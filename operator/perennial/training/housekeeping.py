"""Which Jobs are no longer needed. A Job and its pod are evidence, kept as long as their run is remembered."""

from datetime import datetime

from perennial.api.trainingjob import CurrentRun, History, TrainingJobStatus
from perennial.core.decision import Delete
from perennial.core.kinds import JOB
from perennial.training.observe import AttemptJob
from perennial.training.remembrance import is_expired


def rivals(jobs: tuple[AttemptJob, ...], run: CurrentRun) -> tuple[AttemptJob, ...]:
    """Return the Jobs that still work though the run's present attempt should be the only one to."""
    return tuple(item for item in _alive(jobs) if item.place != (run.number, run.attempt))


def leftovers(
    jobs: tuple[AttemptJob, ...], status: TrainingJobStatus, history: History, now: datetime
) -> tuple[Delete, ...]:
    """Return the deletion of every Job that nobody needs: older than the current attempt, and not to be kept.

    A Job newer than the status is left alone: then it is the status that is behind.
    """
    run = status.current_run
    newest = (run.number, run.attempt) if run else (max((r.number for r in status.runs), default=0), 2**31)
    kept = _kept(jobs, status, history, now)
    return tuple(
        delete(item)
        for item in jobs
        if not item.leaving and item.place < newest and (not item.ended or item.job.metadata.name not in kept)
    )


def delete(item: AttemptJob) -> Delete:
    """Return the deletion of this very Job."""
    meta = item.job.metadata
    return Delete(JOB, meta.namespace, meta.name, meta.uid)


def _alive(jobs: tuple[AttemptJob, ...]) -> tuple[AttemptJob, ...]:
    return tuple(item for item in jobs if not item.leaving and not item.ended)


def _kept(jobs: tuple[AttemptJob, ...], status: TrainingJobStatus, history: History, now: datetime) -> set[str]:
    """Return the names of the Jobs to keep: of each remembered run the last, of a sweep the best trial's.

    Of the current run also the one before stays.
    """
    remembered = {record.number: record.name for record in status.runs if not is_expired(record, history, now)}
    single = sorted((item for item in jobs if not item.trial), key=lambda item: item.place)
    last = {item.number: item.job.metadata.name for item in single if item.number in remembered}
    run, sweep = status.current_run, status.sweep
    best = sweep.best.trial if sweep is not None and sweep.best is not None else None
    return {
        *last.values(),
        *(item.job.metadata.name for item in single if run and item.place >= (run.number, run.attempt - 1)),
        *(
            item.job.metadata.name
            for item in jobs
            if item.trial and item.trial == best and sweep is not None and remembered.get(item.number) == sweep.run
        ),
    }
