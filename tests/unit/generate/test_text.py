import pytest
import yaml

from perennial.core.kinds import JOB, POD
from perennial.generate.rbac import TEMPLATES, Right, template
from perennial.generate.text import comment, indented, literal, to_yaml
from perennial.generate.values import Values
from perennial.generate.valuesfiles import plain, schema_of_values, values_yaml


def test_yaml_has_no_anchors_and_keeps_the_order() -> None:
    shared = ["a"]

    text = to_yaml({"z": shared, "b": shared})

    assert text == "z:\n  - a\nb:\n  - a\n"


def test_comments_are_wrapped_and_set_in() -> None:
    lines = list(comment("word " * 60, indent=4))

    assert len(lines) == 3
    assert all(line.startswith("    # word") and len(line) <= 118 for line in lines)


def test_empty_lines_stay_empty_when_set_in() -> None:
    assert indented("a\n\nb\n", 2) == "  a\n\n  b\n"


def test_braces_survive_helm() -> None:
    assert literal("a {{ b") == 'a {{ "{{" }} b'


def test_values_yaml_holds_the_defaults_and_a_comment_for_every_value() -> None:
    text = values_yaml()

    assert yaml.safe_load(text) == plain(Values())
    lines = text.splitlines()
    keys = [number for number, line in enumerate(lines) if line[:1].isalpha()]
    assert len(keys) == len(Values.model_fields)
    assert all(lines[number - 1].startswith("# ") for number in keys)


def test_the_schema_of_the_values_knows_every_field_and_no_other() -> None:
    schema = schema_of_values()

    assert schema["additionalProperties"] is False
    assert schema["properties"]["config"]["additionalProperties"] is False
    assert schema["properties"]["image"]["properties"]["pullPolicy"]["enum"] == [
        "Always",
        "IfNotPresent",
        "Never",
        None,
    ]
    limits = schema["properties"]["resources"]["properties"]["limits"]
    assert limits["additionalProperties"]["type"] == ["string", "number"]
    assert schema["properties"]["affinity"] == {"type": "object", "description": "Affinity of the pods."}


def test_a_right_stays_within_one_group() -> None:
    with pytest.raises(ValueError, match="several API groups"):
        _ = Right((JOB, POD), ("get",), "Both.").group


def test_every_role_has_its_template() -> None:
    text = template()

    assert [name for name in TEMPLATES if f'{{{{- define "{name}" -}}}}' in text] == [*TEMPLATES]
    assert "# Elects the leader." in text
