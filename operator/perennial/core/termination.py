"""Parses termination messages of the agent: untrusted text to a validated message."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import TypeAdapter, ValidationError

from perennial.api.contract.messages import (
    MAX_BYTES,
    POD_MAX_BYTES,
    DriftVerdict,
    Failure,
    Message,
    NoVerdict,
    Published,
)
from perennial.core.failures import AgentFailure
from perennial.core.waiting import clean

_ADAPTER: TypeAdapter[Message] = TypeAdapter(Message)


_INJECTED_CONTAINERS = 2
"""Sidecars that a mesh or another webhook may add to a pod, and which then share the budget."""

_FIRST_LIST = ',"scores":['
"""Begins the lists of a verdict. Quotes within texts are escaped, so no text contains it."""
_LAST_TEXT = '"message":"'
_ESCAPE_LENGTH = 6
"""Characters of a JSON escape sequence such as \\u001f."""


def message_budget(containers: int) -> int:
    """Return the longest termination message, in bytes, of each container in a pod with so many containers."""
    return min(MAX_BYTES, POD_MAX_BYTES // (containers + _INJECTED_CONTAINERS))


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


def parse_publishing(text: str | None, uri_of: Callable[[str], str]) -> Message:
    """Parse the termination message of `publish`, also if the kubelet truncated it.

    A truncated message loses metrics and perhaps its URI, which `uri_of` then derives from the digest. The version's
    manifest has all of them.

    Raises:
        BadMessage: as `parse_message`.
    """
    try:
        return parse_message(text)
    except BadMessage:
        found = _truncated(text or "", uri_of)
        if found is None:
            raise
        return found


def parse_verdict(text: str | None) -> Message:
    """Parse the termination message of `drift`, also if the kubelet truncated it.

    A truncated verdict loses entries of its lists, never one of the results before them; a truncated reason for no
    verdict loses the end of its message.

    Raises:
        BadMessage: as `parse_message`.
    """
    try:
        return parse_message(text)
    except BadMessage:
        found = _truncated_result(text or "")
        if found is None:
            raise
        return found


def _truncated_result(text: str) -> DriftVerdict | NoVerdict | None:
    if len(text) > MAX_BYTES or not printable(text) or _is_json(text):
        return None
    for candidate in (*_complete_lists(text), *_complete_texts(text)):
        try:
            message = _ADAPTER.validate_python(_legible(json.loads(candidate)))
        except (ValidationError, ValueError, RecursionError):
            continue
        if isinstance(message, DriftVerdict | NoVerdict):
            return message
    return None


def _complete_lists(text: str) -> Iterator[str]:
    """Yield the beginnings of a truncated verdict that keep everything before its lists, longest first."""
    lists = text.find(_FIRST_LIST)
    end = len(text)
    while lists > 0 and (end := text.rfind(",", lists, end)) > 0:
        yield f"{text[:end]}]}}"
        yield f"{text[:end]}}}"


def _complete_texts(text: str) -> Iterator[str]:
    """Yield a truncated JSON object with its last text closed, without the escape sequence that may have been cut."""
    if _LAST_TEXT in text:
        for dropped in range(_ESCAPE_LENGTH):
            yield f'{text[: len(text) - dropped]}"}}'


def _truncated(text: str, uri_of: Callable[[str], str]) -> Published | None:
    if len(text) > MAX_BYTES or not printable(text) or _is_json(text):
        return None
    for candidate in _complete_prefixes(text):
        try:
            document = _legible(json.loads(candidate))
            if "uri" not in document:
                document = {**document, "uri": uri_of(str(document.get("digest")))}
            message = _ADAPTER.validate_python(document)
        except (ValidationError, ValueError, TypeError, RecursionError):
            continue
        if isinstance(message, Published):
            # How many metrics were cut off is unknown, but it is at least one.
            return message.model_copy(update={"metrics_dropped": message.metrics_dropped + 1})
        return None
    return None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _complete_prefixes(text: str) -> Iterator[str]:
    """Yield the beginnings of a truncated JSON object that may be complete after closing it, longest first."""
    end = len(text)
    while (end := text.rfind(",", 0, end)) > 0:
        yield f"{text[:end]}}}}}"
        yield f"{text[:end]}}}"


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
