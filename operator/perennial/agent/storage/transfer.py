"""Resumable parallel downloads with bounded memory.

A large object is downloaded in ranges by several threads, each writing through one reused buffer to the range's offset
in the file, while the caller's thread hashes completed ranges in order. A journal next to the partial file records the
completed ranges and the object's version. A small object is one stream, hashed as it is written.

There is no fsync, which would take longer than the download. Written data survives the process but not a crash of the
machine, so a journal is valid until the next boot only.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from threading import Event, Lock
from typing import Any

from perennial.agent.storage.errors import BROKEN_STREAMS, AgentError
from perennial.agent.storage.parallel import in_parallel
from perennial.core.failures import DIGEST_MISMATCH, TRANSFER_FAILED

log = logging.getLogger(__name__)

RANGE_BYTES = 32 * 2**20
BUFFER_BYTES = 256 * 1024
"""Fits in a core's cache between socket, file and hash: 1 MiB took a third longer."""
RANGE_THREADS = 4
_TRIES = 5
"""Consecutive interruptions, each with less than a buffer of progress, after which a transfer fails."""
_FIRST_PAUSE = 0.2
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Source:
    """An object as listed. With an ETag, the download fails if the object changes meanwhile."""

    bucket: str
    key: str
    size: int
    etag: str | None = None

    @property
    def uri(self) -> str:
        """Location as `s3://bucket/key`."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class Range:
    """Byte range from `start` to `end`, exclusive."""

    start: int
    end: int


class Journal:
    """Completed ranges of a partial file, persisted next to it. Thread-safe."""

    def __init__(self, path: Path, source: Source) -> None:
        """Load the journal of an earlier try, if it is for the same version of the object."""
        self._path = path
        self._identity = {
            "uri": source.uri,
            "size": source.size,
            "etag": source.etag,
            "range": RANGE_BYTES,
            "boot": _boot(),
        }
        self._lock = Lock()
        self._done = self._load() if source.etag else set()
        self.resumed = bool(self._done)

    def _load(self) -> set[int]:
        try:
            found = json.loads(self._path.read_text())
            return set(map(int, found["done"])) if found["source"] == self._identity else set()
        except (OSError, ValueError, KeyError, TypeError):
            return set()

    def missing(self, ranges: Iterable[Range]) -> set[Range]:
        """Return the ranges that are not complete."""
        return {item for item in ranges if item.start not in self._done}

    def add(self, item: Range) -> None:
        """Record that a range is complete."""
        with self._lock:
            self._done.add(item.start)
            self._path.write_text(json.dumps({"source": self._identity, "done": sorted(self._done)}))

    def clear(self) -> None:
        """Delete the journal, to restart or after completion."""
        self._done, self.resumed = set(), False
        self._path.unlink(missing_ok=True)


def _boot() -> str:
    """Return the kernel's boot id; empty if unavailable."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def download(
    client: Any,
    source: Source,
    path: Path,
    *,
    expected: str | None = None,
    advance: Advance = lambda _: None,
    content: bytes | None = None,
) -> str:
    """Download an object to `path` and return its sha256 in hex. The file is created only when complete.

    Args:
        client: a boto3 S3 client.
        source: object to download.
        path: target file; an existing one is replaced.
        expected: sha256 in hex that the content must have, otherwise no file is created.
        advance: called with the number of bytes as they arrive.
        content: the content, if already downloaded.

    Raises:
        AgentError: TransferFailed, after several interruptions without progress; DigestMismatch.
        Exception: what boto3 raises for error responses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Hashed to a fixed length, since the name itself may have the maximum of 255 bytes.
    stem = f".{hashlib.sha256(path.name.encode()).hexdigest()[:32]}"
    part, journal = path.with_name(f"{stem}.part"), Journal(path.with_name(f"{stem}.journal"), source)
    digest = _keep(content, part, advance) if content is not None else _fill(client, source, part, journal, advance)
    if expected not in (None, digest) and journal.resumed:
        # The data of the earlier try may be damaged.
        log.warning("sha256 mismatch after resuming %s; downloading it again from the start", source.uri)
        journal.clear()
        digest = _fill(client, source, part, journal, advance)
    journal.clear()
    if expected not in (None, digest):
        part.unlink()
        raise AgentError(
            DIGEST_MISMATCH, f"{source.uri} has sha256 {digest[:12]}…, but {str(expected)[:12]}… was published"
        )
    part.replace(path)
    return digest


def _keep(content: bytes, part: Path, advance: Advance) -> str:
    handle = os.open(part, _FLAGS | os.O_TRUNC, 0o664)
    try:
        write_all(handle, memoryview(content), 0)
    finally:
        os.close(handle)
    advance(len(content))
    return hashlib.sha256(content).hexdigest()


def _fill(client: Any, source: Source, part: Path, journal: Journal, advance: Advance) -> str:
    """Download the object to the partial file; return its sha256."""
    resumes = journal.resumed and part.exists() and part.stat().st_size == source.size
    if not resumes:
        journal.clear()
    handle = os.open(part, _FLAGS | (0 if resumes else os.O_TRUNC), 0o664)
    try:
        if source.size <= RANGE_BYTES:
            return _fill_in_one(client, source, handle, advance)
        os.ftruncate(handle, source.size)
        return _fill_in_ranges(client, source, handle, journal, advance)
    finally:
        os.close(handle)


def _fill_in_one(client: Any, source: Source, handle: int, advance: Advance) -> str:
    total = hashlib.sha256()

    def received(data: memoryview) -> None:
        total.update(data)
        advance(len(data))

    _read_range(client, source, handle, Range(0, source.size), received)
    return total.hexdigest()


def _fill_in_ranges(client: Any, source: Source, handle: int, journal: Journal, advance: Advance) -> str:
    ranges = [Range(start, min(start + RANGE_BYTES, source.size)) for start in range(0, source.size, RANGE_BYTES)]
    missing = journal.missing(ranges)
    stop = Event()

    def received(data: memoryview) -> None:
        if stop.is_set():
            raise AgentError(TRANSFER_FAILED, f"another range of {source.uri} failed")
        advance(len(data))

    def one(item: Range) -> Range:
        if item in missing:
            _read_range(client, source, handle, item, received)
            journal.add(item)
        else:
            advance(item.end - item.start)
        return item

    total = hashlib.sha256()
    buffer = memoryview(bytearray(BUFFER_BYTES))
    for item in in_parallel(one, ranges, RANGE_THREADS, stop):
        at = item.start
        while at < item.end:
            count = os.preadv(handle, [buffer[: item.end - at]], at)
            total.update(buffer[:count])
            at += count
    return total.hexdigest()


def _read_range(client: Any, source: Source, handle: int, item: Range, received: Callable[[memoryview], None]) -> None:
    """Download one range, resuming after an interruption behind the last byte received."""
    at, tries = item.start, 0
    while at < item.end:
        before = at
        try:
            at = _stream(client, source, handle, Range(at, item.end), received)
            problem: object = f"the response ended {item.end - at} bytes early"
        except _Interrupted as interrupted:
            at, problem = interrupted.at, interrupted.__cause__
        if at == item.end:
            return
        tries = 1 if at - before >= BUFFER_BYTES else tries + 1
        log.warning("transfer of %s interrupted at byte %d: %s", source.uri, at, problem)
        if tries == _TRIES:
            raise AgentError(
                TRANSFER_FAILED,
                f"transfer of {source.uri} interrupted {_TRIES} times at byte {at} of {source.size}: {problem}",
            )
        time.sleep(_FIRST_PAUSE * 2 ** (tries - 1))


class _Interrupted(Exception):
    """A stream was interrupted at offset `at`."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


