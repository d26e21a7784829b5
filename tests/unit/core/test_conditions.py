"""Conditions follow kstatus: one answer at a time, and times that mean something."""

from datetime import UTC, datetime, timedelta

from perennial.core.conditions import Wanted, find, ready, reconciling, settle, stalled

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)


def test_the_transition_time_changes_only_with_the_status() -> None:
    first = settle((), ready("RunSucceeded", "one"), 1, NOW)
    same = settle(first, ready("RunSucceeded", "two"), 2, LATER)
    other = settle(same, reconciling("Running"), 3, LATER)

    assert same[0].last_transition_time == "2026-01-31T12:00:00Z"
    assert (same[0].message, same[0].observed_generation) == ("two", 2)
    assert other[0].last_transition_time == "2026-01-31T12:05:00Z"


def test_reconciling_and_stalled_are_never_both_there() -> None:
    for wanted in (
        ready("A"),
        reconciling("A"),
        stalled("A"),
        reconciling("A", serving=True),
        stalled("A", serving=True),
    ):
        types = {item.type for item in wanted}
        assert "Ready" in types
        assert not {"Reconciling", "Stalled"} <= types


def test_what_is_over_is_taken_away() -> None:
    before = settle((), stalled("InvalidSpec", "no"), 1, NOW)

    assert find(settle(before, ready("RunSucceeded"), 2, LATER), "Stalled") is None


def test_a_long_message_is_cut() -> None:
    (condition,) = settle((), (Wanted("Ready", "False", "A", "x" * 5000),), 1, NOW)

    assert len(condition.message) == 1024
    assert condition.message.endswith("…")
