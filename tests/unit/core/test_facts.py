from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from perennial.api.common.base import ObjectMeta
from perennial.api.contract.audit import AuditEvent
from perennial.core.facts import Facts, figures
from perennial.core.kinds import TRAINING_JOB

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
FACTS = Facts(TRAINING_JOB, ObjectMeta(name="churn", namespace="team-a", uid="u-1"), NOW)


def test_what_no_entry_can_hold_is_left_out_and_the_rest_is_kept() -> None:
    found = FACTS.entry("RunStarted", ("churn-1",), "not a time", model_digest="edited", run="churn-1", generation=-1)

    assert (found.time, found.model_digest, found.generation) == ("2026-01-31T12:00:00Z", None, None)
    assert found.run == "churn-1"


def test_the_identity_does_not_depend_on_when_it_was_told() -> None:
    one = FACTS.entry("RunStarted", ("churn-1",), "2026-01-31T11:00:00Z")
    two = FACTS.entry("RunStarted", ("churn-1",), "2026-01-31T11:30:00Z", message="other words")

    assert one.id == two.id
    assert FACTS.entry("RunFailed", ("churn-1",), None).id != one.id


def test_figures_are_as_many_as_an_entry_holds_and_text() -> None:
    found = figures((f"name{number}", number) for number in range(40))

    assert len(found) == 16
    assert figures([("a", True), ("b", None), ("", 1), ("c" * 70, 0.5)]) == {"a": "true", "c" * 63: "0.5"}


def test_every_event_is_told_by_some_controller_and_explained() -> None:
    root = Path(__file__).parents[3]
    contract = root / "operator" / "perennial" / "api" / "contract"
    sources = [path.read_text() for path in contract.parents[1].rglob("*.py") if contract not in path.parents]
    page = (root / "docs" / "how-to" / "audit.md").read_text()
    table = "".join(line for line in page.splitlines() if line.startswith("| `"))
    for event in get_args(AuditEvent):
        assert any(f'"{event}"' in text for text in sources), event
        assert f"`{event}`" in table, event
