"""Limits of a metric, checked against its whole confidence interval."""

from dataclasses import dataclass
from math import isfinite

from perennial.stats.intervals import Estimate


@dataclass(frozen=True)
class Limits:
    """Minimum and maximum of a metric; None: no limit."""

    low: float | None
    high: float | None

    @classmethod
    def of(cls, low: str | None, high: str | None) -> "Limits":
        """Parse the limits of a check."""
        return cls(None if low is None else float(low), None if high is None else float(high))

    @property
    def words(self) -> str:
        """The limits as text, such as: at least 0.8 and at most 1.25."""
        low = f"at least {self.low:g}" if self.low is not None else ""
        high = f"at most {self.high:g}" if self.high is not None else ""
        return " and ".join(part for part in (low, high) if part)

    def broken_by(self, estimate: Estimate) -> bool:
        """Whether the whole interval is beyond a limit, so that the violation is significant."""
        below = self.low is not None and estimate.high < self.low
        return below or (self.high is not None and estimate.low > self.high)


def interval_of(found: Estimate) -> dict[str, float | None]:
    """Return value and interval as fields of a CheckReport; an infinite upper bound is None."""
    return {"value": found.value, "low": found.low, "high": found.high if isfinite(found.high) else None}
