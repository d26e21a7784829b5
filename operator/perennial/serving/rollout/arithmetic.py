"""How many pods of two revisions give a share of the requests: one Service spreads connections evenly over its pods."""

from dataclasses import dataclass

TOLERANCE = 5
"""Percentage points by which the reached weight may differ before it is told."""
_WHOLE = 100


@dataclass(frozen=True)
class Split:
    """Numbers of pods."""

    candidate: int
    stable: int

    @property
    def weight(self) -> int:
        """Percentage that the candidate receives when all of them are ready."""
        return reached(self.candidate, self.stable)


def split(total: int, weight: int) -> Split:
    """Divide the pods that the load needs.

    The candidate gets its share of `total` rounded to the nearest number, and each revision at least one pod, so that
    the sum is `total`, or one more.

    Args:
        total: pods that the load needs, at least 1.
        weight: percentage of the candidate, 1 to 99.
    """
    candidate = max(1, _nearest(total * weight, _WHOLE))
    return Split(candidate, max(1, total - candidate))


def following(stable: int, weight: int, most: int) -> int:
    """Pods of a candidate that have the weight beside so many stable pods, but at most its share of `most`."""
    return min(max(1, _nearest(stable * weight, _WHOLE - weight)), split(most, weight).candidate)


def reached(candidate: int, stable: int) -> int:
    """Percentage of the requests that the candidate receives by the number of ready pods; 0 where there is none."""
    return _nearest(candidate * _WHOLE, candidate + stable) if candidate + stable else 0


def enough(weight: int, tolerance: int = TOLERANCE) -> int:
    """Fewest pods in all that give a weight within the tolerance."""
    return next(total for total in range(2, _WHOLE + 1) if abs(split(total, weight).weight - weight) <= tolerance)


def _nearest(numerator: int, denominator: int) -> int:
    """Divide and round to the nearest integer, halves up."""
    return (2 * numerator + denominator) // (2 * denominator)
