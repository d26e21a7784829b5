"""Counters of requests: growth, restarts of the server, sums over pods, and quantiles as PromQL estimates them."""

from datetime import timedelta
from math import inf

import pytest

from perennial.api.modeldeployment.traffic import Series, TrafficMetrics
from perennial.core.traffic import Buckets, Counters, Traffic, TrafficRead
from tests.support.memory import START

METRICS = TrafficMetrics(requests=(Series(metric="requests_total", labels={"path": "/v2/*"}),))
READ = TrafficRead("http://10.0.0.1:8082/metrics", 5, METRICS, window="step-0")


def buckets(*counts: float) -> Buckets:
    """Buckets up to 0.1, 0.2, 0.4 seconds and without end."""
    return tuple(zip((0.1, 0.2, 0.4, inf), counts, strict=True))


def readings(*found: Counters | None) -> Traffic:
    """Merge what was read, in order."""
    answer: Traffic | None = None
    for number, counters in enumerate(found):
        time = START + timedelta(seconds=5 * number)
        answer = READ.merged(answer, Traffic(time) if counters is None else Traffic(time, time, counters))
    assert answer is not None
    return answer


def test_only_what_grows_after_the_first_reading_is_counted() -> None:
    found = readings(Counters(1000, 900), Counters(1010, 901), Counters(1030, 901))
    assert found.counted == Counters(30, 1)
    assert (found.began, found.time) == (START, START + timedelta(seconds=10))


def test_a_restart_of_the_server_begins_at_zero_again() -> None:
    found = readings(Counters(1000, 5), Counters(1010, 6), Counters(4, 2), Counters(9, 2))
    assert found.counted == Counters(19, 3)


def test_a_histogram_that_falls_or_vanishes_is_a_restart_as_well() -> None:
    one, two = Counters(5, 0, buckets(5, 5, 5, 5)), Counters(6, 0, buckets(0, 1, 6, 6))
    assert readings(one, two).counted == two
    assert readings(one, Counters(5)).counted == Counters(5)


def test_a_failed_read_keeps_what_was_counted_and_its_time() -> None:
    found = readings(Counters(10), Counters(15), None)
    assert (found.counted, found.time) == (Counters(5), START + timedelta(seconds=5))
    late = readings(None, Counters(10), Counters(15))
    assert (late.counted, late.began) == (Counters(5), START)
    assert readings(None, None).time is None


def test_pods_are_summed_by_the_bounds_that_they_share() -> None:
    one = Counters(3, 1, buckets(1, 2, 3, 3))
    assert one + one == Counters(6, 2, buckets(2, 4, 6, 6))
    assert one + Counters() == one
    assert (one + Counters(2, 0, ((0.2, 1), (inf, 2)))).buckets == ((0.2, 3), (inf, 5))


@pytest.mark.parametrize(
    ("level", "counts", "seconds"),
    [
        (0.5, (10, 20, 40, 40), 0.2),
        (0.25, (10, 20, 40, 40), 0.1),
        (0.125, (10, 20, 40, 40), 0.05),
        (0.75, (10, 20, 40, 40), 0.3),
        (0.99, (10, 20, 40, 50), inf),
        (0.5, (0, 0, 8, 8), 0.3),
        (0.5, (0, 0, 0, 0), inf),
    ],
)
def test_quantiles_are_linear_within_a_bucket(level: float, counts: tuple[float, ...], seconds: float) -> None:
    assert Counters(40, 0, buckets(*counts)).quantile(level) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.1, (30, 30)), (0.15, (20, 30)), (0.2, (20, 20)), (0.4, (5, 5)), (0.5, (0, 5)), (0.05, (30, 40))],
)
def test_requests_above_a_limit_lie_between_two_bounds(seconds: float, expected: tuple[float, float]) -> None:
    assert Counters(40, 0, buckets(10, 20, 35, 40)).above(seconds) == expected


@pytest.mark.parametrize(("seconds", "expected"), [(0.1, 30), (0.15, 25), (0.3, 12.5), (0.4, 5), (0.5, 0), (0.05, 35)])
def test_requests_above_a_limit_are_estimated_within_a_bucket(seconds: float, expected: float) -> None:
    assert Counters(40, 0, buckets(10, 20, 35, 40)).likely_above(seconds) == pytest.approx(expected)


def test_reads_of_one_pod_differ_by_what_they_are_about() -> None:
    other = TrafficRead(READ.address, 5, METRICS, window="step-1")
    assert len({READ, other, TrafficRead(READ.address, 5, METRICS, window="step-0")}) == 2
    first = readings(Counters(1))
    assert READ.is_news(None, first)
    assert not READ.is_news(first, readings(Counters(1), Counters(1)))
