"""Tables in Parquet partitions on disk, read one column at a time to bound memory.

`data.files` and `data.window` write partitions; `columns` reads them.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.selectors import by_name

from perennial.agent.storage.errors import AgentError
from perennial.agent.tables.scalars import MAX_TEXT, scalar_text
from perennial.core.failures import DATA_INVALID, OUT_OF_SPACE
from perennial.stats.text import number_text

Scalar = float | int | bool | str | None
ROWS_PER_PARTITION = 65_536
ROWS_PER_BATCH = 65_536
_VALUES_PER_PARTITION = 2**23
"""Values that are held before they are written, at about 32 bytes each: wide rows make small partitions."""
_DISK_FULL = re.compile(r"\(os error (27|28|122)\)")
"""EFBIG, ENOSPC and EDQUOT, which polars reports in its message only."""
_EXACT_FLOATS = 2.0**53
"""From this size on, neighbouring whole numbers are equal as float64."""
_MAX_INT64 = 2**63


@dataclass(frozen=True)
class Partition:
    """One Parquet file on disk; `origin` is the URI that errors name."""

    path: Path
    origin: str
    schema: Mapping[str, pl.DataType]
    rows: int


@dataclass(frozen=True)
class Table:
    """Rows of one side, in partitions that may differ in columns and types.

    Attributes:
        partitions: files on disk.
        passed_over: names of the files beside them in storage that were not read.
        hidden: replaces the values of a column, given its name, whenever they are read; the schema of the partitions
            has the types that it returns. Identifiers that join rows are not replaced here.
    """

    partitions: tuple[Partition, ...]
    passed_over: tuple[str, ...] = ()
    hidden: Callable[[str, pl.Series], pl.Series] | None = None

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

    def numeric(self, name: str) -> bool:
        """Whether a column has numbers, in every partition that has it and any values of it."""
        kinds = [partition.schema[name] for partition in self.partitions if name in partition.schema]
        known = [kind for kind in kinds if kind != pl.Null]
        return bool(known) and all(kind.is_numeric() for kind in known)

    def batches(self, names: Sequence[str], *, rows: int = ROWS_PER_BATCH) -> Iterator[Mapping[str, pl.Series]]:
        """Yield some columns in parts of `rows` rows or about that, in any order; null in partitions that lack one.

        Raises:
            AgentError: DataInvalid, naming a file that cannot be read.
        """
        for partition in self.partitions:
            present = [name for name in names if name in partition.schema]
            if not present:
                yield {name: pl.repeat(None, partition.rows, dtype=pl.Null, eager=True) for name in names}
                continue
            scan = pl.scan_parquet(partition.path, glob=False).select(by_name(*present))
            try:
                for frame in scan.collect_batches(chunk_size=rows, maintain_order=False):
                    lacking = pl.repeat(None, frame.height, dtype=pl.Null, eager=True)
                    yield {name: self._shown(frame.get_column(name)) if name in present else lacking for name in names}
            except (pl.exceptions.PolarsError, OSError) as error:
                raise unreadable(partition.origin, error) from error

    def column(self, name: str) -> pl.Series:
        """Return all values of a column; null in partitions that lack it.

        Different types are cast to a common one: numbers become text if any partition has text.

        Raises:
            AgentError: DataInvalid, naming a file that cannot be read.
        """
        pieces = [self._shown(_piece(partition, name)) for partition in self.partitions]
        return _joined(name, _alike(pieces))

    def at(self, name: str, rows: NDArray[np.int64]) -> pl.Series:
        """Return the values of a column in some rows, whose numbers are in ascending order; as `column` otherwise."""
        pieces, first = [], 0
        for partition in self.partitions:
            inside = rows[np.searchsorted(rows, first) : np.searchsorted(rows, first + partition.rows)] - first
            first += partition.rows
            if inside.size:
                pieces.append(self._shown(_piece(partition, name).gather(inside)))
        return _joined(name, _alike(pieces))

    def _shown(self, series: pl.Series) -> pl.Series:
        return series if self.hidden is None else self.hidden(series.name, series)

    def ids(self, name: str) -> pl.Series:
        """Return a column of identifiers as text, as `ids_of` converts them; null in partitions that lack it.

        Raises:
            AgentError: DataInvalid, naming a file that cannot be read.
        """
        return _joined(name, [ids_of(_piece(partition, name)) for partition in self.partitions])


class PartitionWriter:
    """Buffers rows and writes them to partitions of bounded size.

    Args:
        folder: an empty folder for the partitions.
        origin: URI that errors name.
        ids: columns whose texts are not truncated, since truncated ids may become equal.
    """

    def __init__(self, folder: Path, origin: str, ids: Collection[str] = ()) -> None:
        self._folder = folder
        self._origin = origin
        self._ids = ids
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
        if self._rows >= ROWS_PER_PARTITION or self._rows * len(self._values) >= _VALUES_PER_PARTITION:
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
        frame = pl.DataFrame([self._series(name, held) for name, held in padded.items()])
        path = self._folder / f"rows-{len(self._partitions):06}.parquet"
        try:
            frame.write_parquet(path, compression="lz4")
        except pl.exceptions.PolarsError as error:
            raise unreadable(self._origin, error) from error
        self._partitions.append(Partition(path, self._origin, frame.schema, rows))

    def _series(self, name: str, values: Sequence[Scalar]) -> pl.Series:
        if name in self._ids:
            return pl.Series(name, [id_text(value) for value in values], dtype=pl.String)
        return series_of(name, values)


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
    """Convert JSON scalars to a series: Boolean, Int64, Float64 or String, the first that holds all values."""
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pl.Series(name, [None] * len(values), dtype=pl.Null)
    if kinds == {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    if kinds == {int} and _fit_int64([value for value in values if value is not None]):
        return pl.Series(name, values, dtype=pl.Int64)
    if kinds == {float}:
        return pl.Series(name, values, dtype=pl.Float64)
    if str not in kinds:
        return pl.Series(name, [_number(value) for value in values], dtype=pl.Float64)
    return pl.Series(name, [_text(value) for value in values], dtype=pl.String)


def as_text(series: pl.Series) -> pl.Series:
    """Convert values to categories. Whole numbers have no decimal point, so that 1 and 1.0 are one category.

    Values longer than MAX_TEXT are truncated. Lists and records become null; bytes are UTF-8, otherwise hexadecimal.
    """
    return _exact_text(series.alias("")).str.slice(0, MAX_TEXT).alias(series.name)


def ids_of(series: pl.Series) -> pl.Series:
    """Convert identifiers to text, with every digit and character.

    Floating-point numbers from 2^53 become null: they have lost digits, so that different ids may have become equal.
    """
    values = series.alias("")
    texts = _exact_text(values)
    if values.dtype.is_float():
        exact = (values.abs() < _EXACT_FLOATS).fill_null(value=False)
        texts = texts.zip_with(exact, pl.repeat(None, values.len(), dtype=pl.String, eager=True))
    return texts.alias(series.name)


def id_text(value: Scalar) -> str | None:
    """Convert one JSON scalar to the identifier that `ids_of` gives for it."""
    if isinstance(value, float):
        return number_text(value) if abs(value) < _EXACT_FLOATS else None
    return clean_text(value) if isinstance(value, str) else _text(value)


def clean_text(value: str) -> str:
    """Replace lone surrogates, which JSON can contain but UTF-8 cannot."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def unreadable(origin: str, error: Exception) -> AgentError:
    """Build the error of a file that cannot be read, or of a full disk."""
    reason = " ".join(str(error).split())[:200]
    if _DISK_FULL.search(reason):
        return AgentError(OUT_OF_SPACE, f"disk full while writing the rows of {origin}: {reason}")
    return AgentError(DATA_INVALID, f"{origin} cannot be read: {reason}")


