"""Stores a profile as one Parquet file of counts, with a header in JSON; refuses what is damaged."""

import io
from datetime import datetime
from math import inf

import numpy as np
import polars as pl
from polars.exceptions import PanicException, PolarsError
from pydantic import BaseModel, ConfigDict, ValidationError

from perennial.agent.drift.data.records import Skipped
from perennial.agent.drift.data.span import Extent
from perennial.agent.drift.data.window import Window
from perennial.agent.drift.profiles.hour import ColumnProfile, FileMark, HourProfile, Type, Values, polars_type
from perennial.agent.drift.profiles.plan import FORMAT, ColumnPlan
from perennial.agent.records.captured import UnreadableFile
from perennial.agent.tables.table import Table
from perennial.stats.binned import Binned, empty
from perennial.stats.grid import CELLS, Grid
from perennial.stats.samples import Counts

_SCHEMA = pl.Schema(
    {
        "column": pl.UInt32(),
        "cell": pl.Int32(),
        "whole": pl.Int64(),
        "real": pl.Float64(),
        "text": pl.String(),
        "count": pl.Int64(),
    }
)
"""Each row is the number of values in a cell or of a value, by the column's place in the header, which is the text of
the row without a column."""
_FIELD: dict[Type, str] = {"Boolean": "whole", "Int64": "whole", "Float64": "real", "String": "text"}


class Damaged(ValueError):
    """A file that is no complete profile."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class _Numbers(_Part):
    """All of `Binned` but counts and grid; limits are in the order of the plan."""

    size: int
    low: float
    high: float
    mean: float
    squares: float
    missing: int
    infinite: int
    fractional: int
    less: tuple[int, ...]
    greater: tuple[int, ...]


class _Column(_Part):
    name: str
    type: Type
    nulls: int
    numbers: _Numbers | None
    values: int | None


class _Header(_Part):
    format: int
    folder: str
    files: tuple[tuple[str, int, str], ...]
    earliest: datetime | None
    latest: datetime | None
    rows: int
    names: tuple[str, ...]
    requests: int
    skipped: dict[Skipped, int]
    unwanted: tuple[str, ...]
    malformed: dict[str, int]
    unreadable: dict[str, tuple[int, str]]
    lost_rows: int
    unreadable_files: tuple[tuple[str, str], ...]
    columns: tuple[_Column, ...]


def encode(profile: HourProfile) -> bytes:
    """Return the content of a profile's file."""
    columns = list(profile.columns.items())
    parts = [_head(_header(profile).model_dump_json())]
    for place, (_, column) in enumerate(columns):
        if column.binned is not None:
            parts.append(_cells(place, column.binned))
        if column.values is not None and column.type in _FIELD:
            parts.append(_rows(place, _FIELD[column.type], column.values.distinct, column.values.counts))
    buffer = io.BytesIO()
    pl.concat(parts).write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def _head(text: str) -> pl.DataFrame:
    return pl.DataFrame({name: [text if name == "text" else None] for name in _SCHEMA.names()}, schema=_SCHEMA)


def _cells(place: int, binned: Binned) -> pl.DataFrame:
    cells = np.flatnonzero(binned.counts)
    return _rows(place, "cell", pl.Series(cells), binned.counts[cells])


def _rows(place: int, name: str, values: pl.Series, counts: Counts) -> pl.DataFrame:
    """Return rows of one column, whose field `name` has values; the other fields are null."""
    given = {
        "column": pl.repeat(place, values.len(), dtype=pl.UInt32, eager=True),
        name: values.cast(_SCHEMA[name]),
        "count": pl.Series(counts, dtype=pl.Int64),
    }
    nothing = {field: pl.repeat(None, values.len(), dtype=kind, eager=True) for field, kind in _SCHEMA.items()}
    return pl.DataFrame([given.get(field, lacking).alias(field) for field, lacking in nothing.items()])


def _header(profile: HourProfile) -> _Header:
    window = profile.window
    return _Header(
        format=FORMAT,
        folder=profile.folder,
        files=tuple((item.name, item.size, item.etag) for item in profile.files),
        earliest=window.extent.earliest,
        latest=window.extent.latest,
        rows=profile.rows,
        names=profile.names,
        requests=window.requests,
        skipped=window.skipped,
        unwanted=window.unwanted,
        malformed=window.malformed,
        unreadable=window.unreadable,
        lost_rows=window.lost_rows,
        unreadable_files=tuple((item.uri, item.reason) for item in window.unreadable_files),
        columns=tuple(_column(name, column) for name, column in profile.columns.items()),
    )


