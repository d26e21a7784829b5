"""Rollouts behind a gateway: an HTTPRoute with exact weights, in a cluster in memory."""

from __future__ import annotations

from typing import Any

import pytest

from perennial.core.kinds import HTTP_ROUTE, SERVICE
from perennial.core.labels import ABORT_ANNOTATION
from tests.support.builders import model_deployment
from tests.unit.serving.cluster import Cluster
from tests.unit.serving.rollout.test_canary import names, progressing, replicas, say
from tests.unit.serving.rollout.test_rollout_steps import served

ROUTE = {"gateway": {"name": "public"}, "hostnames": ["churn.example.com"]}
STEPS = [{"weight": 5, "hold": "5m"}, {"weight": 25, "hold": "5m"}, {"weight": 50, "hold": "5m"}]


def answer(cluster: Cluster, problem: str = "", kind: str = "Accepted", **parent: Any) -> None:
    """Let the gateway take up the route as it is now, or refuse it."""
    route = cluster.live("HTTPRoute")
    said = dict.fromkeys(("Accepted", "ResolvedRefs"), ("True", "Accepted", ""))
    if problem:
        said[kind] = ("False", "Refused", problem)
    generation = route["metadata"]["generation"]
    conditions = [
        {"type": name, "status": status, "reason": reason, "message": message, "observedGeneration": generation}
        for name, (status, reason, message) in said.items()
    ]
    route["status"] = {"parents": [{"parentRef": {"name": "public", **parent}, "conditions": conditions}]}


def behind_gateway(replicas: int = 1, **rollout: Any) -> Cluster:
    """Return a cluster in which model a serves behind a gateway, and model b is about to start."""
    asked = {"strategy": "Canary", "steps": STEPS, **rollout}
    cluster = served(replicas={"min": replicas, "max": replicas}, rollout=asked, route=ROUTE)
    answer(cluster)
    cluster.settle()
    cluster.publish("b", 2)
    cluster.settle()
    return cluster


def follow(cluster: Cluster, *, gateway: bool = True) -> None:
    """Let pods and gateway do as they are told, until nothing changes."""
    for _ in range(12):
        for name in cluster.names("Deployment"):
            cluster.set_ready(name)
        if gateway:
            answer(cluster)
        if not cluster.settle():
            return
    raise AssertionError("it never comes to rest")


def backends(cluster: Cluster) -> dict[str, int]:
    """Return the weights of all Services that the gateway knows."""
    found = cluster.live("HTTPRoute")["spec"]["rules"][-1]["backendRefs"]
    return {item["name"]: item["weight"] for item in found}


def weights(cluster: Cluster) -> dict[str, int]:
    """Return the weights of those that receive requests."""
    return {name: weight for name, weight in backends(cluster).items() if weight > 0}


def test_the_stable_revision_alone_receives_everything_and_the_address_is_that_of_the_host_name() -> None:
    cluster = served(route={**ROUTE, "path": "/churn/"})
    stable = cluster.status["stable"]["name"]
    route = cluster.live("HTTPRoute")

    assert route["spec"]["parentRefs"] == [{"name": "public"}]
    assert route["spec"]["hostnames"] == ["churn.example.com"]
    assert route["spec"]["rules"] == [
        {
            "matches": [{"path": {"type": "PathPrefix", "value": "/churn/"}}],
            "backendRefs": [{"name": stable, "port": 80, "weight": 100}],
        }
    ]
    assert cluster.store.get(SERVICE, "default", stable) is not None
    assert cluster.status["url"] == "http://churn.default.svc", "not before the gateway has accepted the route"
    refused = cluster.condition("RouteAccepted")
    assert refused is not None
    assert (refused["status"], refused["reason"]) == ("False", "RouteNotAccepted")
    assert "Gateway default/public has not answered" in refused["message"]

    answer(cluster)
    cluster.settle()
    assert cluster.truth("RouteAccepted") == "True"
    assert cluster.status["url"] == "http://churn.example.com/churn"
    assert cluster.settle() == 0


