"""Counters of the requests that a model server has answered, and reads of them."""

from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import datetime
from math import inf

from perennial.api.modeldeployment.traffic import TrafficMetrics
from perennial.core.reads import Poll

Buckets = tuple[tuple[float, float], ...]
"""Upper bounds in seconds, the last one infinite, each with the number of requests that took no longer."""


@dataclass(frozen=True)
class Counters:
    """Cumulative counters of one server, or sums of several."""

    requests: float = 0.0
    errors: float = 0.0
    buckets: Buckets = ()
    """Empty: no request yet, or no histogram."""

    def __add__(self, other: "Counters") -> "Counters":
        """Sum of two servers; of their histograms the bounds that both have."""
        buckets = _combined(self.buckets, other.buckets, 1.0) if self.buckets and other.buckets else None
        return Counters(
            self.requests + other.requests,
            self.errors + other.errors,
            self.buckets or other.buckets if buckets is None else buckets,
        )

    def since(self, earlier: "Counters") -> "Counters":
        """Growth since an earlier reading; all of it if a counter has fallen, because the server has restarted."""
        if self._fell(earlier):
            return self
        grown = _combined(self.buckets, earlier.buckets, -1.0) if earlier.buckets else self.buckets
        return Counters(self.requests - earlier.requests, self.errors - earlier.errors, grown)

    def _fell(self, earlier: "Counters") -> bool:
        before = dict(earlier.buckets)
        fell = any(count < before.get(bound, 0.0) for bound, count in self.buckets)
        vanished = bool(earlier.buckets) and not self.buckets
        return self.requests < earlier.requests or self.errors < earlier.errors or fell or vanished

    @property
    def timed(self) -> float:
        """Requests in the histogram."""
        return self.buckets[-1][1] if self.buckets else 0.0

    def quantile(self, level: float) -> float:
        """Estimate a quantile in seconds as PromQL's histogram_quantile does: linear within its bucket.

        Infinite if it lies above the largest finite bound, or if nothing was counted.
        """
        wanted, total = level * self.timed, self.timed
        if total <= 0:
            return inf
        index = next(number for number, (_, count) in enumerate(self.buckets) if count >= wanted)
        high, count = self.buckets[index]
        low, below = self.buckets[index - 1] if index else (0.0, 0.0)
        if high == inf or count == below:
            return high
        return low + (high - low) * (wanted - below) / (count - below)

    def above(self, seconds: float) -> tuple[float, float]:
        """Fewest and most requests that took longer than this, as far as the bounds of the buckets tell."""
        bounds = [bound for bound, _ in self.buckets]
        index = bisect_left(bounds, seconds)
        surely = self.timed - self.buckets[index][1] if index < len(bounds) else 0.0
        if index < len(bounds) and bounds[index] == seconds:
            return surely, surely
        return surely, self.timed - (self.buckets[index - 1][1] if index else 0.0)

    def likely_above(self, seconds: float) -> float:
        """Estimate the requests that took longer than this: linear within a bucket, as `quantile` is."""
        fewest, most = self.above(seconds)
        bounds = [0.0, *(bound for bound, _ in self.buckets)]
        index = bisect_left(bounds, seconds)
        if most == fewest or index == 0 or index >= len(bounds) or bounds[index] == inf:
            return fewest
        low, high = bounds[index - 1], bounds[index]
        return fewest + (most - fewest) * (high - seconds) / (high - low)


def _combined(first: Buckets, second: Buckets, sign: float) -> Buckets:
    other = dict(second)
    return tuple((bound, count + sign * other[bound]) for bound, count in first if bound in other)


@dataclass(frozen=True)
class Traffic:
    """Requests that one pod has answered since the first reading of a window."""

    began: datetime
    """Of the first attempt to read since the operator has started."""
    time: datetime | None = None
    """Of the last reading; None: no attempt has succeeded."""
    last: Counters | None = None
    """As read last."""
    counted: Counters = field(default_factory=Counters)
    """Growth since the first reading; a restart of the server loses only what was not read before it."""


@dataclass(frozen=True)
class TrafficRead(Poll[Traffic]):
    """The Prometheus metrics of a pod, read by HTTP GET. A failed read is an answer without counters.

    The first reading is kept in memory: after a restart of the operator counting begins anew.
    """

    metrics: TrafficMetrics
    window: str
    """What is counted, such as a step of a rollout: another window begins anew."""

    def __hash__(self) -> int:
        """Hash without the names of the series, which may contain dictionaries."""
        return hash((self.address, self.window))

    def merged(self, before: Traffic | None, found: Traffic) -> Traffic:
        """Add what was counted since the reading before."""
        if before is None:
            return found
        if found.last is None:
            return before
        grown = found.last.since(before.last) if before.last is not None else Counters()
        return Traffic(before.began, found.time, found.last, before.counted + grown)

    def is_news(self, before: Traffic | None, after: Traffic) -> bool:
        """Tell whether a request was counted, or this is the first answer."""
        return before is None or before.counted != after.counted
