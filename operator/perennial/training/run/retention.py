"""Decides which records of ended runs are kept and which Jobs are deleted.

A Job is kept as long as the record of its run, so that its pod and log can be read.
"""

from datetime import datetime

from perennial.api.trainingjob.resource import CurrentRun, History, RunRecord, TrainingJobStatus
from perennial.core.decision import Delete
from perennial.core.kinds import JOB
from perennial.core.times import parse_duration, seconds_since
from perennial.training.context import Context
from perennial.training.observe import AttemptJob

MAX_RECORDS = 50

MAX_RECORD_BYTES = 384 * 1024
"""Bytes of all records together. etcd accepts 1.5 MiB for the whole object, with its spec and its managed fields."""

_ALSO_IN_MANIFEST: dict[str, None] = {"parameters": None, "metrics": None, "inputs": None, "source": None}
"""Fields that a record loses first: the manifest of the run's version contains them too."""


def kept_records(records: tuple[RunRecord, ...], history: History, now: datetime) -> tuple[RunRecord, ...]:
    """Return the records within `history`, always with the newest run and the newest success.

    Without the newest run, the TrainingJob would count as never run. The newest success made the
    present artifact.
    """
    ordered = sorted({record.number: record for record in reversed(records)}.values(), key=_newest_first)
    success = next((record for record in ordered if record.result == "Succeeded"), None)
    unexpired = [record for record in ordered if record is ordered[0] or not is_expired(record, history, now)]
    kept = unexpired[: min(history.runs, MAX_RECORDS)]
    if success is not None and success not in kept:
        kept = [*kept[: MAX_RECORDS - 1], success]
    return _within_bytes(kept, success)


def _within_bytes(records: list[RunRecord], success: RunRecord | None) -> tuple[RunRecord, ...]:
    """Return the records that fit into `MAX_RECORD_BYTES`, newest first, the older ones shortened or left out.

    The newest record and the newest success stay.
    """
    kept: list[RunRecord] = []
    left = MAX_RECORD_BYTES
    for whole in records:
        record = whole if _bytes_of(whole) <= left else whole.model_copy(update=_ALSO_IN_MANIFEST)
        size = _bytes_of(record)
        if size > left and kept and (success is None or record.number != success.number):
            continue
        kept.append(record)
        left -= size
    return tuple(kept)


def _bytes_of(record: RunRecord) -> int:
    return len(record.model_dump_json(by_alias=True, exclude_none=True).encode())


def is_expired(record: RunRecord, history: History, now: datetime) -> bool:
    """Tell whether `history.ttl` has passed since the run ended."""
    return history.ttl is not None and seconds_left(record, history.ttl, now) <= 0


def next_expiry(status: TrainingJobStatus, history: History, now: datetime) -> float | None:
    """Return the seconds until the next record expires; None if none will."""
    ttl = history.ttl
    left = [seconds_left(record, ttl, now) for record in status.runs] if ttl is not None else []
    return min((seconds for seconds in left if seconds > 0), default=None)


def seconds_left(record: RunRecord, ttl: str, now: datetime) -> float:
    """Return the seconds until a record expires; an unreadable completion time counts as now."""
    length = parse_duration(ttl).total_seconds()
    return length - seconds_since(record.completion_time, now, otherwise=0.0)


def _newest_first(record: RunRecord) -> int:
    return -record.number


def conflicting_jobs(jobs: tuple[AttemptJob, ...], run: CurrentRun) -> tuple[AttemptJob, ...]:
    """Return the active Jobs of other attempts than the run's present one, which must be deleted first."""
    active = (item for item in jobs if not item.deleting and not item.ended)
    return tuple(item for item in active if item.order != (run.number, run.attempt))


def delete_obsolete_jobs(context: Context, status: TrainingJobStatus) -> tuple[Delete, ...]:
    """Return the deletion of every Job that is older than the current attempt and not kept for a record.

    A Job newer than the status is not deleted: in that case the status is outdated.
    """
    run, jobs = status.current_run, context.observed.jobs
    newest = (run.number, run.attempt) if run else (max((r.number for r in status.runs), default=0), 2**31)
    kept = _kept(jobs, status, context.spec.history, context.now)
    return tuple(
        deletion(item)
        for item in jobs
        if not item.deleting and item.order < newest and (not item.ended or item.job.metadata.name not in kept)
    )


def deletion(item: AttemptJob) -> Delete:
    """Return the deletion of exactly this Job, guarded by its uid."""
    meta = item.job.metadata
    return Delete(JOB, meta.namespace, meta.name, meta.uid)


def _kept(jobs: tuple[AttemptJob, ...], status: TrainingJobStatus, history: History, now: datetime) -> set[str]:
    """Return the names of the Jobs to keep: the last of each recorded run, and for a sweep the best trial's.

    For the current run, the Job of the attempt before is kept too.
    """
    recorded = {record.number: record.name for record in status.runs if not is_expired(record, history, now)}
    single = sorted((item for item in jobs if not item.trial), key=lambda item: item.order)
    last = {item.number: item.job.metadata.name for item in single if item.number in recorded}
    run, sweep = status.current_run, status.sweep
    best = sweep.best.trial if sweep is not None and sweep.best is not None else None
    return {
        *last.values(),
        *(item.job.metadata.name for item in single if run and item.order >= (run.number, run.attempt - 1)),
        *(
            item.job.metadata.name
            for item in jobs
            if item.trial and item.trial == best and sweep is not None and recorded.get(item.number) == sweep.run
        ),
    }
