"""Reading times that others wrote, and the pause between two attempts."""

from datetime import datetime, timedelta

from perennial.core.times import format_time, parse_time

_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0
_OLDEST = 2000
_DOUBLINGS = 6
"""After so many, the longest pause is reached."""


def seconds_since(text: str | None, now: datetime, *, otherwise: float) -> float:
    """Return the seconds that have passed since a written time, or `otherwise` where it is missing or no time."""
    try:
        return (now - parse_time(text)).total_seconds() if text else otherwise
    except (ValueError, OverflowError):
        return otherwise


def written_time(text: str) -> str | None:
    """Return a time as Kubernetes writes it, or None if the text is no time of this age: it may come from anyone."""
    try:
        moment = parse_time(text)
        return format_time(moment) if moment.year >= _OLDEST else None
    except (ValueError, OverflowError):
        return None


def moment_of(text: str | None) -> datetime | None:
    """Return the moment of a time in status, or None where it is missing or no time of this age."""
    written = written_time(text) if text else None
    return parse_time(written) if written else None


def seconds_until(text: str, now: datetime) -> float:
    """Return the seconds until an attempt's written time; 0 where it is past, no time, or later than any pause."""
    left = -seconds_since(text, now, otherwise=0.0)
    return left if 0 < left <= _LONGEST_PAUSE else 0.0


def pause(repeats: int) -> float:
    """Return the seconds before an attempt: 5, 10, 20, ..., at most 300; `repeats` counts from 1."""
    return float(min(_FIRST_PAUSE * 2 ** min(max(repeats - 1, 0), _DOUBLINGS), _LONGEST_PAUSE))


def soonest(*waits: float | None) -> float | None:
    """Return the shortest of some waits, None being none at all."""
    return min((seconds for seconds in waits if seconds is not None), default=None)


def after(now: datetime, seconds: float) -> str:
    """Return the written time so many seconds from now."""
    return format_time(now + timedelta(seconds=seconds))
