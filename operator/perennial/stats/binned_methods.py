"""Statistics of two numeric samples that are counted in the cells of one grid.

Those of counts (`psi`, `js`, `hellinger`, `chi2`) are exact for the cells they use. The largest gap is at most `error`
too small; quantiles and the Wasserstein distance are those of values moved within their cells.
"""

from itertools import pairwise

import numpy as np

from perennial.stats import distances, noise
from perennial.stats.binned import Binned
from perennial.stats.binning import BINS, Table
from perennial.stats.samples import Categorical, Counts, Floats
from perennial.stats.significance import Significance, gap_significance
from perennial.stats.text import number_text


def largest_gap(reference: Binned, current: Binned) -> float:
    """Return max |F_reference(x) - F_current(x)| over the edges of the cells, in [0, 1]; both have values."""
    return float(np.max(np.abs(_distribution(reference) - _distribution(current))))


def error(reference: Binned, current: Binned) -> float:
    """Return by how much the largest gap between the distribution functions can exceed `largest_gap`.

    Within a cell the two functions rise by p and q; the gap inside exceeds that at one of its edges by min(p, q) at
    most. 0 if every cell has one value only.
    """
    if reference.exact and not current.fractional:
        return 0.0
    return float(np.max(np.minimum(reference.counts / reference.size, current.counts / current.size)))


def kolmogorov_smirnov(reference: Binned, current: Binned) -> Significance:
    """Two-sample Kolmogorov-Smirnov test of the counts, with the asymptotic p-value."""
    return gap_significance(largest_gap(reference, current), reference.size, current.size)


def normed_wasserstein(reference: Binned, current: Binned) -> float:
    """Wasserstein-1 distance in standard deviations of the reference, as `distances.normed_wasserstein`.

    Every value counts as the point of its cell, so that the distance is off by one cell at most for each.
    """
    points, counts, others = _occupied(reference, current)
    gaps = np.abs(np.cumsum(counts) / reference.size - np.cumsum(others) / current.size)[:-1]
    total = float(np.sum(gaps * np.diff(points)))
    return total / max(reference.spread, distances.SPREAD_FLOOR)


def wasserstein_noise(reference: Binned, current: Binned, alpha: float = noise.ALPHA) -> float:
    """Return the Wasserstein-1 distance expected by chance, as `noise.wasserstein_noise`, in the values' unit."""
    points, counts, others = _occupied(reference, current)
    upto = np.cumsum(counts + others)

    def pooled(levels: Floats) -> Floats:
        cells = np.searchsorted(upto, levels * (upto[-1] - 1), side="right")
        return np.asarray(points[np.minimum(cells, points.size - 1)])

    return noise.wasserstein_noise_of(pooled, reference.size, current.size, alpha)


def tabulated(reference: Binned, current: Binned, *, pooled: bool) -> Table:
    """Return the counts of both sides in bins at the deciles of the reference, or of both sides together.

    Edges are edges of cells. As in `binning.quantile_edges`, a cell that fills more than one bin is a bin by itself.
    """
    leading = reference.counts + current.counts if pooled else reference.counts
    total = int(leading.sum())
    ranks = np.ceil(np.arange(1, BINS) * total / BINS).astype(np.int64)
    cells, repeats = np.unique(np.searchsorted(np.cumsum(leading), ranks, side="left"), return_counts=True)
    ends = np.unique(np.concatenate([cells, cells[repeats > 1] - 1]))
    ends = ends[(ends >= 0) & (ends < leading.size - 1)]
    edges = reference.grid.edges()[ends]
    bounds = ["-inf", *(f"{edge:.6g}" for edge in edges), "inf"]
    labels = tuple(f"({low}, {high}]" for low, high in pairwise(bounds))
    return Table(labels, _between(reference.counts, ends), _between(current.counts, ends))


def as_categories(sample: Binned) -> Categorical:
    """Convert a sample of whole numbers to categories, one per distinct value.

    Raises:
        ValueError: cells may hold several values.
    """
    if not sample.exact:
        raise ValueError("cells with several values are no categories")
    found = np.flatnonzero(sample.counts)
    named = {number_text(float(sample.points[cell])): int(sample.counts[cell]) for cell in found}
    return Categorical(named, missing=sample.missing + sample.infinite)


def union_size(reference: Binned, current: Binned) -> int:
    """Return the number of cells that either side has values in."""
    return int(np.count_nonzero(reference.counts + current.counts))


def _distribution(sample: Binned) -> Floats:
    return np.asarray(np.cumsum(sample.counts) / sample.size)


def _between(counts: Counts, ends: Counts) -> Counts:
    upto = np.cumsum(counts)
    return np.diff(np.concatenate([[0], upto[ends], [upto[-1]]])).astype(np.int64)


def _occupied(reference: Binned, current: Binned) -> tuple[Floats, Counts, Counts]:
    """Return points and counts of the cells that a side has values in, with common points in the outer cells."""
    kept = (reference.counts + current.counts) > 0
    points = reference.points.copy()
    points[0], points[-1] = min(points[0], current.points[0]), max(points[-1], current.points[-1])
    return points[kept], reference.counts[kept], current.counts[kept]
