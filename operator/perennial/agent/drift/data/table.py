"""Rows on disk, read one column at a time: memory grows with one column, not with the table.

`data` turns files into parts, `drift_window` turns captured requests into parts; `drift_columns` reads them.
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
ROWS_PER_PART = 65_536
_NO_ROOM = re.compile(r"\(os error (27|28|122)\)")
"""File too large, no space left, quota exceeded: polars tells of them only in its message."""
MAX_TEXT = 256
"""Longer texts are cut: a category's name is shown in reports, and a body of text is no category."""


@dataclass(frozen=True)
class Part:
    """One Parquet file on disk, and the object that it came from."""

    path: Path
    origin: str
    schema: Mapping[str, pl.DataType]
    rows: int


@dataclass(frozen=True)
class Table:
    """The rows of one side, in files on disk."""

    parts: tuple[Part, ...]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(part.rows for part in self.parts)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that any part has, in the order in which they are met."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.schema))

    def nested(self, name: str) -> bool:
        """Tell whether a column holds lists or records in some part."""
        return any(name in part.schema and part.schema[name].is_nested() for part in self.parts)

    def column(self, name: str) -> pl.Series:
        """Return all values of a column; rows of parts that lack it are null.

        Parts that disagree on the type are brought to a common one: numbers beside text become text.

        Raises:
            AgentError: DataInvalid, when a file cannot be read; it is named.
        """
        pieces = [_piece(part, name) for part in self.parts]
        if not pieces:
            return pl.Series(name, [], dtype=pl.Null)
        known = {piece.dtype for piece in pieces if piece.dtype != pl.Null}
        if len(known) > 1:
            numbers = all(dtype.is_numeric() or dtype == pl.Boolean for dtype in known)
            pieces = [piece.cast(pl.Float64) if numbers else as_text(piece) for piece in pieces]
        return pl.concat([piece.to_frame() for piece in pieces], how="vertical_relaxed").to_series()


class PartWriter:
    """Gathers rows in memory and writes them out as parts, so that memory stays bounded."""

    def __init__(self, folder: Path, origin: str) -> None:
        self._folder = folder
        self._origin = origin
        self._values: dict[str, list[Scalar]] = {}
        self._rows = 0
        self._parts: list[Part] = []

    def add(self, columns: Mapping[str, Sequence[Scalar]], rows: int) -> None:
        """Add rows: as many values for each column. Columns that are not named are null in these rows."""
        for name, values in columns.items():
            held = self._values.setdefault(name, [])
            held.extend([None] * (self._rows - len(held)))
            held.extend(values)
        self._rows += rows
        if self._rows >= ROWS_PER_PART:
            self._write()

    def finish(self) -> Table:
        """Write what is left and return all rows."""
        if self._rows:
            self._write()
        return Table(tuple(self._parts))

    def _write(self) -> None:
        rows, values = self._rows, self._values
        self._rows, self._values = 0, {}
        padded = {name: [*held, *([None] * (rows - len(held)))] for name, held in values.items()}
        frame = pl.DataFrame([series_of(name, held) for name, held in padded.items()])
        path = self._folder / f"rows-{len(self._parts):06}.parquet"
        try:
            frame.write_parquet(path, compression="lz4")
        except pl.exceptions.PolarsError as error:
            raise unreadable(self._origin, error) from error
        self._parts.append(Part(path, self._origin, frame.schema, rows))


def part_of(path: Path, origin: str) -> Part:
    """Return a Parquet file as a part.

    Raises:
        AgentError: DataInvalid, when it cannot be read.
    """
    try:
        scan = pl.scan_parquet(path, glob=False)
        return Part(path, origin, scan.collect_schema(), int(scan.select(pl.len()).collect().item()))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(origin, error) from error


def series_of(name: str, values: Sequence[Scalar]) -> pl.Series:
    """Return JSON scalars as a series: booleans, else numbers as Float64, else everything as text."""
    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return pl.Series(name, [None] * len(values), dtype=pl.Null)
    if kinds == {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    if str not in kinds:
        return pl.Series(name, [_number(value) for value in values], dtype=pl.Float64)
    return pl.Series(name, [_text(value) for value in values], dtype=pl.String)


def as_text(series: pl.Series) -> pl.Series:
    """Return the values as texts: whole numbers without a point, so that 1 and 1.0 are the same category."""
    if series.dtype.is_float() or series.dtype.is_decimal():
        numbers = series.cast(pl.Float64)
        whole = numbers.is_finite() & (numbers == numbers.round()) & (numbers.abs() < 2.0**53)
        texts = numbers.cast(pl.Int64, strict=False).cast(pl.String)
        return texts.zip_with(whole.fill_null(value=False), numbers.fill_nan(None).cast(pl.String))
    return series.cast(pl.String).str.slice(0, MAX_TEXT)


def unreadable(origin: str, error: Exception) -> AgentError:
    """Return the failure of a file that cannot be read, with the reason in one line; or of a disk that is full."""
    reason = " ".join(str(error).split())[:200]
    if _NO_ROOM.search(reason):
        return AgentError(OUT_OF_SPACE, f"no room left for the rows of {origin}: {reason}")
    return AgentError(DATA_INVALID, f"{origin} cannot be read: {reason}")


def _piece(part: Part, name: str) -> pl.Series:
    if name not in part.schema:
        return pl.repeat(None, part.rows, dtype=pl.Null, eager=True).alias(name)
    try:
        return pl.scan_parquet(part.path, glob=False).select(pl.col(name)).collect().to_series()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(part.origin, error) from error


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