def _column(name: str, column: ColumnProfile) -> _Column:
    binned = column.binned
    numbers = None
    if binned is not None:
        numbers = _Numbers(
            size=binned.size,
            low=binned.low,
            high=binned.high,
            mean=binned.mean,
            squares=binned.squares,
            missing=binned.missing,
            infinite=binned.infinite,
            fractional=binned.fractional,
            less=tuple(binned.less[limit] for limit in sorted(binned.less)),
            greater=tuple(binned.greater[limit] for limit in sorted(binned.greater)),
        )
    values = None if column.values is None else len(column.values.counts)
    return _Column(name=name, type=column.type, nulls=column.nulls, numbers=numbers, values=values)


def decode(data: bytes, plans: dict[str, ColumnPlan]) -> HourProfile:
    """Read a profile that was made by these plans.

    Raises:
        Damaged: it is incomplete, or its counts do not add up to its rows.
    """
    try:
        frame = pl.read_parquet(io.BytesIO(data))
        if frame.schema != _SCHEMA or not frame.height:
            raise Damaged("other columns")
        header = _Header.model_validate_json(frame["text"][0] or "")
        return _profile(header, frame, plans)
    except (PolarsError, PanicException, OSError, ValidationError, KeyError, IndexError) as error:
        raise Damaged(" ".join(str(error).split())[:200]) from error


def _profile(header: _Header, frame: pl.DataFrame, plans: dict[str, ColumnPlan]) -> HourProfile:
    if header.format != FORMAT:
        raise Damaged(f"format {header.format}")
    columns = {}
    parts = {key[0]: part for key, part in frame.slice(1).partition_by("column", as_dict=True).items()}
    for place, item in enumerate(header.columns):
        rows = parts.get(place, frame.clear())
        plan = plans[item.name]
        binned = None
        if item.numbers is not None and plan.grid is not None:
            binned = _binned(item.numbers, plan.grid, plan.limits, rows.filter(pl.col("cell").is_not_null()))
        values = None if item.values is None else _values(item, rows.filter(pl.col("cell").is_null()))
        whole = binned is None or binned.rows == header.rows
        if not whole or (values is not None and int(values.counts.sum()) + item.nulls != header.rows):
            raise Damaged(f"the counts of column {item.name[:64]} do not add up")
        columns[item.name] = ColumnProfile(item.type, item.nulls, binned, values)
    window = Window(
        Table(()),
        header.requests,
        dict(header.skipped),
        header.unwanted,
        dict(header.malformed),
        dict(header.unreadable),
        lost_rows=header.lost_rows,
        unreadable_files=tuple(UnreadableFile(uri, reason) for uri, reason in header.unreadable_files),
        files=len(header.files),
        extent=Extent(header.earliest, header.latest),
    )
    marks = tuple(FileMark(name, size, etag) for name, size, etag in header.files)
    return HourProfile(header.folder, marks, window, header.rows, header.names, columns)


def _binned(item: _Numbers, grid: Grid, limits: tuple[float, ...], rows: pl.DataFrame) -> Binned:
    cells = rows["cell"].to_numpy()
    if len(limits) != len(item.less) or len(limits) != len(item.greater) or (cells < 0).any() or (cells >= CELLS).any():
        raise Damaged("cells or limits of another plan")
    counts = empty(grid).counts
    counts[cells] = rows["count"].to_numpy()
    if int(counts.sum()) != item.size:
        raise Damaged("counts in cells do not add up")
    return Binned(
        grid=grid,
        counts=counts,
        low=item.low if item.size else inf,
        high=item.high if item.size else -inf,
        mean=item.mean,
        squares=item.squares,
        missing=item.missing,
        infinite=item.infinite,
        fractional=item.fractional,
        less=dict(zip(limits, item.less, strict=True)),
        greater=dict(zip(limits, item.greater, strict=True)),
    )


def _values(item: _Column, rows: pl.DataFrame) -> Values:
    if rows.height != item.values:
        raise Damaged("values are missing")
    if item.type in ("Null", "mixed"):
        return Values(pl.Series([], dtype=pl.Null), np.zeros(0, dtype=np.int64))
    distinct = rows[_FIELD[item.type]].cast(polars_type(item.type))
    if distinct.null_count():
        raise Damaged("values are missing")
    return Values(distinct, rows["count"].to_numpy().astype(np.int64))
