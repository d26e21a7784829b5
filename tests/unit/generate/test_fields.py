import pytest

from perennial.generate.fields import field_table, fields, rule_table, type_text
from perennial.generate.structural import Schema

SCHEMA: Schema = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "maxLength": 9, "description": "A name | with a bar."},
        "parts": {
            "type": "array",
            "maxItems": 2,
            "description": "Parts.",
            "items": {
                "type": "object",
                "properties": {"size": {"type": "integer", "minimum": 1, "default": 3, "description": "Size of <it>."}},
                "x-kubernetes-validations": [{"rule": "true", "message": "always so"}],
            },
        },
    },
}


def test_fields_are_listed_with_their_paths() -> None:
    assert [item.path for item in fields(SCHEMA, "spec")] == ["spec.name", "spec.parts", "spec.parts[].size"]


def test_a_table_has_one_row_for_each_field() -> None:
    assert field_table(SCHEMA, "spec").splitlines()[2:] == [
        "| `spec.name` | string, at most 9 characters | required | A name \\| with a bar. |",
        "| `spec.parts` | list of object, at most 2 |  | Parts. |",
        "| `spec.parts[].size` | integer from 1 | `3` | Size of &lt;it>. |",
    ]


def test_rules_stand_where_they_hold() -> None:
    assert rule_table(SCHEMA, "spec").splitlines()[-1] == "| `spec.parts[]` | always so |"
    assert rule_table({"type": "object", "properties": {}}, "spec") == ""


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "boolean"}, "boolean"),
        ({"enum": ["a", "b", None]}, "`a`, `b`"),
        ({"type": ["string", "null"]}, "string"),
        ({"type": "integer", "minimum": 0, "maximum": 10000}, "integer 0 to 10,000"),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 60}, "number above 0 to 60"),
        (
            {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 4},
            "map of string, at most 4",
        ),
        ({"type": "string", "pattern": "^a$"}, "string, `^a$`"),
        ({"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}, "digest (sha256:...)"),
    ],
)
def test_types_are_told_in_words(schema: Schema, words: str) -> None:
    assert type_text(schema) == words
