"""Reads the columns of both sides: short ones whole, long columns of numbers as counts in cells, in one pass."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from math import isfinite

import numpy as np
import polars as pl
from polars.exceptions import PanicException, PolarsError

from perennial.agent.drift.columns import IDS, NO_VALUES, ColumnPair, Kind, are_ids, read_pair
from perennial.agent.tables.table import Table
from perennial.stats import binned_methods
from perennial.stats.binned import Binned, count, empty, finite_part, merge
from perennial.stats.display import CATEGORIES
from perennial.stats.grid import Extent, Grid, extent, grid_of, merged_extent
from perennial.stats.samples import Floats

EXACT_ROWS = 100_000
"""Rows up to which both sides are sorted and compared value by value."""
GROUP = 16
"""Columns read at a time. A file's metadata is read once for each group."""
_HELD_BYTES = 256 * 2**20
"""Memory for a group of the reference between the choice of its grids and counting. Longer ones are read twice."""
COARSE = 0.002
"""Error of the largest gap from which a column is sorted instead, if it has at most _SORTED_ROWS rows."""
_SORTED_ROWS = 20_000_000
_ENOUGH = 1000

Pair = ColumnPair | str


@dataclass(frozen=True, eq=False)
class _Values:
    """Values of one column in one batch, without nulls.

    Attributes:
        values: as float64, shape (k,).
        nulls: rows without a value.
    """

    values: Floats
    nulls: int


@dataclass
class _Column:
    """What the first pass over the reference has found of one column."""

    extent: Extent
    repeats: bool
    held: list[_Values] = field(default_factory=list)


def read_pairs(
    names: Sequence[str],
    reference: Table,
    current: Table,
    types: Mapping[str, Kind],
    limits: Mapping[str, Sequence[float]],
) -> Iterator[tuple[str, Pair]]:
    """Yield each column of both sides, or the reason why it cannot be compared, in the order of the names.

    Args:
        names: columns.
        reference: rows of the reference.
        current: rows of the current data.
        types: declared kinds.
        limits: for each column, the numbers beyond which values have to be counted.

    Raises:
        AgentError: DataInvalid, if a file cannot be read.
    """
    long = max(reference.rows, current.rows) > EXACT_ROWS
    for at in range(0, len(names), GROUP):
        group = names[at : at + GROUP]
        counted = [name for name in group if long and _is_counted(name, reference, current, types.get(name))]
        found = _count_pairs(counted, reference, current, types, limits) if counted else {}
        for name in group:
            if name in found:
                yield name, found.pop(name)
            else:
                yield name, _pair_or_reason(name, reference, current, types.get(name))


@dataclass(frozen=True, eq=False)
class Counted:
    """A column of numbers of the reference.

    Attributes:
        binned: its counts.
        suspect: whether its values may be ids: declared as nothing, and without a repeat at a first look.
    """

    binned: Binned
    suspect: bool


def count_reference(
    names: Sequence[str], reference: Table, types: Mapping[str, Kind], limits: Mapping[str, Sequence[float]]
) -> dict[str, Counted]:
    """Choose the grids of columns of numbers by the reference, and count it in them.

    Raises:
        AgentError: DataInvalid, if a file cannot be read.
    """
    columns = _survey(names, reference)
    grids = {name: grid_of(column.extent) for name, column in columns.items()}
    if columns[names[0]].held:
        before = {name: _counted(columns[name].held, grids[name], limits[name]) for name in names}
    else:
        before = count_table(names, reference, grids, limits)
    return {
        name: Counted(before[name], suspect=not column.repeats and types.get(name) is None)
        for name, column in columns.items()
    }


def _pair_or_reason(name: str, reference: Table, current: Table, declared: Kind | None) -> Pair:
    """Read a column; one that polars cannot convert costs this column, not the comparison."""
    try:
        return read_pair(name, reference, current, declared)
    except (PolarsError, PanicException) as error:
        return inconvertible(error)


def inconvertible(error: BaseException) -> str:
    """Say that a column could not be converted, and why."""
    return f"it cannot be converted: {' '.join(str(error).split())[:200]}"


def _is_counted(name: str, reference: Table, current: Table, declared: Kind | None) -> bool:
    return declared != "categorical" and reference.numeric(name) and current.numeric(name)


def _count_pairs(
    names: Sequence[str],
    reference: Table,
    current: Table,
    types: Mapping[str, Kind],
    limits: Mapping[str, Sequence[float]],
) -> dict[str, Pair]:
    """Count columns; one that has to be looked at value by value is left out."""
    before = count_reference(names, reference, types, limits)
    now = count_table(names, current, {name: item.binned.grid for name, item in before.items()}, limits)
    found: dict[str, Pair] = {}
    for name in names:
        first, second = before[name].binned, now[name]
        if not (first.size or second.size):
            found[name] = NO_VALUES
        elif before[name].suspect and are_ids(reference.column(name)) and are_ids(current.column(name)):
            found[name] = IDS
        elif not needs_values(first, second):
            found[name] = ColumnPair("numeric", first, second)
    return found


def _survey(names: Sequence[str], table: Table) -> dict[str, _Column]:
    """Read the reference once for the choice of the grids, and hold its values if they are few enough."""
    nothing = np.empty(0, dtype=np.float64)
    columns = {name: _Column(extent(nothing, table.rows), repeats=False) for name in names}
    holds = table.rows * len(names) * nothing.itemsize <= _HELD_BYTES
    for batch in table.batches(names):
        for name, column in columns.items():
            part = _values(batch[name])
            kept, _, _ = finite_part(part.values)
            column.extent = merged_extent(column.extent, extent(kept, table.rows))
            column.repeats = column.repeats or _has_repeats(kept)
            if holds:
                column.held.append(part)
    return columns


def _has_repeats(values: Floats) -> bool:
    """Whether values are no ids by a look at one batch: one repeats, or is not whole."""
    if values.size < _ENOUGH:
        return False
    head = values[:_ENOUGH]
    return bool((np.floor(head) != head).any()) or bool(np.unique(values).size < values.size)


def count_table(
    names: Sequence[str], table: Table, grids: Mapping[str, Grid], limits: Mapping[str, Sequence[float]]
) -> dict[str, Binned]:
    """Count columns of numbers in the cells of their grids, in one pass over the rows."""
    counted = {name: empty(grids[name], limits[name]) for name in names}
    for batch in table.batches(names):
        for name in names:
            part = _counted([_values(batch[name])], grids[name], limits[name])
            counted[name] = merge(counted[name], part)
    return counted


def _counted(parts: Sequence[_Values], grid: Grid, limits: Sequence[float]) -> Binned:
    nulls = empty(grid, limits, missing=sum(part.nulls for part in parts))
    return reduce(merge, (count(part.values, grid, limits) for part in parts), nulls)


def _values(series: pl.Series) -> _Values:
    nulls = series.null_count()
    kept = series.drop_nulls() if nulls else series
    return _Values((kept if kept.dtype == pl.Float64 else kept.cast(pl.Float64)).to_numpy(), nulls)


def needs_values(reference: Binned, current: Binned) -> bool:
    """Whether counts in cells do not suffice: few distinct values, too many in one cell, or sums that overflow."""
    if not (reference.size and current.size):
        return True
    if not all(isfinite(total) for side in (reference, current) for total in (side.mean, side.squares)):
        return True
    exact = reference.exact and current.exact
    if binned_methods.union_size(reference, current) <= CATEGORIES and not exact:
        return True
    coarse = binned_methods.error(reference, current) > COARSE
    return coarse and max(reference.rows, current.rows) <= _SORTED_ROWS
