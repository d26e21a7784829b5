"""Reads counters of requests out of the Prometheus text format.

https://prometheus.io/docs/instrumenting/exposition_formats/ defines it. The text comes from a user's pod: its length is
limited by the reader, and the number of series here.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from itertools import pairwise
from math import inf, isfinite

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from perennial.api.modeldeployment.traffic import Series, TrafficMetrics
from perennial.core.traffic import Buckets, Counters

MOST_SERIES = 2000
MOST_BUCKETS = 64
_BUCKET = "_bucket"


def counters_of(text: str, metrics: TrafficMetrics) -> Counters | None:
    """Sum the wanted series; None if the text is not valid, or has too many of them. A missing series counts as 0."""
    names = {series.metric for series in (*metrics.requests, *(metrics.errors or ()))}
    names |= {f"{series.metric}{_BUCKET}" for series in metrics.latency or ()}
    lines = [line for line in text.splitlines() if line.partition("{")[0].partition(" ")[0] in names]
    if len(lines) > MOST_SERIES:
        return None
    try:
        samples = [
            item for family in text_string_to_metric_families("\n".join(lines) + "\n") for item in family.samples
        ]
        return Counters(
            requests=_sum(samples, metrics.requests),
            errors=_sum(samples, metrics.errors or ()),
            buckets=_buckets(samples, metrics.latency or ()),
        )
    except (ValueError, KeyError, IndexError):
        return None


def _matches(sample: Sample, series: Iterable[Series], suffix: str = "") -> bool:
    return any(
        sample.name == f"{one.metric}{suffix}"
        and all(fnmatchcase(sample.labels.get(name, ""), pattern) for name, pattern in (one.labels or {}).items())
        for one in series
    )


def _sum(samples: Iterable[Sample], series: Iterable[Series]) -> float:
    return sum(_count(sample) for sample in samples if _matches(sample, series))


def _buckets(samples: Iterable[Sample], series: Iterable[Series]) -> Buckets:
    counts: dict[float, float] = {}
    for sample in samples:
        if _matches(sample, series, _BUCKET):
            bound = float(sample.labels["le"])
            counts[bound] = counts.get(bound, 0.0) + _count(sample)
    if not counts:
        return ()
    found = tuple(sorted(counts.items()))
    rising = all(one[1] <= other[1] for one, other in pairwise(found))
    if found[-1][0] != inf or len(found) > MOST_BUCKETS or not rising:
        raise ValueError("not a histogram")
    return found


def _count(sample: Sample) -> float:
    """Value of a counter.

    Raises:
        ValueError: it is negative or not finite.
    """
    value = float(sample.value)
    if not isfinite(value) or value < 0:
        raise ValueError(f"{sample.name} is no counter")
    return value
