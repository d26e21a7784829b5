"""Cron expressions with the semantics of a CronJob, in a time zone.

The rules are those of Kubernetes' parser (the standard parser of robfig/cron): an expression matches every minute that
the wall clock of the zone shows. A time that the clock skips in spring does not occur, and one that it shows twice in
autumn occurs twice. If both day fields are restricted, a match of either is enough.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


def _numbers(names: str, first: int) -> dict[str, int]:
    return {names[place : place + 3]: first + place // 3 for place in range(0, len(names), 3)}


_MONTHS = _numbers("janfebmaraprmayjunjulaugsepoctnovdec", 1)
_WEEKDAYS = _numbers("sunmontuewedthufrisat", 0)
_RANGES: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, _MONTHS),
    (0, 6, _WEEKDAYS),
)
_ITEM = re.compile(r"^([*?]|\w+)(?:-(\w+))?(?:/([0-9]+))?$")
_DAYS_AHEAD = 5 * 366
"""Kubernetes does not look further ahead than five years either: `0 0 30 2 *` never occurs."""


@dataclass(frozen=True)
class _Field:
    values: frozenset[int]
    limited: bool
    """False for `*` and `?`, which match everything."""


@dataclass(frozen=True)
class Cron:
    """A parsed expression."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: _Field
    months: frozenset[int]
    weekdays: _Field
    zone: ZoneInfo

    def after(self, moment: datetime) -> datetime | None:
        """First time after a moment, in UTC; None if there is none within five years."""
        for day in _days(moment.astimezone(self.zone).date(), 1):
            found = next((tick for tick in self._on(day, 1) if tick > moment), None)
            if found is not None:
                return found
        return None

    def latest(self, moment: datetime) -> datetime | None:
        """Last time at or before a moment, in UTC; None if there was none within five years."""
        for day in _days(moment.astimezone(self.zone).date(), -1):
            found = next((tick for tick in self._on(day, -1) if tick <= moment), None)
            if found is not None:
                return found
        return None

    def _on(self, day: date, step: int) -> Iterator[datetime]:
        """Yield the times of one day of the zone's calendar, in the direction of `step`."""
        if not self._is_day(day):
            return
        for hour in self.hours[::step]:
            for fold in (0, 1)[::step]:
                for minute in self.minutes[::step]:
                    local = datetime.combine(day, time(hour, minute, fold=fold), self.zone)
                    moment = local.astimezone(UTC)
                    if _is_shown(local, moment.astimezone(self.zone)):
                        yield moment

    def _is_day(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        in_month, in_week = day.day in self.days.values, (day.isoweekday() % 7) in self.weekdays.values
        if self.days.limited and self.weekdays.limited:
            return in_month or in_week
        return in_month and in_week


def _is_shown(local: datetime, shown: datetime) -> bool:
    """Tell whether the wall clock shows the time at all, and with this `fold` if it shows it twice."""
    return local.replace(tzinfo=None) == shown.replace(tzinfo=None) and local.fold == shown.fold


def _days(first: date, step: int) -> Iterator[date]:
    return (first + timedelta(days=step * number) for number in range(_DAYS_AHEAD))


@lru_cache(maxsize=1024)
def parse_cron(text: str, zone: str | None = None) -> Cron:
    """Parse an expression; the default zone is UTC.

    Raises:
        ValueError: the text is not a cron expression, or the time zone is unknown.
    """
    fields = _MACROS.get(text.strip().lower(), text).split()
    if len(fields) != len(_RANGES):
        raise ValueError(f"{text!r} has {len(fields)} fields; a schedule has five, such as '0 3 * * 1'")
    minutes, hours, days, months, weekdays = (
        _field(field, *limits) for field, limits in zip(fields, _RANGES, strict=True)
    )
    return Cron(
        minutes=tuple(sorted(minutes.values)),
        hours=tuple(sorted(hours.values)),
        days=days,
        months=months.values,
        weekdays=weekdays,
        zone=find_zone(zone or "UTC"),
    )


def find_zone(name: str) -> ZoneInfo:
    """Look up a time zone by its IANA name.

    Raises:
        ValueError: the name is unknown.
    """
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError) as error:
        raise ValueError(
            f"there is no time zone {name!r}; use a name such as Europe/Berlin, or leave it out"
        ) from error


def _field(text: str, low: int, high: int, names: dict[str, int]) -> _Field:
    values: set[int] = set()
    limited = True
    for item in text.split(","):
        match = _ITEM.match(item)
        if match is None:
            raise ValueError(f"{item!r} is not a value, range or step of a schedule")
        first, last, step = match[1], match[2], int(match[3] or 1)
        start = low if first in "*?" else _value(first, names)
        # `5/10` means from 5 to the end.
        end = _value(last, names) if last else high if first in "*?" or match[3] else start
        if not (low <= start <= end <= high) or step < 1:
            raise ValueError(f"{item!r} lies outside of {low} to {high}, or its start is after its end")
        values.update(range(start, end + 1, step))
        limited = limited and (first not in "*?" or step > 1)
    return _Field(frozenset(values), limited)


def _value(text: str, names: dict[str, int]) -> int:
    known = names.get(text.lower())
    if known is not None:
        return known
    if not text.isdecimal():
        raise ValueError(f"{text!r} is not a number or name that this field of a schedule accepts")
    return int(text)
