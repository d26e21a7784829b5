"""values.yaml with its comments, and values.schema.json, from the models of the chart's values."""

import json
from typing import Any

from perennial.api.common.base import Model
from perennial.generate.structural import Schema, resolved
from perennial.generate.text import MARK, comment, indented, to_yaml
from perennial.generate.values import Values

_KEPT = (
    *("type", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum"),
    *("exclusiveMaximum", "minItems", "maxItems", "maxProperties", "description", "required"),
)
_STEP = 2


def values_yaml() -> str:
    """Return values.yaml: every value with its default, under what it means."""
    head = "\n".join(comment(f"Values of the chart. {MARK} Where a key stands in a comment, it is unset."))
    return head + "\n\n" + "\n".join(_section(Values(), name) for name in Values.model_fields)


def _section(model: Model, name: str, indent: int = 0) -> str:
    """Return the lines of one value."""
    field, value = type(model).model_fields[name], getattr(model, name)
    lead = "\n".join(comment(field.description or "", indent))
    return f"{lead}\n{_value(field.alias or name, value, indent)}"


def _value(key: str, value: Any, indent: int) -> str:
    pad = " " * indent
    if value is None:
        return f"{pad}# {key}:\n"
    if isinstance(value, Model) and value.dump():
        return f"{pad}{key}:\n" + "".join(_section(value, name, indent + _STEP) for name in type(value).model_fields)
    return indented(to_yaml({key: plain(value)}), indent)


def plain(value: Any) -> Any:
    """Return a value as JSON has it; whole numbers are written as such."""
    if isinstance(value, Model):
        return plain(value.dump())
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def schema_of_values() -> Schema:
    """Return the JSON schema of the values, without references and without unknown fields."""
    schema = Values.model_json_schema(by_alias=True, mode="validation")
    definitions = schema.pop("$defs", {})
    return _node(schema, definitions)


def values_schema() -> str:
    """Return values.schema.json: what Helm holds values to before it renders anything."""
    strict = schema_of_values()
    # Helm adds this one by itself when the chart is part of another.
    strict["properties"]["global"] = {"type": "object", "description": "Values of a chart that this one is part of."}
    document = {"$schema": "http://json-schema.org/draft-07/schema#", "$comment": MARK, "title": "Values", **strict}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _node(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """Return a node without references; what a model describes holds its own fields only."""
    whole = resolved(schema, definitions)
    node = {key: value for key, value in whole.items() if key in _KEPT}
    if "const" in whole:
        node["enum"] = [whole["const"]]
    if "properties" in whole:
        node["properties"] = {name: _node(item, definitions) for name, item in whole["properties"].items()}
        node["additionalProperties"] = False
    elif isinstance(whole.get("additionalProperties"), dict):
        node["additionalProperties"] = _node(whole["additionalProperties"], definitions)
    if isinstance(whole.get("items"), dict):
        node["items"] = _node(whole["items"], definitions)
    if whole.get("x-kubernetes-int-or-string"):
        node["type"] = ["string", "number"]
    return _nullable(node) if whole is not schema and _is_optional(schema) else node


def _is_optional(schema: Schema) -> bool:
    return any(option.get("type") == "null" for option in schema.get("anyOf", ()))


def _nullable(node: Schema) -> Schema:
    """Return the node with null allowed: in a values file it means unset."""
    kind = node.get("type")
    types = {"type": [*(kind if isinstance(kind, list) else [kind]), "null"]} if kind else {}
    return {**node, **types, **({"enum": [*node["enum"], None]} if "enum" in node else {})}
