"""What holds for all CRDs, whatever fields the models have."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from perennial.generate import crd
from perennial.generate.crd import DEFINITIONS, Definition, definition
from perennial.generate.structural import Schema

each = pytest.mark.parametrize("item", DEFINITIONS, ids=lambda item: item.kind.kind)


def schema_of(item: Definition) -> Schema:
    found: Schema = definition(item)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for key, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(schema.get(key), dict):
            yield from nodes(schema[key], path + mark)


@each
def test_can_be_applied_by_everyone(item: Definition) -> None:
    assert len(json.dumps(definition(item), separators=(",", ":"))) < 200 * 1024


def test_says_so_when_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crd, "MOST_BYTES", 100)

    with pytest.raises(ValueError, match="the CRD of TrainingJob has"):
        definition(DEFINITIONS[0])


@each
def test_every_field_is_described(item: Definition) -> None:
    fields = (
        (f"{path}.{name}", inner)
        for path, node in nodes(schema_of(item))
        for name, inner in node.get("properties", {}).items()
    )

    assert [path for path, inner in fields if not inner.get("description")] == [".metadata"]


@each
def test_everything_that_grows_has_a_limit(item: Definition) -> None:
    """Else no estimate of a rule's cost holds, and one object could fill etcd."""

    def unlimited(node: Schema) -> bool:
        match node.get("type"):
            case "array":
                return "maxItems" not in node
            case "string":
                return not {"maxLength", "enum"} & set(node)
            case "object":
                return "additionalProperties" in node and "maxProperties" not in node
            case _:
                return False

    found = [path for path, node in nodes(schema_of(item)) if unlimited(node)]
    assert found == [".apiVersion", ".kind"]


@each
def test_only_keywords_of_structural_schemas_are_used(item: Definition) -> None:
    forbidden = {"$ref", "anyOf", "allOf", "oneOf", "title", "const", "nullable", "uniqueItems", "prefixItems"}

    for path, node in nodes(schema_of(item)):
        assert not forbidden & set(node), path
        untyped = node.get("x-kubernetes-int-or-string") or node.get("x-kubernetes-preserve-unknown-fields")
        assert "type" in node or untyped, path
        assert node.get("additionalProperties") is not False, path


@each
def test_patterns_are_whole_and_readable_by_go(item: Definition) -> None:
    for path, node in nodes(schema_of(item)):
        pattern = node.get("pattern")
        if pattern:
            assert pattern.startswith("^"), path
            assert pattern.endswith("$"), path
            assert not re.search(r"\(\?[=!<]", pattern), f"{path}: Go knows no look-around"


@each
def test_every_column_finds_its_field(item: Definition) -> None:
    schema = schema_of(item)
    for column in item.columns:
        plain = re.sub(r"\[\?\(.*?\)\]", "[]", column.path)
        if plain.startswith(".metadata"):
            continue
        assert plain in {path for path, _ in nodes(schema)}, column.name


@each
def test_every_rule_tells_what_to_do(item: Definition) -> None:
    for path, node in nodes(schema_of(item)):
        for rule in node.get("x-kubernetes-validations", ()):
            assert rule["message"], path
            assert len(rule["message"]) <= 256, path


@each
def test_scale_points_at_real_fields(item: Definition) -> None:
    version: Any = definition(item)["spec"]["versions"][0]
    scale = version["subresources"].get("scale")
    paths = {path for path, _ in nodes(schema_of(item))}

    assert (scale is not None) == (item.kind.kind == "ModelDeployment")
    assert set((scale or {}).values()) <= paths


@each
def test_kubectl_get_shows_no_column_as_wide_as_a_digest(item: Definition) -> None:
    shown = [column.path for column in item.columns if column.priority == 0]

    assert not [path for path in shown if path.endswith((".digest", ".message", "Uri", ".uri"))]


def test_kubectl_get_shows_why_a_training_waits() -> None:
    training = next(item for item in DEFINITIONS if item.kind.kind == "TrainingJob")

    reason = next(column for column in training.columns if column.name == "Reason")

    assert (reason.priority, reason.path) == (0, ".status.conditions[?(@.type=='Ready')].reason")
