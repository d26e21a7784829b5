"""What a figure may be, and whether it surely is beyond."""

from dataclasses import dataclass
from math import isfinite

from perennial.stats.intervals import Estimate


@dataclass(frozen=True)
class Limits:
    """What a figure may be; None: anything on that side."""

    low: float | None
    high: float | None

    @classmethod
    def of(cls, low: str | None, high: str | None) -> "Limits":
        """Return the limits that a check sets."""
        return cls(None if low is None else float(low), None if high is None else float(high))

    @property
    def words(self) -> str:
        """Return them in words, such as: at least 0.8 and at most 1.25."""
        low = f"at least {self.low:g}" if self.low is not None else ""
        high = f"at most {self.high:g}" if self.high is not None else ""
        return " and ".join(part for part in (low, high) if part)

    def broken_by(self, estimate: Estimate) -> bool:
        """Tell whether the whole interval is beyond, so that chance is no excuse."""
        below = self.low is not None and estimate.high < self.low
        return below or (self.high is not None and estimate.low > self.high)


def interval_of(found: Estimate) -> dict[str, float | None]:
    """Return a figure with its interval, as reports hold them; an end without bound is None."""
    return {"value": found.value, "low": found.low, "high": found.high if isfinite(found.high) else None}
