"""The steps of a canary by the numbers of pods behind one Service, in a cluster in memory."""

from __future__ import annotations

from typing import Any

import pytest

from perennial.core.labels import (
    ABORT_ANNOTATION,
    APPROVE_ANNOTATION,
    APPROVED_BY_ANNOTATION,
    PAUSE_ANNOTATION,
    PROMOTE_ANNOTATION,
)
from tests.support.builders import digest, looping, terminated
from tests.unit.serving.cluster import Cluster
from tests.unit.serving.rollout.test_rollout_steps import served

STEPS = [{"weight": 10, "hold": "5m"}, {"weight": 50, "hold": "10m"}]
CRASHED = {"containerStatuses": [looping("server", 3, terminated(1))]}


def canary(replicas: int = 10, most: int | None = None, **rollout: Any) -> Cluster:
    """Return a cluster in which model a serves, and model b has been published."""
    bounds = {"min": replicas, "max": most or replicas}
    asked = {"strategy": "Canary", "steps": STEPS, **rollout}
    cluster = served(replicas=bounds, rollout=asked)
    cluster.publish("b", 2)
    cluster.settle()
    return cluster


def names(cluster: Cluster) -> tuple[str, str]:
    return cluster.status["stable"]["name"], cluster.status["candidate"]["name"]


def replicas(cluster: Cluster, name: str) -> int:
    return int(cluster.live("Deployment", name)["spec"]["replicas"])


def follow(cluster: Cluster, rounds: int = 12) -> None:
    """Let all pods do as their Deployments say, until nothing changes."""
    for _ in range(rounds):
        for name in cluster.names("Deployment"):
            cluster.set_ready(name)
        if not cluster.settle():
            return
    raise AssertionError("it never comes to rest")


def sizes(cluster: Cluster) -> tuple[int, int]:
    stable, candidate = names(cluster)
    return replicas(cluster, stable), replicas(cluster, candidate)


def say(cluster: Cluster, **annotations: str) -> None:
    cluster.resource["metadata"] = {**cluster.resource["metadata"], "annotations": annotations}
    cluster.settle()


def progressing(cluster: Cluster) -> dict[str, Any]:
    found = cluster.condition("Progressing")
    assert found is not None
    return found


def test_a_whole_canary_goes_from_step_to_step_and_is_promoted_without_a_restart() -> None:
    cluster = canary()
    stable, candidate = names(cluster)
    assert sizes(cluster) == (10, 1)
    assert cluster.selected() == cluster.status["stable"]["hash"], "no traffic before the candidate is ready"
    templates = {name: cluster.live("Deployment", name)["spec"]["template"] for name in (stable, candidate)}

    follow(cluster)
    shown = cluster.status["candidate"]
    assert cluster.selected() is None, "both take requests"
    assert sizes(cluster) == (9, 1)
    assert (shown["weight"], shown["reachedWeight"], shown["step"]) == (10, 10, 1)
    assert progressing(cluster)["reason"] == "Holding"
    assert "step 1 of 2 with 10 % of the requests, until 2026-01-31T12:05:00Z" in progressing(cluster)["message"]
    assert cluster.last is not None
    assert cluster.last.requeue_after == 300
    assert cluster.truth("Ready") == "True"
    assert cluster.status["readyReplicas"] == 10

    cluster.wait(299)
    assert cluster.settle() == 0
    cluster.wait(1)
    cluster.settle()
    assert sizes(cluster) == (9, 5), "the stable revision keeps its pods until the new ones are available"
    follow(cluster)
    assert sizes(cluster) == (5, 5)
    assert (cluster.status["candidate"]["weight"], cluster.status["candidate"]["reachedWeight"]) == (50, 50)

    cluster.wait(600)
    cluster.settle()
    assert sizes(cluster) == (5, 10)
    assert cluster.status["candidate"]["weight"] == 100
    cluster.set_ready(candidate)
    cluster.settle()
    assert cluster.status["stable"]["name"] == candidate
    assert cluster.selected() == cluster.status["stable"]["hash"]
    assert templates[candidate] == cluster.live("Deployment", candidate)["spec"]["template"]
    assert [event.reason for event in cluster.events[2:]] == ["RolloutStarted", *("StepStarted",) * 3, "Promoted"]
    cluster.wait(30)
    follow(cluster)
    assert cluster.names("Deployment") == [candidate]
    assert cluster.names("Service") == ["churn"]


