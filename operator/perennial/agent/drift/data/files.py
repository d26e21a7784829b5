"""Downloads files and stores their rows on disk: Parquet unchanged, CSV and JSON lines converted to Parquet."""

import gzip
import json
import logging
import shutil
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Protocol

import polars as pl

from perennial.agent.drift.data.table import Partition, PartitionWriter, Scalar, Table, partition_of, unreadable
from perennial.agent.storage.errors import AgentError
from perennial.core.failures import DATA_INVALID, OUT_OF_SPACE

log = logging.getLogger(__name__)

_PARQUET = (".parquet", ".pq")
_CSV = (".csv",)
_LINES = (".jsonl", ".ndjson", ".json")
_MISSING = ["", "NaN", "nan", "null", "NULL", "None"]
"""Values that mean missing in CSV. Not NA, which is also a country code and a surname."""
_COPY_BYTES = 1 << 20
MAX_LINE = 64 << 20


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


def uri_of(listed: str, key: str) -> str:
    """Return the URI of a key in the bucket of a listed URI."""
    return f"s3://{listed.removeprefix('s3://').split('/', 1)[0]}/{key}"


def is_table(name: str) -> bool:
    """Whether a file has rows, by its name; hidden files and markers such as _SUCCESS have not."""
    leaf = name.rsplit("/", 1)[-1]
    return not leaf.startswith((".", "_")) and leaf.removesuffix(".gz").lower().endswith(_PARQUET + _CSV + _LINES)


def tables_under(store: Store, uri: str) -> list[Download]:
    """Return the files with rows under a URI, sorted by name.

    Raises:
        AgentError: DataInvalid, if there are objects but none in a supported format; or what storage raises.
    """
    listed = [item for item in store.list(uri) if not item.key.endswith("/")]
    found = [Download(uri_of(uri, item.key), item.size, item.etag) for item in listed if is_table(item.key)]
    if listed and not found:
        raise AgentError(
            DATA_INVALID,
            f"none of the {len(listed)} objects under {uri} ends in .parquet, .csv, .jsonl, .ndjson or .json",
        )
    return sorted(found, key=lambda item: item.uri)


def read_tables(store: Store, files: Sequence[Download], folder: Path, as_text: Collection[str]) -> Table:
    """Download files and return their rows as a table.

    Args:
        store: storage of the files.
        files: files to read.
        folder: an empty folder for downloads and partitions; needs capacity for all of them.
        as_text: columns whose CSV values are not parsed, so that a zip code keeps its leading zero.

    Raises:
        AgentError: DataInvalid, naming the file that cannot be read; or what storage raises.
    """
    partitions: list[Partition] = []
    for number, item in enumerate(files):
        path = folder / f"{number:06}"
        store.download(item.uri, path, item.size, item.etag)
        partitions.extend(to_partitions(path, item.uri, as_text))
        log.info(
            "read %s (%d of %d files, %d rows so far)",
            item.uri,
            number + 1,
            len(files),
            sum(p.rows for p in partitions),
        )
    return Table(tuple(partitions))


def to_partitions(path: Path, origin: str, as_text: Collection[str]) -> Iterable[Partition]:
    """Convert one downloaded file to partitions; the download itself is moved or deleted.

    Raises:
        AgentError: DataInvalid, naming the file.
    """
    name = origin.lower()
    if name.endswith(".gz"):
        path, name = _unpack(path, origin), name.removesuffix(".gz")
    if name.endswith(_PARQUET):
        return [partition_of(path, origin)]
    if path.stat().st_size == 0:
        path.unlink()
        return []
    partitions = _csv(path, origin, as_text) if name.endswith(_CSV) else _lines(path, origin)
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


def _unpack(path: Path, origin: str) -> Path:
    unpacked = path.with_suffix(".unpacked")
    try:
        with gzip.open(path, "rb") as source, unpacked.open("wb") as target:
            shutil.copyfileobj(source, target, _COPY_BYTES)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise unreadable(origin, error) from error
    path.unlink()
    return unpacked


def _csv(path: Path, origin: str, as_text: Collection[str]) -> list[Partition]:
    """Convert CSV to Parquet. Types are inferred from all rows, since a single string makes a column text."""
    target = path.with_suffix(".parquet")
    try:
        scan = pl.scan_csv(
            path,
            infer_schema_length=None,
            schema_overrides=dict.fromkeys(as_text, pl.String),
            null_values=_MISSING,
            glob=False,
        )
        scan.sink_parquet(target, compression="lz4")
    except pl.exceptions.NoDataError:
        return []
    except pl.exceptions.PolarsError as error:
        raise unreadable(origin, error) from error
    return [partition_of(target, origin)]


def _lines(path: Path, origin: str) -> list[Partition]:
    """Convert JSON lines to Parquet: fast if each column has one type, otherwise line by line."""
    target = path.with_suffix(".parquet")
    try:
        pl.scan_ndjson(path, infer_schema_length=None).sink_parquet(target, compression="lz4")
    except pl.exceptions.PolarsError as error:
        target.unlink(missing_ok=True)
        if unreadable(origin, error).failure is OUT_OF_SPACE:
            raise unreadable(origin, error) from error
        return _mixed_lines(path, origin)
    return [partition_of(target, origin)]


def _mixed_lines(path: Path, origin: str) -> list[Partition]:
    folder = path.with_suffix(".rows")
    folder.mkdir()
    writer = PartitionWriter(folder, origin)
    with path.open("rb") as stream:
        for number, line in enumerate(read_lines(stream), start=1):
            writer.add({name: [value] for name, value in _record(line, number, origin).items()}, rows=1)
    return list(writer.finish().partitions)


def _record(line: bytes | None, number: int, origin: str) -> dict[str, Scalar]:
    """Return the scalars of one line; nested lists and records are left out, as they cannot be compared."""
    try:
        record = json.loads(line or b"")
    except (ValueError, RecursionError) as error:
        raise unreadable(origin, ValueError(f"line {number} is not JSON")) from error
    if not isinstance(record, dict):
        raise unreadable(origin, ValueError(f"line {number} is not a JSON object"))
    return {
        name: value for name, value in record.items() if value is None or isinstance(value, bool | int | float | str)
    }
