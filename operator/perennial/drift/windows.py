"""Calendar windows of verdicts: each counts once, however often it is compared. What names them is untrusted."""

from datetime import datetime

from perennial.api.driftmonitor.status import RetrainRequest, Verdict
from perennial.api.driftmonitor.window import CalendarWindow
from perennial.core.calendar import bounds
from perennial.core.times import moment_of

Bounds = tuple[datetime, datetime]


def has_ended(window: CalendarWindow, moment: datetime | None) -> bool:
    """Whether start and end are times in order, and the end has come by a moment."""
    try:
        return moment is not None and bounds(window)[1] <= moment
    except ValueError:
        return False


def _bounds(window: CalendarWindow | None, time: str) -> Bounds | None:
    """Return start and end; None without a window, and for one that cannot have been compared at that time."""
    return bounds(window) if window is not None and has_ended(window, moment_of(time)) else None


def is_older(verdict: Verdict, before: Verdict) -> bool:
    """Whether a verdict is about a window that ended before the one of an earlier verdict."""
    first, second = _bounds(before.window, before.time), _bounds(verdict.window, verdict.time)
    return first is not None and second is not None and second[1] < first[1]


def is_again(verdict: Verdict, before: Verdict | RetrainRequest) -> bool:
    """Whether a verdict is about time that an earlier verdict, or a request because of one, was about."""
    first, second = _bounds(before.window, before.time), _bounds(verdict.window, verdict.time)
    return first is not None and second is not None and second[0] < first[1]
