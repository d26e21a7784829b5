"""Judges an interval against limits: kept for sure, broken for sure, or neither."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf, isfinite

from perennial.api.modeldeployment.gates import Verdict
from perennial.serving.gates.judgement import Judgement

_ORDER: tuple[Verdict, ...] = ("Failed", "Inconclusive", "Passed")
"""The first verdict that any limit has is that of the gate."""
_MOST_ROWS = 1_000_000_000


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % confidence interval.

    Attributes:
        value: the estimate, in the metric's unit.
        low: lower bound; may be -inf.
        high: upper bound; may be inf.
        count: rows or requests that it was computed from.
        unit: what `count` counts, in the plural.
    """

    value: float
    low: float
    high: float
    count: int
    unit: str = "rows"

    @classmethod
    def of(cls, value: str, low: str | None, high: str | None, count: int, unit: str = "rows") -> "Interval":
        """Parse the decimals of a message; a missing bound is infinite."""
        return cls(float(value), -inf if low is None else float(low), inf if high is None else float(high), count, unit)

    @property
    def words(self) -> str:
        """The interval as text, such as 0.871 (0.861 to 0.881)."""
        high = f"{self.high:.4g}" if isfinite(self.high) else "infinity"
        low = f"{self.low:.4g}" if isfinite(self.low) else "-infinity"
        return f"{self.value:.4g} ({low} to {high})"


@dataclass(frozen=True)
class Limit:
    """A minimum or maximum of an interval.

    Attributes:
        name: what is limited, for messages.
        interval: the figure.
        least: smallest allowed value; None: no minimum.
        most: largest allowed value; None: no maximum.
    """

    name: str
    interval: Interval
    least: float | None = None
    most: float | None = None

    @property
    def verdict(self) -> Verdict:
        """Passed if the whole interval keeps the limits, Failed if the whole of it breaks one, else Inconclusive."""
        low, high = self.interval.low, self.interval.high
        if (self.least is not None and high < self.least) or (self.most is not None and low > self.most):
            return "Failed"
        kept = (self.least is None or low >= self.least) and (self.most is None or high <= self.most)
        return "Passed" if kept else "Inconclusive"

    @property
    def message(self) -> str:
        """The figure, the limits and what they have to do with each other."""
        said = f"{self.name} is {self.interval.words}, {self._words}"
        if self.verdict == "Failed":
            return f"{said}: the whole interval is beyond it"
        if self.verdict == "Inconclusive":
            return f"{said}: the interval reaches over it; {self._needed}"
        return said

    @property
    def _words(self) -> str:
        least = f"at least {self.least:g}" if self.least is not None else ""
        most = f"at most {self.most:g}" if self.most is not None else ""
        return f"allowed is {' and '.join(part for part in (least, most) if part)}"

    @property
    def _needed(self) -> str:
        """How many rows would decide if the value stays: the width of an interval shrinks with the root of them."""
        found = [rows for limit in (self.least, self.most) if limit is not None and (rows := self._rows(limit))]
        needed = max(found, default=0)
        if not needed or needed > _MOST_ROWS:
            return f"no number of {self.interval.unit} would decide, since the value is at the limit"
        return f"about {needed:,} {self.interval.unit} would decide, {self.interval.count:,} were used"

    def _rows(self, limit: float) -> int:
        interval = self.interval
        if not interval.low < limit <= interval.high and not interval.low <= limit < interval.high:
            return 0
        distance = abs(interval.value - limit)
        half = interval.value - interval.low if limit < interval.value else interval.high - interval.value
        if not distance or not isfinite(half):
            return _MOST_ROWS + 1
        return ceil(interval.count * min((half / distance) ** 2, _MOST_ROWS))


def judge(limits: Sequence[Limit], figures: dict[str, str]) -> Judgement:
    """Judge all limits: the gate has the worst verdict of them, with the message of the limits that have it."""
    verdicts = [limit.verdict for limit in limits]
    worst = next(verdict for verdict in _ORDER if verdict in verdicts)
    said = "; ".join(limit.message for limit in limits if limit.verdict == worst)
    return Judgement(worst, said, figures)
