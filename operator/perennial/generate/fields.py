"""Renders schemas as Markdown tables with one row per field: type, limits, default and description."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import TypeAdapter

from perennial.api.common.base import Decimal, Digest, Duration, Name, ObjectName, Period, Quantity, S3Uri
from perennial.generate.markdown import code, table
from perennial.generate.structural import Schema

_LONGEST_PATTERN = 60
_RULES = "x-kubernetes-validations"
_WORDS: dict[str, str] = {
    TypeAdapter(kind).json_schema()["pattern"]: words
    for kind, words in (
        (Name, "name (DNS label)"),
        (ObjectName, "name (DNS subdomain)"),
        (S3Uri, "S3 URI"),
        (Digest, "digest (sha256:...)"),
        (Duration, "duration"),
        (Period, "duration above 0"),
        (Decimal, "decimal number as text"),
        (Quantity, "quantity"),
    )
}
"""Readable names of the patterns that many fields share."""
HEAD = ("Field", "Type", "Default", "Meaning")


@dataclass(frozen=True)
class Field:
    """One field of a schema, at any depth."""

    path: str
    schema: Schema
    required: bool


def fields(schema: Schema, path: str) -> Iterator[Field]:
    """Yield every field below a schema node, depth first, in schema order."""
    required = schema.get("required", ())
    for name, item in schema.get("properties", {}).items():
        yield Field(f"{path}.{name}" if path else name, item, name in required)
        yield from fields(item, f"{path}.{name}" if path else name)
    for key, mark in (("items", "[]"), ("additionalProperties", ".*")):
        inner = schema.get(key)
        if isinstance(inner, dict):
            yield from fields(inner, f"{path}{mark}")


def field_table(schema: Schema, path: str) -> str:
    """Return a Markdown table of all fields below a schema node."""
    return table(HEAD, (_row(item) for item in fields(schema, path)))


def rule_table(schema: Schema, path: str) -> str:
    """Return a Markdown table of the CEL rules below a schema node; empty if there are none."""
    rows = [(code(where or "(the resource)"), rule["message"]) for where, rule in _rules(schema, path)]
    return table(("Where", "Rule"), rows) if rows else ""


def _rules(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    yield from ((path, rule) for rule in schema.get(_RULES, ()))
    for field in fields(schema, path):
        yield from ((field.path, rule) for rule in field.schema.get(_RULES, ()))
        for key, mark in (("items", "[]"), ("additionalProperties", ".*")):
            inner = field.schema.get(key)
            if isinstance(inner, dict):
                yield from ((f"{field.path}{mark}", rule) for rule in inner.get(_RULES, ()))


def _row(field: Field) -> tuple[str, str, str, str]:
    default = "required" if field.required else _default(field.schema)
    return (code(field.path), type_text(field.schema), default, field.schema.get("description", ""))


def _default(schema: Schema) -> str:
    """Return the default of a scalar or list; the default of an object is shown in its fields."""
    default = schema.get("default")
    return "" if default is None or isinstance(default, dict) else code(json.dumps(default, ensure_ascii=False))


def type_text(schema: Schema) -> str:
    """Describe the type and limits of a field in words."""
    if "enum" in schema:
        return ", ".join(code(str(item)) for item in schema["enum"] if item is not None)
    if schema.get("pattern") in _WORDS:
        return _WORDS[schema["pattern"]]
    kind = schema.get("type", "any")
    # Null always means unset.
    base = " or ".join(item for item in kind if item != "null") if isinstance(kind, list) else str(kind)
    if base == "array":
        return f"list of {type_text(schema.get('items', {}))}{_most(schema, 'maxItems')}"
    inner = schema.get("additionalProperties")
    if base == "object" and isinstance(inner, dict):
        return f"map of {type_text(inner)}{_most(schema, 'maxProperties')}"
    return base + _range(schema) + _length(schema) + _form(schema)


def _most(schema: Schema, key: str) -> str:
    return f", at most {schema[key]}" if key in schema else ""


def _range(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    exclusive = schema.get("exclusiveMinimum")
    if isinstance(exclusive, int | float) and not isinstance(exclusive, bool):
        return f" above {exclusive:g}" + (f" to {high:g}" if high is not None else "")
    if low is not None and high is not None:
        return f" {low:,} to {high:,}"
    return f" from {low:,}" if low is not None else f" up to {high:,}" if high is not None else ""


def _length(schema: Schema) -> str:
    return f", at most {schema['maxLength']} characters" if "maxLength" in schema else ""


def _form(schema: Schema) -> str:
    pattern = schema.get("pattern", "")
    return f", {code(pattern)}" if pattern and len(pattern) <= _LONGEST_PATTERN else ""
