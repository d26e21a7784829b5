"""Scale to zero through KEDA, in a cluster in memory; the test plays KEDA."""

from __future__ import annotations

from typing import Any

import pytest

from perennial.core.kinds import SCALED_OBJECT
from perennial.core.labels import ABORT_ANNOTATION
from tests.support.builders import digest, model_deployment
from tests.unit.serving.cluster import Cluster
from tests.unit.serving.rollout.test_rollout_steps import crash, served

TRIGGER = {"trigger": {"type": "prometheus", "metadata": {"serverAddress": "http://prometheus:9090", "query": "q"}}}
SPEC: dict[str, Any] = {"replicas": {"min": 0, "max": 3}, "autoscaling": [TRIGGER]}
CANARY = {"strategy": "Canary", "steps": [{"weight": 50, "hold": "5m"}]}


def scale(cluster: Cluster, name: str, number: int) -> None:
    """Let KEDA scale a Deployment, and its pods follow."""
    raw = cluster.live("Deployment", name)
    raw["spec"]["replicas"] = number
    raw["metadata"]["generation"] = raw["metadata"].get("generation", 1) + 1
    cluster.set_ready(name)
    cluster.settle()


def say(cluster: Cluster, name: str, kind: str, status: str, message: str = "") -> None:
    """Let KEDA set a condition of a ScaledObject."""
    found = cluster.live("ScaledObject", name)
    found["status"] = {"conditions": [{"type": kind, "status": status, "reason": "Said", "message": message}]}
    cluster.settle()


def asleep(**spec: Any) -> Cluster:
    """Return a cluster in which model a sleeps."""
    cluster = served(**{**SPEC, **spec})
    scale(cluster, stable(cluster), 0)
    return cluster


def stable(cluster: Cluster) -> str:
    return str(cluster.status["stable"]["name"])


def bounds(cluster: Cluster, name: str) -> tuple[int, int]:
    spec = cluster.live("ScaledObject", name)["spec"]
    return spec["minReplicaCount"], spec["maxReplicaCount"]


def replicas(cluster: Cluster, name: str) -> int:
    return int(cluster.live("Deployment", name)["spec"]["replicas"])


def told(cluster: Cluster, kind: str = "Ready") -> tuple[str, str]:
    found = cluster.condition(kind)
    assert found is not None
    return found["status"], found["reason"]


def test_keda_scales_instead_of_a_horizontal_pod_autoscaler() -> None:
    cluster = served(**{**SPEC, "autoscaling": [TRIGGER, {"cpu": 70}]}, resources={"requests": {"cpu": "1"}})
    made = cluster.live("ScaledObject", stable(cluster))
    assert cluster.names("HorizontalPodAutoscaler") == []
    assert made["metadata"]["ownerReferences"][0]["name"] == "churn"
    assert made["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": stable(cluster)},
        "minReplicaCount": 0,
        "maxReplicaCount": 3,
        "cooldownPeriod": 300,
        "triggers": [
            {"type": "prometheus", "metadata": {"serverAddress": "http://prometheus:9090", "query": "q"}},
            {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "70", "containerName": "server"}},
        ],
    }


def test_the_first_revision_is_proven_before_it_may_sleep() -> None:
    cluster = Cluster(model_deployment(**SPEC))
    cluster.publish("a")
    cluster.settle()
    name = cluster.status["candidate"]["name"]
    assert bounds(cluster, name) == (1, 3)
    assert replicas(cluster, name) == 1
    cluster.set_ready(name)
    cluster.settle()
    assert bounds(cluster, name) == (0, 3)


def test_asleep_is_ready_and_nothing_is_written_any_more() -> None:
    cluster = asleep()
    assert told(cluster) == ("True", "ScaledToZero")
    found = cluster.condition("Ready")
    assert found is not None
    assert "sleeps without pods; woken by: prometheus" in found["message"]
    assert (cluster.status["phase"], cluster.status["replicas"]) == ("Stable", 0)
    assert cluster.truth("Stalled") is None
    assert [event.type for event in cluster.events] == ["Normal", "Normal"]
    assert cluster.settle() == 0


