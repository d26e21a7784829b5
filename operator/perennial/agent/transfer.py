"""Fast downloads with bounded memory, that go on where an earlier try was cut off.

A large object is read in ranges by several threads, each through one reused buffer, straight to its place in the
file. Beside `<file>.part` a small journal keeps which ranges are there, for which version of the object.
"""

import json
import logging
import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from perennial.agent.digest import file_sha256
from perennial.agent.errors import BROKEN_STREAMS, AgentError
from perennial.core.failures import TRANSFER_FAILED

log = logging.getLogger(__name__)

RANGE_BYTES = 32 * 2**20
BUFFER_BYTES = 2**20
RANGE_THREADS = 4
_TRIES = 5
_FIRST_PAUSE = 0.2


@dataclass(frozen=True)
class Source:
    """An object, as it was listed. With an ETag, a version that changes meanwhile is refused by the storage."""

    bucket: str
    key: str
    size: int
    etag: str | None = None


@dataclass(frozen=True)
class Range:
    """Bytes `start` to `end`, the latter not included."""

    start: int
    end: int


class Journal:
    """Which ranges of a partial file are complete. Safe for several threads."""

    def __init__(self, path: Path, source: Source) -> None:
        """Read what an earlier try left, if it was for the same content."""
        self._path = path
        self._identity = {"size": source.size, "etag": source.etag}
        self._lock = Lock()
        self._done = self._load() if source.etag else set()

    def _load(self) -> set[int]:
        try:
            found = json.loads(self._path.read_text())
            return set(map(int, found["done"])) if found["source"] == self._identity else set()
        except (OSError, ValueError, KeyError, TypeError):
            return set()

    def missing(self, ranges: Iterable[Range]) -> list[Range]:
        """Return the ranges that are still to be read."""
        return [item for item in ranges if item.start not in self._done]

    def add(self, item: Range) -> None:
        """Note that a range is complete on disk."""
        with self._lock:
            self._done.add(item.start)
            self._path.write_text(json.dumps({"source": self._identity, "done": sorted(self._done)}))

    def remove(self) -> None:
        """Forget; the file is whole."""
        self._path.unlink(missing_ok=True)


def download(client: Any, source: Source, path: Path) -> str:
    """Write an object to `path` and return its sha256 in hex. The file appears only when it is whole.

    Raises:
        AgentError: TransferFailed, after several tries that broke off.
        Exception: what boto3 raises when the storage refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    journal = Journal(path.with_name(path.name + ".journal"), source)
    ranges = _ranges(source.size)
    missing = journal.missing(ranges) if part.exists() and part.stat().st_size == source.size else ranges
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(part, flags, 0o664)
    try:
        os.ftruncate(handle, source.size)
        _read_all(client, source, handle, missing, journal)
        os.fsync(handle)
    finally:
        os.close(handle)
    digest = file_sha256(part)
    part.replace(path)
    journal.remove()
    return digest


def _ranges(size: int) -> list[Range]:
    return [Range(start, min(start + RANGE_BYTES, size)) for start in range(0, size, RANGE_BYTES)]


def _read_all(client: Any, source: Source, handle: int, missing: Sequence[Range], journal: Journal) -> None:
    several = source.size > RANGE_BYTES

    def one(item: Range) -> None:
        _read_range(client, source, handle, item, ranged=several)
        if several:
            journal.add(item)

    if len(missing) <= 1:
        for item in missing:
            one(item)
        return
    with ThreadPoolExecutor(RANGE_THREADS, thread_name_prefix="range") as pool:
        futures = [pool.submit(one, item) for item in missing]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _read_range(client: Any, source: Source, handle: int, item: Range, *, ranged: bool) -> None:
    """Read one range; after a break, go on behind the last byte that came."""
    at = item.start
    for attempt in range(1, _TRIES + 1):
        try:
            at = _stream(client, source, handle, Range(at, item.end), ranged=ranged or at > item.start)
            if at == item.end:
                return
            problem: object = f"the storage sent {at - item.start} of {item.end - item.start} bytes"
        except _Broken as broken:
            at, problem = broken.at, broken.__cause__
        log.warning("s3://%s/%s broke off at byte %d: %s", source.bucket, source.key, at, problem)
        if attempt < _TRIES:
            time.sleep(_FIRST_PAUSE * 2 ** (attempt - 1))
    raise AgentError(
        TRANSFER_FAILED, f"s3://{source.bucket}/{source.key} broke off {_TRIES} times, at byte {at}: {problem}"
    )


class _Broken(Exception):
    """A stream broke off after byte `at`."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


def _stream(client: Any, source: Source, handle: int, item: Range, *, ranged: bool) -> int:
    """Write what comes to its place; return the offset behind the last byte."""
    at = item.start
    wanted: dict[str, Any] = {"Bucket": source.bucket, "Key": source.key}
    if ranged:
        wanted["Range"] = f"bytes={item.start}-{item.end - 1}"
    if source.etag:
        wanted["IfMatch"] = source.etag
    try:
        body = client.get_object(**wanted)["Body"]
        with body:
            buffer = memoryview(bytearray(min(BUFFER_BYTES, item.end - item.start)))
            while at < item.end and (count := body.readinto(buffer[: item.end - at])):
                _write(handle, buffer[:count], at)
                at += count
    except BROKEN_STREAMS as error:
        raise _Broken(at) from error
    return at


def _write(handle: int, data: memoryview, offset: int) -> None:
    """Write all of it: the kernel may take less at once."""
    while data:
        count = os.pwrite(handle, data, offset)
        data, offset = data[count:], offset + count


__all__ = ["RANGE_BYTES", "Journal", "Source", "download"]
