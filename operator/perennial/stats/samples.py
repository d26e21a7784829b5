"""Samples of one column, cleaned: the input of all statistics."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perennial.stats.text import number_text

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Numeric:
    """Numeric sample: sorted finite values, and counts of other rows.

    Attributes:
        values: finite values in ascending order, shape (n,), float64.
        missing: rows without a value (null or NaN).
        infinite: rows with plus or minus infinity; counted as missing, since distances cannot use them.
    """

    values: Floats
    missing: int = 0
    infinite: int = 0

    @property
    def size(self) -> int:
        """Number of values that can be compared."""
        return int(self.values.size)

    @property
    def rows(self) -> int:
        """Number of rows, with or without a value."""
        return self.size + self.missing + self.infinite

    @property
    def missing_share(self) -> float:
        """Share of rows without a usable value, in [0, 1]; 0 for no rows at all."""
        return _share(self.missing + self.infinite, self.rows)

    @cached_property
    def distinct(self) -> int:
        """Number of distinct values."""
        return int(np.count_nonzero(np.diff(self.values)) + 1) if self.size else 0


@dataclass(frozen=True, eq=False)
class Categorical:
    """Categorical sample: counts of categories and of missing values.

    Attributes:
        counts: category to number of rows, every number at least 1.
        missing: rows without a value.
    """

    counts: Mapping[str, int]
    missing: int = 0

    @cached_property
    def size(self) -> int:
        """Number of rows with a value."""
        return sum(self.counts.values())

    @property
    def rows(self) -> int:
        """Number of rows, with or without a value."""
        return self.size + self.missing

    @property
    def missing_share(self) -> float:
        """Share of rows without a value, in [0, 1]; 0 for no rows at all."""
        return _share(self.missing, self.rows)

    @property
    def distinct(self) -> int:
        """Number of categories."""
        return len(self.counts)


def numeric(values: ArrayLike) -> Numeric:
    """Build a sample from numbers of any shape; NaN counts as missing, infinities are counted separately.

    Raises:
        ValueError: a value is not a number.
    """
    flat = np.asarray(values, dtype=np.float64).ravel()
    finite = np.isfinite(flat)
    if finite.all():
        return Numeric(np.sort(flat))
    missing = int(np.count_nonzero(np.isnan(flat)))
    kept = np.sort(flat[finite])
    return Numeric(kept, missing=missing, infinite=int(flat.size - kept.size - missing))


def merged(first: Floats, second: Floats) -> tuple[Floats, Counts]:
    """Merge two sorted samples without sorting again.

    Returns:
        All values in ascending order, shape (n + m,), and the number of values of the first sample up to each
        position. The order of equal values is unspecified.
    """
    places = np.searchsorted(second, first, side="right") + np.arange(first.size)
    from_first = np.zeros(first.size + second.size, dtype=bool)
    from_first[places] = True
    values = np.empty(from_first.size, dtype=np.float64)
    values[places] = first
    values[~from_first] = second
    return values, np.cumsum(from_first, dtype=np.int64)


def quantiles(values: Floats, levels: ArrayLike) -> Floats:
    """Return quantiles of a sorted sample, linear between values, as numpy.quantile, but without sorting.

    Args:
        values: sorted, shape (n,), n >= 1.
        levels: in [0, 1], shape (k,).

    Returns:
        Shape (k,).
    """
    ranks = np.asarray(levels, dtype=np.float64) * (values.size - 1)
    below = np.floor(ranks).astype(np.int64)
    above = np.minimum(below + 1, values.size - 1)
    rest = ranks - below
    return np.asarray(values[below] * (1 - rest) + values[above] * rest)


def as_categories(sample: Numeric) -> Categorical:
    """Convert a numeric sample to categories, one per distinct value, in ascending order."""
    values, counts = np.unique(sample.values, return_counts=True)
    named = {number_text(value): int(count) for value, count in zip(values, counts, strict=True)}
    return Categorical(named, missing=sample.missing + sample.infinite)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