def test_a_woken_model_is_not_ready_before_its_pod_is_and_the_operator_leaves_the_number_alone() -> None:
    cluster = asleep()
    cluster.live("Deployment", stable(cluster))["spec"]["replicas"] = 1
    cluster.set_ready(stable(cluster), 0)
    cluster.settle()
    assert told(cluster) == ("False", "Waking")
    assert cluster.status["phase"] == "Pending"
    assert replicas(cluster, stable(cluster)) == 1
    cluster.set_ready(stable(cluster))
    cluster.settle()
    assert told(cluster) == ("True", "Serving")


def test_a_pod_that_crashes_while_waking_is_told() -> None:
    cluster = asleep()
    cluster.live("Deployment", stable(cluster))["spec"]["replicas"] = 1
    cluster.set_ready(stable(cluster), 0)
    cluster.add_pod(cluster.status["stable"]["hash"], crash(5))
    cluster.settle()
    assert told(cluster) == ("False", "ContainerCrashing")


def test_a_model_that_cannot_wake_is_not_ready() -> None:
    cluster = asleep()
    say(cluster, stable(cluster), "Ready", "False", "no host prometheus\x1b[31m")
    assert told(cluster) == ("False", "TriggerFailed")
    assert cluster.status["phase"] == "Failed"
    assert told(cluster, "Autoscaling") == ("False", "TriggerFailed")
    found = cluster.condition("Autoscaling")
    assert found is not None
    assert "no host prometheus" in found["message"]
    assert "\x1b" not in found["message"]

    say(cluster, stable(cluster), "Paused", "True")
    assert told(cluster) == ("False", "TriggerFailed")
    say(cluster, stable(cluster), "Ready", "True")
    assert told(cluster) == ("True", "ScaledToZero")
    assert cluster.condition("Autoscaling") is None


def test_without_keda_one_pod_stays_and_keda_is_found_later() -> None:
    cluster = Cluster(model_deployment(**SPEC))
    cluster.store.absent.add(SCALED_OBJECT.kind)
    cluster.publish("a")
    cluster.settle()
    cluster.set_ready(cluster.status["candidate"]["name"])
    cluster.settle()
    assert told(cluster) == ("True", "Serving")
    assert told(cluster, "Autoscaling") == ("False", "KedaMissing")
    assert cluster.names("HorizontalPodAutoscaler") == []
    scale(cluster, stable(cluster), 0)
    assert replicas(cluster, stable(cluster)) == 1

    cluster.store.absent.clear()
    cluster.set_ready(stable(cluster))
    cluster.settle()
    assert cluster.names("ScaledObject") == [stable(cluster)]
    assert cluster.condition("Autoscaling") is None


def test_keda_that_leaves_takes_no_pod_along() -> None:
    cluster = served(**SPEC)
    scale(cluster, stable(cluster), 3)
    cluster.store.absent.add(SCALED_OBJECT.kind)
    cluster.remove("ScaledObject", stable(cluster))
    cluster.settle()
    assert replicas(cluster, stable(cluster)) == 3


def test_a_new_model_is_served_without_waking_the_old_one_where_nothing_compares_them() -> None:
    cluster = asleep()
    old = stable(cluster)
    cluster.publish("b", 2)
    cluster.settle()
    assert replicas(cluster, old) == 0
    assert cluster.truth("Ready") == "True"
    candidate = cluster.status["candidate"]["name"]
    assert replicas(cluster, candidate) == 1
    cluster.set_ready(candidate)
    cluster.settle()
    assert stable(cluster) == candidate
    assert bounds(cluster, candidate) == (0, 3)
    assert cluster.names("ScaledObject") == [candidate], "a trigger tells nothing about the load of a previous one"


def test_a_canary_wakes_the_old_model_and_waits_for_it() -> None:
    cluster = asleep(rollout=CANARY)
    old = stable(cluster)
    cluster.publish("b", 2)
    cluster.settle()
    candidate = cluster.status["candidate"]["name"]
    assert (replicas(cluster, old), bounds(cluster, old)) == (1, (1, 3))
    cluster.set_ready(old, 0)
    cluster.set_ready(candidate)
    cluster.settle()
    assert stable(cluster) == old, "it does not take over because nothing answered"
    assert told(cluster, "Progressing") == ("True", "WaitingForStable")

    cluster.set_ready(old)
    cluster.settle()
    assert cluster.status["candidate"]["weight"] == 50
    cluster.settle()
    cluster.wait(301)
    for _ in range(4):
        for name in cluster.names("Deployment"):
            cluster.set_ready(name)
        cluster.settle()
    assert stable(cluster) == candidate
    assert bounds(cluster, candidate) == (0, 3)


