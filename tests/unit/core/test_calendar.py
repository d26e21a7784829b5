"""Calendar windows follow each other without gap or overlap, also where the clock is changed."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from perennial.api.driftmonitor.window import CalendarUnit, CalendarWindow
from perennial.core.calendar import bounds, last_window, title, window_before

BERLIN, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("unit", "zone", "now", "expected"),
    [
        ("Hour", "UTC", "2026-01-31T09:59:59", ("2026-01-31T08:00Z", "2026-01-31T08:00:00Z", "2026-01-31T09:00:00Z")),
        (
            "Hour",
            "Asia/Kolkata",
            "2026-01-31T09:00:00",
            ("2026-01-31T08:00Z", "2026-01-31T08:00:00Z", "2026-01-31T09:00:00Z"),
        ),
        ("Day", "UTC", "2026-02-01T00:00:00", ("2026-01-31", "2026-01-31T00:00:00Z", "2026-02-01T00:00:00Z")),
        ("Day", "Europe/Berlin", "2026-01-31T22:59:59", ("2026-01-30", "2026-01-29T23:00:00Z", "2026-01-30T23:00:00Z")),
        ("Week", "UTC", "2026-02-02T00:30:00", ("2026-W05", "2026-01-26T00:00:00Z", "2026-02-02T00:00:00Z")),
        ("Week", "UTC", "2027-01-05T00:00:00", ("2026-W53", "2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z")),
        ("Month", "UTC", "2026-01-01T00:00:00", ("2025-12", "2025-12-01T00:00:00Z", "2026-01-01T00:00:00Z")),
        ("Month", "Europe/Berlin", "2026-04-15T00:00:00", ("2026-03", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z")),
        # The clock is put forward in the first: 23 hours; and back in the second: 25 hours.
        ("Day", "Europe/Berlin", "2026-03-30T00:00:00", ("2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z")),
        ("Day", "Europe/Berlin", "2026-10-26T00:00:00", ("2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z")),
        # Cairo's clock skips midnight, Havana's shows it twice.
        ("Day", "Africa/Cairo", "2026-04-24T23:00:00", ("2026-04-24", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z")),
        (
            "Day",
            "America/Havana",
            "2026-11-01T05:30:00",
            ("2026-10-31", "2026-10-31T04:00:00Z", "2026-11-01T04:00:00Z"),
        ),
    ],
)
def test_the_newest_window_that_has_ended(
    unit: CalendarUnit, zone: str, now: str, expected: tuple[str, str, str]
) -> None:
    name, since, until = expected
    assert last_window(unit, ZoneInfo(zone), at(now)) == CalendarWindow(name=name, since=since, until=until)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Africa/Cairo", "Australia/Lord_Howe"])
@pytest.mark.parametrize("unit", ["Hour", "Day", "Week", "Month"])
def test_windows_of_a_year_touch_and_never_overlap(unit: CalendarUnit, zone: str) -> None:
    step = {"Hour": timedelta(minutes=20), "Day": timedelta(hours=7)}.get(unit, timedelta(hours=50))
    now, days = at("2026-03-01T00:00:00"), 20 if unit == "Hour" else 400
    found = [last_window(unit, ZoneInfo(zone), now + index * step) for index in range(int(timedelta(days=days) / step))]
    spans = list(dict.fromkeys(bounds(window) for window in found))
    assert [since for since, _ in spans[1:]] == [until for _, until in spans[:-1]]
    assert len({window.name for window in found}) == len(spans)


@pytest.mark.parametrize(
    ("unit", "until", "delay", "name"),
    [
        ("Week", "2026-02-02T00:30:00", timedelta(days=7), "2026-W04"),
        ("Week", "2026-03-30T00:30:00", timedelta(days=7), "2026-W12"),
        ("Week", "2026-10-26T00:30:00", timedelta(days=7), "2026-W42"),
        ("Day", "2026-02-02T00:30:00", timedelta(hours=12), "2026-01-31"),
        ("Day", "2026-02-02T00:30:00", timedelta(0), "2026-02-01"),
        ("Hour", "2026-03-29T01:30:00", timedelta(hours=2), "2026-03-28T22:00Z"),
    ],
)
def test_labels_that_arrive_later_belong_to_an_earlier_window(
    unit: CalendarUnit, until: str, delay: timedelta, name: str
) -> None:
    """Whenever the comparison starts, also if the clock was changed in between."""
    newest = last_window(unit, BERLIN, at(until))
    assert window_before(unit, BERLIN, newest, delay).name == name


def test_a_window_in_words() -> None:
    week = last_window("Week", BERLIN, at("2026-02-02T12:00:00"))
    assert title("Week", "Europe/Berlin", week) == "the week 2026-W05 (Europe/Berlin)"
    assert title("Hour", "Europe/Berlin", last_window("Hour", UTC_ZONE, at("2026-02-02T12:00:00"))) == (
        "the hour 2026-02-02T11:00Z"
    )


@pytest.mark.parametrize("span", [("soon", "2026-02-02T00:00:00Z"), ("2026-02-02T00:00:00Z", "2026-02-02T00:00:00Z")])
def test_what_is_no_window_is_refused(span: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="no window from"):
        bounds(CalendarWindow(name="2026-W05", since=span[0], until=span[1]))
