"""Replaces values of configured names in captured records by a keyed hash, before anything is written."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from perennial.agent.capture.redact import DEEPEST, TABLES, TooDeep, is_named, is_row
from perennial.agent.hashing import KeyedHash, keyed_hash
from perennial.api.contract.commands import CaptureConfig

_FORM = frozenset({"name", "shape", "datatype"})
"""Fields of a tensor that say what it is."""


@dataclass(frozen=True)
class Hashing:
    """What is hashed.

    Attributes:
        names: in lower case.
        key: None: nothing is hashed, and there are no names.
    """

    names: frozenset[str] = frozenset()
    key: KeyedHash | None = None

    def document(self, document: Any) -> Any:
        """Return a decoded body with the values of the names hashed; it is not changed itself.

        Names are found as `redact.redacted` finds them: object keys at any depth, tensors (objects with such a `name`),
        and columns of tables. A list is hashed value by value, so that tensors keep their shape, and null stays null.
        What has no value that can be hashed is left out: an object is null, and so is all of a tensor but its name,
        shape and values; rows that do not fit a table's columns are missing.

        Raises:
            TooDeep: it is nested deeper than 64 levels.
        """
        return document if self.key is None else _Walk(self.names, self.key).within(document, 0)

    def target(self, target: str) -> str:
        """Return a request's target with query parameters of the names hashed."""
        if self.key is None or "?" not in target:
            return target
        parts, key = urlsplit(target), self.key
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        query = [(name, key.of_scalar(value) if name.lower() in self.names else value) for name, value in pairs]
        return urlunsplit(parts._replace(query=urlencode(query, safe=":")))

    def header(self, name: str, value: str) -> str:
        """Return the value of a request header; an empty one is none, and stays empty."""
        hidden = self.key is not None and value and name.lower() in self.names
        return self.key.of(value) if self.key is not None and hidden else value


def hashing_of(config: CaptureConfig, environment: Mapping[str, str] = os.environ) -> Hashing:
    """Return what a sidecar hashes.

    Raises:
        AgentError: HashKeyInvalid, if the key is missing or too short.
    """
    wanted = config.hash
    if wanted is None:
        return Hashing()
    key = keyed_hash(wanted.key_secret, "capture.hash.keySecret", environment)
    return Hashing(frozenset(name.lower() for name in wanted.columns), key)


@dataclass(frozen=True)
class _Walk:
    names: Collection[str]
    key: KeyedHash

    def within(self, value: Any, depth: int) -> Any:
        """Return a value in which whatever goes by one of the names is hashed."""
        if depth > DEEPEST:
            raise TooDeep
        if isinstance(value, list):
            return [self.within(item, depth + 1) for item in value]
        if not isinstance(value, dict):
            return value
        if is_named(value, self.names):
            return self._tensor(value, depth + 1)
        for columns, rows in TABLES:
            value = self._table(value, columns, rows)
        return {
            key: self._hidden(item, depth + 1) if key.lower() in self.names else self.within(item, depth + 1)
            for key, item in value.items()
        }

    def _hidden(self, value: Any, depth: int) -> Any:
        if depth > DEEPEST:
            raise TooDeep
        if isinstance(value, list):
            return [self._hidden(item, depth + 1) for item in value]
        return None if isinstance(value, dict) else self.key.of_scalar(value)

    def _tensor(self, value: dict[str, Any], depth: int) -> dict[str, Any]:
        """Return a tensor of texts with hashed values; in its place, another object with such a name."""
        hidden = {key: self._hidden(item, depth) for key, item in value.items() if key not in _FORM}
        shape = value.get("shape")
        whole = isinstance(shape, list) and all(type(size) is int for size in shape)
        return {
            "name": value["name"],
            **({"shape": shape} if whole else {}),
            **({"datatype": "BYTES"} if "datatype" in value else {}),
            **hidden,
        }

    def _table(self, value: dict[str, Any], columns: str, rows: str) -> dict[str, Any]:
        """Return an object with the named columns of the table in it hashed, if it holds one."""
        listed, data = value.get(columns), value.get(rows)
        if not isinstance(listed, list) or not isinstance(data, list):
            return value
        places = {place for place, name in enumerate(listed) if str(name).lower() in self.names}
        if not places:
            return value
        chosen = [
            [self._hidden(cell, 0) if place in places else cell for place, cell in enumerate(row)]
            for row in data
            if is_row(row, len(listed))
        ]
        return {**value, rows: chosen}
