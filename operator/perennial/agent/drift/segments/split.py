"""Counts the values of a column, and writes the rows of some of them to tables of their own."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from perennial.agent.drift.segments.plan import Counts
from perennial.agent.tables.table import ROWS_PER_BATCH, Partition, Table, as_text, unreadable

MOST_VALUES = 100_000
"""Distinct values from which a column does not divide the data: ids, times, amounts."""
_HELD_BYTES = 256 * 2**20
"""Memory for rows that wait to be written."""
_CELLS_PER_BATCH = 2**24
_LEAST_BATCH = 1024

Schema = tuple[tuple[str, pl.DataType], ...]


def texts_of(series: pl.Series, *, lower: bool = False) -> pl.Series:
    """Return the values of a column as the names of segments; `lower`: the other side has booleans, True is true."""
    texts = as_text(series)
    return texts.str.to_lowercase() if lower else texts


def count_values(columns: Iterable[pl.Series], *, lower: bool = False) -> Counts | None:
    """Count the rows of each value in the parts of a column; None from MOST_VALUES distinct values."""
    counted = pl.DataFrame(schema={"value": pl.String, "rows": pl.Int64})
    missing = 0
    for series in columns:
        texts = texts_of(series, lower=lower)
        missing += texts.null_count()
        part = texts.drop_nulls().rename("value").value_counts(name="rows").cast({"rows": pl.Int64})
        counted = pl.concat([counted, part]).group_by("value").agg(pl.col("rows").sum())
        if counted.height > MOST_VALUES:
            return None
    return Counts(dict(zip(counted["value"].to_list(), counted["rows"].to_list(), strict=True)), missing)


def split_table(
    table: Table, column: str, values: Sequence[str], folder: Path, *, names: Sequence[str], lower: bool = False
) -> dict[str, Table]:
    """Write the rows of each value to partitions of their own, in one pass and with bounded memory.

    Args:
        table: the rows.
        column: the column that divides them.
        values: values whose rows are wanted; others are dropped.
        folder: an empty folder for the partitions.
        names: columns to keep.
        lower: as `texts_of`.

    Returns:
        A table for each value; without partitions if it has no rows.

    Raises:
        AgentError: DataInvalid, if a file cannot be read; OutOfSpace.
    """
    writer = _Writer(folder, table.partitions[0].origin if table.partitions else "")
    kept = list(dict.fromkeys((*names, column)))
    rows = max(_LEAST_BATCH, min(ROWS_PER_BATCH, _CELLS_PER_BATCH // len(kept)))
    for batch in table.batches(kept, rows=rows):
        texts = texts_of(batch[column], lower=lower)
        present = set(texts.unique().to_list())
        frame = pl.DataFrame([series.alias(name) for name, series in batch.items()])
        for value in values:
            if value in present:
                writer.add(value, frame.filter(texts == value))
    written = writer.finish()
    return {value: Table(tuple(written.get(value, ()))) for value in values}


class _Writer:
    """Buffers the rows of each value and writes the largest buffers whenever they exceed the memory for them."""

    def __init__(self, folder: Path, origin: str) -> None:
        self._folder = folder
        self._origin = origin
        self._held: dict[tuple[str, Schema], list[pl.DataFrame]] = defaultdict(list)
        self._bytes: dict[tuple[str, Schema], int] = defaultdict(int)
        self._written: dict[str, list[Partition]] = defaultdict(list)
        self._files = 0

    def add(self, value: str, frame: pl.DataFrame) -> None:
        """Append rows. Files of one table may differ in their types, which one partition cannot hold."""
        key = (value, tuple(frame.schema.items()))
        self._held[key].append(frame)
        self._bytes[key] += int(frame.estimated_size())
        if sum(self._bytes.values()) > _HELD_BYTES:
            for largest in sorted(self._bytes, key=self._bytes.__getitem__, reverse=True):
                self._write(largest)
                if sum(self._bytes.values()) < _HELD_BYTES // 2:
                    break

    def finish(self) -> Mapping[str, list[Partition]]:
        """Write the remaining rows and return the partitions of each value."""
        for key in list(self._held):
            self._write(key)
        return self._written

    def _write(self, key: tuple[str, Schema]) -> None:
        frame = pl.concat(self._held.pop(key))
        del self._bytes[key]
        path = self._folder / f"rows-{self._files:06}.parquet"
        self._files += 1
        try:
            frame.write_parquet(path, compression="lz4")
        except (PolarsError, OSError) as error:
            raise unreadable(self._origin, error) from error
        self._written[key[0]].append(Partition(path, self._origin, frame.schema, frame.height))
