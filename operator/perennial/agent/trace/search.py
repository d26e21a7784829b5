"""Finds a captured request by its id: newest file first, bounded in files, bytes and time."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from perennial.agent.records.captured import UnreadableFile, lines_of
from perennial.agent.records.listing import newest_first
from perennial.agent.storage.errors import AgentError
from perennial.agent.tables.files import Download, Store
from perennial.agent.text import cut
from perennial.api.contract.trace import Searched, TraceConfig, TracedRequest
from perennial.core.failures import DATA_INVALID, OBJECT_NOT_FOUND
from perennial.core.times import format_time, parse_time

_MOST_NAMED = 20
_NAME = 300
Limit = Literal["FileLimit", "ByteLimit", "TimeLimit"]


@dataclass
class _Tally:
    """What has been read so far."""

    files: int = 0
    bytes: int = 0
    records: int = 0
    reached: datetime | None = None
    unreadable: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Found:
    """Result of a search.

    Attributes:
        request: the newest request with the id in the newest file that has it; None if no file has.
        others: number of other requests with the id in that file.
        searched: what was read.
    """

    request: TracedRequest | None
    others: int
    searched: Searched


def find_request(config: TraceConfig, store: Store, folder: Path, clock: Callable[[], float] = time.monotonic) -> Found:
    """Search the files of the window until one has the id, or a limit is reached.

    Args:
        config: the id, the window and the limits.
        store: storage.
        folder: an empty folder for downloads.
        clock: seconds that only grow.

    Raises:
        AgentError: what storage raises; a file that cannot be read is counted instead.
    """
    tally, end = _Tally(), clock() + config.seconds
    for hour, item in newest_first(store, config.uri, parse_time(config.since), parse_time(config.until)):
        limit = _limit(config, tally, item, expired=clock() >= end)
        if limit is not None:
            return Found(None, 0, _searched(config, tally, limit))
        tally.files += 1
        tally.bytes += item.size
        tally.reached = hour
        matches = list(_matches(config, store, item, folder / "download", tally))
        if matches:
            newest = max(matches, key=lambda one: one.time)
            return Found(newest, len(matches) - 1, _searched(config, tally, "Found"))
    return Found(None, 0, _searched(config, tally, "Complete"))


def _limit(config: TraceConfig, tally: _Tally, item: Download, *, expired: bool) -> Limit | None:
    """Return the limit that reading one more file would exceed."""
    if expired:
        return "TimeLimit"
    if tally.files >= config.most_files:
        return "FileLimit"
    # One file is always read: else a large newest file would hide all others.
    return "ByteLimit" if tally.files and tally.bytes + item.size > config.most_bytes else None


def _matches(config: TraceConfig, store: Store, item: Download, path: Path, tally: _Tally) -> Iterator[TracedRequest]:
    """Yield the requests of a file that have the id and belong to the deployment."""
    # As the recorder writes it: decoding only lines that contain the id is ten times faster.
    needle = json.dumps(config.id, ensure_ascii=False).encode("utf-8", "replace")
    for line in _lines(store, item, path, tally):
        tally.records += 1
        if needle in line:
            found = _request_of(line, config)
            if found is not None:
                yield found


def _lines(store: Store, item: Download, path: Path, tally: _Tally) -> Iterator[bytes]:
    try:
        for line in lines_of(store, [item], path):
            if isinstance(line, UnreadableFile):
                tally.unreadable.append(cut(item.uri, _NAME))
            elif line is not None:
                yield line
    except AgentError as error:
        if error.failure is OBJECT_NOT_FOUND:  # expired between listing and reading
            tally.unreadable.append(cut(item.uri, _NAME))
        elif error.failure is not DATA_INVALID:  # such a file has been counted above
            raise


def _request_of(line: bytes, config: TraceConfig) -> TracedRequest | None:
    """Return the request of a record if it has the id; None for any other, and for what `capture` does not write."""
    try:
        record = json.loads(line)
        if not isinstance(record, dict) or config.id not in (record.get("id"), record.get("requestId")):
            return None
        if (record.get("namespace"), record.get("deployment")) != (config.namespace, config.deployment):
            return None
        return TracedRequest.model_validate(_shown(record, payload=config.payload))
    except (ValueError, RecursionError, ValidationError):
        return None


def _shown(record: dict[str, Any], *, payload: bool) -> dict[str, Any]:
    """Keep what may be shown: without `payload` neither bodies nor the query, which is part of the request too."""
    bodies = {"request": record.get("request"), "response": record.get("response")}
    kept = {name: value for name, value in record.items() if name not in bodies and value is not None}
    path = record.get("path")
    return {
        **kept,
        **({} if payload or not isinstance(path, str) else {"path": path.partition("?")[0]}),
        **(bodies if payload else {}),
        "hasRequest": bodies["request"] is not None,
        "hasResponse": bodies["response"] is not None,
    }


def _searched(
    config: TraceConfig, tally: _Tally, ended: Literal["Found", "Complete", "FileLimit", "ByteLimit", "TimeLimit"]
) -> Searched:
    return Searched(
        since=config.since,
        until=config.until,
        ended=ended,
        reached=None if tally.reached is None else format_time(tally.reached),
        files=tally.files,
        bytes=tally.bytes,
        records=tally.records,
        unreadable=tuple(tally.unreadable[:_MOST_NAMED]),
        unreadable_files=len(tally.unreadable),
    )
