"""The times that a window of captured requests covers."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from perennial.api.common.cron import find_zone
from perennial.api.contract.commands import CalendarPeriod, CaptureWindow
from perennial.api.driftmonitor.window import CalendarWindow
from perennial.core.calendar import bounds, last_window, title, window_before

_LONGEST = timedelta(days=365 * 50)


@dataclass(frozen=True)
class Span:
    """Times of a window.

    Attributes:
        since: start.
        end: end.
        calendar: the calendar window it is. None: a window that ends now.
        text: the window in words, such as "the last 24h".
    """

    since: datetime
    end: datetime
    calendar: CalendarWindow | None
    text: str

    @property
    def until(self) -> datetime | None:
        """Time from which requests are left out. None: a window that ends now; clocks that differ lose no request."""
        return None if self.calendar is None else self.end

    def has(self, moment: datetime) -> bool:
        """Whether a request of this time is one of the window."""
        return self.since <= moment and (self.until is None or moment < self.until)


@dataclass
class Extent:
    """The earliest and the latest time of all records read so far, used or not; None: none had a time."""

    earliest: datetime | None = None
    latest: datetime | None = None

    def note(self, moment: datetime) -> None:
        """Take a further time into account."""
        self.earliest = moment if self.earliest is None else min(self.earliest, moment)
        self.latest = moment if self.latest is None else max(self.latest, moment)


def span_of(window: CaptureWindow, now: datetime) -> Span:
    """Return the times of a window, as compared at `now`."""
    if window.calendar is not None:
        return _span(window.calendar, _newest(window.calendar, now))
    seconds = window.seconds or 0
    length = min(timedelta(seconds=seconds), _LONGEST)
    return Span(now - length, now, None, f"the last {window.period or f'{seconds} s'}")


def labelled_span(window: CaptureWindow, now: datetime, delay: timedelta) -> Span:
    """Return the times of the window whose labels are complete, as they arrive up to `delay` later."""
    calendar = window.calendar
    if calendar is None:
        return span_of(window, now - delay)
    return _span(calendar, window_before(calendar.unit, _zone(calendar), _newest(calendar, now), delay))


def span_notes(window: str | CaptureWindow, now: datetime) -> tuple[str, ...]:
    """Return the calendar window that is compared, and one that has ended but is left to a later comparison."""
    if not isinstance(window, CaptureWindow) or window.calendar is None:
        return ()
    calendar, span = window.calendar, span_of(window, now)
    compared = f"Compared is {span.text}, from {span.since:%Y-%m-%d %H:%M} until {span.end:%Y-%m-%d %H:%M} UTC."
    newest = last_window(calendar.unit, _zone(calendar), now)
    if newest == span.calendar:
        return (compared,)
    later = (
        f"{title(calendar.unit, calendar.time_zone, newest)} has ended, but its requests may still arrive "
        "(current.calendar.delay): let the schedule start comparisons later to compare it sooner."
    )
    return compared, later[0].upper() + later[1:]


def _newest(calendar: CalendarPeriod, now: datetime) -> CalendarWindow:
    return last_window(calendar.unit, _zone(calendar), now - timedelta(seconds=calendar.delay_seconds))


def _span(calendar: CalendarPeriod, window: CalendarWindow) -> Span:
    since, until = bounds(window)
    return Span(since, until, window, title(calendar.unit, calendar.time_zone, window))


def _zone(calendar: CalendarPeriod) -> ZoneInfo:
    return find_zone(calendar.time_zone)
