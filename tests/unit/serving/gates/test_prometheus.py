"""A PromQL gate: what passes, what fails, and what is not judged."""

from datetime import timedelta

import pytest

from perennial.api.modeldeployment.gates import Gate, PrometheusGate
from perennial.core.reads import Measurement
from perennial.core.times import format_time
from perennial.serving.gates.judgement import Judgement, Window, names_of
from perennial.serving.gates.prometheus import STALE, judge_query, query_of
from tests.support.memory import START

MINUTE = timedelta(minutes=1)
GATE = PrometheusGate(query="up", min="0.5", max="0.9")


def judge(answer: Measurement | None, after: timedelta, delay: str = "1m") -> Judgement:
    """Judge an answer so long after the window began."""
    gate = Gate(initial_delay=delay, prometheus=GATE)
    return judge_query(gate, GATE, answer, Window(format_time(START), START + after))


def measured(value: float | None, at: timedelta, problem: str = "", known: timedelta | None = None) -> Measurement:
    last = at if value is not None else known
    return Measurement(START + at, value, problem, START + last if last is not None else None, began=START)


@pytest.mark.parametrize(
    ("value", "verdict", "words"),
    [
        (0.5, "Passed", "0.5 is within the limits"),
        (0.9, "Passed", "0.9 is within the limits"),
        (0.9000001, "Failed", "0.9 is above the limit 0.9"),
        (0.49, "Failed", "0.49 is below the limit 0.5"),
        (-3.0, "Failed", "-3 is below the limit 0.5"),
    ],
)
def test_a_number_is_compared_with_both_limits(value: float, verdict: str, words: str) -> None:
    found = judge(measured(value, 2 * MINUTE), 2 * MINUTE)
    assert (found.verdict, found.message) == (verdict, words)
    assert found.figures == {"value": words.split(" ", maxsplit=1)[0], "min": "0.5", "max": "0.9"}


def test_no_number_is_judged_before_the_initial_delay_good_or_bad() -> None:
    for value in (0.7, 7.0):
        found = judge(measured(value, MINUTE / 2), MINUTE / 2)
        assert (found.verdict, found.figures["value"]) == ("Pending", f"{value:g}")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (measured(None, 2 * MINUTE, "the query gives no data"), "the query gives no data"),
        (measured(0.7, timedelta(0)), "has not answered since 12:00:00 UTC"),
    ],
    ids=["empty", "an answer from before"],
)
def test_what_has_no_data_waits_for_the_delay_and_then_fails(answer: Measurement, words: str) -> None:
    late = STALE + 2 * MINUTE
    assert judge(answer, MINUTE / 2).verdict == "Pending"
    found = judge(answer, late)
    assert found.verdict == "Failed"
    assert found.message.startswith("not judged for 1m: ")
    assert words in found.message


def test_an_operator_that_was_away_fails_nothing_for_what_it_has_not_asked() -> None:
    assert judge(None, 60 * MINUTE).verdict == "Pending"
    first = Measurement(START + 60 * MINUTE, problem="the query gives no data", began=START + 60 * MINUTE)
    assert judge(first, 60 * MINUTE).verdict == "Pending"
    assert judge(Measurement(START + 61 * MINUTE, problem="no data", began=first.time), 61 * MINUTE).verdict == "Failed"


def test_a_gap_after_good_data_is_inconclusive_until_it_lasts_longer_than_the_delay() -> None:
    gap = measured(None, 30 * MINUTE, "the Prometheus server cannot be reached", known=29.5 * MINUTE)
    assert judge(gap, 30 * MINUTE).verdict == "Inconclusive"
    later = measured(None, 31 * MINUTE, "the Prometheus server cannot be reached", known=29.5 * MINUTE)
    assert judge(later, 31 * MINUTE).verdict == "Failed"


def test_variables_are_replaced_and_nothing_else_that_has_a_dollar() -> None:
    gate = PrometheusGate(
        query='a{pod=~"$revision-.*$", ns="$namespace", n="$name", s=~"$stable.+", x="$names"}', max="1"
    )
    assert query_of(gate, namespace="ml", name="churn", revision="churn-1", stable="churn-0") == (
        'a{pod=~"churn-1-.*$", ns="ml", n="churn", s=~"churn-0.+", x="$names"}'
    )


def test_gates_are_told_apart_by_name_or_by_number() -> None:
    one, named = Gate(prometheus=GATE), Gate(name="load", prometheus=GATE)
    assert names_of((one, named, one, named, one)) == ("prometheus", "load", "prometheus-2", "load-2", "prometheus-3")
