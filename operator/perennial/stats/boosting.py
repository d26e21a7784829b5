"""Boosted regression trees on binned features: the least that direct loss estimation needs, with numpy alone.

A tree is symmetric: all nodes of a level are divided by the same feature at the same bound, so a leaf is found by as
many comparisons as there are levels. Each tree is fitted to the residuals of those before it (Friedman, Ann. Stat. 29
(2001)) under squared loss, so predictions estimate the conditional mean.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perennial.stats.samples import Floats

BINS = 64
"""Bins of a feature, the first of which is for missing values."""
_DEPTH = 3
_RATE = 0.1
"""Share of a tree's leaves that is added."""
_PENALTY = 1.0
"""Rows without a residual that each leaf is averaged with, so that leaves of few rows are closer to 0."""
_FEATURES = 16
"""Most features that one tree may use; of more a random choice."""
_ROWS = 4000
"""Most rows that one tree is fitted to; of more a random choice (Friedman, Comput. Stat. Data Anal. 38 (2002))."""

Binned = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Bins:
    """Bounds between the bins of each feature, ascending, at most BINS - 2 of each."""

    bounds: tuple[Floats, ...]

    def apply(self, features: Floats) -> Binned:
        """Return the bin of each value, shape (n, d); NaN is 0."""
        binned = np.zeros(features.shape, dtype=np.uint8)
        for at, bounds in enumerate(self.bounds):
            known = ~np.isnan(features[:, at])
            binned[known, at] = 1 + np.searchsorted(bounds, features[known, at], side="right")
        return binned


def bins_of(features: Floats) -> Bins:
    """Choose bins with about as many rows each; few distinct values have a bin of their own.

    Args:
        features: shape (n, d); NaN is a missing value.
    """
    return Bins(tuple(_bounds(features[:, at]) for at in range(features.shape[1])))


def _bounds(values: Floats) -> Floats:
    known = values[~np.isnan(values)]
    distinct = np.unique(known)
    if distinct.size < BINS:
        return np.asarray((distinct[1:] + distinct[:-1]) / 2)
    return np.unique(np.quantile(known, np.linspace(0, 1, BINS)[1:-1]))


@dataclass(frozen=True, eq=False)
class Tree:
    """A symmetric tree.

    Attributes:
        features: feature of each level.
        bounds: last bin on the lower side, of each level.
        leaves: value of each leaf, shape (2 ** levels,).
    """

    features: tuple[int, ...]
    bounds: tuple[int, ...]
    leaves: Floats

    def predict(self, binned: Binned) -> Floats:
        """Return the value of each row's leaf, shape (n,)."""
        leaf = np.zeros(binned.shape[0], dtype=np.int64)
        for feature, bound in zip(self.features, self.bounds, strict=True):
            leaf = 2 * leaf + (binned[:, feature] > bound)
        return np.asarray(self.leaves[leaf])


def grow(binned: Binned, residuals: Floats, random: np.random.Generator) -> Tree:
    """Fit a tree to residuals.

    Args:
        binned: shape (n, d), d >= 1.
        residuals: shape (n,).
        random: source of the rows and features that the tree may use.
    """
    if residuals.size > _ROWS:
        rows = random.integers(0, residuals.size, _ROWS)
        binned, residuals = binned[rows], residuals[rows]
    width = binned.shape[1]
    chosen = np.arange(width) if width <= _FEATURES else np.sort(random.choice(width, _FEATURES, replace=False))
    used = binned[:, chosen].astype(np.int64)
    leaf = np.zeros(residuals.size, dtype=np.int64)
    features: list[int] = []
    bounds: list[int] = []
    for level in range(_DEPTH):
        feature, bound = _best_split(used, residuals, leaf, 2**level)
        features.append(int(chosen[feature]))
        bounds.append(bound)
        leaf = 2 * leaf + (used[:, feature] > bound)
    sums = np.bincount(leaf, weights=residuals, minlength=2**_DEPTH)
    amounts = np.bincount(leaf, minlength=2**_DEPTH)
    return Tree(tuple(features), tuple(bounds), _RATE * sums / (amounts + _PENALTY))


def _best_split(binned: NDArray[np.int64], residuals: Floats, leaf: NDArray[np.int64], leaves: int) -> tuple[int, int]:
    """Return the feature and the bin that, dividing all leaves, lower the squared error most."""
    width = binned.shape[1]
    shape = (leaves, width, BINS)
    cells = (binned + BINS * (leaf[:, None] * width + np.arange(width))).ravel()
    size = leaves * width * BINS
    sums = np.cumsum(np.bincount(cells, np.repeat(residuals, width), size).reshape(shape), axis=2)
    rows = np.cumsum(np.bincount(cells, minlength=size).reshape(shape), axis=2)
    above, rows_above = sums[:, :, -1:] - sums, rows[:, :, -1:] - rows
    gain = (sums**2 / (rows + _PENALTY) + above**2 / (rows_above + _PENALTY)).sum(axis=0)[:, :-1]
    feature, bound = np.unravel_index(int(np.argmax(gain)), gain.shape)
    return int(feature), int(bound)
