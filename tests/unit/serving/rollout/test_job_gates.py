"""Gates with Jobs: judged once, before a candidate takes requests; their results are recorded and outlive the Jobs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from perennial.api.contract.messages import AgentMessage, Asked, Evaluated, Failure, Measured
from perennial.core.labels import (
    JOB_NAME_LABEL,
    PROMOTE_ANNOTATION,
    RETRY_ANNOTATION,
    REVISION_LABEL,
    ROLLOUT_ANNOTATION,
)
from perennial.core.times import format_time
from tests.unit.serving.cluster import Cluster
from tests.unit.serving.rollout.test_approval import say, with_candidate
from tests.unit.serving.rollout.test_canary import follow
from tests.unit.serving.rollout.test_rollout_steps import served

DATA = {"uri": "s3://data/labelled/", "label": "y"}
QUALITY = {"name": "quality", "evaluation": {"data": DATA, "metric": "rocAuc", "notWorseThanStableBy": "0.02"}}
FAIR = {"name": "fair", "fairness": {"data": DATA, "attributes": ["sex"], "metric": "demographicParityGap"}}
REPLAY = {"name": "replay", "replay": {"minAgreement": "0.9"}}


def gated(*gates: dict[str, Any], **rollout: Any) -> tuple[Cluster, str]:
    """A cluster with a ready candidate that has gates; and the name of the candidate."""
    cluster, _, new = with_candidate(rollout={"gates": [*gates], **rollout})
    cluster.settle()
    return cluster, new


def result(gain: float, half: float = 0.005) -> Evaluated:
    measured = Measured(
        metric="rocAuc", rows=10000, value=f"{0.9 + gain:.3f}", low="0.8", high="0.95", stable="0.9",
        gain=f"{gain:.3f}", gain_low=f"{gain - half:.3f}", gain_high=f"{gain + half:.3f}",
    )  # fmt: skip
    asked = Asked(rows=10000)
    return Evaluated(time="2026-01-31T12:00:00Z", rows=10000, candidate=asked, stable=asked, results=(measured,))


def end(cluster: Cluster, job: str, message: AgentMessage, code: int = 0) -> None:
    """Let the pod of a Job end with a message, and reconcile."""
    raw = cluster.live("Job", job)
    kind = "Complete" if code == 0 else "Failed"
    now = format_time(cluster.now)
    raw["status"] = {"conditions": [{"type": kind, "status": "True", "lastTransitionTime": now}]}
    text = message.model_dump_json(by_alias=True, exclude_none=True)
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": job, "uid": raw["metadata"]["uid"], "controller": True}
    state = {"terminated": {"exitCode": code, "finishedAt": now, "message": text}}
    cluster.store.put(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{job}-x",
                "namespace": "default",
                "labels": {**raw["spec"]["template"]["metadata"]["labels"], JOB_NAME_LABEL: job},
                "ownerReferences": [owner],
            },
            "status": {"containerStatuses": [{"name": "gate", "state": state}]},
        }
    )
    cluster.settle()


def candidate(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.status["candidate"]
    return found


def verdicts(cluster: Cluster) -> dict[str, str]:
    return {gate["name"]: gate["verdict"] for gate in candidate(cluster).get("gates", ())}


def test_a_ready_candidate_is_asked_by_a_job_and_waits_for_it() -> None:
    cluster, new = gated(QUALITY)

    job = cluster.live("Job", f"{new}-quality")
    template = job["spec"]["template"]
    config = json.loads(template["spec"]["containers"][0]["env"][0]["value"])
    assert config["candidate"] == f"http://{new}.default.svc:8080"
    assert config["stable"] == f"http://{cluster.status['stable']['name']}.default.svc:8080"
    assert template["spec"]["automountServiceAccountToken"] is False
    assert REVISION_LABEL not in template["metadata"]["labels"], "no Service may send it requests"
    assert (candidate(cluster)["reason"], verdicts(cluster)) == ("WaitingForGates", {"quality": "Pending"})
    assert {new, cluster.status["stable"]["name"]} <= set(cluster.names("Service"))
    ports = cluster.live("Service", new)["spec"]["ports"]
    assert {"name": "direct", "port": 8080, "targetPort": "http", "protocol": "TCP"} in ports
    assert cluster.settle() == 0


def test_no_job_starts_before_the_candidate_is_ready() -> None:
    cluster = served(rollout={"gates": [QUALITY]})
    cluster.publish("b", 2)
    cluster.settle()

    assert cluster.names("Job") == []


def test_the_first_revision_has_nothing_to_be_compared_with() -> None:
    assert served(rollout={"gates": [QUALITY]}).names("Job") == []


def test_a_candidate_that_is_as_good_is_promoted_and_its_job_goes() -> None:
    cluster, new = gated(QUALITY)

    end(cluster, f"{new}-quality", result(gain=0.001))

    assert cluster.status["stable"]["name"] == new
    assert cluster.names("Job") == []
    assert cluster.names("Service") == ["churn"]


def test_a_worse_candidate_is_refused_with_the_figures_and_stable_serves_on() -> None:
    cluster, new = gated(QUALITY)
    old = cluster.status["stable"]["name"]

    end(cluster, f"{new}-quality", result(gain=-0.05))

    failed = candidate(cluster)
    assert (failed["phase"], failed["reason"]) == ("Failed", "GateFailed")
    assert "the gain in rocAuc over the stable revision is -0.05 (-0.055 to -0.045)" in failed["message"]
    assert failed["gates"][0]["figures"]["gain"] == "-0.05 (-0.055 to -0.045)"
    assert cluster.status["stable"]["name"] == old
    assert cluster.names("Deployment") == [old]
    assert cluster.names("Job") == []


def test_a_retried_candidate_is_judged_anew() -> None:
    cluster, new = gated(QUALITY)
    end(cluster, f"{new}-quality", result(gain=-0.05))
    cluster.remove("Pod", f"{new}-quality-x")

    say(cluster, **{RETRY_ANNOTATION: new})
    cluster.set_ready(new)
    cluster.settle()

    assert verdicts(cluster) == {"quality": "Pending"}
    assert cluster.names("Job") == [f"{new}-quality"]


def test_results_outlive_their_jobs_and_an_emptied_status() -> None:
    cluster, new = gated(QUALITY, FAIR)
    end(cluster, f"{new}-quality", result(gain=0.001))
    assert verdicts(cluster) == {"quality": "Passed", "fair": "Pending"}

    cluster.remove("Job", f"{new}-quality")
    cluster.remove("Pod", f"{new}-quality-x")
    cluster.resource["status"] = {}
    cluster.settle()

    assert verdicts(cluster) == {"quality": "Passed", "fair": "Pending"}
    assert cluster.names("Job") == [f"{new}-fair"]


def test_a_verdict_written_into_status_promotes_nothing() -> None:
    cluster, new = gated(QUALITY)
    gate = candidate(cluster)["gates"][0]
    cluster.resource["status"]["candidate"]["gates"] = [{**gate, "verdict": "Passed"}]

    cluster.settle()

    assert verdicts(cluster) == {"quality": "Pending"}
    assert cluster.status["stable"]["name"] != new


def test_a_changed_gate_is_judged_again() -> None:
    cluster, new = gated(QUALITY, FAIR)
    end(cluster, f"{new}-quality", result(gain=0.001))
    first = cluster.live("Job", f"{new}-quality")["metadata"]["uid"]
    cluster.remove("Pod", f"{new}-quality-x")

    stricter = {**QUALITY, "evaluation": {**QUALITY["evaluation"], "notWorseThanStableBy": "0.001"}}
    cluster.edit(rollout={"gates": [stricter, FAIR]})
    cluster.settle()

    assert verdicts(cluster)["quality"] == "Pending"
    assert cluster.live("Job", f"{new}-quality")["metadata"]["uid"] != first


def test_an_unsure_result_holds_and_a_person_may_promote() -> None:
    cluster, new = gated(QUALITY)

    end(cluster, f"{new}-quality", result(gain=-0.02))

    assert candidate(cluster)["reason"] == "GateInconclusive"
    assert "the interval reaches over it" in candidate(cluster)["message"]
    say(cluster, **{PROMOTE_ANNOTATION: new})
    assert cluster.status["stable"]["name"] == new


def test_a_failed_job_holds_with_its_cause_until_it_is_deleted() -> None:
    cluster, new = gated(QUALITY)
    failure = Failure(reason="ObjectNotFound", message="there are no files under s3://data/labelled/")

    end(cluster, f"{new}-quality", failure, code=67)

    assert candidate(cluster)["reason"] == "GateInconclusive"
    assert "there are no files under s3://data/labelled/" in candidate(cluster)["message"]
    cluster.remove("Job", f"{new}-quality")
    cluster.remove("Pod", f"{new}-quality-x")
    cluster.settle()
    assert verdicts(cluster) == {"quality": "Pending"}
    assert cluster.names("Job") == [f"{new}-quality"]


def test_a_lost_result_is_measured_again() -> None:
    cluster, new = gated(QUALITY)
    job = cluster.live("Job", f"{new}-quality")
    first, now = job["metadata"]["uid"], format_time(cluster.now)
    job["status"] = {"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": now}]}
    cluster.settle()
    assert cluster.live("Job", f"{new}-quality")["metadata"]["uid"] == first

    cluster.wait(61)
    cluster.settle()

    assert cluster.live("Job", f"{new}-quality")["metadata"]["uid"] != first


def test_a_newer_revision_leaves_no_job_of_the_last_one() -> None:
    cluster, new = gated(QUALITY)

    cluster.publish("c", 3)
    cluster.settle()

    assert cluster.names("Job") == []
    assert candidate(cluster)["name"] != new


def test_a_canary_is_judged_before_its_first_step() -> None:
    steps = [{"weight": 50, "hold": "5m"}]
    cluster, new = gated(QUALITY, strategy="Canary", steps=steps)

    assert verdicts(cluster) == {"quality": "Pending"}
    assert candidate(cluster)["weight"] == 0
    assert cluster.selected() == cluster.status["stable"]["hash"]
    end(cluster, f"{new}-quality", result(gain=0.001))
    assert candidate(cluster)["weight"] == 50
    assert verdicts(cluster) == {"quality": "Passed"}


def test_a_canary_that_is_worse_never_receives_a_request() -> None:
    cluster, new = gated(QUALITY, strategy="Canary", steps=[{"weight": 50}])

    end(cluster, f"{new}-quality", result(gain=-0.05))

    assert candidate(cluster)["reason"] == "GateFailed"
    assert set(cluster.switches) == {cluster.status["stable"]["hash"]}


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"capture": {"uri": "s3://capture/churn/", "redact": ["ssn"]}},
        {
            "capture": {
                "uri": "s3://capture/churn/",
                "hash": {"columns": ["ssn"], "keySecret": {"name": "privacy", "key": "hash"}},
            }
        },
    ],
)
def test_a_replay_without_whole_requests_is_inconclusive_and_starts_nothing(spec: dict[str, Any]) -> None:
    cluster, _, _ = with_candidate(rollout={"gates": [REPLAY]}, **spec)
    cluster.settle()

    assert candidate(cluster)["reason"] == "GateInconclusive"
    assert "set spec.capture, without redact or hash" in candidate(cluster)["message"]
    assert cluster.names("Job") == []


def test_a_replay_asks_about_what_stable_answered() -> None:
    cluster, _, new = with_candidate(rollout={"gates": [REPLAY]}, capture={"uri": "s3://capture/churn/"})
    cluster.settle()

    container = cluster.live("Job", f"{new}-replay")["spec"]["template"]["spec"]["containers"][0]
    config = json.loads(container["env"][0]["value"])
    stable = cluster.status["stable"]
    assert container["args"] == ["agent", "replay"]
    assert (config["digest"], config["revision"]) == (stable["digest"], stable["hash"])
    assert config["uri"] == "s3://capture/churn/"


def test_a_network_policy_lets_the_pods_of_gates_in() -> None:
    cluster, new = gated(QUALITY)
    cluster.edit(networkPolicy={"allow": []})
    cluster.settle()

    rules = cluster.live("NetworkPolicy", "churn")["spec"]["ingress"]
    selector = rules[-1]["from"][0]["podSelector"]["matchLabels"]
    labels = cluster.live("Job", f"{new}-quality")["spec"]["template"]["metadata"]["labels"]
    assert selector.items() <= labels.items()
    assert rules[-1]["ports"] == [{"protocol": "TCP", "port": "http"}]


@pytest.mark.parametrize("lost", ["the last status", "all of it"])
def test_a_canary_is_promoted_with_the_verdicts_by_which_it_passed_where_status_was_lost(lost: str) -> None:
    steps = [{"weight": 50, "hold": "1s"}]
    cluster, new = gated(QUALITY, strategy="Canary", steps=steps)
    before = cluster.resource["status"]
    end(cluster, f"{new}-quality", result(gain=0.001))
    while _recorded_step(cluster) != len(steps):
        cluster.wait(1)
        cluster.set_ready(new)
        cluster.reconcile()
    cluster.resource["status"] = before if lost == "the last status" else {}

    follow(cluster)

    assert cluster.status["stable"]["name"] == new
    gate = cluster.status["history"][0]["gates"][0]
    assert (gate["verdict"], gate["figures"]["gain"]) == ("Passed", "0.001 (-0.004 to 0.006)")


def _recorded_step(cluster: Cluster) -> int | None:
    """Index of the canary's step, as the Service records it."""
    record = json.loads(cluster.live("Service")["metadata"]["annotations"][ROLLOUT_ANNOTATION])
    return (record.get("progress") or {}).get("step")
