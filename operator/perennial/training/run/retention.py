"""Which records of ended runs are kept, and which Jobs can be deleted.

A Job and its pod are evidence: they are kept as long as the record of their run.
"""

from datetime import datetime

from perennial.api.trainingjob.resource import CurrentRun, History, RunRecord, TrainingJobStatus
from perennial.core.clock import seconds_since
from perennial.core.decision import Delete
from perennial.core.kinds import JOB
from perennial.core.times import parse_duration
from perennial.training.observe import AttemptJob

MOST_RECORDS = 50


def kept_records(records: tuple[RunRecord, ...], history: History, now: datetime) -> tuple[RunRecord, ...]:
    """Return the newest records that are young enough, and always the newest run and the newest success.

    Without the newest run it would look as if none had ever been; what is served came from the newest success.
    """
    ordered = sorted({record.number: record for record in reversed(records)}.values(), key=_newest_first)
    success = next((record for record in ordered if record.result == "Succeeded"), None)
    young = [record for record in ordered if record is ordered[0] or not is_expired(record, history, now)]
    kept = young[: min(history.runs, MOST_RECORDS)]
    if success is not None and success not in kept:
        kept = [*kept[: MOST_RECORDS - 1], success]
    return tuple(kept)


def is_expired(record: RunRecord, history: History, now: datetime) -> bool:
    """Tell whether a run ended longer ago than it is to be remembered."""
    return history.ttl is not None and seconds_left(record, history.ttl, now) <= 0


def next_expiry(status: TrainingJobStatus, history: History, now: datetime) -> float | None:
    """Return the seconds until the next run is to be forgotten, or None if none is."""
    ttl = history.ttl
    left = [seconds_left(record, ttl, now) for record in status.runs] if ttl is not None else []
    return min((seconds for seconds in left if seconds > 0), default=None)


def seconds_left(record: RunRecord, ttl: str, now: datetime) -> float:
    """Return the seconds for which a run is still remembered; a time that is none counts as just now."""
    length = parse_duration(ttl).total_seconds()
    return length - seconds_since(record.completion_time, now, otherwise=0.0)


def _newest_first(record: RunRecord) -> int:
    return -record.number


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