def test_both_revisions_have_an_address_of_their_own_while_a_canary_is_rolled_out() -> None:
    cluster = canary()
    stable, candidate = names(cluster)
    assert cluster.names("Service") == sorted(["churn", stable, candidate])
    selector = cluster.live("Service", candidate)["spec"]["selector"]
    assert selector["perennial.dev/revision"] == cluster.status["candidate"]["hash"]


def test_no_pod_but_those_that_serve_is_selected_by_a_split() -> None:
    cluster = canary()
    follow(cluster)
    assert cluster.live("Service", "churn")["spec"]["selector"] == {
        "app.kubernetes.io/component": "server",
        "perennial.dev/kind": "ModelDeployment",
        "perennial.dev/name": "churn",
    }


def test_the_split_waits_until_the_previous_revision_has_left() -> None:
    cluster = served(replicas={"min": 2, "max": 2}, rollout={"keepPrevious": "1h"})
    cluster.publish("b", 2)
    follow(cluster)
    previous = cluster.status["previous"]["name"]
    cluster.edit(rollout={"strategy": "Canary", "keepPrevious": "1h"})
    cluster.publish("c", 3)
    cluster.settle()
    cluster.add_pod(cluster.status["previous"]["hash"], {}, "old")
    cluster.set_ready(cluster.status["candidate"]["name"])
    cluster.settle()
    assert previous not in cluster.names("Deployment")
    assert progressing(cluster)["reason"] == "WaitingForOldPods"
    assert cluster.selected() is not None
    cluster.remove("Pod", "old")
    cluster.settle()
    assert cluster.selected() is None


def test_a_pause_holds_the_step_and_its_hold_begins_again() -> None:
    cluster = canary()
    follow(cluster)
    cluster.wait(200)
    say(cluster, **{PAUSE_ANNOTATION: "true"})
    assert progressing(cluster)["reason"] == "Paused"
    assert "step 1 of 2 with 10 % of the requests, paused" in progressing(cluster)["message"]
    cluster.wait(10_000)
    assert cluster.settle() == 0
    assert sizes(cluster) == (9, 1)
    say(cluster)
    assert cluster.last is not None
    assert cluster.last.requeue_after == 300
    cluster.wait(300)
    cluster.settle()
    assert cluster.status["candidate"]["step"] == 2


def test_a_pause_before_the_first_step_leaves_the_candidate_without_traffic() -> None:
    cluster = canary()
    say(cluster, **{PAUSE_ANNOTATION: "true"})
    follow(cluster)
    assert cluster.selected() == cluster.status["stable"]["hash"]
    assert progressing(cluster)["reason"] == "Paused"
    assert cluster.status["candidate"]["weight"] == 0


def test_promote_skips_steps_and_holds_but_first_gives_the_candidate_all_its_pods() -> None:
    cluster = canary()
    follow(cluster)
    _, candidate = names(cluster)
    say(cluster, **{PROMOTE_ANNOTATION: candidate})
    assert cluster.status["candidate"]["weight"] == 100
    assert sizes(cluster)[1] == 10
    assert cluster.status["stable"]["name"] != candidate
    follow(cluster)
    assert cluster.status["stable"]["name"] == candidate


def test_promote_does_not_skip_the_approval() -> None:
    cluster = canary(approval="Manual")
    _, candidate = names(cluster)
    follow(cluster)
    said = {PROMOTE_ANNOTATION: candidate}
    say(cluster, **said)
    assert progressing(cluster)["reason"] == "WaitingForApproval"
    assert cluster.status["candidate"]["weight"] == 10
    say(cluster, **said, **{APPROVE_ANNOTATION: candidate, APPROVED_BY_ANNOTATION: "ana"})
    follow(cluster)
    assert cluster.status["stable"]["name"] == candidate
    assert cluster.status["history"][0]["approval"]["by"] == "ana"


