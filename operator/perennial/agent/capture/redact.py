"""Removes keys, tensors and columns with configured names from captured bodies."""

from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

DEEPEST = 64
"""Maximum nesting depth; a deeper body is not recorded."""

TABLES = (("columns", "data"), ("names", "ndarray"))
"""Keys of an object that hold the names of columns, and the rows."""


class TooDeep(ValueError):
    """A body is nested too deeply to be searched for names."""


def redacted(document: Any, names: Collection[str]) -> Any:
    """Return a decoded body without the fields of the given names.

    Removed are object keys at any depth, tensors of the Open Inference Protocol (objects with such a `name`), and
    columns of tables: MLflow's `dataframe_split` and Seldon's `names` with `ndarray`. Unnamed values, such as one
    number of a tensor, cannot be removed.

    Args:
        document: decoded JSON; it is not changed.
        names: in lower case.

    Raises:
        TooDeep: it is nested deeper than 64 levels.
    """
    if not names:
        return document
    return None if is_named(document, names) else _without(document, names, 0)


def redacted_target(target: str, names: Collection[str]) -> str:
    """Return a request's target without query parameters that go by one of the names."""
    if not names or "?" not in target:
        return target
    parts = urlsplit(target)
    kept = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key.lower() not in names]
    return urlunsplit(parts._replace(query=urlencode(kept)))


def _without(value: Any, names: Collection[str], depth: int) -> Any:
    if depth > DEEPEST:
        raise TooDeep
    if isinstance(value, list):
        return [_without(item, names, depth + 1) for item in value if not is_named(item, names)]
    if not isinstance(value, dict):
        return value
    kept = {key: item for key, item in value.items() if key.lower() not in names and not is_named(item, names)}
    for columns, rows in TABLES:
        kept = _without_columns(kept, columns, rows, names)
    return {key: _without(item, names, depth + 1) for key, item in kept.items()}


def is_named(item: Any, names: Collection[str]) -> bool:
    """Whether a value is an object whose `name` must be removed."""
    return isinstance(item, dict) and isinstance(item.get("name"), str) and item["name"].lower() in names


def _without_columns(value: dict[str, Any], columns: str, rows: str, names: Collection[str]) -> dict[str, Any]:
    """Return an object without the named columns of the table in it, if it holds one."""
    listed, data = value.get(columns), value.get(rows)
    if not isinstance(listed, list) or not isinstance(data, list):
        return value
    kept = [place for place, name in enumerate(listed) if str(name).lower() not in names]
    if len(kept) == len(listed):
        return value
    chosen = [[row[place] for place in kept] for row in data if is_row(row, len(listed))]
    return {**value, columns: [listed[place] for place in kept], rows: chosen}


def is_row(row: Any, width: int) -> bool:
    """Whether a value is a row of a table with so many columns."""
    return isinstance(row, list) and len(row) == width
