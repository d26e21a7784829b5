"""A checker of JSON Schema, for the few keywords that the schemas of the tests use."""

from collections.abc import Iterator
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
}
_KEYWORDS = {
    "$schema", "$comment", "type", "enum", "minimum", "maximum", "minLength", "maxItems", "items", "properties",
    "required", "additionalProperties",
}  # fmt: skip


def problems(document: Any, schema: dict[str, Any], path: str = "$") -> list[str]:
    """Return one line for each place where a document breaks its schema.

    Raises:
        ValueError: the schema has a keyword that is not checked here.
    """
    if unknown := schema.keys() - _KEYWORDS:
        raise ValueError(f"{path}: keywords {sorted(unknown)} are not supported")
    kind = schema.get("type")
    wrong = kind is not None and not isinstance(document, _TYPES[kind])
    if wrong or (isinstance(document, bool) and kind in ("number", "integer")):
        return [f"{path}: {document!r} is no {kind}"]
    return [*_scalar(document, schema, path), *_object(document, schema, path), *_array(document, schema, path)]


def _scalar(document: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    if "enum" in schema and document not in schema["enum"]:
        yield f"{path}: {document!r} is none of {schema['enum']}"
    if "minimum" in schema and document < schema["minimum"]:
        yield f"{path}: {document!r} is below {schema['minimum']}"
    if "maximum" in schema and document > schema["maximum"]:
        yield f"{path}: {document!r} is above {schema['maximum']}"
    if len(str(document)) < schema.get("minLength", 0):
        yield f"{path}: {document!r} is too short"


def _object(document: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    if not isinstance(document, dict):
        return
    known = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in document:
            yield f"{path}: {name} is missing"
    for name, value in document.items():
        if name in known:
            yield from problems(value, known[name], f"{path}.{name}")
        elif schema.get("additionalProperties") is False:
            yield f"{path}: {name} is not documented"


def _array(document: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    if not isinstance(document, list):
        return
    if len(document) > schema.get("maxItems", len(document)):
        yield f"{path}: {len(document)} items are too many"
    for index, item in enumerate(document):
        yield from problems(item, schema.get("items", {}), f"{path}[{index}]")
