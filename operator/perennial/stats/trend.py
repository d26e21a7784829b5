"""Whether a short series rises or falls, by a test of ranks."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from math import erfc, sqrt
from typing import Literal

Trend = Literal["Rising", "Falling", "Steady"]

SIGNIFICANCE = 0.05
"""Probability at most with which a series without a trend is called rising or falling."""


def trend_of(values: Sequence[float]) -> Trend:
    """Return the direction of a series, oldest value first, by the two-sided Mann-Kendall test at 0.05.

    The values are assumed to be independent of each other: those of overlapping windows are not.
    """
    pairs = concordance(values)
    if p_value(values) >= SIGNIFICANCE:
        return "Steady"
    return "Rising" if pairs > 0 else "Falling"


def concordance(values: Sequence[float]) -> int:
    """Return Mann and Kendall's S: pairs in which the later value is larger, minus those in which it is smaller."""
    return sum((later > earlier) - (later < earlier) for earlier, later in combinations(values, 2))


def p_value(values: Sequence[float]) -> float:
    """Return the two-sided p-value of S by the normal distribution, corrected for ties and for continuity.

    The variance of S is (n(n - 1)(2n + 5) - sum of t(t - 1)(2t + 5)) / 18 over groups of t equal values
    (Kendall, Rank Correlation Methods, 1975). 1 if all values are equal or there are fewer than two.
    """
    spread = (_weight(len(values)) - sum(map(_weight, Counter(values).values()))) / 18
    if spread <= 0:
        return 1.0
    distance = max(0, abs(concordance(values)) - 1)
    return erfc(distance / sqrt(2 * spread))


def _weight(size: int) -> int:
    return size * (size - 1) * (2 * size + 5)
