"""How the audit log is written and chained: canonical JSON, hashes and identities. Shared by operator and agent.

A line is the canonical JSON of an `AuditLine`: keys sorted by code point, no white space, no unset fields, UTF-8
without escapes other than JSON requires, and no number that is not an integer. Its hash is the sha256 of the same JSON
without the field `hash`; `jq -cSj 'del(.hash)' | sha256sum` computes it from a line. The hash covers `previous`, the
hash of the line before, so a hash stands for all lines up to its own.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from perennial.api.contract.audit import AuditEntry, AuditLine, AuditPosition

GENESIS = AuditPosition(sequence=0, hash=f"sha256:{'0' * 64}")
"""Position of an empty log."""


def canonical(document: Any) -> bytes:
    """Return a JSON value as canonical JSON.

    Raises:
        ValueError: it holds a number that is no integer, or text that is not Unicode.
    """
    _refuse_floats(document)
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def _refuse_floats(value: Any) -> None:
    if isinstance(value, float):
        raise ValueError(f"{value!r} is no integer")  # noqa: TRY004 - as json raises for NaN
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _refuse_floats(item)


def line_hash(document: dict[str, Any]) -> str:
    """Return the hash of a line, given as decoded JSON with or without its field `hash`."""
    rest = {name: value for name, value in document.items() if name != "hash"}
    return f"sha256:{hashlib.sha256(canonical(rest)).hexdigest()}"


def next_line(after: AuditPosition, entry: AuditEntry | None) -> AuditLine:
    """Return the line that follows a position; without an entry, the one that closes a segment."""
    document: dict[str, Any] = {"sequence": after.sequence + 1, "previous": after.hash}
    if entry is not None:
        document["entry"] = entry_document(entry)
    return AuditLine(sequence=after.sequence + 1, previous=after.hash, entry=entry, hash=line_hash(document))


def encode_line(line: AuditLine) -> bytes:
    """Return the line as it is written, with its end."""
    document = line.dump()
    if line.entry is not None:
        document["entry"] = entry_document(line.entry)
    return canonical(document) + b"\n"


def entry_document(entry: AuditEntry) -> dict[str, Any]:
    """Return an entry as JSON, without fields that are unset or empty."""
    return {name: value for name, value in entry.dump().items() if value not in ("", {})}


def encode_outbox(entries: Iterable[AuditEntry]) -> str:
    """Return entries in the form of an outbox file."""
    return "".join(f"{canonical(entry_document(entry)).decode()}\n" for entry in entries)


def outbox_digest(entries: Iterable[AuditEntry]) -> str:
    """Return the digest over the identities of entries, in any order: which ones were read."""
    text = "".join(f"{one}\n" for one in sorted({entry.id for entry in entries}))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def entry_id(kind: str, uid: str, event: str, *subject: str | int) -> str:
    """Return the identity of a fact.

    Args:
        kind: kind of the resource.
        uid: its UID.
        event: what happened.
        subject: what else tells this fact from others of the same resource, such as run or revision and generation.
    """
    parts = canonical([kind, uid, event, *subject])
    return hashlib.sha256(parts).hexdigest()[:32]