def test_a_canary_of_one_pod_beside_one_gets_exactly_the_weight_of_each_step() -> None:
    cluster = behind_gateway()
    stable, candidate = names(cluster)
    assert backends(cluster) == {stable: 100, candidate: 0}, "no traffic before the candidate is ready"
    assert cluster.store.get(SERVICE, "default", candidate) is not None, "its endpoints are known before that"

    for step in STEPS:
        follow(cluster)
        shown = cluster.status["candidate"]
        assert weights(cluster) == {stable: 100 - step["weight"], candidate: step["weight"]}
        assert (shown["weight"], shown["reachedWeight"]) == (step["weight"], step["weight"])
        assert progressing(cluster)["reason"] == "Holding"
        cluster.wait(300)

    follow(cluster)
    assert cluster.status["stable"]["name"] == candidate
    assert backends(cluster) == {candidate: 100, stable: 0}
    assert cluster.store.get(SERVICE, "default", stable) is not None, "it stays as long as its pods"
    cluster.wait(60)
    follow(cluster)
    assert backends(cluster) == {candidate: 100}
    assert cluster.names("Service") == sorted(["churn", candidate])


def test_a_step_counts_from_when_the_gateway_has_taken_up_its_weight() -> None:
    cluster = behind_gateway()
    _, candidate = names(cluster)
    cluster.set_ready(candidate)
    cluster.settle()
    assert weights(cluster)[candidate] == 5
    assert progressing(cluster)["reason"] == "MovingTraffic", "the status of the route is about an earlier generation"
    assert cluster.status["candidate"]["reachedWeight"] == 0

    cluster.wait(3600)
    cluster.settle()
    assert weights(cluster)[candidate] == 5

    answer(cluster)
    cluster.settle()
    assert progressing(cluster)["reason"] == "Holding"
    assert cluster.status["candidate"]["reachedWeight"] == 5


def test_the_weight_grows_only_when_the_pods_for_it_are_ready() -> None:
    cluster = behind_gateway(replicas=4)
    stable, candidate = names(cluster)
    follow(cluster)
    cluster.wait(300)
    follow(cluster)
    cluster.wait(300)
    cluster.settle()

    assert cluster.status["candidate"]["weight"] == 50
    assert replicas(cluster, candidate) == 2
    assert weights(cluster) == {stable: 75, candidate: 25}, "one pod of two is ready"
    follow(cluster)
    assert weights(cluster) == {stable: 50, candidate: 50}


def test_a_refused_route_stops_a_canary_before_its_first_step() -> None:
    cluster = behind_gateway()
    stable, candidate = names(cluster)
    answer(cluster, "the backend\nis \x1b[31mnot found", kind="ResolvedRefs")
    cluster.set_ready(candidate)
    cluster.settle()
    cluster.wait(3600)
    cluster.settle()

    assert weights(cluster) == {stable: 100}
    assert progressing(cluster)["reason"] == "RouteNotAccepted"
    found = cluster.condition("RouteAccepted")
    assert found is not None
    assert found["status"] == "False"
    assert "ResolvedRefs is false: Refused: the backend is [31mnot found" in found["message"]
    assert cluster.status["url"] == "http://churn.default.svc"
    assert cluster.selected() == cluster.status["stable"]["hash"]


def test_what_another_gateway_says_does_not_count() -> None:
    cluster = behind_gateway()
    answer(cluster, name="internal")
    cluster.settle()
    assert cluster.truth("RouteAccepted") == "False"
    answer(cluster, namespace="default")
    cluster.settle()
    assert cluster.truth("RouteAccepted") == "True"


def test_an_aborted_candidate_leaves_after_the_gateway_has_stopped_to_send_it_requests() -> None:
    cluster = behind_gateway()
    stable, candidate = names(cluster)
    follow(cluster)
    say(cluster, **{ABORT_ANNOTATION: candidate})

    assert backends(cluster) == {stable: 100, candidate: 0}
    assert candidate in cluster.names("Deployment"), "the gateway has not said that it knows"
    assert candidate in cluster.names("Service")
    answer(cluster)
    cluster.settle()
    assert backends(cluster) == {stable: 100}
    assert cluster.names("Deployment") == [stable]
    assert cluster.names("Service") == sorted(["churn", stable])


def test_a_candidate_without_a_ready_pod_receives_nothing_and_one_beside_a_dead_stable_revision_everything() -> None:
    cluster = behind_gateway(approval="Manual")
    stable, candidate = names(cluster)
    follow(cluster)
    cluster.set_ready(candidate, 0)
    cluster.settle()
    assert weights(cluster) == {stable: 100}

    follow(cluster)
    assert weights(cluster) == {stable: 95, candidate: 5}
    cluster.set_ready(stable, 0)
    cluster.settle()
    assert weights(cluster) == {candidate: 100}


