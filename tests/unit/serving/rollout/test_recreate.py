"""Rollouts that stop the stable revision first: asked for, or because there is no room for both."""

from __future__ import annotations

from typing import Any

from perennial.core.labels import APPROVE_ANNOTATION, APPROVED_BY_ANNOTATION, PAUSE_ANNOTATION
from tests.support.builders import condition, digest
from tests.unit.serving.cluster import Cluster
from tests.unit.serving.rollout.test_canary import CRASHED, follow, names, progressing, replicas, say
from tests.unit.serving.rollout.test_rollout_steps import served


def started(strategy: str = "Recreate", bounds: tuple[int, int] = (2, 2), **rollout: Any) -> Cluster:
    cluster = served(
        replicas={"min": bounds[0], "max": bounds[1]}, rollout={"strategy": strategy, "keepPrevious": "1s", **rollout}
    )
    cluster.publish("b", 2)
    cluster.settle()
    return cluster


def unscheduled(cluster: Cluster, name: str = "new") -> None:
    """Put a pod of the candidate there that finds no node."""
    since = cluster.status["candidate"]["since"]
    said = condition("PodScheduled", "False", time=since, reason="Unschedulable", message="0/1 nodes are available")
    cluster.add_pod(cluster.status["candidate"]["hash"], {"phase": "Pending", "conditions": [said]}, name)
    cluster.set_ready(cluster.status["candidate"]["name"], 0)
    cluster.settle()


def test_the_candidate_starts_when_the_last_stable_pod_is_gone() -> None:
    cluster = started()
    stable, candidate = names(cluster)
    assert replicas(cluster, stable) == 0
    assert cluster.names("Deployment") == [stable]
    assert progressing(cluster)["reason"] == "Recreating"

    cluster.add_pod(cluster.status["stable"]["hash"], {}, "ending")
    cluster.live("Pod", "ending")["metadata"]["deletionTimestamp"] = "2026-01-31T12:00:00Z"
    cluster.set_ready(stable)
    cluster.settle()
    assert cluster.names("Deployment") == [stable], "its last pod still ends"
    assert (cluster.truth("Ready"), cluster.condition("Ready")["reason"]) == ("False", "Recreating")  # type: ignore[index]

    cluster.remove("Pod", "ending")
    cluster.settle()
    assert replicas(cluster, candidate) == 2
    cluster.set_ready(candidate, 1)
    cluster.settle()
    assert cluster.status["stable"]["name"] == candidate, "one pod that answers is better than none"
    cluster.wait(2)
    follow(cluster)
    assert cluster.names("Deployment") == [candidate]
    assert cluster.truth("Ready") == "True"
    assert "StableStopped" in [event.reason for event in cluster.events]


def test_the_stable_revision_comes_back_when_the_new_one_fails() -> None:
    cluster = started(bounds=(2, 9))
    stable, _ = names(cluster)
    cluster.set_ready(stable)
    cluster.settle()
    cluster.add_pod(cluster.status["candidate"]["hash"], CRASHED)
    cluster.settle()
    assert cluster.status["candidate"]["phase"] == "Failed"
    assert replicas(cluster, stable) == 2
    assert cluster.names("Deployment") == [stable]
    cluster.remove("Pod", "pod-1")
    follow(cluster)
    assert cluster.truth("Ready") == "True"
    assert cluster.selected() == cluster.status["stable"]["hash"]


def test_a_person_is_asked_before_anything_stops() -> None:
    cluster = started(approval="Manual")
    stable, candidate = names(cluster)
    assert replicas(cluster, stable) == 2
    assert cluster.names("Deployment") == [stable]
    assert progressing(cluster)["reason"] == "WaitingForApproval"
    assert "which stops for it, and waiting for approval" in progressing(cluster)["message"]
    approved = {APPROVE_ANNOTATION: candidate, APPROVED_BY_ANNOTATION: "ana"}
    say(cluster, **approved, **{PAUSE_ANNOTATION: "true"})
    assert replicas(cluster, stable) == 2
    say(cluster, **approved)
    assert replicas(cluster, stable) == 0
    say(cluster, **approved, **{PAUSE_ANNOTATION: "true"})
    follow(cluster)
    assert cluster.status["stable"]["name"] == candidate, "a pause does not prolong the downtime"
    assert cluster.status["history"][0]["approval"]["by"] == "ana"


def test_a_newer_model_takes_the_place_of_one_that_is_starting() -> None:
    cluster = started(bounds=(1, 9))
    stable, first = names(cluster)
    cluster.set_ready(stable)
    cluster.settle()
    assert first in cluster.names("Deployment")
    cluster.publish("c", 3)
    follow(cluster)
    assert cluster.status["stable"]["digest"] == digest("c")
    assert first not in cluster.names("Deployment")


def test_auto_waits_for_a_node_before_it_stops_what_serves() -> None:
    cluster = started("Auto")
    stable, candidate = names(cluster)
    assert candidate in cluster.names("Deployment")
    unscheduled(cluster)
    assert replicas(cluster, stable) == 2
    assert progressing(cluster)["reason"] == "Unschedulable"
    assert cluster.last is not None
    assert cluster.last.requeue_after == 120
    cluster.wait(120)
    cluster.settle()
    assert replicas(cluster, stable) == 0
    assert progressing(cluster)["reason"] == "Recreating"
    assert "no node has room for both" in cluster.events[-1].message
    cluster.remove("Pod", "new")
    follow(cluster)
    assert cluster.status["stable"]["name"] == candidate


def test_auto_is_blue_green_where_there_is_room() -> None:
    cluster = started("Auto")
    stable, candidate = names(cluster)
    cluster.wait(500)
    cluster.set_ready(candidate)
    cluster.settle()
    assert cluster.status["stable"]["name"] == candidate
    assert replicas(cluster, stable) == 2


def test_a_revision_that_was_stopped_by_an_autoscaled_rollout_starts_with_the_pods_it_had() -> None:
    cluster = served(replicas={"min": 1, "max": 9}, rollout={"strategy": "Recreate"})
    stable = cluster.status["stable"]["name"]
    cluster.live("Deployment", stable)["spec"]["replicas"] = 6  # the autoscaler
    cluster.set_ready(stable)
    cluster.publish("b", 2)
    cluster.settle()
    cluster.set_ready(stable)
    cluster.settle()
    assert replicas(cluster, cluster.status["candidate"]["name"]) == 6
    cluster.publish("a", 1)
    cluster.settle()
    assert (replicas(cluster, stable), cluster.names("Deployment")) == (6, [stable])
