"""Summary statistics and histograms for reports."""

from dataclasses import dataclass

import numpy as np

from perennial.stats import binned_methods
from perennial.stats.binned import Binned, Numbers, Sample
from perennial.stats.binning import tabulated
from perennial.stats.samples import Categorical, Counts, Floats, Numeric, as_categories, quantiles

BARS = 24
BUCKETS = 10
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


@dataclass(frozen=True)
class Bucket:
    """Number of values above `low` and up to `high`. The first bucket also has those below, the last those above."""

    low: float
    high: float
    count: int


def summarise(sample: Numbers, least: int = 1) -> Summary | None:
    """Summarise a sample; None if it has fewer than `least` values, or their sum overflows.

    Args:
        sample: numbers.
        least: number of rows that lie at or below `low`, and at or above `high`; 1: minimum and maximum.
    """
    if sample.size < max(least, 1):
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        if isinstance(sample, Binned):
            mean, spread = sample.mean, sample.spread
        else:
            mean, spread = float(np.mean(sample.values)), float(np.std(sample.values))
    if not (np.isfinite(mean) and np.isfinite(spread)):
        return None
    first, median, third = (float(value) for value in _quantiles(sample, [0.25, 0.5, 0.75]))
    low, high = _extremes(sample) if least <= 1 else _covering(sample, least)
    return Summary(mean, spread, low, (first, median, third), high)


def buckets(sample: Numbers, low: float, high: float, least: int = 1) -> tuple[Bucket, ...]:
    """Divide a sample into BUCKETS ranges of equal width, or a single one if the range is empty or infinite.

    Args:
        sample: numbers.
        low: lower bound of the first bucket.
        high: upper bound of the last one.
        least: values that a bucket must have if it has any: a bucket with fewer is joined with its neighbour.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        edges = np.linspace(low, high, BUCKETS + 1)
    if not np.all(np.isfinite(edges)) or high <= low:
        return (Bucket(low, high, sample.size),)
    counts = _between(sample, edges[1:-1])
    return tuple(
        Bucket(float(edges[group[0]]), float(edges[group[-1] + 1]), int(counts[group].sum()))
        for group in _groups(counts[None, :], least)
    )


def histogram(reference: Sample, current: Sample, least: int | None = None) -> Histogram | None:
    """Build the histogram of a column; None if a side has no values, or the range is empty or infinite.

    Args:
        reference: reference sample.
        current: current sample, of the same kind.
        least: rows that each bar must have on a side that has any: rarer categories are merged, and neighbouring
            ranges share their rows evenly. None: categories from five rows on, and every range and number.
    """
    if min(reference.size, current.size) < max(least or 1, 1):
        return None
    drawn = _histogram(reference, current, least)
    if drawn is None or least is None or drawn.labels:
        return drawn
    before, now = _levelled(drawn.reference, drawn.current, (reference.size, current.size), least)
    return Histogram((), drawn.edges, before, now)


def _histogram(reference: Sample, current: Sample, least: int | None) -> Histogram | None:
    if isinstance(reference, Numeric) and isinstance(current, Numeric):
        few = max(reference.distinct, current.distinct) <= CATEGORIES
        if few and np.union1d(reference.values, current.values).size <= CATEGORIES:
            return _of_categories(as_categories(reference), as_categories(current), least, by_value=True)
        return _of_ranges(reference, current, least or 1)
    if isinstance(reference, Binned) and isinstance(current, Binned):
        return _of_binned(reference, current, least)
    if isinstance(reference, Categorical) and isinstance(current, Categorical):
        return _of_categories(reference, current, least, by_value=False)
    return None


def _of_binned(reference: Binned, current: Binned, least: int | None) -> Histogram | None:
    if reference.exact and current.exact and binned_methods.union_size(reference, current) <= CATEGORIES:
        named = binned_methods.as_categories(reference), binned_methods.as_categories(current)
        return _of_categories(*named, least, by_value=True)
    return _of_ranges(reference, current, least or 1)


def _levelled(
    reference: tuple[float, ...], current: tuple[float, ...], sizes: tuple[int, int], least: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Spread the rows of neighbouring bars evenly, so that no bar stands for fewer than `least` rows of a side."""
    counts = np.array([np.rint(np.array(side) * size) for side, size in zip((reference, current), sizes, strict=True)])
    level = counts / np.array(sizes)[:, None]
    for group in _groups(counts, least):
        level[:, group] = level[:, group].mean(axis=1, keepdims=True)
    first, second = (tuple(float(share) for share in side) for side in level)
    return first, second


def _groups(counts: Floats | Counts, least: int) -> list[list[int]]:
    """Join neighbouring bars, shape (sides, bars), until each has enough rows or none; return their numbers."""
    groups: list[list[int]] = []
    for bar in range(counts.shape[1]):
        if groups and not _many(counts[:, groups[-1]].sum(axis=1), least):
            groups[-1].append(bar)
        else:
            groups.append([bar])
    while len(groups) > 1 and not _many(counts[:, groups[-1]].sum(axis=1), least):
        groups[-2:] = [groups[-2] + groups[-1]]
    return groups


def _many(rows: Floats | Counts, least: int) -> bool:
    """Whether each side has enough rows, or none."""
    return bool(np.all((rows == 0) | (rows >= least)))


def _quantiles(sample: Numbers, levels: list[float]) -> Floats:
    return sample.quantiles(levels) if isinstance(sample, Binned) else quantiles(sample.values, levels)


def _extremes(sample: Numbers) -> tuple[float, float]:
    if isinstance(sample, Binned):
        return sample.low, sample.high
    return float(sample.values[0]), float(sample.values[-1])


def _covering(sample: Numbers, least: int) -> tuple[float, float]:
    """Return values that at least `least` rows lie at or below, and at or above."""
    if isinstance(sample, Binned):
        level = min(0.5, least / sample.size)
        low, high = sample.quantiles([level, 1 - level])
        return float(low), float(high)
    return float(sample.values[least - 1]), float(sample.values[-least])


def _of_ranges(reference: Numbers, current: Numbers, least: int) -> Histogram | None:
    with np.errstate(over="ignore", invalid="ignore"):
        outer = [
            _quantiles(side, [level, 1 - level])
            for side in (reference, current)
            for level in (min(0.5, max(0.005, least / side.size if least > 1 else 0.0)),)
        ]
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


def _of_categories(reference: Categorical, current: Categorical, least: int | None, *, by_value: bool) -> Histogram:
    """Show the largest categories. Rare ones are merged, since their names may identify a person."""
    table = tabulated(reference, current)
    shares = table.reference / reference.size + table.current / current.size
    order = [int(index) for index in np.lexsort((np.arange(table.cells), -shares))]
    named = 0 if least is None and by_value else _SMALLEST_GROUP if least is None else least
    frequent = [index for index in order if max(table.reference[index], table.current[index]) >= named]
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