def _exact_text(series: pl.Series) -> pl.Series:
    """Convert a series without a name: polars reads some names, such as *, as patterns."""
    if series.dtype.is_nested():
        return pl.repeat(None, series.len(), dtype=pl.String, eager=True).alias(series.name)
    if series.dtype == pl.Binary:
        return _bytes_as_text(series)
    if series.dtype == pl.Duration:
        return series.dt.total_microseconds().cast(pl.String)
    if series.dtype.is_decimal():
        return series.cast(pl.String).str.replace(r"(\.\d*?)0+$", "$1").str.strip_suffix(".")
    if series.dtype.is_float():
        whole = series.is_finite() & (series == series.round()) & (series.abs() < _EXACT_FLOATS)
        texts = series.cast(pl.Int64, strict=False).cast(pl.String)
        return texts.zip_with(whole.fill_null(value=False), series.cast(pl.Float64).fill_nan(None).cast(pl.String))
    return series.cast(pl.String)


def _bytes_as_text(series: pl.Series) -> pl.Series:
    try:
        return series.cast(pl.String)
    except pl.exceptions.PolarsError:
        return series.bin.encode("hex")


def _alike(pieces: list[pl.Series]) -> list[pl.Series]:
    """Cast pieces of different types to a common one: numbers become text if any piece has text."""
    known = {piece.dtype for piece in pieces if piece.dtype != pl.Null}
    if len(known) <= 1:
        return pieces
    numbers = all(dtype.is_numeric() or dtype == pl.Boolean for dtype in known)
    return [piece.cast(pl.Float64) if numbers else as_text(piece) for piece in pieces]


def _joined(name: str, pieces: Sequence[pl.Series]) -> pl.Series:
    if not pieces:
        return pl.Series(name, [], dtype=pl.Null)
    return pl.concat([piece.to_frame() for piece in pieces], how="vertical_relaxed").to_series()


def _piece(partition: Partition, name: str) -> pl.Series:
    if name not in partition.schema:
        return pl.repeat(None, partition.rows, dtype=pl.Null, eager=True).alias(name)
    try:
        return pl.scan_parquet(partition.path, glob=False).select(by_name(name)).collect().to_series()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(partition.origin, error) from error


def _fit_int64(values: Sequence[Any]) -> bool:
    return bool(min(values) >= -_MAX_INT64 and max(values) < _MAX_INT64)


def _number(value: Scalar) -> float | None:
    try:
        return None if value is None else float(value)
    except (OverflowError, ValueError):
        return None


def _text(value: Scalar) -> str | None:
    text = scalar_text(value)
    return None if text is None else clean_text(text)