def _stream(client: Any, source: Source, handle: int, item: Range, received: Callable[[memoryview], None]) -> int:
    """Write a stream to its offset in the file; return the offset behind the last byte."""
    at = item.start
    wanted: dict[str, Any] = {"Bucket": source.bucket, "Key": source.key}
    if (item.start, item.end) != (0, source.size):
        wanted["Range"] = f"bytes={item.start}-{item.end - 1}"
    if source.etag:
        wanted["IfMatch"] = source.etag
    try:
        body = client.get_object(**wanted)["Body"]
        with body:
            buffer = memoryview(bytearray(min(BUFFER_BYTES, item.end - item.start)))
            stream = _unbuffered(body)
            while at < item.end and (count := stream.readinto(buffer[: item.end - at])):
                write_all(handle, buffer[:count], at)
                received(buffer[:count])
                at += count
    except BROKEN_STREAMS as error:
        raise _Interrupted(at) from error
    return at


def _unbuffered(body: Any) -> Any:
    """Return the HTTPResponse under botocore's and urllib3's wrappers, which avoids two copies of the data.

    The attributes are private: if they are not as expected, the wrapper is returned, at a third more CPU time.
    """
    inner = getattr(getattr(body, "_raw_stream", None), "_fp", None)
    return inner if isinstance(inner, HTTPResponse) else body


def write_all(handle: int, data: memoryview, offset: int) -> None:
    """Write all of the data: one pwrite may write less."""
    while data:
        count = os.pwrite(handle, data, offset)
        data, offset = data[count:], offset + count
