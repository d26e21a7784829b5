"""Gates of live traffic during a canary: they watch each step, hold it at its end, and end the rollout."""

from datetime import datetime
from typing import Any

import pytest

from perennial.api.contract.settings import RuntimePreset
from perennial.core.labels import PROMOTE_ANNOTATION
from perennial.core.traffic import Counters, Traffic
from perennial.generate.presets import PRESETS
from tests.support.builders import digest
from tests.unit.serving.cluster import CONFIG, Cluster
from tests.unit.serving.rollout.test_canary import canary, follow, progressing, say

ERRORS = {"errorRate": {"max": "0.01"}}
STEPS = [{"weight": 10, "hold": "5m"}, {"weight": 50, "hold": "5m"}]
PRESET: RuntimePreset = CONFIG.runtimes["sklearn"].model_copy(update={"traffic": PRESETS["mlserver"].traffic})
STABLE, CANDIDATE = "http://10.0.0.1:8082/metrics", "http://10.0.0.2:8082/metrics"


def gated(*gates: dict[str, Any], **rollout: Any) -> Cluster:
    """A canary at its first step, with a pod of each revision to read."""
    cluster = canary(gates=list(gates or (ERRORS,)), **{"steps": STEPS, **rollout})
    cluster.config = CONFIG.model_copy(update={"runtimes": {"sklearn": PRESET}})
    for number, role in ((1, "stable"), (2, "candidate")):
        status = {"phase": "Running", "podIP": f"10.0.0.{number}"}
        cluster.add_pod(cluster.status[role]["hash"], status, name=f"pod-{number}")
    follow(cluster)
    return cluster


def count(
    cluster: Cluster, requests: float, errors: float = 0, *, stable: float = 5000, began: datetime | None = None
) -> None:
    """Let both revisions have answered so many requests of this step, and reconcile."""
    for address, counted in ((CANDIDATE, Counters(requests, errors)), (STABLE, Counters(stable))):
        cluster.store.answers[address] = Traffic(began or cluster.now, cluster.now, counted, counted)
    cluster.settle()


def gate(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.status["candidate"]["gates"][0]
    return found


def reads(cluster: Cluster) -> list[str]:
    assert cluster.last is not None
    return [read.address for read in cluster.last.reads]


def test_the_pods_of_both_revisions_are_read_from_the_first_step_on() -> None:
    cluster = canary(gates=[ERRORS])
    assert reads(cluster) == [], "before the first step"
    cluster = gated()
    assert reads(cluster) == [CANDIDATE, STABLE]
    assert gate(cluster)["message"] == "the pods of the candidate have not been read yet"
    assert (progressing(cluster)["reason"], cluster.status["candidate"]["step"]) == ("Holding", 1)


def test_a_canary_whose_gates_pass_at_each_step_is_promoted() -> None:
    cluster = gated()
    for step in (1, 2):
        assert cluster.status["candidate"]["step"] == step
        cluster.wait(300)
        count(cluster, 400)
        cluster.store.answers.clear()  # another step is another window
        follow(cluster)
    assert cluster.status["stable"]["digest"] == digest("b")
    assert reads(cluster) == []


def test_errors_beyond_chance_abort_in_the_middle_of_a_hold() -> None:
    cluster = gated()
    stable = cluster.status["stable"]
    cluster.wait(20)
    count(cluster, 200, 10)
    failed = cluster.status["candidate"]
    assert (failed["phase"], failed["reason"]) == ("Failed", "GateFailed")
    assert failed["message"] == (
        "gate errorRate: 10 errors in 200 requests (5 %; limit 1 %): above what is allowed, beyond chance"
    )
    assert gate(cluster)["figures"] == {"candidate": "5 %", "requests": "200", "limit": "1 %"}
    assert cluster.selected() == stable["hash"], "all requests go to the stable revision in the same decision"
    assert cluster.status["history"][0]["reason"] == "GateFailed"


def test_too_few_requests_hold_the_step_at_its_end_and_tell_how_many_are_missing() -> None:
    cluster = gated()
    cluster.wait(300)
    count(cluster, 100)
    told = progressing(cluster)
    assert told["reason"] == "WaitingForGates"
    assert "waiting for gate errorRate: 0 errors in 100 requests (0 %; limit 1 %); 431 more" in told["message"]
    assert cluster.last is not None
    assert cluster.last.requeue_after == 10
    cluster.wait(60)
    count(cluster, 400)
    assert cluster.status["candidate"]["step"] == 2


def test_no_requests_fail_after_the_initial_delay() -> None:
    cluster = gated()
    began = cluster.now
    cluster.wait(59)
    count(cluster, 0, began=began)
    assert gate(cluster)["verdict"] == "Pending"
    cluster.wait(1)
    count(cluster, 0, began=began)
    assert "no data for 1m: no request was counted" in cluster.status["candidate"]["message"]


def test_a_person_may_promote_in_spite_of_a_gate_that_waits_but_not_of_one_that_fails() -> None:
    cluster = gated()
    say(cluster, **{PROMOTE_ANNOTATION: cluster.status["candidate"]["name"]})
    follow(cluster)
    assert cluster.status["stable"]["digest"] == digest("b")

    cluster = gated()
    cluster.resource["metadata"] = {
        **cluster.resource["metadata"],
        "annotations": {PROMOTE_ANNOTATION: cluster.status["candidate"]["name"]},
    }
    count(cluster, 200, 50)
    assert cluster.status["candidate"]["reason"] == "GateFailed"


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (ERRORS, "no series of the server's metrics are named for failed requests"),
        ({"latency": {"maxMillis": 100}}, "no series of the server's metrics are named for latency"),
    ],
)
def test_a_runtime_that_names_no_series_is_not_judged(wanted: dict[str, Any], words: str) -> None:
    cluster = gated(wanted)
    cluster.config = CONFIG
    cluster.wait(300)
    cluster.settle()
    assert progressing(cluster)["reason"] == "GateInconclusive"
    assert words in progressing(cluster)["message"]


def test_other_names_of_series_start_no_new_revision() -> None:
    cluster = gated()
    before = cluster.status["candidate"]["hash"]
    cluster.config = CONFIG
    cluster.settle()
    assert cluster.status["candidate"]["hash"] == before
