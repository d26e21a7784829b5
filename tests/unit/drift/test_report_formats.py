"""What is asked for beside the report reaches the pod."""

import json
from typing import Any

import pytest

from perennial.core.decision import Apply
from tests.support.builders import drift_monitor
from tests.unit.drift.worlds import decide, target


def configuration(**report: Any) -> dict[str, Any]:
    decision = decide(drift_monitor(report={"uri": "s3://reports/churn/", **report}), target())
    (applied,) = [action for action in decision.actions if isinstance(action, Apply)]
    (found,) = applied.manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    (value,) = [item["value"] for item in found["env"] if item["name"] == "PERENNIAL_CONFIG"]
    return dict(json.loads(value))


@pytest.mark.parametrize(
    ("asked", "expected"), [({"formats": ["SageMaker"]}, ["SageMaker"]), ({"formats": []}, None), ({}, None)]
)
def test_formats_reach_the_pod_only_if_there_are_any(asked: dict[str, Any], expected: list[str] | None) -> None:
    assert configuration(**asked).get("formats") == expected