def test_gates_wait_for_the_old_model_to_wake() -> None:
    gate = {"errorRate": {"max": "0.1"}}
    cluster = asleep(rollout={"strategy": "Canary", "steps": CANARY["steps"], "gates": [gate]})
    cluster.publish("b", 2)
    cluster.settle()
    cluster.set_ready(stable(cluster), 0)
    cluster.set_ready(cluster.status["candidate"]["name"])
    cluster.settle()
    assert told(cluster, "Progressing") == ("True", "WaitingForStable")


@pytest.mark.parametrize("late", [True, False])
def test_an_old_model_that_does_not_wake_hands_over(late: bool) -> None:
    cluster = asleep(rollout=CANARY)
    cluster.publish("b", 2)
    cluster.settle()
    candidate = cluster.status["candidate"]["name"]
    cluster.set_ready(stable(cluster), 0)
    cluster.set_ready(candidate)
    cluster.settle()
    assert cluster.last is not None
    assert cluster.last.requeue_after is not None
    if late:
        cluster.wait(cluster.last.requeue_after + 1)
    else:
        cluster.add_pod(cluster.status["stable"]["hash"], crash(5))
    cluster.settle()
    assert stable(cluster) == candidate


def test_a_candidate_that_fails_lets_the_old_model_sleep_again() -> None:
    cluster = asleep(rollout=CANARY)
    cluster.publish("b", 2)
    cluster.settle()
    cluster.set_ready(stable(cluster))
    cluster.add_pod(cluster.status["candidate"]["hash"], crash(5))
    cluster.settle()
    assert cluster.status["candidate"]["phase"] == "Failed"
    assert bounds(cluster, stable(cluster)) == (0, 3)
    scale(cluster, stable(cluster), 0)
    assert told(cluster) == ("True", "ScaledToZero")
    assert cluster.truth("RolloutFailed") == "True"


def test_recreate_keeps_keda_from_starting_what_was_stopped() -> None:
    cluster = served(**SPEC, rollout={"strategy": "Recreate"})
    old = stable(cluster)
    cluster.publish("b", 2)
    cluster.settle()
    paused = "autoscaling.keda.sh/paused-replicas"
    assert replicas(cluster, old) == 0
    assert cluster.live("ScaledObject", old)["metadata"]["annotations"][paused] == "0"
    say(cluster, old, "Paused", "True")
    assert cluster.condition("Autoscaling") is None
    cluster.set_ready(old)
    cluster.settle()
    cluster.set_ready(cluster.status["candidate"]["name"])
    cluster.settle()
    assert cluster.status["stable"]["digest"] == digest("b")


def test_a_previous_revision_that_slept_is_woken_for_a_rollback() -> None:
    cluster = asleep()
    old = stable(cluster)
    cluster.publish("b", 2)
    cluster.settle()
    cluster.set_ready(cluster.status["candidate"]["name"])
    cluster.settle()
    new = stable(cluster)
    meta = cluster.resource["metadata"]
    cluster.resource = {**cluster.resource, "metadata": {**meta, "annotations": {ABORT_ANNOTATION: new}}}
    cluster.settle()
    assert stable(cluster) == new, "it serves until the previous one is ready"
    assert replicas(cluster, old) == 1
    cluster.set_ready(old)
    cluster.settle()
    assert stable(cluster) == old


def test_one_scaler_replaces_the_other_only_when_it_is_gone() -> None:
    cluster = served(replicas={"min": 1, "max": 3}, resources={"requests": {"cpu": "1"}})
    assert cluster.names("HorizontalPodAutoscaler") == [stable(cluster)]
    cluster.edit(**SPEC)
    cluster.reconcile()
    assert cluster.names("HorizontalPodAutoscaler") + cluster.names("ScaledObject") == []
    cluster.settle()
    assert cluster.names("ScaledObject") == [stable(cluster)]

    cluster.edit(replicas={"min": 1, "max": 3}, autoscaling=[{"cpu": 50}])
    cluster.reconcile()
    assert cluster.names("HorizontalPodAutoscaler") + cluster.names("ScaledObject") == []
    cluster.settle()
    assert cluster.names("HorizontalPodAutoscaler") == [stable(cluster)]
