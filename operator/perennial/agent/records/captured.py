"""Reads the lines of capture files. A file that cannot be decoded to its end is left out whole."""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from polars.exceptions import PanicException, PolarsError

from perennial.agent.records.files import SUFFIX
from perennial.agent.records.parquet import check_parquet, parquet_lines
from perennial.agent.tables.files import Download, Store, log, read_lines
from perennial.agent.tables.table import clean_text, unreadable
from perennial.agent.text import count
from perennial.core.failures import DATA_INVALID

_CORRUPT = (gzip.BadGzipFile, EOFError, zlib.error, PolarsError, PanicException)
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


def lines_of(store: Store, files: Sequence[Download], path: Path) -> Iterator[bytes | UnreadableFile | None]:
    """Yield the lines of all files, None for a line that is too long, and the files that are left out.

    Each file is decoded to its end before its first line is used: a checksum at the end covers all lines.

    Args:
        store: storage of the files.
        files: files to read.
        path: temporary file for downloads.

    Raises:
        AgentError: DataInvalid, naming a file, if none can be decoded; or what storage raises.
    """
    left_out: list[UnreadableFile] = []
    for number, item in enumerate(files, start=1):
        store.download(item.uri, path, item.size, item.etag)
        try:
            found = _checked(item, path)
            if found is not None:
                left_out.append(found)
                yield found
            else:
                yield from _lines(item, path)
        finally:
            path.unlink(missing_ok=True)
        log.info("read %s (%d of %d files)", item.uri, number, len(files))
    if left_out and len(left_out) == len(files):
        others = f"; nor can {count(len(files) - 1, 'other file')}" if len(files) > 1 else ""
        raise unreadable(left_out[0].uri, ValueError(f"{left_out[0].reason}{others}"))


def left_out(files: Sequence[UnreadableFile], total: int) -> str:
    """Count files that are left out, and name three of them by date, hour and name, with the reason of the first."""
    names = [clean_text("/".join(item.uri.split("/")[-_PARTS:]))[-_NAME:] for item in files[:_SHOWN]]
    rest = f" and {len(files) - _SHOWN:,} more" if len(files) > _SHOWN else ""
    reason = files[0].reason[:_REASON]
    return f"{len(files):,} of {count(total, 'capture file')} could not be read ({reason}): {', '.join(names)}{rest}"


def _checked(item: Download, path: Path) -> UnreadableFile | None:
    try:
        if item.uri.endswith(SUFFIX["Parquet"]):
            check_parquet(path)
        else:
            for _ in _lines(item, path):
                pass
    except _CORRUPT as error:
        problem = unreadable(item.uri, ValueError(str(error)))
        if problem.failure is not DATA_INVALID:  # a full disk
            raise problem from error
        log.warning("left out: %s", problem.message)
        return UnreadableFile(item.uri, " ".join(str(error).split())[:200] or type(error).__name__)
    return None


def _lines(item: Download, path: Path) -> Iterator[bytes | None]:
    if item.uri.endswith(SUFFIX["Parquet"]):
        yield from parquet_lines(path)
        return
    with gzip.open(path, "rb") as stream:
        yield from read_lines(stream)
