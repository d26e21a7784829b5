"""Limits on intervals: kept for sure, broken for sure, or neither, with what would decide."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.serving.gates.limits import Interval, Limit, judge


@pytest.mark.parametrize(
    ("low", "high", "least", "most", "verdict"),
    [
        (0.91, 0.95, 0.9, None, "Passed"),
        (0.90, 0.95, 0.9, None, "Passed"),
        (0.89, 0.95, 0.9, None, "Inconclusive"),
        (0.85, 0.90, 0.9, None, "Inconclusive"),
        (0.85, 0.89, 0.9, None, "Failed"),
        (0.85, 0.89, None, 0.9, "Passed"),
        (0.85, 0.95, None, 0.9, "Inconclusive"),
        (0.95, inf, None, 0.9, "Failed"),
        (0.7, 0.75, 0.8, 1.25, "Failed"),
        (0.79, 1.3, 0.8, 1.25, "Inconclusive"),
        (0.8, 1.25, 0.8, 1.25, "Passed"),
    ],
)
def test_a_verdict_follows_from_the_whole_interval(low, high, least, most, verdict):
    limit = Limit("x", Interval((low + min(high, 1)) / 2, low, high, 100), least, most)

    assert limit.verdict == verdict


@given(
    value=st.floats(-1, 1),
    below=st.floats(0, 1),
    above=st.floats(0, 1),
    least=st.floats(-1, 1),
)
def test_more_rows_never_turn_a_passed_minimum_into_a_failed_one(value, below, above, least):
    wide = Limit("x", Interval(value, value - below, value + above, 100), least)
    narrow = Limit("x", Interval(value, value - below / 2, value + above / 2, 400), least)

    assert {wide.verdict, narrow.verdict} != {"Passed", "Failed"}


def test_what_would_decide_is_told():
    limit = Limit("rocAuc", Interval(0.91, 0.89, 0.93, 1000), least=0.9)

    assert limit.message == (
        "rocAuc is 0.91 (0.89 to 0.93), allowed is at least 0.9: the interval reaches over it; about 4,000 rows would "
        "decide, 1,000 were used"
    )


def test_a_value_at_its_limit_is_decided_by_no_number_of_rows():
    limit = Limit("rocAuc", Interval(0.9, 0.89, 0.93, 1000), least=0.9)

    assert "no number of rows would decide" in limit.message


def test_the_worst_limit_decides_and_is_told_alone():
    good = Limit("a", Interval(0.95, 0.94, 0.96, 10), least=0.9)
    bad = Limit("b", Interval(0.5, 0.4, 0.6, 10), least=0.9)
    unsure = Limit("c", Interval(0.9, 0.8, 0.95, 10), least=0.9)

    judged = judge((good, unsure, bad), {"k": "v"})

    assert judged.verdict == "Failed"
    assert judged.message == "b is 0.5 (0.4 to 0.6), allowed is at least 0.9: the whole interval is beyond it"
    assert judged.figures == {"k": "v"}
    assert judge((good, unsure), {}).verdict == "Inconclusive"
    assert judge((good,), {}).message == "a is 0.95 (0.94 to 0.96), allowed is at least 0.9"
