"""The key of the hash reaches the pod as a variable, and the operator never reads its Secret."""

import json

from perennial.core.decision import Apply
from tests.support.builders import drift_monitor
from tests.unit.drift.worlds import decide, target

PRIVACY = {"minimumGroup": 20, "hash": {"columns": ["postcode"], "keySecret": {"name": "privacy", "key": "hash"}}}


def container(**spec: object) -> dict[str, object]:
    decision = decide(drift_monitor(**spec), target())
    (applied,) = [action for action in decision.actions if isinstance(action, Apply)]
    (found,) = applied.manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    return dict(found)


def variables(found: dict[str, object]) -> dict[str, dict[str, object]]:
    return {item["name"]: item for item in found["env"]}  # type: ignore[attr-defined]  # of a container


def test_the_pod_gets_the_key_from_the_secret_and_the_configuration_does_not_hold_it() -> None:
    found = variables(container(privacy=PRIVACY))
    assert found["PERENNIAL_HASH_KEY"]["valueFrom"] == {"secretKeyRef": {"name": "privacy", "key": "hash"}}
    assert json.loads(str(found["PERENNIAL_CONFIG"]["value"]))["privacy"] == PRIVACY


def test_without_a_hash_there_is_no_such_variable() -> None:
    assert "PERENNIAL_HASH_KEY" not in variables(container(privacy={"drop": ["name"]}))
    assert "PERENNIAL_HASH_KEY" not in variables(container())
