"""Gates of live traffic: sure failures fail, sure passes pass, and everything between says what it needs."""

from datetime import datetime, timedelta
from math import inf
from typing import Any

import pytest
from scipy import stats

from perennial.api.modeldeployment.gates import ErrorRateGate, Gate, LatencyGate
from perennial.core.times import format_time
from perennial.core.traffic import Counters, Traffic
from perennial.serving.gates.error_rate import judge_error_rate
from perennial.serving.gates.judgement import Judgement, Window
from perennial.serving.gates.latency import judge_latency, quantile_ranks
from perennial.serving.gates.sample import Sample, sample_of
from perennial.serving.gates.shares import BOUND_RISK
from tests.support.memory import START

NOW = START + timedelta(minutes=2)
WINDOW = Window(format_time(START), NOW)
BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, inf)


def sample(requests: float, errors: float = 0, *, time: datetime = NOW, counts: tuple[float, ...] = ()) -> Sample:
    """What was counted on one pod; `counts` of each bucket alone."""
    cumulative = tuple((bound, float(sum(counts[: index + 1]))) for index, bound in enumerate(BOUNDS) if counts)
    counted = Counters(requests, errors, cumulative)
    return sample_of((Traffic(START, time, counted, counted),))


def rate(candidate: Sample, stable: Sample | None = None, window: Window = WINDOW, **limits: Any) -> Judgement:
    wanted = ErrorRateGate(**limits)
    return judge_error_rate(Gate(error_rate=wanted), wanted, candidate, stable or sample(10_000), window)


def latency(candidate: Sample, stable: Sample | None = None, **limits: Any) -> Judgement:
    wanted = LatencyGate(**limits)
    return judge_latency(Gate(latency=wanted), wanted, candidate, stable or sample(0), WINDOW)


@pytest.mark.parametrize(
    ("requests", "errors", "verdict"),
    [
        (1, 1, "Pending"),
        (49, 49, "Pending"),
        (50, 6, "Failed"),
        (200, 10, "Failed"),
        (200, 3, "Pending"),
        (100, 0, "Pending"),
        (299, 0, "Passed"),
        (531, 5, "Passed"),
        (531, 8, "Inconclusive"),
        (5000, 30, "Passed"),
    ],
)
def test_an_error_rate_is_judged_beyond_chance_only(requests: int, errors: int, verdict: str) -> None:
    assert rate(sample(requests, errors), max="0.01").verdict == verdict


def test_figures_and_the_missing_number_of_requests_are_told() -> None:
    found = rate(sample(100, 1), max="0.01")
    assert found.message == "1 errors in 100 requests (1 %; limit 1 %); 431 more requests are needed to judge"
    assert found.figures == {"candidate": "1 %", "requests": "100", "limit": "1 %"}
    assert rate(sample(100, 1), max="0.01", min_requests=100).verdict == "Passed"


@pytest.mark.parametrize(
    ("candidate", "stable", "verdict"),
    [
        ((3000, 30), (20_000, 200), "Passed"),
        ((2000, 100), (20_000, 200), "Failed"),
        ((200, 4), (20_000, 200), "Pending"),
        ((2000, 70), (20_000, 200), "Failed"),
        ((2000, 2), (100, 0), "Passed"),
        ((60, 60), (60, 60), "Pending"),
        ((2400, 40), (200_000, 2000), "Inconclusive"),
    ],
)
def test_beside_stable_the_same_errors_are_no_fault_of_the_candidate(
    candidate: tuple[int, int], stable: tuple[int, int], verdict: str
) -> None:
    found = rate(sample(*candidate), sample(*stable), not_worse_than_stable_by="0.005")
    assert found.verdict == verdict, found.message
    assert found.figures["stableRequests"] == str(stable[0])


def test_both_limits_hold_and_the_worse_one_speaks() -> None:
    found = rate(sample(2000, 20), sample(20_000, 200), max="0.005", not_worse_than_stable_by="0.005")
    assert (found.verdict, found.figures["limit"]) == ("Inconclusive", "0.5 %")
    assert found.figures["stable"] == "1 %"


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        (Sample(pods=1, began=START), "the metrics of no pod of the candidate can be read"),
        (sample(0), "no request was counted"),
        (sample(0, time=START), "no pod of the candidate could be read since 12:00:00 UTC"),
        (sample(500, time=START), "no pod of the candidate could be read since 12:00:00 UTC"),
    ],
)
def test_no_data_waits_for_the_delay_and_then_fails(candidate: Sample, words: str) -> None:
    early = Window(format_time(NOW), NOW)
    assert rate(candidate, window=early, max="0.01").verdict == "Pending"
    found = rate(candidate, max="0.01")
    assert (found.verdict, found.message.startswith("no data for 1m: ")) == ("Failed", True)
    assert words in found.message