def test_approval_is_asked_after_the_last_step() -> None:
    cluster = canary(approval="Manual")
    follow(cluster)
    cluster.wait(300)
    follow(cluster)
    cluster.wait(600)
    follow(cluster)
    assert progressing(cluster)["reason"] == "WaitingForApproval"
    assert (cluster.status["candidate"]["step"], sizes(cluster)) == (2, (5, 5))


def test_an_abort_takes_the_traffic_at_once_and_asks_for_the_stable_pods_first() -> None:
    cluster = canary()
    follow(cluster)
    cluster.wait(300)
    follow(cluster)
    stable, candidate = names(cluster)
    say(cluster, **{ABORT_ANNOTATION: candidate})
    assert cluster.selected() == cluster.status["stable"]["hash"]
    assert cluster.names("Deployment") == [stable]
    assert replicas(cluster, stable) == 10
    failed = cluster.status["candidate"]
    assert (failed["phase"], failed["reason"], failed["weight"]) == ("Failed", "Aborted", 0)
    assert cluster.names("Service") == ["churn"]


def test_the_stable_pods_never_get_more_than_double_their_load_at_once() -> None:
    cluster = canary(steps=[{"weight": 90}, {"weight": 95, "hold": "1h"}])
    follow(cluster)
    stable, candidate = names(cluster)
    assert sizes(cluster) == (1, 10)
    say(cluster, **{ABORT_ANNOTATION: candidate})
    assert cluster.selected() is None
    assert replicas(cluster, stable) == 10
    assert candidate in cluster.names("Deployment")
    assert cluster.truth("RolloutFailed") == "True"
    cluster.set_ready(stable, 5)
    cluster.settle()
    assert cluster.selected() == cluster.status["stable"]["hash"]
    assert cluster.names("Deployment") == [stable]


def test_a_newer_model_starts_from_zero() -> None:
    cluster = canary()
    follow(cluster)
    cluster.wait(300)
    follow(cluster)
    stable, overtaken = names(cluster)
    cluster.publish("c", 3)
    cluster.reconcile()
    assert cluster.names("Deployment") == [stable], "its pods would take requests while the Service selects all"
    assert cluster.selected() == cluster.status["stable"]["hash"]
    cluster.settle()
    assert cluster.status["candidate"]["digest"] == digest("c")
    assert overtaken not in cluster.names("Deployment")
    assert replicas(cluster, stable) == 10
    follow(cluster)
    assert (cluster.status["candidate"]["step"], sizes(cluster)) == (1, (9, 1))
    assert cluster.status["history"][0]["result"] == "Superseded"


def test_a_crash_of_the_candidate_during_a_hold_rolls_back() -> None:
    cluster = canary()
    follow(cluster)
    stable, candidate = names(cluster)
    cluster.add_pod(cluster.status["candidate"]["hash"], CRASHED)
    cluster.set_ready(candidate, 0)
    cluster.settle()
    assert cluster.status["candidate"]["phase"] == "Failed"
    assert cluster.selected() == cluster.status["stable"]["hash"]
    assert (replicas(cluster, stable), cluster.names("Deployment")) == (10, [stable])


def test_a_stable_revision_that_dies_hands_over_to_the_candidate() -> None:
    cluster = canary()
    follow(cluster)
    stable, candidate = names(cluster)
    cluster.set_ready(stable, 0)
    cluster.settle()
    assert cluster.status["stable"]["name"] == candidate
    assert cluster.selected() == cluster.status["stable"]["hash"]
    assert replicas(cluster, candidate) == 10


def test_one_pod_gives_half_and_says_how_many_would_do() -> None:
    cluster = canary(replicas=1)
    follow(cluster)
    assert sizes(cluster) == (1, 1)
    limited = cluster.condition("SplitLimited")
    assert limited is not None
    assert (limited["status"], limited["reason"]) == ("True", "TooFewPods")
    assert "1 of 2 give 50 %. spec.replicas.min of 7" in limited["message"]
    assert cluster.status["candidate"]["reachedWeight"] == 50
    cluster.wait(300)
    follow(cluster)
    assert cluster.truth("SplitLimited") is None, "step 2 wants 50 %"


