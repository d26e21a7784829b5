"""Removes keys, tensors and columns with configured names from captured bodies."""

from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

_DEEPEST = 64
"""Maximum nesting depth; a deeper body is not recorded."""


class TooDeep(ValueError):
    """A body is nested too deeply to be searched for names."""


def redacted(document: Any, names: Collection[str]) -> Any:
    """Return a decoded body without the fields of the given names.

    Removed are object keys at any depth, tensors of the Open Inference Protocol (objects with such a `name`), and
    columns of MLflow's `dataframe_split`. Unnamed values, such as one number of a tensor, cannot be removed.

    Args:
        document: decoded JSON; it is not changed.
        names: in lower case.

    Raises:
        TooDeep: it is nested deeper than 64 levels.
    """
    return _without(document, names, 0) if names else document


def redacted_target(target: str, names: Collection[str]) -> str:
    """Return a request's target without query parameters that go by one of the names."""
    if not names or "?" not in target:
        return target
    parts = urlsplit(target)
    kept = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key.lower() not in names]
    return urlunsplit(parts._replace(query=urlencode(kept)))


def _without(value: Any, names: Collection[str], depth: int) -> Any:
    if depth > _DEEPEST:
        raise TooDeep
    if isinstance(value, list):
        return [_without(item, names, depth + 1) for item in value if not _is_named(item, names)]
    if not isinstance(value, dict):
        return value
    kept = {key: item for key, item in value.items() if key.lower() not in names}
    frame = _frame(kept, names)
    return {key: _without(item, names, depth + 1) for key, item in (frame or kept).items()}


def _is_named(item: Any, names: Collection[str]) -> bool:
    """Whether an element of a list is an object whose `name` must be removed."""
    return isinstance(item, dict) and isinstance(item.get("name"), str) and item["name"].lower() in names


def _frame(value: dict[str, Any], names: Collection[str]) -> dict[str, Any] | None:
    """Return a `dataframe_split` without the named columns; None if there is nothing to remove."""
    match value:
        case {"columns": [*columns], "data": [*rows]}:
            kept = [place for place, name in enumerate(columns) if str(name).lower() not in names]
            if len(kept) == len(columns):
                return None
            chosen = [[row[place] for place in kept] for row in rows if _is_row(row, len(columns))]
            return {**value, "columns": [columns[place] for place in kept], "data": chosen}
    return None


def _is_row(row: Any, width: int) -> bool:
    return isinstance(row, list) and len(row) == width
