"""Names of the log's objects: one segment a day, and head.json."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from perennial.agent.storage.client import ObjectInfo, Version, join_uri
from perennial.agent.storage.conditional import Retention
from perennial.agent.storage.versions import KeptVersion

SEGMENT_TYPE, HEAD_TYPE = "application/x-ndjson", "application/json"
MOST_BYTES = 64 * 2**20
"""Size limit of a segment: about 100,000 entries a day."""
HEAD = "head.json"
_NAME = re.compile(r"(\d{4})/(\d{2})/(\d{2})\.jsonl")


class LogStore(Protocol):
    """Storage operations that the log needs. Implemented by `agent.storage.client.ObjectStore`."""

    def list(self, uri: str) -> Iterator[ObjectInfo]:
        """Yield the objects under a URI."""

    def get_version(self, uri: str, limit: int) -> Version | None:
        """Return an object of at most `limit` bytes; None if there is none."""

    def append_version(
        self, uri: str, data: bytes, content_type: str, etag: str | None, retention: Retention | None = None
    ) -> bool:
        """Write an object if it still has this ETag (None: if there is none); False: it has not."""

    def versions(self, uri: str) -> Iterator[KeptVersion]:
        """Yield what the bucket keeps of all objects below a URI."""

    def version_end(self, uri: str, kept: KeptVersion, length: int) -> bytes:
        """Return the last bytes of a version."""


@dataclass(frozen=True, order=True)
class Segment:
    """A segment as it was listed."""

    day: date
    size: int = 0

    @property
    def name(self) -> str:
        """Name below the log's URI: 2026/01/31.jsonl."""
        return name_of(self.day)


def name_of(day: date) -> str:
    """Return the name of a day's segment."""
    return f"{day:%Y/%m/%d}.jsonl"


def day_of(name: str) -> date | None:
    """Return the day of a segment; None if the name is none of a segment."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        return date(*map(int, match.groups()))
    except ValueError:
        return None


@dataclass(frozen=True)
class Listing:
    """Objects of a log.

    Attributes:
        segments: oldest first.
        strangers: names of objects that are neither segments nor head.json.
    """

    segments: tuple[Segment, ...]
    strangers: tuple[str, ...] = ()


def list_log(store: LogStore, uri: str) -> Listing:
    """List a log: one request for each thousand days."""
    segments, strangers = [], []
    for item in store.list(folder_of(uri)):
        day = day_of(item.relative)
        if day is not None:
            segments.append(Segment(day, item.size))
        elif item.relative != HEAD and not item.key.endswith("/"):
            strangers.append(item.relative)
    return Listing(tuple(sorted(segments)), tuple(strangers))


def folder_of(uri: str) -> str:
    """Return the log's URI with the slash that makes it a folder."""
    return uri.rstrip("/") + "/"


def split_lines(data: bytes) -> Iterable[bytes]:
    """Yield the lines of a segment, each with its end if it has one, without a copy of the whole."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        yield data[start:end]
        start = end


def object_uri(uri: str, name: str) -> str:
    """Return the URI of an object of the log."""
    return join_uri(uri, name)