def test_revisions_with_different_ports_are_not_split() -> None:
    cluster = canary()
    cluster.edit(tls={"secretName": "certificate"})
    cluster.settle()
    limited = cluster.condition("SplitLimited")
    assert limited is not None
    assert limited["reason"] == "PortsDiffer"
    _, candidate = names(cluster)
    assert sizes(cluster) == (10, 10)
    cluster.set_ready(candidate)
    cluster.settle()
    assert cluster.status["stable"]["name"] == candidate
    assert None not in cluster.switches


def test_revisions_whose_ports_have_the_same_name_are_split_by_it() -> None:
    cluster = served(
        runtime={"container": {"image": "own:1", "port": 8080}}, rollout={"strategy": "Canary", "steps": STEPS}
    )
    cluster.edit(runtime={"container": {"image": "own:2", "port": 9000}})
    follow(cluster)
    service = cluster.live("Service", "churn")["spec"]
    assert "perennial.dev/revision" not in service["selector"]
    assert service["ports"][0]["targetPort"] == "http"


def test_an_autoscaler_of_the_stable_revision_goes_on_and_the_candidate_follows_it() -> None:
    cluster = canary(replicas=4, most=20, steps=[{"weight": 25, "hold": "1h"}])
    stable, candidate = names(cluster)
    cluster.live("Deployment", stable)["spec"]["replicas"] = 6
    follow(cluster)
    assert replicas(cluster, candidate) == 2
    fixed = cluster.live("HorizontalPodAutoscaler", candidate)["spec"]
    assert (fixed["minReplicas"], fixed["maxReplicas"]) == (2, 2)
    free = cluster.live("HorizontalPodAutoscaler", stable)["spec"]
    assert (free["minReplicas"], free["maxReplicas"]) == (2, 18)
    cluster.live("Deployment", stable)["spec"]["replicas"] = 9
    follow(cluster)
    assert replicas(cluster, candidate) == 3
    cluster.wait(3600)
    cluster.settle()
    assert replicas(cluster, candidate) == 12, "what both had"
    follow(cluster)
    assert cluster.status["stable"]["name"] == candidate
    free = cluster.live("HorizontalPodAutoscaler", candidate)["spec"]
    assert (free["minReplicas"], free["maxReplicas"]) == (4, 20)


def test_an_autoscaled_stable_revision_gets_its_pods_back_at_once() -> None:
    cluster = canary(replicas=1, most=20, steps=[{"weight": 50, "hold": "1h"}])
    stable, candidate = names(cluster)
    cluster.live("Deployment", stable)["spec"]["replicas"] = 10
    follow(cluster)
    cluster.live("Deployment", stable)["spec"]["replicas"] = 5  # the autoscaler
    follow(cluster)
    assert sizes(cluster) == (5, 5)
    say(cluster, **{ABORT_ANNOTATION: candidate})
    assert replicas(cluster, stable) == 10
    assert cluster.selected() == cluster.status["stable"]["hash"]


def test_a_lost_record_during_a_split_promotes_nobody() -> None:
    cluster = canary()
    follow(cluster)
    stable, _ = names(cluster)
    for kind in ("Service", "PodDisruptionBudget"):
        cluster.live(kind, "churn")["metadata"]["annotations"].pop("perennial.dev/rollout")
    cluster.resource = {**cluster.resource, "status": {}}
    cluster.settle()
    assert cluster.status["stable"]["name"] == stable


@pytest.mark.parametrize("weights", [(10, 50), (5, 25, 75), (99,)])
def test_every_canary_ends(weights: tuple[int, ...]) -> None:
    cluster = canary(replicas=3, steps=[{"weight": weight} for weight in weights])
    _, candidate = names(cluster)
    follow(cluster, 30)
    assert cluster.status["stable"]["name"] == candidate
