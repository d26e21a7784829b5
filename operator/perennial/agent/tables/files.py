"""Downloads files and stores their rows on disk: Parquet unchanged, CSV and JSON lines converted to Parquet.

Which objects under a URI are files with rows: their names end in one of the suffixes below, in upper or lower case,
and neither file nor folders below the URI are hidden. Names that begin with `.` or `_` are hidden, except folders such
as `_region=eu`, which are partitions. `is_table` and `tables_under` are this rule; every other object is named.
"""

import gzip
import json
import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Protocol

import polars as pl

from perennial.agent.storage.errors import AgentError
from perennial.agent.tables.dialect import UnknownDialect, read_dialect
from perennial.agent.tables.packed import PACKED, unpack
from perennial.agent.tables.table import (
    Partition,
    PartitionWriter,
    Scalar,
    Table,
    clean_text,
    partition_of,
    unreadable,
)
from perennial.agent.tables.vectors import spread
from perennial.agent.text import count
from perennial.core.failures import DATA_INVALID, OUT_OF_SPACE

log = logging.getLogger(__name__)

_PARQUET = (".parquet", ".pq")
_CSV = (".csv", ".tsv")
_LINES = (".jsonl", ".ndjson", ".json")
_METADATA = ".metadata.json"
"""Suffix of the metadata files of Iceberg tables."""
_REPORT, _PAGE = "report.json", "report.html"
"""Files that a comparison writes side by side; the first is no data."""
_HISTORY, _INDEX = "history.parquet", "index.html"
"""Files that comparisons keep above their reports; the first is no data."""
_MISSING = ["", "NaN", "nan", "null", "NULL", "None"]
"""Values that mean missing in CSV. Not NA, which is also a country code and a surname."""
MAX_LINE = 64 << 20
_NAMES_SHOWN = 8


class StoredObject(Protocol):
    """One object, as storage lists it."""

    @property
    def key(self) -> str:
        """Key within the bucket."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def etag(self) -> str:
        """Identity of this content."""

    @property
    def last_modified(self) -> datetime:
        """When it was written."""

    @property
    def relative(self) -> str:
        """Path below the URI that was listed."""


class Store(Protocol):
    """Storage operations that comparisons need. Implemented by `agent.storage.client.ObjectStore`."""

    def list(self, uri: str) -> Iterator[StoredObject]:
        """Yield the objects under a URI."""

    def get_bytes(self, uri: str, limit: int) -> bytes:
        """Return the content of an object of at most `limit` bytes."""

    def download(self, uri: str, path: Path, size: int | None = None, etag: str | None = None) -> str:
        """Download an object to a file and return its sha256 in hex."""

    def put_bytes(self, uri: str, data: bytes, content_type: str) -> None:
        """Upload a small object."""


@dataclass(frozen=True)
class Download:
    """An object to download."""

    uri: str
    size: int
    etag: str
    sha256: str | None = None


@dataclass(frozen=True)
class Listing:
    """Objects under a URI.

    Attributes:
        files: those with rows, sorted by name.
        passed_over: names of the others, below the URI.
    """

    files: tuple[Download, ...]
    passed_over: tuple[str, ...] = ()


def uri_of(listed: str, key: str) -> str:
    """Return the URI of a key in the bucket of a listed URI."""
    return f"s3://{listed.removeprefix('s3://').split('/', 1)[0]}/{key}"


def is_table(name: str) -> bool:
    """Whether a file has rows, by its name below the URI; see the module."""
    *folders, leaf = name.split("/")
    return not any(map(_is_hidden_folder, folders)) and not leaf.startswith((".", "_")) and _has_rows(leaf)


def _is_hidden_folder(name: str) -> bool:
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def _has_rows(leaf: str) -> bool:
    name = leaf.lower()
    plain = next((name.removesuffix(suffix) for suffix in PACKED if name.endswith(suffix)), name)
    return plain.endswith(_PARQUET + _CSV + _LINES) and not plain.endswith(_METADATA)


def tables_under(store: Store, uri: str) -> Listing:
    """Return the files with rows under a URI. A URI that names one object is read even if its name is hidden.

    Raises:
        AgentError: DataInvalid, if there are objects but none in a supported format; or what storage raises.
    """
    listed = [item for item in store.list(uri) if not item.key.endswith("/")]
    found = split(uri, [(item.relative, Download(uri_of(uri, item.key), item.size, item.etag)) for item in listed])
    if listed and not found.files:
        raise AgentError(
            DATA_INVALID,
            f"none of the {len(listed)} objects under {uri} ends in {', '.join(_PARQUET + _CSV + _LINES)} (also with "
            f"{' or '.join(PACKED)}) and has a name without leading . or _: {some(found.passed_over)}",
        )
    return found


def split(uri: str, objects: Sequence[tuple[str, Download]]) -> Listing:
    """Separate the objects with rows, given with their names below the URI, from the others."""
    names = {name for name, _ in objects}
    kept = [(name, item) for name, item in objects if _is_read(uri, name, item, names)]
    files = sorted((item for _, item in kept), key=lambda item: item.uri)
    return Listing(tuple(files), tuple(sorted(names - {name for name, _ in kept})))


def _is_read(uri: str, name: str, item: Download, names: Collection[str]) -> bool:
    if item.uri == uri:
        return _has_rows(name)
    folder, leaf = name[: -len(name.rsplit("/", 1)[-1])], name.rsplit("/", 1)[-1]
    ours = ((_REPORT, _PAGE), (_HISTORY, _INDEX))
    is_ours = any(leaf == file and f"{folder}{page}" in names for file, page in ours)
    return is_table(name) and not is_ours


def some(names: Sequence[str]) -> str:
    """Return the first eight names as text, and the number of the others."""
    shown = ", ".join(clean_text(name)[:64] or "(empty)" for name in names[:_NAMES_SHOWN])
    return (shown + (f" and {len(names) - _NAMES_SHOWN:,} more" if len(names) > _NAMES_SHOWN else "")) or "none"


def passed_over(side: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return a sentence for the report that names the files that were not read."""
    if not names:
        return ()
    text = f"{count(len(names), 'file')} of the {side} passed over, since their names are not those of data"
    removed = "; a Delta table's removed files are read as well" if any("_delta_log/" in name for name in names) else ""
    return (f"{text}: {some(names)}{removed}.",)


