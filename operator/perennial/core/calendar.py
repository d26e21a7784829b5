"""Calendar windows: hours, days, weeks and months that follow each other without gap or overlap."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from perennial.api.driftmonitor.window import CalendarUnit, CalendarWindow
from perennial.core.times import format_time, moment_of

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_TITLES: dict[CalendarUnit, str] = {"Hour": "hour", "Day": "day", "Week": "week", "Month": "month"}


def last_window(unit: CalendarUnit, zone: ZoneInfo, moment: datetime) -> CalendarWindow:
    """Return the newest window that has ended by a moment.

    Days begin when the zone's clock shows midnight for the first time, or jumps over it; so they have 23 or 25 hours
    where the clock is changed. Hours are those of UTC: a zone's clock shows some twice.
    """
    if unit == "Hour":
        until = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        return _window(f"{until - _HOUR:%Y-%m-%dT%H:%MZ}", until - _HOUR, until)
    end = _first_day(unit, moment.astimezone(zone).date())
    start = _first_day(unit, end - _DAY)
    return _window(_name(unit, start), _midnight(start, zone), _midnight(end, zone))


def window_before(unit: CalendarUnit, zone: ZoneInfo, window: CalendarWindow, delay: timedelta) -> CalendarWindow:
    """Return the newest window that has ended `delay` before another one ends.

    It depends on that window alone, not on when it is asked for. Beside hours, the delay is counted on the zone's
    clock: seven days before a Monday's midnight is a Monday's midnight, also if the clock was changed in between.
    """
    until = bounds(window)[1]
    if unit == "Hour":
        return last_window(unit, zone, until - delay)
    return last_window(unit, zone, (until.astimezone(zone) - delay).astimezone(UTC))


def bounds(window: CalendarWindow) -> tuple[datetime, datetime]:
    """Return start and end of a window.

    Raises:
        ValueError: they are no times, or the end does not come after the start.
    """
    since, until = moment_of(window.since), moment_of(window.until)
    if since is None or until is None or since >= until:
        raise ValueError(f"no window from {window.since} until {window.until}")
    return since, until


def title(unit: CalendarUnit, zone: str, window: CalendarWindow) -> str:
    """Return the window in words, such as "the week 2026-W05 (Europe/Berlin)"."""
    place = "" if unit == "Hour" else f" ({zone})"
    return f"the {_TITLES[unit]} {window.name}{place}"


def _window(name: str, since: datetime, until: datetime) -> CalendarWindow:
    return CalendarWindow(name=name, since=format_time(since), until=format_time(until))


def _first_day(unit: CalendarUnit, day: date) -> date:
    if unit == "Week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if unit == "Month" else day


def _name(unit: CalendarUnit, start: date) -> str:
    if unit == "Week":
        year, week, _ = start.isocalendar()
        return f"{year}-W{week:02}"
    return f"{start:%Y-%m}" if unit == "Month" else f"{start:%Y-%m-%d}"


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    # Python takes a midnight that the clock skips by the offset before, which is the moment of the change.
    return datetime.combine(day, time(), zone).astimezone(UTC)
