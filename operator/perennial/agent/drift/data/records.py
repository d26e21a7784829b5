"""Reads the captured requests of a model, one after another, and says why others are skipped."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from perennial.agent.drift.data.span import Extent
from perennial.agent.records.captured import UnreadableFile, documents_of
from perennial.agent.tables.files import Listing, Store
from perennial.core.times import parse_time

_OK = 200

Skipped = Literal[
    "malformed",
    "of another model",
    "not answered with 200",
    "outside the window",
    "without a body",
    "with a truncated body",
]


@dataclass(frozen=True)
class Record:
    """A request with its response, as decoded JSON."""

    id: str
    request: object
    response: object


@dataclass(frozen=True)
class Selection:
    """Which records are used: those of a model and a period that were answered with 200.

    Attributes:
        digest: names the model.
        since: start of the period.
        until: end of the period, exclusive. None: no end, so that clock skew drops no records.
    """

    digest: str
    since: datetime
    until: datetime | None = None

    def has(self, moment: datetime) -> bool:
        """Whether a time is in the period."""
        return self.since <= moment and (self.until is None or moment < self.until)

    def cause(self, digest: str, status: int) -> Skipped | None:
        """Return why a record of the period is skipped, if it is."""
        if digest != self.digest:
            return "of another model"
        return None if status == _OK else "not answered with 200"


def read_records(
    store: Store, files: Listing, path: Path, selection: Selection
) -> Iterator[Record | Skipped | UnreadableFile]:
    """Yield the chosen requests, the causes of skipping the other records, and the files left out.

    Args:
        store: storage of the files.
        files: result of `window_files`.
        path: temporary file for downloads.
        selection: which records are used.

    Raises:
        AgentError: DataInvalid, naming a file, if none can be decoded; or what storage raises.
    """
    seen = Extent()
    for document in documents_of(store, files.files, path):
        yield document if isinstance(document, UnreadableFile) else record_of(document, selection, seen)


def record_of(document: object, selection: Selection, seen: Extent) -> Record | Skipped:
    """Return the request of a captured record, or why it is skipped.

    Args:
        document: decoded JSON.
        selection: which records are used.
        seen: notes the times of all records.
    """
    if not isinstance(document, dict) or "request" not in document:
        return "malformed"
    time, digest, status = document.get("time"), document.get("digest"), document.get("status")
    if not (isinstance(time, str) and isinstance(digest, str) and isinstance(status, int)):
        return "malformed"
    try:
        moment = parse_time(time)
    except ValueError:
        return "malformed"
    seen.note(moment)
    cause = selection.cause(digest, status) if selection.has(moment) else "outside the window"
    body = document["request"]
    if cause is None and body is None and document.get("requestTruncated") is True:
        return "with a truncated body"
    return cause or Record(str(document.get("id", "")), body, document.get("response"))
