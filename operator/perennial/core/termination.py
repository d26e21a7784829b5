"""Termination messages: untrusted text in, a checked model or a reason out."""

import json

from pydantic import TypeAdapter, ValidationError

from perennial.api.messages import MAX_BYTES, Failure, Message

_ADAPTER: TypeAdapter[Message] = TypeAdapter(Message)


class BadMessage(ValueError):
    """The termination message is not one of ours: missing, too long, not JSON, or not of the agreed form."""


def parse_message(text: str | None) -> Message:
    """Return the message of an agent.

    Raises:
        BadMessage: the text is not one of ours; says why in words without repeating the text.
    """
    if not text:
        raise BadMessage("the agent left no termination message")
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise BadMessage(f"the termination message is longer than {MAX_BYTES} bytes")
    if not printable(text):
        raise BadMessage("the termination message holds control characters")
    try:
        return _ADAPTER.validate_python(json.loads(text))
    except (ValidationError, ValueError, RecursionError):
        raise BadMessage("the termination message is not one that the agent writes") from None


def printable(text: str) -> bool:
    """Tell whether the text, decoded, may stand in a status: no control characters but white space."""
    return all(character >= " " or character in "\n\t\r" for character in text)


def failure_of(text: str | None) -> Failure | None:
    """Return the failure that a message tells of, or None when it tells of none or is not ours."""
    try:
        message = parse_message(text)
    except BadMessage:
        return None
    return message if isinstance(message, Failure) else None
