"""Each case is one observed world and the whole decision that must follow. README.md says how to write one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from perennial.api.contract.audit import AuditEntry
from perennial.api.contract.settings import OperatorConfig
from perennial.core.audit import entry_document
from perennial.core.decision import Action, Apply, Create, Decision
from perennial.core.kinds import Raw
from perennial.core.reads import GatewayFeatures, Measurement
from perennial.core.times import parse_time
from perennial.core.traffic import Counters, Traffic
from tests.golden.compare import differences, keep_wildcards
from tests.support.memory import CONTROLLERS, Store

HERE = Path(__file__).parent
CASES = sorted(HERE.glob("*/*.yaml"))
EXPECT = "\nexpect:"


class _Loader(yaml.CSafeLoader):
    """Leaves times as the text they are in JSON."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


class _Dumper(yaml.SafeDumper):
    """Writes out in full what is there twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def load(text: str) -> Any:
    """Return a case's YAML as JSON values."""
    return yaml.load(text, _Loader)  # noqa: S506 - a safe loader, less one resolver


def run(case: dict[str, Any], later: timedelta = timedelta()) -> tuple[Decision, tuple[AuditEntry, ...]]:
    """Return what the controller decides in the case's world, and what of it the audit log records."""
    controller = CONTROLLERS[case["resource"]["kind"]]
    resource = controller.parse(case["resource"])
    store = Store.of([case["resource"], *case.get("world", [])])
    store.answers.update({address: answer_of(said) for address, said in case.get("answers", {}).items()})
    store.absent.update(case.get("absent", []))
    observed = controller.observe(resource, store)
    config = OperatorConfig.model_validate(case.get("config", {}))
    now = parse_time(case["now"]) + later
    decision = controller.decide(observed, config, now)
    return decision, controller.facts(observed, decision, now)


def answer_of(said: dict[str, Any]) -> Measurement | Traffic | GatewayFeatures:
    """Return an answer of the Prometheus server, of the metrics of a pod, or about a Gateway."""
    if "features" in said:
        return GatewayFeatures(frozenset(said["features"]))
    time = parse_time(said["time"])
    began = parse_time(said.get("began", said["time"]))
    if "requests" in said:
        counted = Counters(said["requests"], said.get("errors", 0))
        return Traffic(began, time, counted, counted)
    return Measurement(time, said.get("value"), said.get("problem", ""), time if "value" in said else None, began)


def as_data(decision: Decision, before: Raw) -> dict[str, Any]:
    """Return a decision in the form in which cases expect it; a status that would not be written is null."""
    written = decision.status if decision.status != before.get("status") else None
    return {
        "actions": [_action(action) for action in decision.actions],
        "status": written,
        "events": [f"{event.type} {event.reason}: {event.message}" for event in decision.events],
        "requeueAfter": decision.requeue_after,
        **({"reads": [read.address for read in decision.reads]} if decision.reads else {}),
        **({"statusFirst": True} if decision.status_first else {}),
    }


def _action(action: Action) -> dict[str, Any]:
    if isinstance(action, Create):
        return {"create": action.manifest}
    if isinstance(action, Apply):
        manager = {} if action.manager == "perennial" else {"manager": action.manager}
        return {"apply": action.manifest, **manager}
    return {"delete": f"{action.kind.kind}/{action.namespace}/{action.name} uid={action.uid}"}


def _rewrite(path: Path, text: str, expected: Any, actual: dict[str, Any]) -> None:
    head = text.split(EXPECT, maxsplit=1)[0].rstrip("\n")
    body = yaml.safe_dump({"expect": keep_wildcards(expected, actual)}, sort_keys=False, width=110, allow_unicode=True)
    path.write_text(f"{head}\n{body}", encoding="utf-8")


def test_there_are_cases() -> None:
    assert CASES


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_step_that_is_repeated_records_the_same_facts(path: Path) -> None:
    case = load(path.read_text(encoding="utf-8"))

    (_, facts), (_, again) = run(case), run(case, timedelta(seconds=1))

    assert [fact.id for fact in again] == [fact.id for fact in facts]
    assert len({fact.id for fact in facts}) == len(facts)


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_case(path: Path, update_golden: bool) -> None:
    text = path.read_text(encoding="utf-8")
    case = load(text)
    decision, facts = run(case)
    actual = as_data(decision, case["resource"])
    if "audit" in case["expect"]:
        actual["audit"] = [entry_document(fact) for fact in facts]

    found = differences(case.get("expect"), actual)
    if found and update_golden:
        _rewrite(path, text, case.get("expect"), actual)
        return
    assert not found, f"{case['description']}\n" + "\n".join(found)