def test_requests_with_the_headers_go_to_the_candidate_during_the_steps() -> None:
    headers = [{"name": "x-group", "value": "b"}, {"name": "x-user", "value": "test"}]
    cluster = behind_gateway(headers=headers)
    _, candidate = names(cluster)
    assert len(cluster.live("HTTPRoute")["spec"]["rules"]) == 1
    follow(cluster)

    marked, others = cluster.live("HTTPRoute")["spec"]["rules"]
    path = {"type": "PathPrefix", "value": "/"}
    wanted = [{"type": "Exact", **item} for item in headers]
    assert marked["matches"] == [{"path": path, "headers": wanted}]
    assert marked["backendRefs"] == [{"name": candidate, "port": 80, "weight": 100}]
    assert others["matches"] == [{"path": path}]
    for _ in STEPS:
        cluster.wait(300)
        follow(cluster)
    assert len(cluster.live("HTTPRoute")["spec"]["rules"]) == 1


def test_the_revisions_may_differ_in_port_and_tls() -> None:
    cluster = served(rollout={"strategy": "Canary", "steps": STEPS}, route=ROUTE)
    answer(cluster)
    cluster.edit(tls={"secretName": "certificate"})
    follow(cluster)
    stable, candidate = names(cluster)
    assert weights(cluster) == {stable: 95, candidate: 5}
    ports = {item["name"]: item["port"] for item in cluster.live("HTTPRoute")["spec"]["rules"][-1]["backendRefs"]}
    assert ports == {stable: 80, candidate: 443}
    assert cluster.condition("SplitLimited") is None
    assert cluster.selected() == cluster.status["stable"]["hash"], "one Service cannot reach both"


def test_a_step_does_not_end_while_the_gateway_refuses_the_route() -> None:
    cluster = behind_gateway()
    follow(cluster)
    answer(cluster, "the listener is gone")
    cluster.wait(3600)
    cluster.settle()
    assert cluster.status["candidate"]["step"] == 1
    assert progressing(cluster)["reason"] == "RouteNotAccepted"
    follow(cluster)
    assert cluster.status["candidate"]["step"] == 2


def test_the_service_tells_that_it_cannot_follow() -> None:
    cluster = behind_gateway()
    follow(cluster)
    limited = cluster.condition("SplitLimited")
    assert limited is not None
    assert limited["message"].startswith("the gateway gives the weight, but the Service churn spreads connections")


def test_without_the_gateway_api_a_canary_waits_and_nothing_is_written_in_vain() -> None:
    cluster = Cluster(model_deployment(rollout={"strategy": "Canary", "steps": STEPS}, route=ROUTE))
    cluster.store.absent.add(HTTP_ROUTE.kind)
    cluster.publish("a")
    cluster.settle()
    cluster.set_ready(cluster.status["candidate"]["name"])
    cluster.settle()
    assert cluster.names("HTTPRoute") == []
    found = cluster.condition("RouteAccepted")
    assert found is not None
    assert (found["status"], found["reason"]) == ("False", "GatewayApiMissing")
    assert cluster.truth("Ready") == "True"

    cluster.publish("b", 2)
    cluster.settle()
    cluster.set_ready(cluster.status["candidate"]["name"])
    cluster.settle()
    assert progressing(cluster)["reason"] == "GatewayApiMissing"

    cluster.store.absent.clear()
    follow_up = cluster.settle()
    assert follow_up > 0
    assert cluster.names("HTTPRoute") == ["churn"]


def test_a_route_that_is_not_wanted_any_more_is_deleted() -> None:
    cluster = served(route=ROUTE, rollout={"strategy": "BlueGreen"})
    spec = {key: value for key, value in cluster.resource["spec"].items() if key != "route"}
    cluster.store.update({**cluster.resource, "spec": spec})
    cluster.settle()
    assert cluster.names("HTTPRoute") == []
    assert cluster.names("Service") == ["churn"]
    assert cluster.condition("RouteAccepted") is None


@pytest.mark.parametrize("strategy", ["BlueGreen", "Recreate", "Auto"])
def test_every_strategy_ends_with_all_requests_at_the_promoted_revision(strategy: str) -> None:
    cluster = served(route=ROUTE, rollout={"strategy": strategy})
    answer(cluster)
    cluster.publish("b", 2)
    follow(cluster)
    (service,) = weights(cluster)
    assert service == cluster.status["stable"]["name"]
    assert cluster.status["stable"]["run"] == "churn-2"
