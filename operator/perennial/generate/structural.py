"""Converts pydantic models to structural schemas, the dialect of JSON schema that CRDs require."""

from collections.abc import Callable
from typing import Any

from perennial.api.common.base import Model

Schema = dict[str, Any]

_DROPPED = frozenset({"title", "default", "discriminator", "propertyNames", "x-perennial-key-pattern"})
_UNTYPED = ("x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields")
"""Keywords that stand in place of a type."""
_RULES = "x-kubernetes-validations"

_RENAMED: dict[str, Callable[[Any], Schema]] = {
    "const": lambda value: {"enum": [value]},
    "exclusiveMinimum": lambda value: {"minimum": value, "exclusiveMinimum": True},
    "exclusiveMaximum": lambda value: {"maximum": value, "exclusiveMaximum": True},
}
"""Keywords that OpenAPI 3.0, on which CRDs are based, expresses differently."""


def structural(model: type[Model]) -> Schema:
    """Return the structural schema of a model: references resolved, nulls removed, static defaults kept."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    definitions = schema.pop("$defs", {})
    return _node(schema, definitions)


def _node(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    whole = resolved(schema, definitions)
    rest = {key: value for key, value in whole.items() if key not in _DROPPED}
    result: Schema = {}
    for key, value in rest.items():
        result |= _keyword(key, value, definitions)
    if any(rest.get(keyword) for keyword in _UNTYPED):
        result.pop("type", None)
        # Neither keyword applies to the number form.
        result.pop("maxLength", None)
    if key_rule := _key_rule(whole):
        result[_RULES] = [*result.get(_RULES, ()), key_rule]
    default = _default(whole)
    return {**result, "default": default} if default is not None else result


def _keyword(key: str, value: Any, definitions: dict[str, Schema]) -> Schema:
    """Return one keyword in the structural dialect."""
    if key in _RENAMED:
        return _RENAMED[key](value)
    match key:
        case "properties":
            return {key: {name: _node(item, definitions) for name, item in value.items()}}
        case "items":
            return {key: _node(value, definitions)}
        case "additionalProperties":
            return {key: _node(value, definitions)} if isinstance(value, dict) else {}
        case "patternProperties":
            raise ValueError("the API server silently drops patternProperties; use x-perennial-key-pattern")
        case "prefixItems":
            raise ValueError("a tuple of fixed length has no structural schema; use a model instead")
        case _:
            return {key: value}


def resolved(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """Follow references and choose the one alternative that is not null; keywords beside them take precedence."""
    current = schema
    while "$ref" in current or "anyOf" in current or "allOf" in current:
        beside = {key: value for key, value in current.items() if key not in {"$ref", "anyOf", "allOf"}}
        if "$ref" in current:
            target = definitions[current["$ref"].rsplit("/", 1)[-1]]
        else:
            options = [
                item for item in current.get("anyOf") or current.get("allOf") or () if item.get("type") != "null"
            ]
            if len(options) != 1:
                raise ValueError(f"a union of {len(options)} types has no structural schema: {current}")
            (target,) = options
        rules = [*target.get(_RULES, ()), *beside.get(_RULES, ())]
        current = {**target, **beside, **({_RULES: rules} if rules else {})}
    return current


def _key_rule(schema: Schema) -> Schema | None:
    """Return the CEL rule that validates a map's keys, which structural schemas cannot express."""
    pattern, names = schema.get("x-perennial-key-pattern"), schema.get("propertyNames")
    if names is not None:
        return _key_length_rule(names)
    if pattern is None:
        return None
    return {
        "rule": f"self.all(key, key.size() <= 63 && key.matches('{pattern}'))",
        "message": "names hold letters, digits and '_', do not start with a digit, and have at most 63 characters",
    }


def _key_length_rule(names: Schema) -> Schema:
    """Return the CEL rule that limits the length of a map's keys: the API server silently drops `propertyNames`."""
    if set(names) - {"type"} != {"maxLength"}:
        raise ValueError(f"only the length of a map's keys can be limited, not {sorted(names)}")
    longest = names["maxLength"]
    return {
        "rule": f"self.all(key, key.size() <= {longest})",
        "message": f"names have at most {longest} characters",
    }


def _default(schema: Schema) -> Any:
    """Return the static default without nulls, or None if there is none.

    Pydantic already reduces the default of an object to the fields that differ from their own defaults.
    """
    return _without_nulls(schema.get("default"))


def without_defaults(schema: Schema) -> Schema:
    """Remove all defaults from a structural schema."""
    node = {key: value for key, value in schema.items() if key != "default"}
    if "properties" in node:
        node["properties"] = {name: without_defaults(item) for name, item in node["properties"].items()}
    for key in ("items", "additionalProperties"):
        if key in node:
            node[key] = without_defaults(node[key])
    return node


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value
