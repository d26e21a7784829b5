"""Shadows: copies of live requests for a candidate that nobody receives answers of, in a cluster in memory."""

from __future__ import annotations

from typing import Any

import pytest

from perennial.core.kinds import SERVICE
from perennial.core.labels import ABORT_ANNOTATION, PAUSE_ANNOTATION, PROMOTE_ANNOTATION
from perennial.core.reads import GatewayFeatures
from perennial.core.traffic import Counters, Traffic
from perennial.serving.rollout.mirror import MIRROR, PERCENTAGE
from tests.support.builders import digest
from tests.unit.serving.cluster import CONFIG, Cluster
from tests.unit.serving.rollout.test_canary import names, progressing, replicas, say
from tests.unit.serving.rollout.test_gateway import ROUTE, answer, follow, weights
from tests.unit.serving.rollout.test_live_gates import CANDIDATE, ERRORS, PRESET, STABLE, reads
from tests.unit.serving.rollout.test_rollout_steps import served

GATEWAY = "default/public"
BOTH = frozenset({MIRROR, PERCENTAGE})


def shadowed(features: frozenset[str] | None = BOTH, number: int = 1, **rollout: Any) -> Cluster:
    """Return a cluster in which model a serves behind a gateway, and model b is about to start."""
    asked = {"strategy": "Shadow", "mirror": {"hold": "5m"}, **rollout}
    cluster = served(replicas={"min": number, "max": number}, rollout=asked, route=ROUTE)
    answer(cluster)
    if features is not None:
        cluster.store.answers[GATEWAY] = GatewayFeatures(features)
    cluster.settle()
    cluster.publish("b", 2)
    cluster.settle()
    return cluster


def copies(cluster: Cluster) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.live("HTTPRoute")["spec"]["rules"][-1].get("filters", [])
    return found


def started(cluster: Cluster) -> Cluster:
    """Let the candidate become ready, and the gateway copy requests."""
    follow(cluster)
    assert len(copies(cluster)) == 1
    return cluster


def test_a_shadow_gets_copies_of_all_requests_and_answers_none_until_it_is_promoted() -> None:
    cluster = shadowed(number=2)
    stable, candidate = names(cluster)
    assert copies(cluster) == [], "its pods are not ready"
    assert replicas(cluster, candidate) == 2, "it takes everything at once in the end"

    started(cluster)
    target = {"name": candidate, "port": 80}
    assert copies(cluster) == [{"type": "RequestMirror", "requestMirror": {"backendRef": target}}]
    assert weights(cluster) == {stable: 100}
    assert cluster.selected() == cluster.status["stable"]["hash"]
    assert replicas(cluster, stable) == 2
    assert progressing(cluster)["reason"] == "Holding"
    assert "receiving copies of 100 % of the requests, until" in progressing(cluster)["message"]
    assert "weight" not in cluster.status["candidate"]
    assert cluster.status["readyReplicas"] == 2, "its pods answer nobody"
    assert "MirrorStarted" in [event.reason for event in cluster.events]

    cluster.wait(299)
    follow(cluster)
    assert cluster.status["stable"]["name"] == stable
    cluster.wait(1)
    follow(cluster)
    assert cluster.status["stable"]["name"] == candidate
    assert weights(cluster) == {candidate: 100}
    assert copies(cluster) == []


def test_a_share_of_the_requests_is_copied() -> None:
    cluster = started(shadowed(mirror={"percent": 20}))
    assert copies(cluster)[0]["requestMirror"]["percent"] == 20
    assert "copies of 20 % of the requests" in progressing(cluster)["message"]


@pytest.mark.parametrize(
    ("features", "mirror", "said"),
    [
        (GatewayFeatures(), {}, f"Gateway {GATEWAY} does not list {MIRROR} in status.supportedFeatures"),
        (GatewayFeatures(frozenset({MIRROR})), {"percent": 5}, f"does not list {PERCENTAGE}"),
        (GatewayFeatures(problem="Gateway default/public does not exist"), {}, "Gateway default/public does not exist"),
    ],
)
def test_nothing_is_copied_by_a_gateway_that_does_not_say_that_it_can(
    features: GatewayFeatures, mirror: dict[str, Any], said: str
) -> None:
    cluster = shadowed(None, mirror=mirror)
    cluster.store.answers[GATEWAY] = features
    _, candidate = names(cluster)
    follow(cluster)
    cluster.wait(3600)
    follow(cluster)

    assert copies(cluster) == []
    assert progressing(cluster)["reason"] == "MirrorNotSupported"
    assert said in progressing(cluster)["message"]
    assert cluster.truth("RouteAccepted") == "True"
    assert reads(cluster) == [GATEWAY], "it may be replaced by one that can"
    assert cluster.settle() == 0

    say(cluster, **{PROMOTE_ANNOTATION: candidate})
    assert cluster.status["stable"]["name"] == candidate
    assert reads(cluster) == []


def test_nothing_is_copied_before_the_gateway_was_asked() -> None:
    cluster = shadowed(None)
    follow(cluster)
    assert copies(cluster) == []
    assert progressing(cluster)["message"].endswith(f"waiting to learn whether Gateway {GATEWAY} can copy requests")
    cluster.store.answers[GATEWAY] = GatewayFeatures(BOTH)
    started(cluster)


