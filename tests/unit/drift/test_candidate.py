"""A monitor of candidates compares the requests of a canary's candidate, and rests in between."""

from __future__ import annotations

from typing import Any

import pytest

from perennial.core.kinds import Raw
from tests.support.builders import drift_monitor
from tests.unit.drift.worlds import NEW, cron_job, decide, target

MONITOR = drift_monitor(target={"modelDeployment": "churn", "revision": "Candidate"})


def rolling_out(**candidate: Any) -> Raw:
    """Build a ModelDeployment with a candidate."""
    made = target()
    known = {"uri": "s3://models/churn/versions/2/", "digest": NEW, "run": "churn-2", "phase": "Progressing", "step": 1}
    return {**made, "status": {**made["status"], "candidate": known | candidate}}


def test_the_candidate_of_a_canary_is_compared() -> None:
    decision = decide(MONITOR, rolling_out())
    (action,) = decision.actions
    template = action.manifest["spec"]["jobTemplate"]["spec"]["template"]  # type: ignore[union-attr]
    assert template["metadata"]["annotations"] == {
        "perennial.dev/model-digest": NEW,
        "perennial.dev/model-run": "churn-2",
    }


@pytest.mark.parametrize("candidate", [{"phase": "Failed"}, {"step": None}], ids=["failed", "no requests yet"])
def test_without_one_nothing_is_compared_and_nothing_is_wrong(candidate: dict[str, Any]) -> None:
    decision = decide(MONITOR, rolling_out(**candidate), cron_job())
    assert [action.manifest["spec"] for action in decision.actions] == [{"suspend": True}]  # type: ignore[union-attr]
    assert decision.status is not None
    ready = {item["type"]: (item["status"], item["reason"]) for item in decision.status["conditions"]}
    assert ready["Ready"] == ("True", "NoCandidate")
    assert "Reconciling" not in ready
    assert decision.events == ()


def test_other_monitors_compare_what_serves() -> None:
    (action,) = decide(drift_monitor(), rolling_out()).actions
    template = action.manifest["spec"]["jobTemplate"]["spec"]["template"]  # type: ignore[union-attr]
    assert template["metadata"]["annotations"]["perennial.dev/model-run"] == "churn-1"