def read_tables(
    store: Store, listing: Listing, folder: Path, as_text: Collection[str], lists: Collection[str] = ()
) -> Table:
    """Download files and return their rows as a table.

    Args:
        store: storage of the files.
        listing: files to read.
        folder: an empty folder for downloads and partitions; needs capacity for all of them.
        as_text: columns whose CSV values are not parsed, so that a zip code keeps its leading zero.
        lists: columns whose lists are kept also in JSON lines in which a column has values of several types.

    Raises:
        AgentError: DataInvalid, naming the file that cannot be read; or what storage raises.
    """
    partitions: list[Partition] = []
    for number, item in enumerate(listing.files):
        path = folder / f"{number:06}"
        store.download(item.uri, path, item.size, item.etag)
        partitions.extend(to_partitions(path, item.uri, as_text, lists))
        log.info(
            "read %s (%d of %d files, %d rows so far)",
            item.uri,
            number + 1,
            len(listing.files),
            sum(p.rows for p in partitions),
        )
    return Table(tuple(partitions), listing.passed_over)


def to_partitions(
    path: Path, origin: str, as_text: Collection[str], lists: Collection[str] = ()
) -> Iterable[Partition]:
    """Convert one downloaded file to partitions; the download itself is moved or deleted.

    Raises:
        AgentError: DataInvalid, naming the file.
    """
    name = origin.lower()
    packed = next((suffix for suffix in PACKED if name.endswith(suffix)), None)
    if packed is not None:
        path, name = unpack(path, origin, packed), name.removesuffix(packed)
    if name.endswith(_PARQUET):
        return [partition_of(path, origin)]
    if path.stat().st_size == 0:
        path.unlink()
        return []
    partitions = _csv(path, origin, as_text) if name.endswith(_CSV) else _lines(path, origin, lists)
    path.unlink()
    return partitions


def read_lines(stream: IO[bytes] | gzip.GzipFile) -> Iterator[bytes | None]:
    """Yield the non-blank lines of a file, None for one longer than MAX_LINE."""
    while line := stream.readline(MAX_LINE):
        if len(line) == MAX_LINE and not line.endswith(b"\n"):
            while (rest := stream.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                pass
            yield None
        elif line.strip():
            yield line


def _csv(path: Path, origin: str, as_text: Collection[str]) -> list[Partition]:
    """Convert CSV to Parquet. Types are inferred from all rows, since a single string makes a column text."""
    target = path.with_suffix(".parquet")
    try:
        dialect = read_dialect(path)
        scan = pl.scan_csv(
            path,
            infer_schema_length=None,
            schema_overrides=dict.fromkeys(set(as_text).intersection(dialect.names), pl.String),
            null_values=_MISSING,
            separator=dialect.separator,
            decimal_comma=dialect.decimal_comma,
            with_column_names=lambda names: [name.strip() for name in names],
            glob=False,
        )
        scan.sink_parquet(target, compression="lz4")
    except pl.exceptions.NoDataError:
        return []
    except (pl.exceptions.PolarsError, UnknownDialect) as error:
        raise unreadable(origin, error) from error
    return [partition_of(target, origin)]


def _lines(path: Path, origin: str, lists: Collection[str]) -> list[Partition]:
    """Convert JSON lines to Parquet: fast if each column has one type, otherwise line by line."""
    target = path.with_suffix(".parquet")
    try:
        pl.scan_ndjson(path, infer_schema_length=None).sink_parquet(target, compression="lz4")
    except pl.exceptions.PolarsError as error:
        target.unlink(missing_ok=True)
        if unreadable(origin, error).failure is OUT_OF_SPACE:
            raise unreadable(origin, error) from error
        return _mixed_lines(path, origin, lists)
    return [partition_of(target, origin)]


def _mixed_lines(path: Path, origin: str, lists: Collection[str]) -> list[Partition]:
    folder = path.with_suffix(".rows")
    folder.mkdir()
    writer = PartitionWriter(folder, origin)
    with path.open("rb") as stream:
        for number, line in enumerate(read_lines(stream), start=1):
            writer.add(_record(line, number, origin, lists), rows=1)
    return list(writer.finish().partitions)


def _record(line: bytes | None, number: int, origin: str, lists: Collection[str]) -> dict[str, Sequence[Scalar]]:
    """Return the scalars of one line, and the wanted lists in columns; others and records are left out."""
    try:
        record = json.loads(line or b"")
    except (ValueError, RecursionError) as error:
        raise unreadable(origin, ValueError(f"line {number} is not JSON")) from error
    if not isinstance(record, dict):
        raise unreadable(origin, ValueError(f"line {number} is not a JSON object"))
    scalars = {
        name: [value] for name, value in record.items() if value is None or isinstance(value, bool | int | float | str)
    }
    parts = [spread(name, [record[name]]) for name in lists if name in record]
    return {**scalars, **{name: values for columns in parts for name, values in columns.items()}}
