from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from perennial.api.common.base import Model, Quantity, Rule, list_map, rules
from perennial.generate.structural import structural, without_defaults


class Part(Model):
    """A part."""

    model_config = {"json_schema_extra": rules(Rule(rule="self.size > 0", message="not empty"))}

    size: int = Field(1, gt=0, lt=9, description="Its size.")
    kind: Literal["One"] = Field("One", description="Its kind.")


class Whole(Model):
    """A whole."""

    part: Part = Field(Part(), description="The only part.")
    spare: Part | None = Field(None, description="A spare part.")
    parts: Annotated[tuple[Part, ...], Field(max_length=3, json_schema_extra=list_map("kind"))] = Field(
        (), description="More parts."
    )
    amount: Quantity | None = Field(None, description="An amount.")
    named: Annotated[dict[str, str], Field(max_length=2, json_schema_extra={"x-perennial-key-pattern": "^a$"})] = Field(
        default_factory=dict, description="Names."
    )
    guarded: Part = Field(
        description="A part with a rule more.", json_schema_extra=rules(Rule(rule="self == oldSelf", message="stays"))
    )


@pytest.fixture(scope="module")
def properties() -> dict[str, Any]:
    schema = structural(Whole)
    assert set(schema) == {"description", "properties", "required", "type"}
    found: dict[str, Any] = schema["properties"]
    return found


def test_references_are_resolved_and_the_fields_words_win(properties: dict[str, Any]) -> None:
    assert properties["part"]["description"] == "The only part."
    assert properties["part"]["properties"]["size"]["description"] == "Its size."


def test_defaults_of_an_object_are_stored_with_it(properties: dict[str, Any]) -> None:
    assert properties["part"]["default"] == {"size": 1, "kind": "One"}
    assert properties["part"]["properties"]["size"]["default"] == 1


def test_null_is_no_type_and_no_default(properties: dict[str, Any]) -> None:
    assert properties["spare"]["type"] == "object"
    assert "default" not in properties["spare"]
    assert "anyOf" not in properties["spare"]


def test_bounds_and_constants_are_written_as_openapi_3_has_them(properties: dict[str, Any]) -> None:
    size, kind = (properties["part"]["properties"][name] for name in ("size", "kind"))

    assert size == {
        "type": "integer",
        "minimum": 0,
        "exclusiveMinimum": True,
        "maximum": 9,
        "exclusiveMaximum": True,
        "description": "Its size.",
        "default": 1,
    }
    assert kind["enum"] == ["One"]
    assert "const" not in kind


def test_a_quantity_is_text_or_number_and_keeps_its_pattern(properties: dict[str, Any]) -> None:
    amount = properties["amount"]

    assert amount["x-kubernetes-int-or-string"] is True
    assert amount["pattern"].startswith("^[0-9]+")
    assert not {"type", "maxLength"} & set(amount)


def test_lists_keep_their_keys_and_limits(properties: dict[str, Any]) -> None:
    parts = properties["parts"]

    assert (parts["x-kubernetes-list-type"], parts["x-kubernetes-list-map-keys"]) == ("map", ["kind"])
    assert parts["maxItems"] == 3


def test_rules_of_the_model_and_of_the_field_come_together(properties: dict[str, Any]) -> None:
    found = [rule["message"] for rule in properties["guarded"]["x-kubernetes-validations"]]

    assert found == ["not empty", "stays"]


def test_a_pattern_of_keys_becomes_a_rule(properties: dict[str, Any]) -> None:
    (rule,) = properties["named"]["x-kubernetes-validations"]

    assert "key.matches('^a$')" in rule["rule"]
    assert "x-perennial-key-pattern" not in properties["named"]


def test_what_has_no_structural_form_is_refused() -> None:
    class Union(Model):
        either: int | str

    class Pair(Model):
        pair: tuple[int, str]

    with pytest.raises(ValueError, match="a union of 2 types"):
        structural(Union)
    with pytest.raises(ValueError, match="a tuple of fixed length"):
        structural(Pair)


def test_defaults_can_be_taken_out_everywhere() -> None:
    bare = without_defaults({**structural(Whole), "default": {}})

    assert "default" not in str(bare)
    assert bare["properties"]["part"]["properties"]["size"]["maximum"] == 9


def test_the_length_of_a_maps_keys_becomes_a_rule_since_the_server_drops_the_keyword() -> None:
    class Labels(Model):
        """Labels."""

        labels: dict[Annotated[str, Field(max_length=9)], str] | None = Field(None, description="Labels.")

    class Odd(Model):
        """Keys that cannot be held."""

        labels: dict[Annotated[str, Field(pattern="^a")], str] | None = Field(None, description="Labels.")

    found = structural(Labels)["properties"]["labels"]
    assert "propertyNames" not in found
    assert [item["rule"] for item in found["x-kubernetes-validations"]] == ["self.all(key, key.size() <= 9)"]
    with pytest.raises(ValueError, match="patternProperties"):
        structural(Odd)
