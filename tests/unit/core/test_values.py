"""Quantities, times, durations."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from perennial.core.quantities import parse_quantity, same_quantity
from perennial.core.times import format_time, parse_duration, parse_time


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("500m", "0.5"), ("1k", 1000), ("1Ki", 1024), ("1.5Gi", 1610612736), (".5", "0.5"), ("2E", 2 * 10**18)],
)
def test_quantities(text: str, value: int | str) -> None:
    assert parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "one", "1 Gi", "1gi", "--1", "1.2.3"])
def test_not_a_quantity(text: str) -> None:
    assert parse_quantity(text) is None


def test_equal_quantities_in_other_words() -> None:
    assert same_quantity("1000m", 1)
    assert same_quantity("1Gi", "1024Mi")
    assert not same_quantity("1Gi", "1G")
    assert not same_quantity("x", "x")


def test_times_are_utc_with_whole_seconds() -> None:
    moment = datetime(2026, 1, 31, 13, 0, 0, 999, tzinfo=timezone(timedelta(hours=1)))

    assert format_time(moment) == "2026-01-31T12:00:00Z"
    assert parse_time("2026-01-31T12:00:00Z") == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert parse_time("2026-01-31T12:00:00") == datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("10m", 600), ("24h", 86400), ("7d", 604800), ("0s", 0)])
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "10", "1h30m", "-1s", "1w", "1.5h"])
def test_a_bad_duration_says_what_one_looks_like(text: str) -> None:
    with pytest.raises(ValueError, match="30s, 10m, 24h"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["1" * 65, "1" * 100_000 + "x", "." * 9000, "1" * 8190 + "Gi", "1" * 8190 + "\n"])
def test_what_is_too_long_for_a_quantity_is_none(text: str) -> None:
    """A pattern that backtracks took seconds for these."""
    assert parse_quantity(text) is None
    assert not same_quantity(text, text)


@pytest.mark.parametrize(("text", "value"), [("+.5", "0.5"), ("-1", "-1"), ("0.5Gi", 536870912), ("1" * 64, "1" * 64)])
def test_odd_quantities(text: str, value: int | str) -> None:
    assert parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize("text", ["1\n", "5.", "1.2.3", "+", "", "1 Gi", "1e3"])
def test_more_that_is_no_quantity(text: str) -> None:
    assert parse_quantity(text) is None
