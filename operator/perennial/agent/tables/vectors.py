"""Lists of numbers in tables: in one column as lists, or spread over columns `name.0`, `name.1`, ...."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from perennial.agent.tables.table import Scalar, Table, as_text
from perennial.stats.samples import Counts, Floats

LONGEST = 4096
"""Most numbers of one list; a longer one counts as none."""
_ROWS = 2048
"""Rows that are turned into numbers together, at most 64 MiB."""


@dataclass(frozen=True, eq=False)
class Vectors:
    """Lists of numbers of some rows.

    Attributes:
        lengths: numbers of each row, 0 if it has none, shape (n,).
        values: the numbers of all rows, one row after the other, NaN if missing, shape (sum of lengths,).
    """

    lengths: Counts
    values: Floats

    def where(self, kept: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> "Vectors":
        """Return some of the rows."""
        return Vectors(self.lengths[kept], self.values[np.repeat(kept, self.lengths)])


@dataclass(frozen=True)
class Place:
    """Where a table may have the lists of one name.

    Attributes:
        name: column of lists.
        separators: what stands between the name and the number of a column that has one number of each list.
    """

    name: str
    separators: tuple[str, ...] = (".",)

    @property
    def columns(self) -> frozenset[str]:
        """Every column that may belong to it."""
        parts = (f"{self.name}{separator}{at}" for separator in self.separators for at in range(LONGEST))
        return frozenset((self.name, *parts))

    def parts(self, columns: Collection[str]) -> tuple[str, ...]:
        """Return the columns that hold the first, second, ... number of each list; none if there is no first one."""
        for separator in self.separators:
            names = tuple(f"{self.name}{separator}{at}" for at in range(LONGEST))
            if names[0] in columns:
                last = max(at for at, name in enumerate(names) if name in columns)
                return names[: last + 1]
        return ()


def place_of(name: str, reference: Table) -> Place:
    """Return where lists of a name may be found; columns `name_0`, ... count if the reference has them alone."""
    first = f"{name}.0" in reference.columns
    return Place(
        name, (".", "_") if f"{name}_0" in reference.columns and not (first or has_lists(name, reference)) else (".",)
    )


def has_lists(name: str, table: Table) -> bool:
    """Whether a column holds lists in any partition."""
    kinds = (partition.schema.get(name) for partition in table.partitions)
    return any(isinstance(kind, pl.List | pl.Array) for kind in kinds)


def is_in(place: Place, table: Table) -> bool:
    """Whether a table has columns for these lists."""
    return has_lists(place.name, table) or bool(place.parts(set(table.columns)))


def vectors(place: Place, table: Table) -> Iterator[Vectors]:
    """Yield the lists of all rows in parts, in any order; a row may have its list in either form.

    Raises:
        AgentError: DataInvalid, naming a file that cannot be read.
    """
    lists = [place.name] if has_lists(place.name, table) else []
    parts = place.parts(set(table.columns))
    if not (lists or parts):
        yield Vectors(np.zeros(table.rows, dtype=np.int64), np.empty(0))
        return
    for batch in table.batches([*lists, *parts], rows=_ROWS):
        found = [_of_lists(batch[name]) for name in lists] + ([_of_columns(batch, parts)] if parts else [])
        yield found[0] if len(found) == 1 else _first_of(*found)


def spread(name: str, cells: Sequence[object]) -> Mapping[str, Sequence[Scalar]]:
    """Return a column for each number of the lists in some rows; empty for rows without a list of scalars."""
    lists = [_scalars(cell) for cell in cells]
    width = max(map(len, lists), default=0)
    return {f"{name}.{at}": [row[at] if at < len(row) else None for row in lists] for at in range(width)}


def _scalars(cell: object) -> Sequence[Scalar]:
    if not isinstance(cell, list) or len(cell) > LONGEST:
        return ()
    return cell if all(value is None or isinstance(value, bool | int | float | str) for value in cell) else ()


def _first_of(first: Vectors, second: Vectors) -> Vectors:
    """Return the lists of `first`, and of `second` for rows that have none there; rows change their order."""
    has = first.lengths > 0
    before, after = first.where(has), second.where(~has)
    return Vectors(
        np.concatenate([before.lengths, after.lengths]),
        np.concatenate([before.values, after.values]),
    )


def _of_lists(series: pl.Series) -> Vectors:
    kind = series.dtype
    if not isinstance(kind, pl.List | pl.Array) or kind.inner.is_nested():
        return Vectors(np.zeros(series.len(), dtype=np.int64), np.empty(0))
    unnamed = series.alias("")
    lists = (unnamed.arr.to_list() if isinstance(kind, pl.Array) else unnamed).cast(pl.List(pl.Float64), strict=False)
    lengths = lists.list.len().fill_null(0)
    usable = (lengths > 0) & (lengths <= LONGEST)
    values = lists.filter(usable).explode().cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return Vectors(np.where(usable.to_numpy(), lengths.to_numpy(), 0).astype(np.int64), values)


def _of_columns(batch: Mapping[str, pl.Series], names: Sequence[str]) -> Vectors:
    """Return lists of which each column has one number; those behind the last number of a row are no part of its."""
    matrix = np.column_stack([_numbers(batch[name]) for name in names])
    known = ~np.isnan(matrix)
    lengths = np.where(known.any(axis=1), len(names) - np.argmax(known[:, ::-1], axis=1), 0)
    return Vectors(lengths.astype(np.int64), matrix[np.arange(len(names)) < lengths[:, np.newaxis]])


def _numbers(series: pl.Series) -> Floats:
    texts = series if series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null) else as_text(series)
    return texts.alias("").cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
