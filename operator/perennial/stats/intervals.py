"""Confidence intervals from influence values, computed the same way for every metric.

The influence of a row is the derivative of the metric with respect to the row's weight, times n. The standard error is
std(influence) / sqrt(n) (Hampel, J. Am. Stat. Assoc. 69 (1974); Efron's infinitesimal jackknife). For the area under
the ROC curve this is DeLong's method, for a share the textbook formula. There is no resampling, so results are
deterministic. Two models on the same rows are compared row by row, which removes their common variance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, isfinite, log, sqrt

import numpy as np
from scipy import special

from perennial.stats.samples import Floats

CONFIDENCE = 0.95


class Undefined(ValueError):
    """A metric has no value on these rows; the message says why."""


@dataclass(frozen=True, eq=False)
class Figure:
    """Value of a metric on a sample, with the influence of each row.

    Attributes:
        value: the value.
        influence: influence of each row, shape (n,), in the metric's unit; the mean is 0 up to rounding.
        rows: number of rows that the metric covers, at most n; for a rate of a group, the rows of the group.
    """

    value: float
    influence: Floats
    rows: int = 0

    @property
    def error(self) -> float:
        """Standard error, in the metric's unit."""
        size = self.influence.size
        return float(np.sqrt(np.mean(self.influence**2) / size)) if size else inf


@dataclass(frozen=True)
class Estimate:
    """Value of a metric with its confidence interval.

    Attributes:
        value: value on the sample.
        low: lower bound of the interval.
        high: upper bound of the interval.
    """

    value: float
    low: float
    high: float


def of_mean(values: Floats) -> Figure:
    """Return the mean of values, shape (n,).

    Raises:
        Undefined: there are none.
    """
    if not values.size:
        raise Undefined("there are no rows")
    mean = float(np.mean(values))
    return Figure(mean, values - mean, int(values.size))


def of_ratio(parts: Floats, wholes: Floats) -> Figure:
    """Return sum(parts) / sum(wholes), both of shape (n,). For a share, `wholes` is 1 for the rows it covers.

    Raises:
        Undefined: the sum of wholes is 0.
    """
    total = float(np.sum(wholes))
    if not total:
        raise Undefined("there are no rows of the required kind")
    ratio = float(np.sum(parts)) / total
    return Figure(ratio, (parts - ratio * wholes) * (wholes.size / total), int(np.count_nonzero(wholes)))


def average(figures: Sequence[Figure], weights: Sequence[float] | None = None) -> Figure:
    """Return the weighted sum of figures on the same rows; without weights, their mean."""
    shares = [1 / len(figures)] * len(figures) if weights is None else weights
    value = sum(share * item.value for share, item in zip(shares, figures, strict=True))
    influence = np.zeros_like(figures[0].influence)
    for share, item in zip(shares, figures, strict=True):
        influence += share * item.influence
    return Figure(value, influence, min(item.rows for item in figures))


def difference(first: Figure, second: Figure) -> Figure:
    """Return the paired difference first - second of figures on the same rows.

    Raises:
        ValueError: they have different numbers of rows.
    """
    if first.influence.size != second.influence.size:
        raise ValueError("a paired difference needs figures of the same rows")
    return Figure(first.value - second.value, first.influence - second.influence, min(first.rows, second.rows))


def unpaired(first: Figure, second: Figure, confidence: float = CONFIDENCE) -> Estimate:
    """Return the difference first - second of figures on independent samples, with its interval."""
    value = first.value - second.value
    reach = normal_quantile(confidence) * sqrt(first.error**2 + second.error**2)
    return Estimate(value, value - reach, value + reach)


def estimate(
    figure: Figure, confidence: float = CONFIDENCE, *, low: float = -inf, high: float = inf, share: bool = False
) -> Estimate:
    """Return a figure with its interval.

    Args:
        figure: value and influence.
        confidence: probability that the interval holds the true value, in (0, 1).
        low: smallest possible value; bounds the interval.
        high: largest possible value.
        share: use Wilson's interval, at the number of rows that gives this standard error. It stays valid near 0
            and 1, where the normal interval has no width.
    """
    z = normal_quantile(confidence)
    if share and 0 <= figure.value <= 1:
        return _wilson(figure, z)
    reach = z * figure.error
    return Estimate(figure.value, max(low, figure.value - reach), min(high, figure.value + reach))


def ratio_estimate(part: Figure, whole: Figure, confidence: float = CONFIDENCE) -> Estimate:
    """Return part / whole of two non-negative figures on the same rows, with an interval on the log scale.

    A part of 0 has no logarithm. Its interval then reaches from 0 to the ratio of the upper bound of the part to the
    lower bound of the whole, each by Wilson's method at half the error probability (Bonferroni), so that nobody of a
    large group is told apart from nobody of a small one.

    Raises:
        Undefined: the whole is 0.
    """
    if whole.value <= 0:
        raise Undefined("the rate in the denominator is 0")
    if part.value <= 0:
        return Estimate(0.0, 0.0, _upper_bound_of_empty(part, whole, confidence))
    value = part.value / whole.value
    relative = Figure(0.0, part.influence / part.value - whole.influence / whole.value)
    reach = normal_quantile(confidence) * relative.error
    if not isfinite(reach) or log(value) + reach > 700:  # noqa: PLR2004 - exp overflows beyond
        return Estimate(value, 0.0, inf)
    return Estimate(value, value * exp(-reach), value * exp(reach))


def _upper_bound_of_empty(part: Figure, whole: Figure, confidence: float) -> float:
    each = 1 - (1 - confidence) / 2
    least = estimate(whole, each, low=0.0, share=True).low
    return estimate(part, each, share=True).high / least if least > 0 else inf


def normal_quantile(confidence: float) -> float:
    """Return the half-width of a normal interval in standard errors: 1.96 for 0.95."""
    if not 0 < confidence < 1:
        raise ValueError("confidence must lie between 0 and 1")
    return float(-special.ndtri((1 - confidence) / 2))


def _wilson(figure: Figure, z: float) -> Estimate:
    share, variance = figure.value, figure.error**2
    size = share * (1 - share) / variance if variance > 0 and 0 < share < 1 else float(max(figure.rows, 1))
    middle = (share + z**2 / (2 * size)) / (1 + z**2 / size)
    reach = z / (1 + z**2 / size) * sqrt(share * (1 - share) / size + z**2 / (4 * size**2))
    return Estimate(share, max(0.0, min(share, middle - reach)), min(1.0, max(share, middle + reach)))
