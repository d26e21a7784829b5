"""Summary statistics and histograms for reports."""

from dataclasses import dataclass

import numpy as np

from perennial.stats import binned_methods
from perennial.stats.binned import Binned, Numbers, Sample
from perennial.stats.binning import tabulated
from perennial.stats.samples import Categorical, Counts, Floats, Numeric, as_categories, quantiles

BARS = 24
CATEGORIES = 12
OTHERS = "(others)"
_SMALLEST_GROUP = 5


@dataclass(frozen=True)
class Summary:
    """Summary of a numeric sample, in the unit of its values.

    Attributes:
        mean: arithmetic mean.
        spread: population standard deviation (divisor n).
        low: minimum.
        quartiles: first quartile, median, third quartile.
        high: maximum.
    """

    mean: float
    spread: float
    low: float
    quartiles: tuple[float, float, float]
    high: float


@dataclass(frozen=True)
class Histogram:
    """Shares of both sides in the same bars.

    Attributes:
        labels: one per bar for categories; empty for ranges.
        edges: one more than bars for ranges; empty for categories. The outer bars include values beyond.
        reference: share of the reference in each bar, each in [0, 1].
        current: share of the current data in each bar, each in [0, 1].
    """

    labels: tuple[str, ...]
    edges: tuple[float, ...]
    reference: tuple[float, ...]
    current: tuple[float, ...]


def summarise(sample: Numbers) -> Summary | None:
    """Summarise a sample; None if it has no values, or their sum overflows."""
    if not sample.size:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        if isinstance(sample, Binned):
            mean, spread = sample.mean, sample.spread
        else:
            mean, spread = float(np.mean(sample.values)), float(np.std(sample.values))
    if not (np.isfinite(mean) and np.isfinite(spread)):
        return None
    first, median, third = (float(value) for value in _quantiles(sample, [0.25, 0.5, 0.75]))
    low, high = _extremes(sample)
    return Summary(mean, spread, low, (first, median, third), high)


def histogram(reference: Sample, current: Sample) -> Histogram | None:
    """Build the histogram of a column; None if a side has no values, or the range is empty or infinite."""
    if not (reference.size and current.size):
        return None
    if isinstance(reference, Numeric) and isinstance(current, Numeric):
        few = max(reference.distinct, current.distinct) <= CATEGORIES
        if few and np.union1d(reference.values, current.values).size <= CATEGORIES:
            return _of_categories(as_categories(reference), as_categories(current), by_value=True)
        return _of_ranges(reference, current)
    if isinstance(reference, Binned) and isinstance(current, Binned):
        return _of_binned(reference, current)
    if isinstance(reference, Categorical) and isinstance(current, Categorical):
        return _of_categories(reference, current, by_value=False)
    return None


def _of_binned(reference: Binned, current: Binned) -> Histogram | None:
    if reference.exact and current.exact and binned_methods.union_size(reference, current) <= CATEGORIES:
        named = binned_methods.as_categories(reference), binned_methods.as_categories(current)
        return _of_categories(*named, by_value=True)
    return _of_ranges(reference, current)


def _quantiles(sample: Numbers, levels: list[float]) -> Floats:
    return sample.quantiles(levels) if isinstance(sample, Binned) else quantiles(sample.values, levels)


def _extremes(sample: Numbers) -> tuple[float, float]:
    if isinstance(sample, Binned):
        return sample.low, sample.high
    return float(sample.values[0]), float(sample.values[-1])


def _of_ranges(reference: Numbers, current: Numbers) -> Histogram | None:
    with np.errstate(over="ignore", invalid="ignore"):
        outer = _quantiles(reference, [0.005, 0.995]), _quantiles(current, [0.005, 0.995])
        low, high = min(outer[0][0], outer[1][0]), max(outer[0][1], outer[1][1])
        if not np.isfinite(high - low) or high <= low:
            return None
    edges = np.linspace(low, high, BARS + 1)
    inner = edges[1:-1]
    return Histogram(
        labels=(),
        edges=tuple(float(edge) for edge in edges),
        reference=_shares(_between(reference, inner)),
        current=_shares(_between(current, inner)),
    )


def _between(sample: Numbers, inner: Floats) -> Counts:
    if isinstance(sample, Binned):  # the cells' points are ascending, as values are
        cells = np.searchsorted(sample.points, inner, side="right")
        upto = np.concatenate([[0], np.cumsum(sample.counts)])[cells]
    else:
        upto = np.searchsorted(sample.values, inner, side="right")
    return np.diff(np.concatenate([[0], upto, [sample.size]])).astype(np.int64)


def _of_categories(reference: Categorical, current: Categorical, *, by_value: bool) -> Histogram:
    """Show the largest categories. Rare ones are merged, since their names may identify a person."""
    table = tabulated(reference, current)
    shares = table.reference / reference.size + table.current / current.size
    order = [int(index) for index in np.lexsort((np.arange(table.cells), -shares))]
    frequent = [
        index for index in order if max(table.reference[index], table.current[index]) >= _SMALLEST_GROUP or by_value
    ]
    shown = frequent[:CATEGORIES]
    if by_value:
        shown.sort(key=lambda index: float(table.labels[index]))
    labels = [table.labels[index] for index in shown]
    counts = [table.reference[shown], table.current[shown]]
    if len(shown) < table.cells:
        labels.append(OTHERS)
        counts = [
            np.append(part, whole - part.sum())
            for part, whole in zip(counts, (reference.size, current.size), strict=True)
        ]
    return Histogram(tuple(labels), (), _shares(counts[0]), _shares(counts[1]))


def _shares(counts: Counts) -> tuple[float, ...]:
    return tuple(float(share) for share in counts / counts.sum())
