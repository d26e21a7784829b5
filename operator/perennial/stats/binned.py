"""A numeric column as counts in the cells of a grid: the sample of a column too long to sort."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf, isfinite, sqrt

import numpy as np
from numpy.typing import ArrayLike

from perennial.stats.grid import CELLS, Buffers, Grid
from perennial.stats.samples import Categorical, Counts, Floats, Numeric

_CHUNK = 32_768
"""Values counted at a time: they stay in a core's cache."""


@dataclass(frozen=True, eq=False)
class Binned:
    """Numeric sample as counts.

    Mergeable: counts, extremes and everything computed from them are the same for every order and division of the rows;
    mean and spread are so up to rounding.

    Attributes:
        grid: the cells, of both sides of a comparison.
        counts: finite values in each cell, shape (CELLS,).
        low: smallest finite value; inf without values.
        high: largest finite value; -inf without values.
        mean: of the finite values; 0 without values.
        squares: sum of squared differences from the mean.
        missing: rows without a value (null or NaN).
        infinite: rows with plus or minus infinity.
        fractional: finite values that are not whole, counted only if the grid's cells are whole numbers.
        less: for each limit, the values below it, counted exactly.
        greater: for each limit, the values above it, counted exactly.
    """

    grid: Grid
    counts: Counts
    low: float = inf
    high: float = -inf
    mean: float = 0.0
    squares: float = 0.0
    missing: int = 0
    infinite: int = 0
    fractional: int = 0
    less: Mapping[float, int] = field(default_factory=dict)
    greater: Mapping[float, int] = field(default_factory=dict)

    @cached_property
    def size(self) -> int:
        """Number of values that can be compared."""
        return int(self.counts.sum())

    @property
    def rows(self) -> int:
        """Number of rows, with or without a value."""
        return self.size + self.missing + self.infinite

    @property
    def missing_share(self) -> float:
        """Share of rows without a usable value, in [0, 1]; 0 for no rows at all."""
        return (self.missing + self.infinite) / self.rows if self.rows else 0.0

    @cached_property
    def distinct(self) -> int:
        """Number of cells with values: the number of distinct values, or fewer than that."""
        return int(np.count_nonzero(self.counts))

    @property
    def spread(self) -> float:
        """Population standard deviation; NaN if the squares overflow, 0 without values."""
        return sqrt(self.squares / self.size) if self.size else 0.0

    @property
    def exact(self) -> bool:
        """Whether every cell holds one value only: whole numbers, none in the outer cells."""
        return self.grid.whole and not (self.fractional or self.counts[0] or self.counts[-1])

    @cached_property
    def points(self) -> Floats:
        """One value per cell that stands for those in it, ascending, shape (CELLS,): the middle, or the whole number.

        The outer cells have no middle: there it is the extreme value.
        """
        edges = self.grid.edges()
        inner = edges[1:] if self.grid.whole else (edges[1:] + edges[:-1]) / 2
        outer = (min(self.low, float(edges[0])), max(self.high, float(edges[-1])))
        return np.concatenate([[outer[0]], inner, [outer[1]]])

    def quantiles(self, levels: ArrayLike) -> Floats:
        """Return quantiles, each at most one cell away from the sample's; needs a value.

        Args:
            levels: in [0, 1], shape (k,).
        """
        ranks = np.asarray(levels, dtype=np.float64) * (self.size - 1)
        cells = np.searchsorted(np.cumsum(self.counts), ranks, side="right")
        return np.clip(self.points[np.minimum(cells, CELLS - 1)], self.low, self.high)


Numbers = Numeric | Binned
Sample = Numbers | Categorical


def count(values: Floats, grid: Grid, limits: Collection[float] = ()) -> Binned:
    """Count values in the cells of a grid; NaN counts as missing.

    Args:
        values: shape (n,).
        grid: of the reference.
        limits: numbers for which the values below and above are counted exactly.
    """
    kept, missing, infinite = finite_part(values)
    if not kept.size:
        return replace(empty(grid, limits, missing=missing), infinite=infinite)
    low, high = float(np.minimum.reduce(kept)), float(np.maximum.reduce(kept))
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(np.add.reduce(kept)) / kept.size
        counts, squares = _tally(kept, grid, mean)
    return Binned(
        grid=grid,
        counts=counts,
        low=low,
        high=high,
        mean=mean,
        squares=squares,
        missing=missing,
        infinite=infinite,
        fractional=int(np.count_nonzero(np.floor(kept) != kept)) if grid.whole else 0,
        less={limit: 0 if low >= limit else int(np.count_nonzero(kept < limit)) for limit in limits},
        greater={limit: 0 if high <= limit else int(np.count_nonzero(kept > limit)) for limit in limits},
    )


def _tally(values: Floats, grid: Grid, mean: float) -> tuple[Counts, float]:
    """Return the values in each cell, and the sum of squared differences from the mean."""
    counts, squares = np.zeros(CELLS, dtype=np.int64), 0.0
    buffers = Buffers.of(min(_CHUNK, values.size))
    for at in range(0, values.size, _CHUNK):
        part = values[at : at + _CHUNK]
        apart = np.subtract(part, mean, out=buffers.places[: part.size])
        squares += float(np.einsum("i,i->", apart, apart))  # not `@`, which starts the threads of the BLAS
        counts += np.bincount(grid.fill(part, buffers), minlength=CELLS)
    return counts, squares


def empty(grid: Grid, limits: Collection[float] = (), missing: int = 0) -> Binned:
    """Return a sample without values, but with rows that have none."""
    none = dict.fromkeys(limits, 0)
    return Binned(grid, np.zeros(CELLS, dtype=np.int64), missing=missing, less=none, greater=none)


def merge(first: Binned, second: Binned) -> Binned:
    """Return the sample of the rows of both.

    Mean and squares by Chan, Golub and LeVeque, Algorithms for computing the sample variance, Am. Stat. 37 (1983).

    Raises:
        ValueError: they have different grids.
    """
    if first.grid != second.grid:
        raise ValueError("counts in the cells of different grids cannot be added")
    n, m = first.size, second.size
    total = max(n + m, 1)
    with np.errstate(over="ignore", invalid="ignore"):
        apart = float(np.float64(second.mean) - first.mean)
        squares = float(np.float64(first.squares) + second.squares + np.float64(apart) * apart * (n * (m / total)))
    return Binned(
        grid=first.grid,
        counts=first.counts + second.counts,
        low=min(first.low, second.low),
        high=max(first.high, second.high),
        mean=second.mean if not n else first.mean + apart * (m / total),
        squares=squares,
        missing=first.missing + second.missing,
        infinite=first.infinite + second.infinite,
        fractional=first.fractional + second.fractional,
        less={limit: first.less[limit] + second.less[limit] for limit in first.less},
        greater={limit: first.greater[limit] + second.greater[limit] for limit in first.greater},
    )


def finite_part(values: Floats) -> tuple[Floats, int, int]:
    """Return the finite values, shape (k,), and the numbers of NaN and of infinite values."""
    with np.errstate(over="ignore", invalid="ignore"):
        if isfinite(float(np.add.reduce(values))):  # in one pass: a value that is not finite makes the sum so
            return values, 0, 0
    kept = values[np.isfinite(values)]
    missing = int(np.count_nonzero(np.isnan(values)))
    return kept, missing, int(values.size - kept.size - missing)
