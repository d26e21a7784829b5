"""Fast downloads with bounded memory, that go on where an earlier try was cut off.

A large object is read in ranges by several threads, each through one reused buffer, straight to its place in the
file, while the caller's thread hashes the ranges in order as they come. A journal beside the partial file keeps which
ranges are there, for which version of the object. A small object is one stream, hashed as it is written.

Nothing is flushed to the disk, which would take longer than to pull it. What the kernel has taken outlives the
process; it does not outlive the machine's crash, so a journal counts only until the machine starts again.
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
"""Small enough to stay in a core's cache between socket, file and hash: with 1 MiB it took a third longer."""
RANGE_THREADS = 4
_TRIES = 5
"""Breaks in a row, with less than a buffer's worth of bytes between them, after which a transfer is given up."""
_FIRST_PAUSE = 0.2
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Source:
    """An object, as it was listed. With an ETag, a version that changes meanwhile is refused by the storage."""

    bucket: str
    key: str
    size: int
    etag: str | None = None

    @property
    def uri(self) -> str:
        """Return its URI."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class Range:
    """Bytes `start` to `end`, the latter not included."""

    start: int
    end: int


class Journal:
    """Which ranges of a partial file are there. Safe for several threads."""

    def __init__(self, path: Path, source: Source) -> None:
        """Read what an earlier try left, if it was for the same content."""
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
        """Return the ranges that are still to be read."""
        return {item for item in ranges if item.start not in self._done}

    def add(self, item: Range) -> None:
        """Note that a range is complete."""
        with self._lock:
            self._done.add(item.start)
            self._path.write_text(json.dumps({"source": self._identity, "done": sorted(self._done)}))

    def forget(self) -> None:
        """Begin anew, or be done."""
        self._done, self.resumed = set(), False
        self._path.unlink(missing_ok=True)


def _boot() -> str:
    """Return what tells one start of the machine from another; empty where the kernel does not say."""
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
    """Write an object to `path` and return its sha256 in hex. The file appears only when it is whole.

    Args:
        client: a boto3 S3 client.
        source: what to read.
        path: where to write; what is there is replaced.
        expected: the sha256 in hex that it must have. Otherwise no file appears.
        advance: told of bytes as they come.
        content: the content, if it has been read already.

    Raises:
        AgentError: TransferFailed, after several breaks without progress; DigestMismatch.
        Exception: what boto3 raises when the storage refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of fixed length, since a name may have all of the 255 bytes that the file system allows.
    stem = f".{hashlib.sha256(path.name.encode()).hexdigest()[:32]}"
    part, journal = path.with_name(f"{stem}.part"), Journal(path.with_name(f"{stem}.journal"), source)
    digest = _keep(content, part, advance) if content is not None else _fill(client, source, part, journal, advance)
    if expected not in (None, digest) and journal.resumed:
        # What an earlier try left may be damaged, and nobody's deed.
        log.warning("%s does not have its sha256 after it was resumed; it is read again from the start", source.uri)
        journal.forget()
        digest = _fill(client, source, part, journal, advance)
    journal.forget()
    if expected not in (None, digest):
        part.unlink()
        raise AgentError(
            DIGEST_MISMATCH, f"{source.uri} has sha256 {digest[:12]}…, {str(expected)[:12]}… was published"
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
    """Write the object to the partial file; return its sha256."""
    resumes = journal.resumed and part.exists() and part.stat().st_size == source.size
    if not resumes:
        journal.forget()
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

    def hear(data: memoryview) -> None:
        total.update(data)
        advance(len(data))

    _read_range(client, source, handle, Range(0, source.size), hear)
    return total.hexdigest()


def _fill_in_ranges(client: Any, source: Source, handle: int, journal: Journal, advance: Advance) -> str:
    ranges = [Range(start, min(start + RANGE_BYTES, source.size)) for start in range(0, source.size, RANGE_BYTES)]
    missing = journal.missing(ranges)
    stop = Event()

    def hear(data: memoryview) -> None:
        if stop.is_set():
            raise AgentError(TRANSFER_FAILED, f"another part of {source.uri} failed")
        advance(len(data))

    def one(item: Range) -> Range:
        if item in missing:
            _read_range(client, source, handle, item, hear)
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


def _read_range(client: Any, source: Source, handle: int, item: Range, hear: Callable[[memoryview], None]) -> None:
    """Read one range; after a break, go on behind the last byte that came."""
    at, tries = item.start, 0
    while at < item.end:
        before = at
        try:
            at = _stream(client, source, handle, Range(at, item.end), hear)
            problem: object = f"the storage ended the answer {item.end - at} bytes early"
        except _Broken as broken:
            at, problem = broken.at, broken.__cause__
        if at == item.end:
            return
        tries = 1 if at - before >= BUFFER_BYTES else tries + 1
        log.warning("%s broke off at byte %d: %s", source.uri, at, problem)
        if tries == _TRIES:
            raise AgentError(
                TRANSFER_FAILED, f"{source.uri} broke off {_TRIES} times at byte {at} of {source.size}: {problem}"
            )
        time.sleep(_FIRST_PAUSE * 2 ** (tries - 1))


class _Broken(Exception):
    """A stream broke off after byte `at`."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


def _stream(client: Any, source: Source, handle: int, item: Range, hear: Callable[[memoryview], None]) -> int:
    """Write what comes to its place; return the offset behind the last byte."""
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
                hear(buffer[:count])
                at += count
    except BROKEN_STREAMS as error:
        raise _Broken(at) from error
    return at


def _unbuffered(body: Any) -> Any:
    """Return the reader under botocore's and urllib3's, which fills our buffer without two copies on the way.

    They keep it private, so where it is not what is expected the ordinary one serves, at a third more CPU time.
    """
    inner = getattr(getattr(body, "_raw_stream", None), "_fp", None)
    return inner if isinstance(inner, HTTPResponse) else body


def write_all(handle: int, data: memoryview, offset: int) -> None:
    """Write all of it: the kernel may take less at once."""
    while data:
        count = os.pwrite(handle, data, offset)
        data, offset = data[count:], offset + count
