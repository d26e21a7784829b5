"""Schedules: the times that a CronJob would run at, in every zone, on every odd day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from perennial.api.common.cron import parse_cron
from perennial.api.common.schedule import Schedule, TimeZone

BERLIN = "Europe/Berlin"

# What Kubernetes' parser (robfig/cron, standard fields) gives for the same expression, zone and moment.
TIMES = [
    ("every hour", "0 * * * *", None, "2026-01-31T12:00", ["2026-01-31T13:00", "2026-01-31T14:00"]),
    ("a macro", "@weekly", None, "2026-01-31T12:00", ["2026-02-01T00:00", "2026-02-08T00:00"]),
    ("a name", "0 3 * jan,dec MON", None, "2026-01-20T00:00", ["2026-01-26T03:00", "2026-12-07T03:00"]),
    ("a step", "*/25 * * * *", None, "2026-01-31T12:00", ["2026-01-31T12:25", "2026-01-31T12:50", "2026-01-31T13:00"]),
    ("a step from", "50/5 * * * *", None, "2026-01-31T12:00", ["2026-01-31T12:50", "2026-01-31T12:55"]),
    ("either day field", "0 0 13 * 5", None, "2026-02-01T00:00", ["2026-02-06T00:00", "2026-02-13T00:00"]),
    ("both, one a star", "0 0 ? * 1", None, "2026-02-01T00:00", ["2026-02-02T00:00", "2026-02-09T00:00"]),
    ("a stepped star limits", "0 0 */15 * 1", None, "2026-02-01T00:00", ["2026-02-02T00:00", "2026-02-09T00:00"]),
    ("leap day", "0 0 29 2 *", None, "2026-01-31T12:00", ["2028-02-29T00:00"]),
    ("west of UTC", "0 3 * * *", "America/New_York", "2026-01-31T07:59", ["2026-01-31T08:00", "2026-02-01T08:00"]),
    ("skipped in spring", "30 2 * * *", BERLIN, "2026-03-28T12:00", ["2026-03-30T00:30"]),
    ("beside the gap", "0 3 * * *", BERLIN, "2026-03-28T12:00", ["2026-03-29T01:00", "2026-03-30T01:00"]),
    ("twice in autumn", "30 2 * * *", BERLIN, "2026-10-24T12:00", ["2026-10-25T00:30", "2026-10-25T01:30"]),
    (
        "hours of autumn in order",
        "0 1-3 * * *",
        BERLIN,
        "2026-10-24T22:00",
        ["2026-10-24T23:00", "2026-10-25T00:00", "2026-10-25T01:00", "2026-10-25T02:00"],
    ),
    (
        "half an hour back",
        "45 1 * * *",
        "Australia/Lord_Howe",
        "2026-04-04T00:00",
        ["2026-04-04T14:45", "2026-04-04T15:15", "2026-04-05T15:15"],
    ),
]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(("text", "zone", "start", "expected"), [row[1:] for row in TIMES], ids=[r[0] for r in TIMES])
def test_the_times_that_follow(text: str, zone: str | None, start: str, expected: list[str]) -> None:
    cron, found = parse_cron(text, zone), [moment(start)]
    while len(found) <= len(expected):
        following = cron.after(found[-1])
        assert following is not None
        found.append(following)

    assert found[1:] == [moment(item) for item in expected]
    assert cron.latest(found[-1]) == found[-1]
    assert cron.latest(found[-1] - timedelta(seconds=1)) == (found[-2] if len(found) > 2 else cron.latest(found[0]))


def test_a_day_that_never_comes() -> None:
    cron = parse_cron("0 0 30 2 *")

    assert cron.after(moment("2026-01-31T12:00")) is None
    assert cron.latest(moment("2026-01-31T12:00")) is None


@given(
    start=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001 - the zone follows
    text=st.sampled_from(["*/7 * * * *", "15 2 * * *", "0 */5 1,15 * *", "59 23 31 * 0", "30 1-3 * 3,10 sun"]),
    zone=st.sampled_from(
        ["UTC", BERLIN, "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca"]
    ),
)
def test_the_next_time_is_shown_by_the_zones_clock_and_nothing_lies_between(
    start: datetime, text: str, zone: str
) -> None:
    cron, now = parse_cron(text, zone), start.replace(tzinfo=UTC)

    following = cron.after(now)

    assert following is not None
    assert following > now
    local = following.astimezone(ZoneInfo(zone))
    assert local.minute in cron.minutes
    assert local.hour in cron.hours
    assert cron.latest(following) == following
    before = cron.latest(following - timedelta(seconds=1))
    assert before is None or before <= now


class _Form(BaseModel):
    schedule: Schedule = "@daily"
    zone: TimeZone = "UTC"


@pytest.mark.parametrize(
    "text",
    ["", "* * * *", "60 * * * *", "* 24 * * *", "0 0 0 * *", "* * * 13 *", "* * * * 7", "5-1 * * * *", "*/0 * * * *"],
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        _Form(schedule=text)
    with pytest.raises(ValueError, match=r"schedule|lies|number|field"):
        parse_cron(text)


@pytest.mark.parametrize("name", ["Mars/Olympus", "Europe", "UTC/../UTC", "x"])
def test_a_zone_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=r"no time zone|pattern"):
        _Form(zone=name)
