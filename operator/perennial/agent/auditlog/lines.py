"""Reads lines of a segment. They are untrusted: whoever can write the bucket can write any bytes."""

import json
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from perennial.api.contract.audit import LONGEST_LINE, AuditEntry, AuditPosition
from perennial.core.audit import canonical, line_hash


@dataclass(frozen=True)
class Line:
    """A line that has the form of one; whether it belongs there is for the chain to say.

    Attributes:
        position: its sequence number, and the hash that it states.
        previous: the hash that it states for the line before.
        entry: its entry as JSON; None if it closes the segment.
        sound: whether its hash is that of its content, and its JSON canonical.
    """

    position: AuditPosition
    previous: str
    entry: dict[str, Any] | None
    sound: bool


class BadLine(ValueError):
    """The bytes are no line; the text says why."""


def read_line(data: bytes) -> Line:
    """Read a line with its end.

    A newer release may write more fields: they are covered by the hash and otherwise ignored.

    Raises:
        BadLine: the bytes are no line.
    """
    if not data.endswith(b"\n"):
        raise BadLine("the line has no end")
    if len(data) > LONGEST_LINE:
        raise BadLine(f"the line has {len(data)} bytes; none is written with more than {LONGEST_LINE}")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadLine("the line is not JSON") from error
    if not isinstance(document, dict) or not isinstance(document.get("entry", {}), dict):
        raise BadLine("the line is not a JSON object of the log's form")
    try:
        position = AuditPosition.model_validate(document, strict=True)
        previous = AuditPosition.model_validate({"sequence": 0, "hash": document.get("previous")}).hash
    except ValidationError as error:
        raise BadLine("sequence, hash or previous is missing or malformed") from error
    return Line(position, previous, document.get("entry"), _sound(document, data))


def _sound(document: dict[str, Any], data: bytes) -> bool:
    try:
        return canonical(document) + b"\n" == data and line_hash(document) == document["hash"]
    except (ValueError, RecursionError):
        return False


def entry_of(document: dict[str, Any]) -> AuditEntry | None:
    """Return an entry; None if this release does not know its form."""
    try:
        return AuditEntry.model_validate(document)
    except ValidationError:
        return None
