"""Termination messages: untrusted text in, a checked model or a reason out."""

import json
from typing import Any

from pydantic import TypeAdapter, ValidationError

from perennial.api.contract.messages import MAX_BYTES, Failure, Message
from perennial.core.failures import AgentFailure
from perennial.core.waiting import clean

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
        return _ADAPTER.validate_python(_legible(json.loads(text)))
    except (ValidationError, ValueError, RecursionError):
        raise BadMessage("the termination message is not one that the agent writes") from None


def _legible(value: Any) -> Any:
    """Return decoded JSON with a space for every character that no terminal should print, escaped ones included."""
    if isinstance(value, str):
        return value if value.isprintable() else "".join(c if c.isprintable() else " " for c in value)
    if isinstance(value, list):
        return [_legible(item) for item in value]
    return {_legible(key): _legible(item) for key, item in value.items()} if isinstance(value, dict) else value


def printable(text: str) -> bool:
    """Tell whether the text, decoded, may stand in a status: no control characters but white space."""
    return all(character >= " " or character in "\n\t\r" for character in text)


def agent_words(text: str | None, failure: AgentFailure) -> str:
    """Return what an agent that ended with this failure says, where that agrees with it, and the next step."""
    message = failure_of(text)
    return failure.next_step if message is None or message.reason != failure.reason else failure_words(message, failure)


def failure_words(message: Failure, failure: AgentFailure) -> str:
    """Return what an agent says and the next step, which agents say too, once."""
    said = clean(message.message).removesuffix(failure.next_step).rstrip(".; ")
    return f"{said}; {failure.next_step}" if said else failure.next_step


def failure_of(text: str | None) -> Failure | None:
    """Return the failure that a message tells of, or None when it tells of none or is not ours."""
    try:
        message = parse_message(text)
    except BadMessage:
        return None
    return message if isinstance(message, Failure) else None
