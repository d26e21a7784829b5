"""Cells that cover the whole number line, derived from a reference: values are counted in them without sorting."""

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from perennial.stats.samples import Counts, Floats

CELLS = 8192
"""Cells of a grid. A normal distribution has at most 0.025 % of its values in one."""
_WHOLE_SPAN = CELLS // 2
_HALF = CELLS // 2
_FAR = 1e15
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SAMPLED = 32_768
_FEW_SAMPLED = 64
_RANGES = ((0.25, 0.75), (0.1, 0.9), (0.02, 0.98), (0.0, 1.0))


@dataclass(frozen=True)
class Extent:
    """What the choice of a grid needs to know of a reference. Mergeable: the order of its values has no influence.

    Attributes:
        low: smallest value; inf without values.
        high: largest value; -inf without values.
        whole: whether all values are whole numbers.
        sampled: values chosen by a hash of the value itself, shape (k,), in any order.
    """

    low: float
    high: float
    whole: bool
    sampled: Floats


@dataclass(frozen=True, eq=False)
class Buffers:
    """Memory for the cells of some values, which stays in a core's cache; all of one shape."""

    places: Floats
    sizes: Floats
    cells: Counts

    @classmethod
    def of(cls, size: int) -> "Buffers":
        """Return memory for `size` values."""
        return cls(np.empty(size), np.empty(size), np.empty(size, dtype=np.int64))


@dataclass(frozen=True)
class Grid:
    """Division of the number line into CELLS cells.

    With `whole` each whole number from -4096 to 4095 around the center has its own cell, (k - 1, k], and the outer
    cells are open. Otherwise a value x lies at t = y / (1 + |y|) for y = (x - center) / width, and the cells divide
    -1 < t < 1 evenly: fine near the center, proportional to the square of the distance from it.

    Attributes:
        center: a value inside the bulk of the reference.
        width: half the range of its bulk, above 0; 1 with `whole`.
        whole: whether cells are whole numbers.
    """

    center: float
    width: float
    whole: bool = False

    def cells_of(self, values: Floats) -> Counts:
        """Return the cell of each finite value, shape (n,), each in [0, CELLS).

        Larger values never get a lower cell than smaller ones, except for values within rounding of an edge.
        """
        buffers = Buffers.of(values.size)
        with np.errstate(over="ignore"):
            return self.fill(values, buffers)

    def fill(self, values: Floats, buffers: "Buffers") -> Counts:
        """Do as `cells_of` in reused buffers, which hold the result until they are used again.

        Call it where numpy does not warn of overflow.
        """
        places, sizes = buffers.places[: values.size], buffers.sizes[: values.size]
        cells = buffers.cells[: values.size]
        np.subtract(values, self.center, out=places)
        if self.whole:
            np.ceil(places, out=places)
            np.clip(places, -_HALF, _HALF - 1, out=places)
        else:
            np.multiply(places, 1 / self.width, out=places)
            np.clip(places, -_FAR, _FAR, out=places)
            np.abs(places, out=sizes)
            np.add(sizes, 1, out=sizes)
            np.divide(places, sizes, out=places)
            np.multiply(places, _HALF * (1 - 1e-12), out=places)
        np.add(places, _HALF, out=places)
        cells[...] = places
        return cells

    def edges(self) -> Floats:
        """Return the inner edges of the cells in ascending order, shape (CELLS - 1,)."""
        if self.whole:
            return np.asarray(self.center + np.arange(1 - _HALF, _HALF) - 1.0, dtype=np.float64)
        t = np.arange(1 - _HALF, _HALF) / _HALF
        return np.asarray(self.center + self.width * (t / (1 - np.abs(t))))


def extent(values: Floats, rows: int) -> Extent:
    """Return the extent of finite values, shape (n,), of a column with `rows` rows in total.

    The share of values that is sampled depends on `rows` only, so that parts of one column can be merged.
    """
    if not values.size:
        return Extent(np.inf, -np.inf, whole=True, sampled=values)
    low, high = float(values.min()), float(values.max())
    return Extent(low, high, whole=_all_whole(values), sampled=values[_hashed(values, rows)])


def merged_extent(first: Extent, second: Extent) -> Extent:
    """Return the extent of both parts of a column."""
    return Extent(
        min(first.low, second.low),
        max(first.high, second.high),
        whole=first.whole and second.whole,
        sampled=np.concatenate([first.sampled, second.sampled]),
    )


def grid_of(found: Extent) -> Grid:
    """Choose the grid for a reference."""
    if found.low > found.high:
        return Grid(0.0, 1.0)
    span = found.high - found.low
    if found.whole and span <= _WHOLE_SPAN and max(abs(found.low), abs(found.high)) < 2.0**52:
        return Grid(float(np.floor((found.low + found.high) / 2)), 1.0, whole=True)
    values = found.sampled if found.sampled.size >= _FEW_SAMPLED else np.linspace(found.low, found.high, 5)
    for levels in _RANGES:
        low, middle, high = (float(value) for value in np.quantile(values, [levels[0], 0.5, levels[1]]))
        if isfinite(high - low) and (high - low) / 2 > abs(middle) * 1e-14:
            return Grid(middle, (high - low) / 2)
    width = span / 2 if isfinite(span) and span / 2 > abs(found.low) * 1e-14 else max(abs(found.low) * 1e-12, 1e-300)
    return Grid(found.low, width)


def _all_whole(values: Floats) -> bool:
    """Whether all values are whole; a few are looked at first, since one that is not suffices."""
    head = values[:16]
    return bool((np.floor(head) == head).all() and (np.floor(values) == values).all())


def _hashed(values: Floats, rows: int) -> NDArray[np.bool_]:
    """Choose about 32,768 of `rows` values by their bits, so that neither order nor division matters."""
    kept_bits = max(0, (rows // _SAMPLED).bit_length() - 1)
    if not kept_bits:
        return np.ones(values.size, dtype=bool)
    mixed = np.ascontiguousarray(values).view(np.uint64) * _MULTIPLIER
    return np.asarray(mixed < np.uint64(1 << (64 - kept_bits)))
