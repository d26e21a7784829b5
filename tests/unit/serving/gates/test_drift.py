"""The drift gate: a monitor's verdict about the candidate itself fails it, holds it, or lets it go on."""

from __future__ import annotations

from typing import Any

import pytest

from perennial.core.kinds import Raw
from perennial.serving.observe import names
from tests.support.builders import digest, drift_monitor
from tests.unit.serving.cluster import Cluster
from tests.unit.serving.rollout.test_canary import canary, follow

GATES = [{"drift": {"monitor": "churn", "findings": ["Drift", "Degradation"]}}]
BEFORE, AFTER = "2026-01-31T11:59:59Z", "2026-01-31T12:00:30Z"


def verdict(**changes: Any) -> dict[str, Any]:
    """Status of a monitor with a verdict about model b."""
    told = {"id": "churn-1", "time": AFTER, "digest": digest("b"), "drifted": False, "degraded": False}
    counts = {"driftedFeatures": 3, "comparedFeatures": 20, "referenceRows": 1000, "currentRows": 500}
    return {"lastVerdict": {**told, **counts, **changes}}


def last_run(result: str, time: str = AFTER) -> dict[str, Any]:
    return {
        "lastRun": {"job": "churn-2", "time": time, "result": result, "reason": "TooFewRows", "message": "12 of 50"}
    }


def monitor(status: dict[str, Any] | None = None, target: str = "churn", **spec: Any) -> Raw:
    told = {"target": {"modelDeployment": target, "revision": "Candidate"}, **spec}
    return drift_monitor(status, **told)


def judged(*made: Raw) -> Cluster:
    """Return a cluster whose canary is at its first step, with these monitors."""
    cluster = canary(gates=GATES)
    for raw in made:
        cluster.store.put(raw)
    follow(cluster)
    return cluster


def gate(cluster: Cluster) -> tuple[str, str]:
    (found,) = cluster.status["candidate"]["gates"]
    assert (found["name"], found["type"]) == ("drift", "drift")
    return found["verdict"], found["message"]


def test_drift_of_the_candidate_ends_the_canary_with_figures() -> None:
    cluster = judged(monitor(verdict(drifted=True)))
    failed = cluster.status["candidate"]
    assert (failed["phase"], failed["reason"]) == ("Failed", "GateFailed")
    assert failed["message"] == "gate drift: DriftMonitor churn finds Drift (churn-1)"
    figures = {"driftedFeatures": "3", "comparedFeatures": "20", "currentRows": "500", "verdict": "churn-1"}
    assert failed["gates"][0]["figures"] == figures


def test_a_verdict_without_findings_passes() -> None:
    assert gate(judged(monitor(verdict()))) == (
        "Passed",
        "DriftMonitor churn finds no Drift, no Degradation (churn-1)",
    )


@pytest.mark.parametrize(
    ("status", "expected", "told"),
    [
        (None, "Pending", "has given no verdict about the candidate yet"),
        (verdict(digest=digest("a"), drifted=True), "Pending", "has given no verdict about the candidate yet"),
        (verdict(time=BEFORE, drifted=True), "Pending", "has given no verdict about the candidate yet"),
        (verdict(time="soon"), "Pending", "has given no verdict about the candidate yet"),
        (last_run("NoVerdict", BEFORE), "Pending", "has given no verdict about the candidate yet"),
        (last_run("NoVerdict"), "Inconclusive", "gave no verdict: TooFewRows: 12 of 50"),
        (last_run("Failed"), "Inconclusive", "gave no verdict: TooFewRows: 12 of 50"),
        (verdict(degraded=None), "Inconclusive", "has not judged Degradation (churn-1)"),
    ],
)
def test_what_is_no_verdict_about_this_rollout_holds_it(
    status: dict[str, Any] | None, expected: str, told: str
) -> None:
    cluster = judged(monitor(status))
    verdict_, message = gate(cluster)
    assert verdict_ == expected
    assert told in message
    cluster.wait(3600)
    cluster.settle()
    assert cluster.status["candidate"]["step"] == 1


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ([], "there is no valid DriftMonitor churn"),
        ([monitor(verdict(), target="other")], "does not monitor candidates of churn"),
        ([drift_monitor(verdict())], "it needs target.modelDeployment: churn and target.revision: Candidate"),
        ([monitor(verdict(), suspend=True)], "is suspended"),
        ([{**monitor(), "status": {"lastVerdict": 3}}], "there is no valid DriftMonitor churn"),
    ],
)
def test_a_monitor_that_cannot_judge_says_what_to_change(made: list[Raw], told: str) -> None:
    verdict_, message = gate(judged(*made))
    assert verdict_ == "Inconclusive"
    assert told in message


def test_a_new_verdict_is_seen_since_the_resource_names_its_monitors() -> None:
    cluster = judged()
    assert ("DriftMonitor", "churn") in {(key.kind, key.name) for key in names(cluster.resource)}
    assert names({**cluster.resource, "spec": {"rollout": {"gates": [{"drift": 3}]}}}) == ()
