"""Appends the entries of an outbox to the log, so that no line of another writer is lost and none is written twice."""

import logging
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from perennial.agent.audit.outbox import read_outbox
from perennial.agent.auditlog.chain import Chain
from perennial.agent.auditlog.head import advance_head, begin_head, contradiction, read_head
from perennial.agent.auditlog.lines import Line
from perennial.agent.auditlog.segments import (
    MOST_BYTES,
    SEGMENT_TYPE,
    LogStore,
    Segment,
    list_log,
    name_of,
    object_uri,
)
from perennial.agent.storage.client import Version
from perennial.agent.storage.conditional import Retention
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.audit import AuditAppend, AuditEntry, AuditLock, AuditPosition
from perennial.api.contract.messages import AuditAppended
from perennial.core.audit import GENESIS, encode_line, next_line, outbox_digest
from perennial.core.failures import AUDIT_BROKEN, DATA_INVALID, TRANSFER_FAILED

log = logging.getLogger(__name__)

_TRIES = 10
_PAUSE_SECONDS = 0.2
_SEGMENTS_READ = 2
"""A repeat follows the write that it repeats as the next one of that writer; midnight may lie between them."""


@dataclass(frozen=True)
class Tail:
    """The end of the log, checked.

    Attributes:
        day: of the newest segment; None if the log is empty.
        found: its content and ETag.
        position: of the last line.
        closed: whether that line closes its segment.
        ids: identities of the entries that were read.
    """

    day: date | None
    found: Version | None
    position: AuditPosition
    closed: bool
    ids: frozenset[str]


def append(
    config: AuditAppend,
    store: LogStore,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    pause: Callable[[float], None] = time.sleep,
) -> AuditAppended:
    """Write the entries that the log does not have yet.

    Nothing is written behind a break: whoever reads the log could not tell the lines before it from forged ones.

    Raises:
        AgentError: AuditLogBroken, AuditStorageUnfit; DataInvalid, for the outbox or a full segment; TransferFailed, if
            other writers came first in each try; or as in `core.failures`.
    """
    entries = read_outbox(Path(config.outbox))
    appended = 0
    for attempt in range(1, _TRIES + 1):
        tail = _read_tail(config, store)
        new = [entry for entry in entries if entry.id not in tail.ids]
        if not new:
            advance_head(store, config.uri, tail.position)
            log.info("%d entries appended; %d were there before", appended, len(entries) - appended)
            return AuditAppended(
                sequence=tail.position.sequence,
                hash=tail.position.hash,
                appended=appended,
                repeated=len(entries) - appended,
                outbox=outbox_digest(entries),
            )
        # The log is read once more after a write: what is reported is what storage holds.
        now = clock()
        if _write(_Writer(store, config.uri, _retention(config.lock, now)), tail, new, now.astimezone(UTC).date()):
            appended = len(new)
        else:
            pause(random.uniform(0.5, 1.5) * _PAUSE_SECONDS * attempt)  # noqa: S311
    raise AgentError(TRANSFER_FAILED, f"{config.uri}: other writers came first in each of {_TRIES} tries")


def _read_tail(config: AuditAppend, store: LogStore) -> Tail:
    uri = config.uri
    # Before the segments: it may lag behind what is read after it, but not run ahead.
    head = read_head(store, uri)
    segments = list_log(store, uri).segments[-_SEGMENTS_READ:]
    chain, ids, hashes = Chain(None if segments else GENESIS), set[str](), dict[int, str]()

    def seen(line: Line) -> None:
        hashes[line.position.sequence] = line.position.hash
        if line.entry is not None:
            ids.add(str(line.entry.get("id")))

    found: Version | None = None
    for segment in segments:
        found = store.get_version(object_uri(uri, segment.name), MOST_BYTES)
        if found is None:
            raise AgentError(AUDIT_BROKEN, f"{segment.name} was removed while the log was read")
        chain.segment(segment.name, found.data, newest=segment == segments[-1], seen=seen)
    _refuse_broken(chain, uri, segments)
    known = [(head[0], "head.json")] if head else []
    known += [(config.expect, "the caller")] if config.expect else []
    if segments and not known and read_head(store, uri) is not None:
        return _read_tail(config, store)  # another writer has begun the log in between
    if segments and not known:
        raise AgentError(
            AUDIT_BROKEN, f"{uri} has segments but no head.json: whether its end was cut off cannot be told"
        )
    first = chain.first.sequence if chain.first else 0
    for position, who in known:
        problem = contradiction(position, who, first, chain.last, hashes)
        if problem is not None:
            raise AgentError(AUDIT_BROKEN, f"{uri}: {problem}")
    if not segments and head is None:
        begin_head(store, uri, GENESIS)
    newest = segments[-1].day if segments else None
    return Tail(newest, found, chain.last or GENESIS, chain.closed, frozenset(ids))


def _refuse_broken(chain: Chain, uri: str, segments: tuple[Segment, ...]) -> None:
    empty = next((segment.name for segment in segments if segment.size == 0), None)
    if empty is not None:
        raise AgentError(AUDIT_BROKEN, f"{uri}: {empty} is empty")
    if chain.findings:
        one = chain.findings[0]
        raise AgentError(AUDIT_BROKEN, f"{uri}: {one.segment} line {one.line}: {one.message}")


@dataclass(frozen=True)
class _Writer:
    """Writes segments of one log, all with the same retention."""

    store: LogStore
    uri: str
    retention: Retention | None

    def put(self, day: date, data: bytes, etag: str | None) -> bool:
        where = object_uri(self.uri, name_of(day))
        if len(data) > MOST_BYTES:
            raise AgentError(
                DATA_INVALID, f"{where} is full ({MOST_BYTES} bytes): the entries stay in the outbox until tomorrow"
            )
        return self.store.append_version(where, data, SEGMENT_TYPE, etag, self.retention)


def _write(writer: _Writer, tail: Tail, new: Iterable[AuditEntry], today: date) -> bool:
    """Write the entries behind the tail; False: another writer was faster."""
    if tail.day is None or tail.found is None:
        return writer.put(today, _lines(tail.position, new), None)
    if tail.closed:
        return writer.put(max(today, tail.day + timedelta(days=1)), _lines(tail.position, new), None)
    if today <= tail.day:  # also if this clock is behind that of the writer before
        return writer.put(tail.day, tail.found.data + _lines(tail.position, new), tail.found.etag)
    # First the earlier segment is closed: from then on no writer that still has it in hand can append to it.
    closing = next_line(tail.position, None)
    if not writer.put(tail.day, tail.found.data + encode_line(closing), tail.found.etag):
        return False
    return writer.put(today, _lines(closing, new), None)


def _lines(after: AuditPosition, entries: Iterable[AuditEntry]) -> bytes:
    written = []
    for entry in entries:
        line = next_line(after, entry)
        written.append(encode_line(line))
        after = line
    return b"".join(written)


def _retention(lock: AuditLock | None, now: datetime) -> Retention | None:
    return None if lock is None else Retention(lock.mode, now + timedelta(days=lock.days))
