"""Generates values.yaml with comments and values.schema.json from the models of the chart's values."""

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
    """Render values.yaml: every value with its default, below its description."""
    head = "\n".join(comment(f"Values of the chart. {MARK} A key in a comment is unset."))
    return head + "\n\n" + "\n".join(_section(Values(), name) for name in Values.model_fields)


def _section(model: Model, name: str, indent: int = 0) -> str:
    """Render one value with its description as a comment."""
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
    """Convert a value to JSON types; floats without a fraction become integers."""
    if isinstance(value, Model):
        return plain(value.dump())
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def schema_of_values() -> Schema:
    """Return the JSON schema of the values, with references resolved and unknown fields forbidden."""
    schema = Values.model_json_schema(by_alias=True, mode="validation")
    definitions = schema.pop("$defs", {})
    return _node(schema, definitions)


def values_schema() -> str:
    """Render values.schema.json, which Helm validates values against before rendering."""
    strict = schema_of_values()
    # Helm adds `global` to the values of a subchart.
    strict["properties"]["global"] = {"type": "object", "description": "Global values of a parent chart."}
    document = {"$schema": "http://json-schema.org/draft-07/schema#", "$comment": MARK, "title": "Values", **strict}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _node(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """Resolve the references of a node; objects of models forbid unknown fields."""
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
    if whole.get("x-kubernetes-int-or-string") or whole.get("x-kubernetes-preserve-unknown-fields"):
        node["type"] = ["string", "number"]
    return _nullable(node) if whole is not schema and _is_optional(schema) else node


def _is_optional(schema: Schema) -> bool:
    return any(option.get("type") == "null" for option in schema.get("anyOf", ()))


def _nullable(node: Schema) -> Schema:
    """Allow null, which means unset in a values file."""
    kind = node.get("type")
    types = {"type": [*(kind if isinstance(kind, list) else [kind]), "null"]} if kind else {}
    return {**node, **types, **({"enum": [*node["enum"], None]} if "enum" in node else {})}