def test_before_the_operator_has_read_nothing_is_missing() -> None:
    assert rate(Sample(pods=1), max="0.01").verdict == "Pending"


def test_without_data_of_the_stable_revision_nothing_is_compared() -> None:
    limits = {"not_worse_than_stable_by": "0.005"}
    assert rate(sample(5000), Sample(pods=1, began=START), **limits).verdict == "Inconclusive"
    assert rate(sample(5000), sample(0), **limits).verdict == "Pending"


@pytest.mark.parametrize(
    ("counts", "verdict", "shown"),
    [
        ((400, 0, 0, 0, 0, 0, 0), "Passed", "9.9 ms"),
        ((0, 0, 0, 0, 60, 0, 0), "Failed", "248 ms"),
        ((90, 0, 0, 0, 10, 0, 0), "Failed", "235 ms"),
        ((90, 0, 0, 0, 0, 0, 10), "Failed", "above 500 ms"),
        ((98, 0, 0, 0, 2, 0, 0), "Pending", "175 ms"),
        ((980, 0, 0, 12, 8, 0, 0), "Passed", "91.7 ms"),
        ((985, 0, 0, 0, 15, 0, 0), "Inconclusive", "150 ms"),
    ],
)
def test_a_quantile_is_judged_by_the_share_of_slow_requests(
    counts: tuple[float, ...], verdict: str, shown: str
) -> None:
    found = latency(sample(sum(counts), counts=counts), max_millis=100)
    assert (found.verdict, found.figures["candidate"]) == (verdict, shown), found.message


def test_a_limit_within_a_bucket_fails_only_by_what_is_surely_above() -> None:
    within = (900, 0, 0, 0, 100, 0, 0)  # between 100 and 250 ms
    assert latency(sample(1000, counts=within), max_millis=200).verdict == "Inconclusive"
    assert latency(sample(1000, counts=(900, 0, 0, 0, 0, 100, 0)), max_millis=200).verdict == "Failed"


def test_a_quantile_beyond_the_largest_bucket_is_not_judged_by_a_limit_beyond_it() -> None:
    found = latency(sample(1000, counts=(900, 0, 0, 0, 0, 0, 100)), max_millis=2000)
    assert found.verdict == "Inconclusive"
    assert "no larger bucket" in found.message
    assert latency(sample(1000, counts=(1000, 0, 0, 0, 0, 0, 0)), max_millis=2000).verdict == "Passed"


FAST = (0, 1900, 90, 8, 2, 0, 0)


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ((0, 1000, 50, 4, 1, 0, 0), "Passed"),
        ((0, 0, 60, 0, 0, 0, 0), "Pending"),
        ((0, 0, 0, 0, 0, 60, 0), "Failed"),
        ((0, 40, 2, 0, 0, 0, 0), "Pending"),
    ],
)
def test_beside_stable_a_quantile_may_be_a_multiple(counts: tuple[float, ...], verdict: str) -> None:
    found = latency(sample(0, counts=counts), sample(0, counts=FAST), max_ratio_to_stable="1.5")
    assert found.verdict == verdict, found.message
    assert found.figures["ratio"] == "1.5"


def test_a_stable_revision_with_few_requests_or_beyond_its_buckets_compares_with_nothing() -> None:
    candidate = sample(0, counts=(0, 1000, 0, 0, 0, 0, 0))
    few = latency(candidate, sample(0, counts=(0, 500, 0, 0, 0, 0, 0)), max_ratio_to_stable="2")
    assert (few.verdict, "too few to compare" in few.message) == ("Pending", True)
    beyond = latency(candidate, sample(0, counts=(0, 0, 0, 0, 0, 0, 5000)), max_ratio_to_stable="2")
    assert beyond.verdict == "Inconclusive"


@pytest.mark.parametrize(("level", "requests"), [(0.5, 40), (0.99, 2000), (0.9, 100_000)])
def test_the_ranks_beside_a_quantile_are_those_of_the_binomial_distribution(level: float, requests: int) -> None:
    ranks = quantile_ranks(level, requests)
    assert ranks is not None
    low, high = ranks
    count = stats.binom(requests, level)
    assert count.sf(high - 1) <= BOUND_RISK < count.sf(high - 2)
    assert count.cdf(low - 1) <= BOUND_RISK < count.cdf(low)
    assert quantile_ranks(0.99, 900) is None
