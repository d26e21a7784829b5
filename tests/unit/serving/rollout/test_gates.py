"""Gates hold a ready candidate, end its rollout, or let it pass; they judge nothing that serves alone."""

from datetime import timedelta
from typing import Any

from perennial.core.labels import PAUSE_ANNOTATION
from perennial.core.reads import Measurement
from tests.support.builders import digest
from tests.unit.serving.cluster import CONFIG, Cluster
from tests.unit.serving.rollout.test_approval import say, with_candidate

QUERY = "errors:$revision"
GATES = {"gates": [{"name": "errors", "prometheus": {"query": QUERY, "max": "0.01"}}]}
WITH_SERVER = CONFIG.model_copy(update={"prometheus": CONFIG.prometheus.model_copy(update={"url": "http://p:9090"})})


def gated(**rollout: Any) -> tuple[Cluster, str]:
    """A cluster with a ready candidate that has a gate; and the name of the candidate."""
    cluster, _, new = with_candidate(rollout={**GATES, **rollout})
    cluster.config = WITH_SERVER
    cluster.settle()
    return cluster, new


def answer(cluster: Cluster, new: str, value: float | None, problem: str = "") -> None:
    """Let the Prometheus server answer now, and reconcile."""
    known = cluster.now if value is not None else None
    cluster.store.answers[f"errors:{new}"] = Measurement(cluster.now, value, problem, known, began=cluster.now)
    cluster.settle()


def gate(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.status["candidate"]["gates"][0]
    return found


def test_a_ready_candidate_waits_for_its_gate_and_is_asked_about_only_then() -> None:
    cluster, new = gated()
    assert cluster.last is not None
    assert [read.address for read in cluster.last.reads] == [f"errors:{new}"]
    assert cluster.last.requeue_after == 10
    assert (cluster.status["candidate"]["reason"], gate(cluster)["verdict"]) == ("WaitingForGates", "Pending")
    told = cluster.condition("Progressing")
    assert told is not None
    assert "waiting for gate errors: the Prometheus server has not been asked yet" in told["message"]
    assert (cluster.truth("Ready"), cluster.truth("Stalled")) == ("True", None)


def test_a_gate_that_passes_promotes_and_nothing_is_read_any_more() -> None:
    cluster, new = gated()
    cluster.wait(60)
    answer(cluster, new, 0.004)
    assert cluster.status["stable"]["name"] == new
    assert cluster.last is not None
    assert cluster.last.reads == ()


def test_a_gate_that_fails_ends_the_rollout_with_its_figures_and_the_stable_one_serves_on() -> None:
    cluster, new = gated()
    old = cluster.status["stable"]["name"]
    cluster.wait(60)
    answer(cluster, new, 0.05)
    failed = cluster.status["candidate"]
    assert (failed["phase"], failed["reason"]) == ("Failed", "GateFailed")
    assert failed["message"] == "gate errors: 0.05 is above the limit 0.01"
    assert gate(cluster)["figures"] == {"value": "0.05", "max": "0.01"}
    assert cluster.names("Deployment") == [old]
    assert cluster.status["history"][0]["reason"] == "GateFailed"
    assert cluster.events[-1].message == f"{new} failed: gate errors: 0.05 is above the limit 0.01; {old} keeps serving"

    cluster.resource["status"] = {}
    cluster.settle()
    assert cluster.status["candidate"]["phase"] == "Failed", "what failed is recorded outside of status"


def test_no_data_after_the_delay_fails() -> None:
    cluster, new = gated()
    answer(cluster, new, None, "the query gives no data")
    cluster.wait(59)
    cluster.settle()
    assert gate(cluster)["verdict"] == "Pending"
    cluster.wait(1)
    cluster.settle()
    assert cluster.status["candidate"]["phase"] == "Failed"
    assert cluster.status["candidate"]["message"] == "gate errors: not judged for 1m: the query gives no data"


def test_verdicts_in_status_decide_nothing() -> None:
    cluster, new = gated()
    cluster.resource["status"]["candidate"]["gates"][0]["verdict"] = "Passed"
    cluster.resource["status"]["candidate"]["gates"] += [{**gate(cluster), "name": "made-up"}]
    cluster.settle()
    assert [item["verdict"] for item in cluster.status["candidate"]["gates"]] == ["Pending"]
    assert cluster.status["stable"]["name"] != new


def test_a_gate_judges_while_a_pause_or_an_approval_holds() -> None:
    cluster, new = gated(approval="Manual")
    cluster.wait(60)
    answer(cluster, new, 0.001)
    assert (cluster.status["candidate"]["reason"], gate(cluster)["verdict"]) == ("WaitingForApproval", "Passed")
    say(cluster, **{PAUSE_ANNOTATION: "true"})
    assert cluster.status["candidate"]["reason"] == "Paused"
    answer(cluster, new, 0.9)
    assert cluster.status["candidate"]["reason"] == "GateFailed"


def test_new_figures_of_the_same_verdict_are_written_every_half_minute() -> None:
    cluster, new = gated(approval="Manual")
    cluster.wait(60)
    answer(cluster, new, 0.001)
    cluster.wait(10)
    cluster.store.answers[f"errors:{new}"] = Measurement(cluster.now, 0.002, known=cluster.now)
    assert cluster.settle() == 0
    cluster.wait(20)
    cluster.store.answers[f"errors:{new}"] = Measurement(cluster.now, 0.002, known=cluster.now)
    assert cluster.settle() == 1
    assert gate(cluster)["figures"]["value"] == "0.002"


def test_without_a_server_the_gate_holds_and_says_what_to_set() -> None:
    cluster, _, _ = with_candidate(rollout=GATES)
    cluster.wait(100_000)
    cluster.settle()
    told = cluster.condition("Progressing")
    assert told is not None
    assert told["reason"] == "GateInconclusive"
    assert "config.prometheus.url" in told["message"]
    assert cluster.last is not None
    assert cluster.last.reads == ()


def test_the_first_revision_and_one_that_replaces_a_dead_one_pass_no_gate() -> None:
    cluster, _ = gated()
    assert cluster.status["history"][0]["result"] == "Promoted"
    cluster.set_ready(cluster.status["stable"]["name"], 0)
    cluster.settle()
    assert cluster.status["stable"]["digest"] == digest("b")


def test_a_candidate_that_loses_its_pods_is_judged_anew() -> None:
    cluster, new = gated()
    cluster.wait(50)
    cluster.set_ready(new, 0)
    cluster.settle()
    assert cluster.last is not None
    assert cluster.last.reads == ()
    cluster.set_ready(new)
    cluster.settle()
    cluster.wait(20)
    answer(cluster, new, 0.5)
    assert gate(cluster)["verdict"] == "Pending", "the delay counts from when it was ready again"
    cluster.wait(timedelta(seconds=40).total_seconds())
    answer(cluster, new, 0.5)
    assert cluster.status["candidate"]["phase"] == "Failed"
