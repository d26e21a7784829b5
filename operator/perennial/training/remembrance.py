"""Which records of ended runs are kept, and for how long their Jobs stay."""

from datetime import datetime

from perennial.api.trainingjob import History, RunRecord, TrainingJobStatus
from perennial.core.times import parse_duration
from perennial.training.clock import seconds_since

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
