"""Parses termination messages of the agent: untrusted text to a validated message."""

import json
from typing import Any

from pydantic import TypeAdapter, ValidationError

from perennial.api.contract.messages import MAX_BYTES, Failure, Message
from perennial.core.failures import AgentFailure
from perennial.core.waiting import clean

_ADAPTER: TypeAdapter[Message] = TypeAdapter(Message)


class BadMessage(ValueError):
    """The termination message is missing, too long, not JSON, or does not match the schema."""


def parse_message(text: str | None) -> Message:
    """Parse the termination message of an agent.

    Raises:
        BadMessage: the text is invalid; the error says why without quoting the text.
    """
    if not text:
        raise BadMessage("the agent left no termination message")
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise BadMessage(f"the termination message is longer than {MAX_BYTES} bytes")
    if not printable(text):
        raise BadMessage("the termination message contains control characters")
    try:
        return _ADAPTER.validate_python(_legible(json.loads(text)))
    except (ValidationError, ValueError, RecursionError):
        raise BadMessage("the termination message is not one that the agent writes") from None


def _legible(value: Any) -> Any:
    """Replace unprintable characters in decoded JSON by spaces, including those that were escaped."""
    if isinstance(value, str):
        return value if value.isprintable() else "".join(c if c.isprintable() else " " for c in value)
    if isinstance(value, list):
        return [_legible(item) for item in value]
    return {_legible(key): _legible(item) for key, item in value.items()} if isinstance(value, dict) else value


def printable(text: str) -> bool:
    """Tell whether a text has no control characters except white space."""
    return all(character >= " " or character in "\n\t\r" for character in text)


def agent_words(text: str | None, failure: AgentFailure) -> str:
    """Message of an agent that ended with this failure, if it matches the exit code, and the next step."""
    message = failure_of(text)
    return failure.next_step if message is None or message.reason != failure.reason else failure_words(message, failure)


def failure_words(message: Failure, failure: AgentFailure) -> str:
    """Message of an agent and the next step; agents append the next step too, so it is removed first."""
    said = clean(message.message).removesuffix(failure.next_step).rstrip(".; ")
    return f"{said}; {failure.next_step}" if said else failure.next_step


def failure_of(text: str | None) -> Failure | None:
    """Parse a text as a failure; None if it is invalid or another message."""
    try:
        message = parse_message(text)
    except BadMessage:
        return None
    return message if isinstance(message, Failure) else None
