"""Reads the records of capture files. A file that cannot be decoded to its end is left out whole."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import polars as pl
from polars.exceptions import PanicException, PolarsError

from perennial.agent.records.files import SUFFIX
from perennial.agent.records.parquet import check_parquet, checked_rows, parquet_documents, parquet_lines
from perennial.agent.tables.files import Download, Store, log, read_lines
from perennial.agent.tables.table import clean_text, unreadable
from perennial.agent.text import count
from perennial.core.failures import DATA_INVALID

_CORRUPT = (gzip.BadGzipFile, EOFError, zlib.error, PolarsError, PanicException)
T = TypeVar("T")
_HELD_BYTES = 32 * 2**20
_CHUNK = 2**20
MALFORMED = object()
"""Stands for a line that is no JSON, or too long."""
_SHOWN = 3
_NAME, _REASON = 80, 60
_PARTS = 3
"""Parts of a key that identify a capture file: date=..., hour=... and its name."""


@dataclass(frozen=True)
class UnreadableFile:
    """A capture file that is left out.

    Attributes:
        uri: the file.
        reason: why it cannot be decoded.
    """

    uri: str
    reason: str


def documents_of(store: Store, files: Sequence[Download], path: Path, *, refuse: bool = True) -> Iterator[object]:
    """Yield the records of all files as decoded JSON, MALFORMED for a line without, and the files that are left out.

    Each file is decoded to its end before its first record is used: a checksum at the end covers all of it.

    Args:
        store: storage of the files.
        files: files to read.
        path: temporary file for downloads.
        refuse: whether it is an error if no file can be decoded.

    Raises:
        AgentError: DataInvalid, naming a file, if none can be decoded; or what storage raises.
    """
    return _each(store, files, path, _documents, refuse=refuse)


def raw_of(
    store: Store, files: Sequence[Download], path: Path, *, refuse: bool = True
) -> Iterator[bytes | pl.DataFrame | UnreadableFile | None]:
    """Yield the records as `documents_of`, but as lines of JSON, None for one that is too long, or rows of Parquet."""
    return _each(store, files, path, _raw, refuse=refuse)


def lines_of(store: Store, files: Sequence[Download], path: Path) -> Iterator[bytes | UnreadableFile | None]:
    """Yield the records as `documents_of`, but as lines of JSON, None for a line that is too long."""
    return _each(store, files, path, _json_lines)


def _each(
    store: Store,
    files: Sequence[Download],
    path: Path,
    read: Callable[[Download, Path], Iterator[T]],
    *,
    refuse: bool = True,
) -> Iterator[T | UnreadableFile]:
    left_out: list[UnreadableFile] = []
    for number, item in enumerate(files, start=1):
        store.download(item.uri, path, item.size, item.etag)
        try:
            found = _opened(item, path, read)
            if isinstance(found, UnreadableFile):
                left_out.append(found)
                yield found
            else:
                yield from found
        finally:
            path.unlink(missing_ok=True)
        log.info("read %s (%d of %d files)", item.uri, number, len(files))
    if refuse:
        refuse_unreadable(left_out, len(files))


def refuse_unreadable(files: Sequence[UnreadableFile], total: int) -> None:
    """Raise if all of `total` files, and at least one, are left out.

    Raises:
        AgentError: DataInvalid, naming a file.
    """
    if files and len(files) == total:
        others = f"; nor can {count(total - 1, 'other file')}" if total > 1 else ""
        raise unreadable(files[0].uri, ValueError(f"{files[0].reason}{others}"))


def left_out(files: Sequence[UnreadableFile], total: int) -> str:
    """Count files that are left out, and name three of them by date, hour and name, with the reason of the first."""
    names = [clean_text("/".join(item.uri.split("/")[-_PARTS:]))[-_NAME:] for item in files[:_SHOWN]]
    rest = f" and {len(files) - _SHOWN:,} more" if len(files) > _SHOWN else ""
    reason = files[0].reason[:_REASON]
    return f"{len(files):,} of {count(total, 'capture file')} could not be read ({reason}): {', '.join(names)}{rest}"


def _opened(item: Download, path: Path, read: Callable[[Download, Path], Iterator[T]]) -> Iterator[T] | UnreadableFile:
    """Check a file to its end; return its records, or why it is left out."""
    try:
        return read(item, path)
    except _CORRUPT as error:
        problem = unreadable(item.uri, ValueError(str(error)))
        if problem.failure is not DATA_INVALID:  # a full disk
            raise problem from error
        log.warning("left out: %s", problem.message)
        return UnreadableFile(item.uri, " ".join(str(error).split())[:200] or type(error).__name__)


def _documents(item: Download, path: Path) -> Iterator[object]:
    if item.uri.endswith(SUFFIX["Parquet"]):
        check_parquet(path)
        return parquet_documents(path)
    return map(decoded, _checked_lines(path))


def _json_lines(item: Download, path: Path) -> Iterator[bytes | None]:
    if item.uri.endswith(SUFFIX["Parquet"]):
        check_parquet(path)
        return parquet_lines(path)
    return iter(_checked_lines(path))


def _raw(item: Download, path: Path) -> Iterator[bytes | pl.DataFrame | None]:
    if item.uri.endswith(SUFFIX["Parquet"]):
        return iter(checked_rows(path))
    return iter(_checked_lines(path))


def _checked_lines(path: Path) -> Iterable[bytes | None]:
    """Return the lines of a file that has been decoded to its end: from memory if they are few, else by decoding again.

    Raises:
        OSError: it is damaged; or another error of _CORRUPT.
    """
    with gzip.open(path, "rb") as stream:
        head = stream.read(_HELD_BYTES)
        if not stream.read(1):
            return read_lines(BytesIO(head))
        while stream.read(_CHUNK):
            pass
    return _lines(path)


def _lines(path: Path) -> Iterator[bytes | None]:
    with gzip.open(path, "rb") as stream:
        yield from read_lines(stream)


def decoded(line: bytes | None) -> object:
    """Decode a record; MALFORMED if the line is no JSON, or None."""
    try:
        return json.loads(line or b"")
    except (ValueError, RecursionError):
        return MALFORMED