def test_the_hold_counts_from_when_the_gateway_has_taken_up_the_route() -> None:
    cluster = shadowed()
    follow(cluster, gateway=False)
    assert len(copies(cluster)) == 1
    cluster.wait(3600)
    cluster.settle()
    assert progressing(cluster)["reason"] == "MovingTraffic"
    answer(cluster)
    cluster.settle()
    assert progressing(cluster)["reason"] == "Holding"


def test_a_gateway_that_refuses_the_copies_ends_them_at_once() -> None:
    cluster = shadowed()
    stable, candidate = names(cluster)
    follow(cluster, gateway=False)
    answer(cluster, "unsupported filter RequestMirror")
    cluster.settle()

    assert copies(cluster) == []
    failed = cluster.status["candidate"]
    assert (failed["phase"], failed["reason"]) == ("Failed", "MirrorNotSupported")
    assert "unsupported filter RequestMirror" in failed["message"]
    follow(cluster)
    assert cluster.names("Deployment") == [stable]
    assert cluster.names("Service") == sorted(["churn", stable])
    assert cluster.status["stable"]["name"] == stable
    assert candidate not in weights(cluster)


def test_a_gate_of_live_traffic_judges_what_the_copies_caused() -> None:
    cluster = shadowed(gates=[ERRORS])
    stable, candidate = names(cluster)
    cluster.config = CONFIG.model_copy(update={"runtimes": {"sklearn": PRESET}})
    for number, role in ((1, "stable"), (2, "candidate")):
        status = {"phase": "Running", "podIP": f"10.0.0.{number}"}
        cluster.add_pod(cluster.status[role]["hash"], status, name=f"pod-{number}")
    assert reads(cluster) == [GATEWAY], "before requests are copied"
    started(cluster)
    assert reads(cluster) == [CANDIDATE, STABLE]

    cluster.wait(300)
    count(cluster, 1000, 0)
    assert cluster.status["stable"]["name"] == candidate

    cluster.publish("c", 3)
    cluster.settle()
    cluster.add_pod(cluster.status["candidate"]["hash"], {"phase": "Running", "podIP": "10.0.0.2"}, name="pod-3")
    started(cluster)
    count(cluster, 1000, 100)
    assert cluster.status["candidate"]["reason"] == "GateFailed"
    assert copies(cluster) == []
    assert weights(cluster) == {candidate: 100}
    assert cluster.status["history"][0]["result"] == "Failed"
    assert stable not in weights(cluster)


def count(cluster: Cluster, requests: float, errors: float) -> None:
    for address, counted in ((CANDIDATE, Counters(requests, errors)), (STABLE, Counters(requests))):
        cluster.store.answers[address] = Traffic(cluster.now, cluster.now, counted, counted)
    cluster.settle()


def test_a_gate_that_is_not_judged_holds_a_shadow_at_its_end() -> None:
    cluster = shadowed(gates=[ERRORS])
    started(cluster)
    cluster.wait(300)
    follow(cluster)
    assert progressing(cluster)["reason"] == "GateInconclusive"
    assert len(copies(cluster)) == 1


def test_an_aborted_shadow_leaves_nothing_and_its_service_goes_after_the_gateway_has_taken_it_out() -> None:
    cluster = started(shadowed())
    stable, candidate = names(cluster)
    say(cluster, **{ABORT_ANNOTATION: candidate})
    assert copies(cluster) == []
    assert cluster.store.get(SERVICE, "default", candidate) is not None
    follow(cluster)
    assert cluster.names("Service") == sorted(["churn", stable])
    assert cluster.names("Deployment") == [stable]


def test_a_pause_begins_the_hold_again_and_approval_comes_last() -> None:
    cluster = started(shadowed(approval="Manual"))
    cluster.wait(200)
    say(cluster, **{PAUSE_ANNOTATION: "true"})
    assert progressing(cluster)["reason"] == "Paused"
    cluster.wait(3600)
    follow(cluster)
    assert len(copies(cluster)) == 1
    say(cluster)
    assert progressing(cluster)["reason"] == "Holding"
    cluster.wait(300)
    follow(cluster)
    assert progressing(cluster)["reason"] == "WaitingForApproval"
    assert cluster.settle() == 0


def test_copies_stop_while_the_shadow_has_no_ready_pod() -> None:
    cluster = started(shadowed())
    stable, candidate = names(cluster)
    cluster.set_ready(candidate, 0)
    cluster.settle()
    assert copies(cluster) == []
    cluster.wait(200)
    started(cluster)
    cluster.wait(299)
    follow(cluster)
    assert cluster.status["stable"]["name"] == stable


def test_a_newer_model_takes_the_place_of_a_shadow() -> None:
    cluster = started(shadowed())
    cluster.publish("c", 3)
    cluster.settle()
    assert copies(cluster) == []
    started(cluster)
    cluster.wait(300)
    follow(cluster)
    assert cluster.status["stable"]["digest"] == digest("c")


def test_a_shadow_serves_at_once_where_nothing_else_does() -> None:
    cluster = started(shadowed())
    stable, candidate = names(cluster)
    cluster.set_ready(stable, 0)
    cluster.settle()
    assert cluster.status["stable"]["name"] == candidate


def test_another_strategy_takes_over_from_a_shadow() -> None:
    cluster = started(shadowed())
    _, candidate = names(cluster)
    cluster.edit(rollout={"strategy": "BlueGreen"})
    follow(cluster)
    assert cluster.status["stable"]["name"] == candidate
    assert copies(cluster) == []
