"""Captured records as Parquet. Imported only for this format, since polars needs memory."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

_BODIES = ("request", "response")
"""Stored as JSON text: their structure differs from row to row."""
_SCHEMA: dict[str, Any] = {
    "time": pl.Datetime("ms", "UTC"),
    "id": pl.String,
    "requestId": pl.String,
    "namespace": pl.String,
    "deployment": pl.String,
    "revision": pl.String,
    "digest": pl.String,
    "method": pl.String,
    "path": pl.String,
    "status": pl.Int32,
    "latencyMs": pl.Float64,
    "request": pl.String,
    "response": pl.String,
    "requestTruncated": pl.Boolean,
    "responseTruncated": pl.Boolean,
    "hidden": pl.Boolean,
}
_TYPED = ("time", *_BODIES)
_OPTIONAL = frozenset({"requestId", "hidden"})
"""Columns that files of earlier versions lack."""
_OF_REQUESTS = ("time", "digest", "status", "request", "requestTruncated")
_HELD_BYTES = 32 * 2**20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMES = (-62_135_596_800_000, 253_402_300_799_999)
"""Milliseconds from 1970 to the years 1 and 9999."""
_ROWS = 512
"""Rows read at a time, to bound memory."""
_CHUNK = 16
"""Rows converted at a time; meanwhile no other thread runs."""


def encoded(lines: Sequence[bytes], yield_control: Callable[[], None] = lambda: None) -> bytes:
    """Encode records from `exchange.line`; `yield_control` is called between chunks."""
    chunks = (lines[at : at + _CHUNK] for at in range(0, max(1, len(lines)), _CHUNK))
    frame = pl.concat([_chunk(chunk, yield_control) for chunk in chunks])
    times = frame.with_columns(
        pl.col("time").str.to_datetime("%Y-%m-%dT%H:%M:%S%.3fZ", time_unit="ms", time_zone="UTC")
    )
    buffer = BytesIO()
    times.write_parquet(buffer, compression="zstd", statistics=True)
    return buffer.getvalue()


def _chunk(lines: Sequence[bytes], yield_control: Callable[[], None]) -> pl.DataFrame:
    yield_control()
    rows = [_row(json.loads(line)) for line in lines]
    return pl.DataFrame(rows, schema={**_SCHEMA, "time": pl.String}, orient="row")


def _row(record: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(_cell(record, name) for name in _SCHEMA)


def _cell(record: dict[str, Any], name: str) -> Any:
    value = record.get(name)
    if name in _BODIES:
        return None if value is None else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return bool(value) if _SCHEMA[name] == pl.Boolean else value


def parquet_lines(path: Path) -> Iterator[bytes]:
    """Yield the records of a Parquet file as JSON lines.

    Raises:
        polars.exceptions.PolarsError: it is not a valid file of captured records.
    """
    for document in parquet_documents(path):
        yield json.dumps(document, ensure_ascii=False).encode()


def parquet_documents(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a Parquet file as decoded JSON; a body that is no JSON is None.

    Raises:
        polars.exceptions.PolarsError: it is not a valid file of captured records.
    """
    for rows in _batches(path):
        yield from documents_in(rows)


def documents_in(rows: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield captured records as decoded JSON; a body that is no JSON is None."""
    columns = {name: rows.get_column(name).to_list() for name in rows.columns}
    columns["time"] = [_time_text(time) for time in columns["time"]]
    for name in _BODIES:
        if name in columns:
            columns[name] = [decoded_body(text) for text in columns[name]]
    for cells in zip(*columns.values(), strict=True):
        document = dict(zip(columns, cells, strict=True))
        for name in _OPTIONAL:
            if document.get(name, "") is None:
                del document[name]
        yield document


def check_parquet(path: Path) -> None:
    """Decode a Parquet file of captured records to its end.

    Raises:
        polars.exceptions.PolarsError: it is not a valid file of captured records.
    """
    for _ in _batches(path):
        pass


def checked_rows(path: Path) -> Iterable[pl.DataFrame]:
    """Return the rows of a Parquet file that has been decoded to its end, with the columns that requests need.

    They are kept in memory if they are few, else decoded again.

    Raises:
        polars.exceptions.PolarsError: it is not a valid file of captured records.
    """
    held: list[pl.DataFrame] = []
    size = 0
    for rows in _batches(path):
        if size <= _HELD_BYTES:
            held.append(rows.select(_OF_REQUESTS))
            size += int(held[-1].estimated_size())
    return held if size <= _HELD_BYTES else (rows.select(_OF_REQUESTS) for rows in _batches(path))


def written_by_capture(rows: pl.DataFrame) -> bool:
    """Whether rows of `checked_rows` have the types that capture writes, and times that Python knows."""
    if any(rows.schema[name] != _SCHEMA[name] for name in _OF_REQUESTS):
        return False
    times = rows.get_column("time").to_physical().drop_nulls()
    return bool(times.is_between(*_TIMES).all())


def moment_of_millis(millis: int) -> datetime:
    """Return the moment of a time in milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=millis)


def _batches(path: Path) -> Iterator[pl.DataFrame]:
    file = pl.scan_parquet(path, glob=False)
    schema = file.collect_schema()
    kinds = {name: schema[name].base_type() for name in _TYPED if name in schema}
    wrong = [name for name, kind in kinds.items() if kind not in (_SCHEMA[name].base_type(), pl.Null)]
    if wrong:
        raise pl.exceptions.SchemaError(f"column {wrong[0]} has type {schema[wrong[0]]}, which capture does not write")
    missing = _OPTIONAL - set(schema.names())
    scan = file.select(*(name for name in _SCHEMA if name not in missing))
    yield from scan.collect_batches(chunk_size=_ROWS, maintain_order=True)


def _time_text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def decoded_body(text: str | None) -> Any:
    """Decode a body; None if it is no JSON."""
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None
