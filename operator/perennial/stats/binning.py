"""Counts values and categories of two samples in common cells."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from perennial.stats.samples import Categorical, Counts, Floats, merged

BINS = 10
RARE = "(rare)"
_MIN_EXPECTED = 5.0


@dataclass(frozen=True, eq=False)
class Table:
    """Counts of the same cells on both sides.

    Attributes:
        labels: one per cell.
        reference: rows of the reference in each cell, shape (cells,).
        current: rows of the current data in each cell, shape (cells,).
        rare: whether the last cell merges the rare categories.
    """

    labels: tuple[str, ...]
    reference: Counts
    current: Counts
    rare: bool = False

    @property
    def cells(self) -> int:
        """Number of cells."""
        return len(self.labels)


def quantile_edges(values: Floats, bins: int = BINS) -> Floats:
    """Return the inner edges of bins with about equal shares of the values; the outer bins are open.

    Edges are values of the sample (the inverse of its distribution function at 1/bins, 2/bins, ...), and a bin
    holds its upper edge: (a, b]. A value that fills more than one bin gets a bin of its own, so that changes
    in both directions are detected in a constant column, or one that is mostly zero.

    Args:
        values: the reference, sorted, shape (n,), n >= 1.
        bins: number of equal shares, at least 2.

    Returns:
        Strictly ascending edges, shape (e,), 1 <= e < 2 * bins; there are e + 1 bins.

    Raises:
        ValueError: there are no values.
    """
    if not values.size:
        raise ValueError("quantiles of no values")
    ranks = np.ceil(np.arange(1, bins) * values.size / bins).astype(np.int64) - 1
    edges, repeats = np.unique(values[ranks], return_counts=True)
    just_below = np.nextafter(edges[repeats > 1], -np.inf)
    return np.unique(np.concatenate([edges, just_below]))


def bin_counts(values: Floats, edges: Floats) -> Counts:
    """Return how many sorted values fall in each of the bins (-inf, e0], (e0, e1], ..., (en, inf)."""
    upto = np.searchsorted(values, edges, side="right")
    return np.diff(np.concatenate([[0], upto, [values.size]])).astype(np.int64)


def binned(reference: Floats, current: Floats, edges: Floats) -> Table:
    """Return the counts of both sides in the bins between the edges."""
    bounds = ["-inf", *(f"{edge:.6g}" for edge in edges), "inf"]
    labels = tuple(f"({low}, {high}]" for low, high in pairwise(bounds))
    return Table(labels, bin_counts(reference, edges), bin_counts(current, edges))


def pooled_edges(reference: Floats, current: Floats, bins: int = BINS) -> Floats:
    """Return the quantile edges of the pooled samples: for tests, which treat both sides alike."""
    both, _ = merged(reference, current)
    return quantile_edges(both, bins)


def tabulated(reference: Categorical, current: Categorical) -> Table:
    """Return the counts of both sides for every category of either, sorted by name."""
    labels = tuple(sorted({*reference.counts, *current.counts}))
    return Table(
        labels,
        np.array([reference.counts.get(label, 0) for label in labels], dtype=np.int64),
        np.array([current.counts.get(label, 0) for label in labels], dtype=np.int64),
    )


def merge_rare(table: Table) -> Table:
    """Merge categories with an expected count below five on the smaller side, if both sides were alike.

    Cochran's rule for the chi-square approximation, with the expectation from both sides pooled: it is
    symmetric, so it does not bias the comparison. New and vanished categories stay visible: frequent ones keep their
    cell, others add to the merged cell.
    """
    pooled = table.reference + table.current
    total = int(pooled.sum())
    smaller = min(int(table.reference.sum()), int(table.current.sum()))
    if total == 0:
        return table
    rare = pooled * (smaller / total) < _MIN_EXPECTED
    if not rare.any():
        return table
    kept = tuple(label for label, is_rare in zip(table.labels, rare, strict=True) if not is_rare)
    return Table(
        (*kept, RARE),
        np.append(table.reference[~rare], table.reference[rare].sum()),
        np.append(table.current[~rare], table.current[rare].sum()),
        rare=True,
    )
