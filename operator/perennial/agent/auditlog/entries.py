"""Selects entries of the log by model, resource and time."""

import json
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from typing import Any

from perennial.agent.auditlog.lines import BadLine, Line, read_line
from perennial.agent.auditlog.segments import MOST_BYTES, LogStore, list_log, object_uri, split_lines
from perennial.api.contract.audit import AuditShow
from perennial.core.times import moment_of, parse_time

Note = Callable[[str], None]


def lines_of(query: AuditShow, store: LogStore, note: Note) -> Iterator[Line]:
    """Yield the lines whose entries match, in the order of the log. The chain is not checked.

    Args:
        query: what to select.
        store: storage.
        note: called with what could not be read.

    Raises:
        AgentError: as in `core.failures`.
    """
    since = parse_time(query.since) if query.since else None
    until = end_of(query.until) if query.until else None
    for segment in list_log(store, query.uri).segments:
        if since is not None and segment.day < _day_before(since):
            continue
        found = store.get_version(object_uri(query.uri, segment.name), MOST_BYTES)
        for number, raw in enumerate(split_lines(found.data if found else b""), start=1):
            try:
                line = read_line(raw)
            except BadLine as error:
                note(f"{segment.name} line {number}: {error}")
                continue
            if line.entry is not None and _matches(query, line.entry) and _within(line.entry, since, until):
                yield line


def end_of(text: str) -> datetime:
    """Return the end of a time or, if the text is a date, of that day."""
    moment = parse_time(text)
    try:
        date.fromisoformat(text)
    except ValueError:
        return moment
    return moment + timedelta(days=1) - timedelta(microseconds=1)


def _day_before(moment: datetime) -> date:
    """What happened late may be written the next day, but what happened later was not written earlier, up to skew."""
    return (moment - timedelta(days=1)).date()


def _matches(query: AuditShow, entry: dict[str, Any]) -> bool:
    wanted = {
        "modelDigest": query.model_digest,
        "kind": query.resource_kind,
        "namespace": query.namespace,
        "name": query.name,
    }
    return all(entry.get(name) == value for name, value in wanted.items() if value is not None)


def _within(entry: dict[str, Any], since: datetime | None, until: datetime | None) -> bool:
    moment = moment_of(str(entry.get("time")))
    if moment is None:  # rather shown than hidden
        return True
    return (since is None or moment >= since) and (until is None or moment <= until)


def as_text(line: Line) -> str:
    """Return an entry in one line for a person."""
    entry = line.entry or {}
    parts = [
        f"{line.position.sequence:>6}",
        _word(entry, "time"),
        _word(entry, "event"),
        f"{_word(entry, 'kind')} {_word(entry, 'namespace')}/{_word(entry, 'name')}",
        f"by {_word(entry, 'actor') or 'operator'}",
        *(f"{label} {_word(entry, name)}" for label, name in _SHOWN if entry.get(name)),
        _word(entry, "message"),
    ]
    text = "  ".join(part for part in parts if part)
    return "".join(character if character.isprintable() else "?" for character in text)


_SHOWN = (("run", "run"), ("revision", "revision"), ("model", "modelDigest"), ("figures", "figures"))


def _word(entry: dict[str, Any], name: str) -> str:
    value = entry.get(name)
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    return "" if value is None else str(value)


def as_json(line: Line) -> str:
    """Return an entry with its place in the log, as one line of JSON."""
    document = {"sequence": line.position.sequence, "hash": line.position.hash, "entry": line.entry}
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
