"""Times and durations as Kubernetes writes them."""

import re
from datetime import UTC, datetime, timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"^([0-9]{1,6})([smhd])$")
_EARLIEST_YEAR = 2000


def format_time(moment: datetime) -> str:
    """Format as RFC 3339 in UTC with whole seconds: `2026-01-31T12:00:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """Parse an RFC 3339 time; the default zone is UTC.

    Raises:
        ValueError: the text is not a time.
    """
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_duration(text: str) -> timedelta:
    """Parse `30s`, `10m`, `24h` or `7d`.

    Raises:
        ValueError: the text does not have this form.
    """
    match = _DURATION.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as 30s, 10m, 24h or 7d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


# Times of unknown origin: a status or a pod's message may hold any text.


def canonical_time(text: str) -> str | None:
    """Return the time in the form of `format_time`; None if the text is not a time since the year 2000."""
    try:
        moment = parse_time(text)
        return format_time(moment) if moment.year >= _EARLIEST_YEAR else None
    except (ValueError, OverflowError):
        return None


def moment_of(text: str | None) -> datetime | None:
    """Return the moment of a time; None if it is missing or not a time since the year 2000."""
    found = canonical_time(text) if text else None
    return parse_time(found) if found else None


def seconds_since(text: str | None, now: datetime, *, otherwise: float) -> float:
    """Return the seconds from a time to `now`, or `otherwise` if the text is missing or not a time."""
    try:
        return (now - parse_time(text)).total_seconds() if text else otherwise
    except (ValueError, OverflowError):
        return otherwise


def soonest(*waits: float | None) -> float | None:
    """Return the shortest wait; None if all are None."""
    return min((seconds for seconds in waits if seconds is not None), default=None)
