"""How sure a figure is: intervals from influence values, the same way for every measure.

The influence of a row is how much the figure would move, per row, if a little more weight lay on that row. The figure
of a random sample then varies by std(influence) / sqrt(n) (Hampel, J. Am. Stat. Assoc. 69 (1974); Efron's infinitesimal
jackknife). For the area under the ROC curve this is DeLong's method, for a share the textbook's. Nothing is drawn at
random, so the same data gives the same interval; and two models measured on the same rows are compared row by row,
which takes out what both have in common.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, isfinite, log, sqrt

import numpy as np
from scipy import stats

from perennial.stats.samples import Floats

CONFIDENCE = 0.95


class Undefined(ValueError):
    """A figure has no value on these rows; the message says why, in a few words."""


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure of a sample, and what each row does to it.

    Attributes:
        value: the figure.
        influence: of each row, shape (n,), in the figure's unit; their mean is 0 up to rounding.
        rows: rows that the figure is about, at most n; a group's share is about the group's rows only.
    """

    value: float
    influence: Floats
    rows: int = 0

    @property
    def error(self) -> float:
        """Standard error, in the figure's unit."""
        size = self.influence.size
        return float(np.sqrt(np.mean(self.influence**2) / size)) if size else inf


@dataclass(frozen=True)
class Estimate:
    """A figure and the interval in which the whole population's lies with the given confidence.

    Attributes:
        value: the figure of the sample.
        low: lower end of the interval.
        high: upper end of the interval.
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
    """Return sum(parts) / sum(wholes), both of shape (n,); a share of some rows has 1 for each of them in wholes.

    Raises:
        Undefined: the wholes add up to nothing.
    """
    total = float(np.sum(wholes))
    if not total:
        raise Undefined("there are no rows of the kind that it is about")
    ratio = float(np.sum(parts)) / total
    return Figure(ratio, (parts - ratio * wholes) * (wholes.size / total), int(np.count_nonzero(wholes)))


def average(figures: Sequence[Figure], weights: Sequence[float] | None = None) -> Figure:
    """Return the weighted sum of figures of the same rows; without weights, their average."""
    shares = [1 / len(figures)] * len(figures) if weights is None else weights
    value = sum(share * item.value for share, item in zip(shares, figures, strict=True))
    influence = np.zeros_like(figures[0].influence)
    for share, item in zip(shares, figures, strict=True):
        influence += share * item.influence
    return Figure(value, influence, min(item.rows for item in figures))


def difference(first: Figure, second: Figure) -> Figure:
    """Return first - second, of figures of the same rows: paired.

    Raises:
        ValueError: they are of different rows.
    """
    if first.influence.size != second.influence.size:
        raise ValueError("a paired difference needs figures of the same rows")
    return Figure(first.value - second.value, first.influence - second.influence, min(first.rows, second.rows))


def unpaired(first: Figure, second: Figure, confidence: float = CONFIDENCE) -> Estimate:
    """Return first - second with its interval, of figures of independent rows, such as last month's and today's."""
    value = first.value - second.value
    reach = normal_quantile(confidence) * sqrt(first.error**2 + second.error**2)
    return Estimate(value, value - reach, value + reach)


def estimate(
    figure: Figure, confidence: float = CONFIDENCE, *, low: float = -inf, high: float = inf, share: bool = False
) -> Estimate:
    """Return a figure with its interval.

    Args:
        figure: what was measured.
        confidence: probability that the interval holds the true value, in (0, 1).
        low: the smallest value that the figure can have; the interval is cut there.
        high: the largest.
        share: the figure is a share of rows, or behaves like one: Wilson's interval is taken, at the number of
            rows that gives this standard error, which stays honest near 0 and 1 where the plain one has no width.
    """
    z = normal_quantile(confidence)
    if share and 0 <= figure.value <= 1:
        return _wilson(figure, z)
    reach = z * figure.error
    return Estimate(figure.value, max(low, figure.value - reach), min(high, figure.value + reach))


def ratio_estimate(part: Figure, whole: Figure, confidence: float = CONFIDENCE) -> Estimate:
    """Return part / whole of two positive figures of the same rows, the interval taken on the scale of logarithms.

    Raises:
        Undefined: the whole is 0. A part of 0 gives 0, with an interval up to infinity: nothing is known of it.
    """
    if whole.value <= 0:
        raise Undefined("the rate that it is divided by is 0")
    if part.value <= 0:
        return Estimate(0.0, 0.0, inf)
    value = part.value / whole.value
    relative = Figure(0.0, part.influence / part.value - whole.influence / whole.value)
    reach = normal_quantile(confidence) * relative.error
    if not isfinite(reach) or log(value) + reach > 700:  # noqa: PLR2004 - beyond, exp overflows
        return Estimate(value, 0.0, inf)
    return Estimate(value, value * exp(-reach), value * exp(reach))


def normal_quantile(confidence: float) -> float:
    """Return the standard errors on each side of an interval of this confidence: 1.96 for 0.95."""
    if not 0 < confidence < 1:
        raise ValueError("confidence must lie between 0 and 1")
    return float(stats.norm.isf((1 - confidence) / 2))


def _wilson(figure: Figure, z: float) -> Estimate:
    share, variance = figure.value, figure.error**2
    size = share * (1 - share) / variance if variance > 0 and 0 < share < 1 else float(max(figure.rows, 1))
    middle = (share + z**2 / (2 * size)) / (1 + z**2 / size)
    reach = z / (1 + z**2 / size) * sqrt(share * (1 - share) / size + z**2 / (4 * size**2))
    return Estimate(share, max(0.0, min(share, middle - reach)), min(1.0, max(share, middle + reach)))
