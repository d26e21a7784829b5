"""Tables in Parquet partitions on disk, read one column at a time to bound memory.

`data.files` and `data.window` write partitions; `columns` reads them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from perennial.agent.storage.errors import AgentError
from perennial.core.failures import DATA_INVALID, OUT_OF_SPACE
from perennial.stats.samples import number_text

Scalar = float | int | bool | str | None
ROWS_PER_PARTITION = 65_536
_DISK_FULL = re.compile(r"\(os error (27|28|122)\)")
"""EFBIG, ENOSPC and EDQUOT, which polars reports in its message only."""
MAX_TEXT = 256
"""Maximum length of a category, which is shown in reports; longer strings are truncated."""


@dataclass(frozen=True)
class Partition:
    """One Parquet file on disk; `origin` is the URI that errors name."""

    path: Path
    origin: str
    schema: Mapping[str, pl.DataType]
    rows: int


@dataclass(frozen=True)
class Table:
    """Rows of one side, in partitions that may differ in columns and types."""

    partitions: tuple[Partition, ...]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(partition.rows for partition in self.partitions)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of all partitions, in order of first occurrence."""
        return tuple(dict.fromkeys(name for partition in self.partitions for name in partition.schema))

    def nested(self, name: str) -> bool:
        """Whether a column has lists or records in any partition."""
        return any(name in partition.schema and partition.schema[name].is_nested() for partition in self.partitions)

    def column(self, name: str) -> pl.Series:
        """Return all values of a column; null in partitions that lack it.

        Different types are cast to a common one: numbers become text if any partition has text.

        Raises:
            AgentError: DataInvalid, naming a file that cannot be read.
        """
        pieces = [_piece(partition, name) for partition in self.partitions]
        if not pieces:
            return pl.Series(name, [], dtype=pl.Null)
        known = {piece.dtype for piece in pieces if piece.dtype != pl.Null}
        if len(known) > 1:
            numbers = all(dtype.is_numeric() or dtype == pl.Boolean for dtype in known)
            pieces = [piece.cast(pl.Float64) if numbers else as_text(piece) for piece in pieces]
        return pl.concat([piece.to_frame() for piece in pieces], how="vertical_relaxed").to_series()


class PartitionWriter:
    """Buffers rows and writes them to partitions of bounded size."""

    def __init__(self, folder: Path, origin: str) -> None:
        self._folder = folder
        self._origin = origin
        self._values: dict[str, list[Scalar]] = {}
        self._rows = 0
        self._partitions: list[Partition] = []

    def add(self, columns: Mapping[str, Sequence[Scalar]], rows: int) -> None:
        """Append rows. Each column has `rows` values; columns not given are null."""
        for name, values in columns.items():
            held = self._values.setdefault(name, [])
            held.extend([None] * (self._rows - len(held)))
            held.extend(values)
        self._rows += rows
        if self._rows >= ROWS_PER_PARTITION:
            self._write()

    def finish(self) -> Table:
        """Write the remaining rows and return the table."""
        if self._rows:
            self._write()
        return Table(tuple(self._partitions))

    def _write(self) -> None:
        rows, values = self._rows, self._values
        self._rows, self._values = 0, {}
        padded = {name: [*held, *([None] * (rows - len(held)))] for name, held in values.items()}
        frame = pl.DataFrame([series_of(name, held) for name, held in padded.items()])
        path = self._folder / f"rows-{len(self._partitions):06}.parquet"
        try:
            frame.write_parquet(path, compression="lz4")
        except pl.exceptions.PolarsError as error:
            raise unreadable(self._origin, error) from error
        self._partitions.append(Partition(path, self._origin, frame.schema, rows))


def partition_of(path: Path, origin: str) -> Partition:
    """Open a Parquet file as a partition.

    Raises:
        AgentError: DataInvalid, if it cannot be read.
    """
    try:
        scan = pl.scan_parquet(path, glob=False)
        return Partition(path, origin, scan.collect_schema(), int(scan.select(pl.len()).collect().item()))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(origin, error) from error


def series_of(name: str, values: Sequence[Scalar]) -> pl.Series:
    """Convert JSON scalars to a series: Boolean, Float64 or String, the first that fits all values."""
    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return pl.Series(name, [None] * len(values), dtype=pl.Null)
    if kinds == {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    if str not in kinds:
        return pl.Series(name, [_number(value) for value in values], dtype=pl.Float64)
    return pl.Series(name, [_text(value) for value in values], dtype=pl.String)


def as_text(series: pl.Series) -> pl.Series:
    """Convert values to strings. Whole numbers have no decimal point, so that 1 and 1.0 are one category."""
    if series.dtype.is_float() or series.dtype.is_decimal():
        numbers = series.cast(pl.Float64)
        whole = numbers.is_finite() & (numbers == numbers.round()) & (numbers.abs() < 2.0**53)
        texts = numbers.cast(pl.Int64, strict=False).cast(pl.String)
        return texts.zip_with(whole.fill_null(value=False), numbers.fill_nan(None).cast(pl.String))
    return series.cast(pl.String).str.slice(0, MAX_TEXT)


def unreadable(origin: str, error: Exception) -> AgentError:
    """Build the error of a file that cannot be read, or of a full disk."""
    reason = " ".join(str(error).split())[:200]
    if _DISK_FULL.search(reason):
        return AgentError(OUT_OF_SPACE, f"disk full while writing the rows of {origin}: {reason}")
    return AgentError(DATA_INVALID, f"{origin} cannot be read: {reason}")


def _piece(partition: Partition, name: str) -> pl.Series:
    if name not in partition.schema:
        return pl.repeat(None, partition.rows, dtype=pl.Null, eager=True).alias(name)
    try:
        return pl.scan_parquet(partition.path, glob=False).select(pl.col(name)).collect().to_series()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(partition.origin, error) from error


def _number(value: Scalar) -> float | None:
    try:
        return None if value is None else float(value)
    except (OverflowError, ValueError):
        return None


def _text(value: Scalar) -> str | None:
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case str():
            return value[:MAX_TEXT]
        case _:
            number = _number(value)
            return None if number is None else number_text(number) if number == number else None  # noqa: PLR0124
