"""Finds the newest captured requests that can be replayed."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from perennial.agent.records.captured import UnreadableFile, lines_of
from perennial.agent.records.listing import newest_first
from perennial.agent.storage.errors import AgentError
from perennial.agent.tables.files import Download, Store
from perennial.api.contract.commands import ReplayConfig
from perennial.core.failures import DATA_INVALID
from perennial.core.times import parse_time

HIDDEN = "with values that redact or hash hid"
"""Why a record is skipped that lacks what a revision with capture.redact or capture.hash has answered."""
_OK = 200
_MOST_BYTES = 128 << 20
"""Requests are held in memory until they are sent."""
_PATH = re.compile(r"/[!-~]*")
"""Visible ASCII: what a request line can hold."""


@dataclass(frozen=True)
class CapturedRequest:
    """A request that the stable revision answered with success.

    Attributes:
        time: when it was answered.
        path: path and query.
        request: decoded body.
        response: decoded body of the answer.
        size: bytes of its record.
    """

    time: datetime
    path: str
    request: object
    response: object
    size: int


@dataclass(frozen=True)
class Found:
    """Requests to replay.

    Attributes:
        requests: oldest first.
        skipped: number of other records read, by reason.
    """

    requests: tuple[CapturedRequest, ...]
    skipped: Counter[str]


def newest_requests(config: ReplayConfig, store: Store, folder: Path, now: datetime) -> Found:
    """Read capture files backwards in time, hour by hour, until there are enough requests.

    Args:
        config: where the files are, which model answered, and how many requests are wanted.
        store: storage.
        folder: an empty folder for downloads.
        now: current time.

    Raises:
        AgentError: what storage raises.
    """
    since = now - timedelta(seconds=config.within_seconds)
    skipped: Counter[str] = Counter()
    found: list[CapturedRequest] = []
    for _, item in newest_first(store, config.uri, since, now):
        for record in _records(store, item, folder / "download"):
            kept = record if isinstance(record, str) else _request_of(record, config, since)
            if isinstance(kept, CapturedRequest):
                found.append(kept)
            else:
                skipped[kept] += 1
        if len(found) >= config.requests or sum(one.size for one in found) > _MOST_BYTES:
            break
    newest = sorted(found, key=lambda one: one.time)[-config.requests :]
    return Found(tuple(newest), skipped)


def _records(store: Store, item: Download, path: Path) -> Iterator[bytes | str]:
    """Yield the lines of a file, or the reason why it, or a line, cannot be read."""
    try:
        for line in lines_of(store, [item], path):
            if isinstance(line, UnreadableFile):
                yield "in a file that cannot be read"
            else:
                yield line if line is not None else "malformed"
    except AgentError as error:
        if error.failure is not DATA_INVALID:  # storage that is away comes back; a corrupt file does not
            raise


def _request_of(line: bytes, config: ReplayConfig, since: datetime) -> CapturedRequest | str:
    """Return the request of a record, or why it is not replayed."""
    try:
        record = json.loads(line)
        moment = parse_time(record["time"])
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return "malformed"
    why = "older than the period" if moment < since else _unfit(record, config)
    return why or CapturedRequest(moment, record["path"], record["request"], record["response"], len(line))


def _unfit(record: Mapping[str, object], config: ReplayConfig) -> str | None:
    """Return why a record cannot be replayed, if it cannot."""
    path = record.get("path")
    if record.get("digest") != config.digest or config.revision not in (None, record.get("revision")):
        return "answered by another revision"
    if record.get("status") != _OK:
        return "not answered with 200"
    if record.get("method", "POST") != "POST" or not isinstance(path, str) or not _PATH.fullmatch(path):
        return "not a POST to a path"
    if record.get("hidden") is True:
        return HIDDEN
    whole = record.get("request") is not None and record.get("response") is not None
    return None if whole else "without a whole JSON body"
