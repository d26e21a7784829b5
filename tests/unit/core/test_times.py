"""Times of unknown origin: in a status or in a pod's message."""

import pytest

from perennial.core.times import canonical_time, moment_of, parse_time, seconds_since, soonest

NOON = parse_time("2026-01-31T12:00:00Z")


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "0900-01-01"])
def test_what_is_not_a_time_of_this_age(text: str) -> None:
    assert canonical_time(text) is None
    assert moment_of(text) is None


def test_times_of_any_zone_are_written_the_same() -> None:
    assert canonical_time("2026-01-31T14:00:00+02:00") == "2026-01-31T12:00:00Z"
    assert moment_of("2026-01-31T14:00:00+02:00") == NOON


def test_seconds_since() -> None:
    assert seconds_since("2026-01-31T11:59:00Z", NOON, otherwise=0) == 60
    assert seconds_since(None, NOON, otherwise=7) == 7
    assert seconds_since("yesterday", NOON, otherwise=7) == 7


def test_soonest() -> None:
    assert soonest(3.0, None, 2.0) == 2.0
    assert soonest(None) is None
