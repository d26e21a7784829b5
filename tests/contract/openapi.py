"""JSON schemas for kubeconform from an API server's own OpenAPI document, so that nothing has to be fetched."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

LOCATION = "{{ .ResourceKind }}-{{ .ResourceAPIVersion }}.json"
"""Name of a kind's file, as kubeconform fills it in. No two kinds that we render share kind and version."""

_GVK = "x-kubernetes-group-version-kind"
_HEAD = "#/definitions/"
_NUMBERS: dict[str, Schema] = {"io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]}}
"""Described as text, but numbers are taken as well."""


def write_schemas(openapi: Any, kinds: set[tuple[str, str]], folder: Path) -> None:
    """Write the file of each (apiVersion, kind), with just the definitions that it needs."""
    definitions: dict[str, Schema] = openapi["definitions"]
    for name, schema in definitions.items():
        for gvk in schema.get(_GVK, ()):
            api_version = f"{gvk['group']}/{gvk['version']}".removeprefix("/")
            if (api_version, gvk["kind"]) in kinds:
                needed = _closure(name, definitions)
                strict = {key: _NUMBERS.get(key) or _strict(definitions[key]) for key in needed}
                document = {"$ref": _HEAD + name, "definitions": strict}
                (folder / f"{gvk['kind'].lower()}-{gvk['version']}.json").write_text(json.dumps(document))


def _closure(name: str, definitions: dict[str, Schema]) -> list[str]:
    """Return a definition's name with those of all that it refers to."""
    seen: dict[str, None] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen[current] = None
            waiting += _references(definitions[current])
    return [*seen]


def _references(schema: Schema) -> Iterator[str]:
    return iter(re.findall(rf'"\$ref": "{_HEAD}([^"]+)"', json.dumps(schema)))


def _strict(schema: Schema) -> Schema:
    """Return a schema in the dialect of validators: no unknown fields, and quantities as text or number."""
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        return {"type": ["string", "integer"]}
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return {"type": ["string", "number"]}
    node = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes")}
    if "properties" in schema:
        node["properties"] = {name: _strict(item) for name, item in schema["properties"].items()}
        node.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            node[key] = _strict(node[key])
    return node
