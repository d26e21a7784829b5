import pytest

from perennial import __main__ as program
from perennial.agent.cli import COMMANDS
from perennial.api.common.base import Model
from perennial.generate.crd import DEFINITIONS, Definition
from perennial.generate.reference import own_first, reference_files, spec_of


class Shared(Model):
    account: str = ""


class Nearer(Shared):
    workers: int = 1


class Own(Nearer):
    image_name: str = ""
    command: str = ""


def test_own_fields_come_first_then_those_of_the_nearest_base() -> None:
    ordered = own_first(Own, Own.model_json_schema(by_alias=True))

    assert list(ordered["properties"]) == ["imageName", "command", "workers", "account"]


def test_a_field_that_is_declared_again_is_the_models_own() -> None:
    class Again(Shared):
        image: str = ""
        account: str = "default"

    ordered = own_first(Again, Again.model_json_schema(by_alias=True))

    assert set(ordered["properties"]) == {"image", "account"}
    assert list(ordered["properties"]) == list(Again.model_json_schema(by_alias=True)["properties"])


@pytest.mark.parametrize(
    ("kind", "first"), [("TrainingJob", "image"), ("ModelDeployment", "model"), ("DriftMonitor", "target")]
)
def test_a_page_begins_with_what_a_user_writes_first(kind: str, first: str) -> None:
    page = reference_files()[f"docs/reference/{kind.lower()}.md"]

    table = page[page.index("## Spec") :]

    assert next(line for line in table.splitlines() if line.startswith("| `")).startswith(f"| `spec.{first}` |")


@pytest.mark.parametrize("item", DEFINITIONS, ids=lambda item: item.kind.kind)
def test_every_field_has_a_place(item: Definition) -> None:
    spec = spec_of(item)
    schema = spec.model_json_schema(by_alias=True)

    assert own_first(spec, schema)["properties"] == schema["properties"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_agent_command_is_in_the_usage_and_on_the_page_of_exit_codes(command: str) -> None:
    assert command in program.USAGE.split("agent ")[1].split("\n")[0].split("|")
    assert f"`{command}`" in reference_files()["docs/reference/exit-codes.md"].replace("perennial agent ", "")
