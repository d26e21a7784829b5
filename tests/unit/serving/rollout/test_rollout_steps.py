"""The way of a revision, step by step, in a cluster in memory."""

import copy

import pytest

from perennial.core.labels import RETRY_ANNOTATION
from tests.support.builders import digest, ended, looping, model_deployment, terminated
from tests.unit.serving.cluster import Cluster


def served(letter: str = "a", **spec: object) -> Cluster:
    """Return a cluster in which a first model serves."""
    cluster = Cluster(model_deployment(**spec))
    cluster.publish(letter)
    cluster.settle()
    cluster.set_ready(cluster.status["candidate"]["name"])
    cluster.settle()
    assert cluster.status["stable"]["digest"] == digest(letter)
    return cluster


def crash(count: int, code: int = 1) -> dict[str, object]:
    """Return the status of a pod whose server ended so often."""
    return {
        "phase": "Running",
        "initContainerStatuses": [ended("fetch", ready=True)],
        "containerStatuses": [looping("server", count, terminated(code, message="boom\x1b[31m\nlast"))],
    }


def test_the_first_model_serves_once_its_pods_are_ready() -> None:
    cluster = Cluster()
    cluster.publish("a")

    first = cluster.settle()
    candidate = cluster.status["candidate"]
    assert candidate["phase"] == "Progressing"
    assert cluster.names("Deployment") == [candidate["name"]]
    assert cluster.selected() == candidate["hash"]
    assert (cluster.truth("Ready"), cluster.truth("Reconciling")) == ("False", "True")

    cluster.set_ready(candidate["name"])
    second = cluster.settle()
    assert cluster.status["stable"]["hash"] == candidate["hash"]
    assert "candidate" not in cluster.status
    assert cluster.status["phase"] == "Stable"
    assert (cluster.truth("Ready"), cluster.truth("Reconciling")) == ("True", None)
    assert [entry["result"] for entry in cluster.status["history"]] == ["Promoted"]
    assert [event.reason for event in cluster.events] == ["RolloutStarted", "Promoted"]
    assert cluster.status["url"] == "http://churn.default.svc"
    children = 3
    records = 2  # the promotion is recorded on Service and PodDisruptionBudget
    assert first + second == children + 2 + records


def test_a_new_model_takes_over_only_when_ready_and_the_old_one_leaves_later() -> None:
    cluster = served()
    old = cluster.status["stable"]
    cluster.publish("b", 2)
    cluster.settle()

    new = cluster.status["candidate"]
    assert cluster.selected() == old["hash"]
    assert (cluster.truth("Ready"), cluster.truth("Reconciling"), cluster.truth("Progressing")) == (
        "True",
        None,
        "True",
    )

    cluster.set_ready(new["name"])
    cluster.settle()
    assert cluster.selected() == new["hash"]
    assert cluster.status["previous"]["name"] == old["name"]
    assert cluster.names("Deployment") == sorted([old["name"], new["name"]])
    assert cluster.last is not None
    assert cluster.last.requeue_after == 30

    cluster.wait(30)
    cluster.settle()
    assert cluster.names("Deployment") == [new["name"]]
    assert "previous" not in cluster.status


def test_the_service_moves_before_the_status_and_a_crash_in_between_loses_nothing() -> None:
    cluster = served()
    cluster.publish("b", 2)
    cluster.settle()
    new = cluster.status["candidate"]
    cluster.set_ready(new["name"])
    before = cluster.resource

    cluster.reconcile()
    after = cluster.status
    cluster.resource = before  # the status write was lost
    cluster.reconcile()

    assert cluster.selected() == new["hash"]
    assert cluster.status == after


def test_a_bad_model_never_serves_and_is_not_tried_again() -> None:
    cluster = served()
    old = cluster.status["stable"]
    cluster.publish("b", 2)
    cluster.settle()
    bad = cluster.status["candidate"]
    cluster.add_pod(bad["hash"], crash(3, code=7))
    cluster.settle()

    assert cluster.selected() == old["hash"]
    assert cluster.names("Deployment") == [old["name"]]
    failed = cluster.status["candidate"]
    assert (failed["phase"], failed["reason"]) == ("Failed", "ContainerCrashing")
    assert "exit code 7" in failed["message"]
    assert failed["message"].isprintable()
    assert cluster.truth("RolloutFailed") == "True"
    assert (cluster.truth("Ready"), cluster.truth("Stalled"), cluster.truth("Reconciling")) == ("True", None, None)

    cluster.wait(10_000)
    assert cluster.reconcile() == 0


def test_a_failure_after_a_change_of_the_spec_waits_for_a_person_while_the_old_one_serves() -> None:
    cluster = served()
    old = cluster.status["stable"]
    cluster.edit(runtime={"container": {"image": "UPPER//bad"}})
    cluster.settle()
    bad = cluster.status["candidate"]
    assert (cluster.truth("Ready"), cluster.truth("Reconciling")) == ("True", "True")

    waiting = {"waiting": {"reason": "InvalidImageName", "message": "couldn't parse image name"}}
    cluster.add_pod(bad["hash"], {"containerStatuses": [{"name": "server", "image": "UPPER//bad", "state": waiting}]})
    cluster.settle()

    assert (cluster.truth("Ready"), cluster.truth("Stalled"), cluster.truth("Reconciling")) == ("True", "True", None)
    stalled = cluster.condition("Stalled")
    assert stalled is not None
    assert stalled["reason"] == "ImageInvalid"
    assert "UPPER//bad" in stalled["message"]
    assert cluster.selected() == old["hash"]

    cluster.edit(runtime={"name": "sklearn"})
    cluster.settle()
    assert (cluster.truth("Ready"), cluster.truth("Stalled"), cluster.truth("RolloutFailed")) == ("True", None, None)
    assert cluster.status["stable"] == old
    assert "candidate" not in cluster.status


def test_a_newer_model_replaces_one_that_is_still_on_its_way() -> None:
    cluster = served()
    cluster.publish("b", 2)
    cluster.settle()
    overtaken = cluster.status["candidate"]["name"]
    cluster.publish("c", 3)
    cluster.settle()

    assert overtaken not in cluster.names("Deployment")
    assert cluster.status["candidate"]["digest"] == digest("c")
    assert cluster.status["history"][0]["result"] == "Superseded"


def test_a_first_revision_that_fails_for_an_outside_cause_may_still_come_right() -> None:
    cluster = Cluster()
    cluster.publish("a")
    cluster.settle()
    name = cluster.status["candidate"]["name"]
    pulling = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off"}}
    cluster.add_pod(
        cluster.status["candidate"]["hash"],
        {"containerStatuses": [{"name": "server", "image": "mlserver:1", "state": pulling}]},
    )
    cluster.settle()
    assert cluster.condition("Reconciling")["reason"] == "ImagePullFailed"  # type: ignore[index]
    assert cluster.last is not None
    cluster.wait(cluster.last.requeue_after or 0)
    cluster.settle()

    assert cluster.truth("Stalled") == "True"
    assert cluster.status["candidate"]["reason"] == "ImagePullFailed"
    assert cluster.names("Deployment") == [name], "kept, since the image may appear"

    cluster.remove("Pod", "pod-1")
    cluster.set_ready(name)
    cluster.settle()
    assert (cluster.truth("Ready"), cluster.truth("Stalled"), cluster.truth("RolloutFailed")) == ("True", None, None)
    assert [entry["result"] for entry in cluster.status["history"]] == ["Promoted", "Failed"]


def test_a_first_revision_that_nothing_can_cure_is_taken_away() -> None:
    cluster = Cluster()
    cluster.publish("a")
    cluster.settle()
    cluster.add_pod(
        cluster.status["candidate"]["hash"],
        {"initContainerStatuses": [ended("fetch", 68, restartCount=1)]},
    )
    cluster.settle()

    assert cluster.status["candidate"]["reason"] == "DigestMismatch"
    assert cluster.names("Deployment") == []
    assert cluster.truth("Stalled") == "True"
    assert cluster.status["phase"] == "Failed"


def test_a_stable_revision_that_is_down_gives_way_to_a_candidate_that_is_half_ready() -> None:
    cluster = served(replicas={"min": 3, "max": 3})
    cluster.publish("b", 2)
    cluster.settle()
    candidate = cluster.status["candidate"]["name"]
    cluster.set_ready(candidate, 2)
    cluster.settle()
    assert cluster.status["stable"]["digest"] == digest("a")

    cluster.set_ready(cluster.status["stable"]["name"], 0)
    cluster.settle()
    assert cluster.status["stable"]["name"] == candidate
    assert cluster.selected() == cluster.status["stable"]["hash"]


def test_https_is_announced_once_the_revision_with_tls_serves() -> None:
    cluster = served(runtime={"container": {"image": "own:1", "port": 8080}})
    cluster.edit(tls={"secretName": "certificate"})
    cluster.settle()
    ports = [item["name"] for item in cluster.live("Service", "churn")["spec"]["ports"]]
    assert (cluster.status["url"], ports) == ("http://churn.default.svc", ["http"])

    cluster.set_ready(cluster.status["candidate"]["name"])
    cluster.settle()
    ports = [item["name"] for item in cluster.live("Service", "churn")["spec"]["ports"]]
    assert (cluster.status["url"], ports) == ("https://churn.default.svc", ["http", "https"])

    cluster.wait(31)
    cluster.settle()
    cluster.edit(tls=None)
    cluster.settle()
    assert cluster.status["url"] == "https://churn.default.svc", "the revision with TLS still serves"


def fail(cluster: Cluster, letter: str = "b", number: int = 2) -> str:
    """Let the rollout of a new model fail; return the name of its revision."""
    cluster.publish(letter, number)
    cluster.settle()
    bad = cluster.status["candidate"]
    cluster.add_pod(bad["hash"], crash(3))
    cluster.settle()
    cluster.remove("Pod", "pod-1")
    assert cluster.status["candidate"]["phase"] == "Failed"
    return str(bad["name"])


def test_a_failed_rollout_is_retried_once_for_each_value_of_the_annotation() -> None:
    cluster = served()
    failed = fail(cluster)
    message = cluster.condition("RolloutFailed")["message"]  # type: ignore[index]
    assert f"perennial.dev/retry={failed}" in message
    for value in (failed, f"{failed}/2"):
        cluster.resource["metadata"] = {**cluster.resource["metadata"], "annotations": {RETRY_ANNOTATION: value}}
        cluster.settle()
        assert cluster.status["candidate"]["phase"] == "Progressing"
        cluster.add_pod(cluster.status["candidate"]["hash"], crash(3))
        cluster.settle()
        cluster.remove("Pod", "pod-1")
        assert cluster.status["candidate"]["phase"] == "Failed"
        assert cluster.settle() == 0


@pytest.mark.parametrize("value", ["churn-00000000", "true", "", "churn-00000000/1"])
def test_a_retry_of_another_revision_retries_nothing(value: str) -> None:
    cluster = served()
    fail(cluster)
    cluster.resource["metadata"] = {**cluster.resource["metadata"], "annotations": {RETRY_ANNOTATION: value}}
    assert cluster.settle() == 0
    assert cluster.status["candidate"]["phase"] == "Failed"


def test_a_new_run_with_the_same_model_retries_a_failed_rollout() -> None:
    cluster = served()
    failed = fail(cluster)
    cluster.publish("b", 3)
    cluster.settle()
    assert (cluster.status["candidate"]["name"], cluster.status["candidate"]["phase"]) == (failed, "Progressing")
    cluster.set_ready(failed)
    cluster.settle()
    assert cluster.status["stable"]["run"] == "churn-3"


def test_going_back_to_the_previous_model_is_immediate_while_its_pods_stay() -> None:
    cluster = served()
    first = cluster.status["stable"]
    cluster.publish("b", 2)
    cluster.settle()
    second = cluster.status["candidate"]["name"]
    cluster.set_ready(second)
    cluster.settle()
    cluster.publish("a", 1)
    cluster.reconcile()

    assert cluster.status["stable"]["hash"] == first["hash"]
    assert cluster.selected() == first["hash"]
    assert cluster.status["previous"]["name"] == second


def test_an_unhealthy_stable_revision_gives_way_to_a_ready_candidate() -> None:
    cluster = served()
    cluster.set_ready(cluster.status["stable"]["name"], 0)
    cluster.settle()
    assert cluster.truth("Ready") == "False"
    cluster.publish("b", 2)
    cluster.settle()
    cluster.set_ready(cluster.status["candidate"]["name"])
    cluster.settle()

    assert cluster.truth("Ready") == "True"
    assert cluster.status["stable"]["digest"] == digest("b")


def test_a_candidate_starts_as_large_as_what_it_replaces() -> None:
    cluster = served(replicas={"min": 2, "max": 10})
    stable = cluster.status["stable"]["name"]
    cluster.live("Deployment", stable)["spec"]["replicas"] = 7  # the autoscaler
    cluster.set_ready(stable)
    cluster.publish("b", 2)
    cluster.settle()
    candidate = cluster.status["candidate"]["name"]
    assert cluster.live("HorizontalPodAutoscaler", candidate)["spec"]["minReplicas"] == 7
    assert cluster.live("Deployment", candidate)["spec"]["replicas"] == 7

    cluster.set_ready(candidate, 6)
    cluster.settle()
    assert cluster.selected() == cluster.status["stable"]["hash"]
    cluster.set_ready(candidate)
    cluster.settle()
    assert cluster.status["stable"]["name"] == candidate
    assert cluster.live("HorizontalPodAutoscaler", candidate)["spec"]["minReplicas"] == 2


def test_the_autoscaler_owns_the_number_of_pods() -> None:
    cluster = served(replicas={"min": 1, "max": 5})
    name = cluster.status["stable"]["name"]
    cluster.live("Deployment", name)["spec"]["replicas"] = 4
    cluster.set_ready(name)
    cluster.settle()
    assert cluster.live("Deployment", name)["spec"]["replicas"] == 4

    cluster.edit(replicas={"min": 2, "max": 2})
    cluster.settle()
    assert cluster.live("Deployment", name)["spec"]["replicas"] == 2
    assert cluster.names("HorizontalPodAutoscaler") == []
    assert cluster.status["stable"]["name"] == name, "scaling makes no new revision"


def test_scaling_up_is_under_way_until_the_pods_answer_and_stalls_after_the_deadline() -> None:
    cluster = served()
    name = cluster.status["stable"]["name"]
    cluster.edit(replicas={"min": 3, "max": 3})
    cluster.settle()
    assert cluster.condition("Reconciling")["reason"] == "ScalingUp"  # type: ignore[index]
    assert cluster.truth("Ready") == "True"

    cluster.set_ready(name, 1)
    cluster.settle()
    assert cluster.last is not None
    cluster.wait(cluster.last.requeue_after or 0)
    cluster.settle()
    assert (cluster.truth("Stalled"), cluster.truth("Reconciling"), cluster.truth("Ready")) == ("True", None, "True")
    cluster.wait(1000)
    assert cluster.reconcile() == 0

    cluster.set_ready(name)
    cluster.settle()
    assert (cluster.truth("Stalled"), cluster.truth("Ready")) == (None, "True")

    cluster.set_ready(name, 2)
    cluster.settle()
    assert (cluster.truth("Ready"), cluster.truth("Reconciling")) == ("True", None), "degraded, not under way"
    assert "2 of 3" in cluster.condition("Ready")["message"]  # type: ignore[index]


@pytest.mark.parametrize("spec", [{"uri": "s3://models/x/versions/1/", "digest": digest("d")}])
def test_a_model_by_address_is_served_without_a_training_job(spec: dict[str, str]) -> None:
    cluster = Cluster(model_deployment(model=spec))
    cluster.settle()
    cluster.set_ready(cluster.status["candidate"]["name"])
    cluster.settle()
    assert cluster.status["stable"]["uri"] == spec["uri"]
    assert cluster.truth("Ready") == "True"


def test_what_it_waits_for_is_named_and_comes_right_by_itself() -> None:
    cluster = Cluster()
    cluster.settle()
    assert cluster.condition("Reconciling")["reason"] == "ModelNotFound"  # type: ignore[index]
    cluster.publish("a")
    job = cluster.live("TrainingJob", "churn")
    cluster.store.put({**job, "status": {}})
    cluster.settle()
    assert cluster.condition("Reconciling")["reason"] == "WaitingForModel"  # type: ignore[index]
    cluster.store.put(job)
    cluster.settle()
    assert cluster.status["candidate"]["phase"] == "Progressing"


def test_a_training_job_that_vanishes_takes_nothing_with_it() -> None:
    cluster = served()
    cluster.remove("TrainingJob", "churn")
    cluster.settle()
    assert (cluster.truth("Ready"), cluster.truth("Reconciling"), cluster.truth("Stalled")) == ("True", None, None)
    assert cluster.names("Deployment") == [cluster.status["stable"]["name"]]


def test_an_unknown_runtime_names_the_known_ones() -> None:
    cluster = served()
    cluster.edit(runtime={"name": "nope"})
    cluster.settle()
    stalled = cluster.condition("Stalled")
    assert stalled is not None
    assert stalled["reason"] == "RuntimeNotFound"
    assert "it has: sklearn" in stalled["message"]
    assert cluster.events[-1].reason == "RuntimeNotFound"
    assert cluster.truth("Ready") == "True"
    assert len(cluster.names("Deployment")) == 1


def test_an_emptied_status_finds_the_serving_model_again() -> None:
    cluster = served()
    stable = cluster.status["stable"]
    cluster.publish("b", 2)
    cluster.settle()
    cluster.resource = {**cluster.resource, "status": {}}
    cluster.settle()

    assert cluster.status["stable"]["name"] == stable["name"]
    assert cluster.status["candidate"]["digest"] == digest("b")
    assert cluster.selected() == stable["hash"]


def test_a_forged_stable_revision_is_not_believed() -> None:
    cluster = served()
    stable = cluster.status["stable"]
    forged = {**stable, "name": "churn-00000000", "hash": "00000000", "digest": "nonsense"}
    cluster.resource = {**cluster.resource, "status": {**cluster.status, "stable": forged}}
    cluster.settle()

    assert cluster.status["stable"]["name"] == stable["name"]
    assert cluster.selected() == stable["hash"]


def test_children_changed_or_deleted_by_hand_are_repaired() -> None:
    cluster = served()
    stable = cluster.status["stable"]
    cluster.live("Service", "churn")["spec"]["selector"] = {"perennial.dev/revision": "other"}
    cluster.live("Deployment", stable["name"])["spec"]["template"]["spec"]["containers"][0]["image"] = "evil:1"
    cluster.remove("PodDisruptionBudget", "churn")
    cluster.settle()
    assert cluster.selected() == stable["hash"]
    assert (
        cluster.live("Deployment", stable["name"])["spec"]["template"]["spec"]["containers"][0]["image"] == "mlserver:1"
    )
    assert cluster.names("PodDisruptionBudget") == ["churn"]

    cluster.remove("Deployment", stable["name"])
    cluster.settle()
    assert cluster.names("Deployment") == [stable["name"]]
    assert cluster.status["stable"]["name"] == stable["name"]


def test_a_stable_revision_that_is_gone_for_good_does_not_get_the_traffic_back() -> None:
    cluster = served()
    old = cluster.status["stable"]["name"]
    cluster.edit(runtime={"name": "sklearn", "env": [{"name": "A", "value": "1"}]})
    cluster.settle()
    candidate = cluster.status["candidate"]["hash"]
    cluster.remove("Deployment", old)
    cluster.settle()
    assert cluster.selected() == candidate, "nothing else can serve"
    cluster.edit(runtime={"name": "sklearn"})
    cluster.settle()
    assert "stable" not in cluster.status, "it must become ready again like any other"


def test_a_new_release_of_the_operator_restarts_no_model() -> None:
    cluster = served()
    agent = cluster.config.agent.model_copy(update={"image": "perennial:2"})
    cluster.config = cluster.config.model_copy(update={"agent": agent})
    assert cluster.reconcile() == 0

    cluster.publish("b", 2)
    cluster.settle()
    pod = cluster.live("Deployment", cluster.status["candidate"]["name"])["spec"]["template"]["spec"]
    assert pod["initContainers"][0]["image"] == "perennial:2"


def test_the_old_port_stays_while_the_old_revision_serves() -> None:
    cluster = served()
    cluster.edit(capture={"uri": "s3://capture/churn/"})
    cluster.settle()
    assert cluster.live("Service", "churn")["spec"]["ports"][0]["targetPort"] == 8080
    cluster.set_ready(cluster.status["candidate"]["name"])
    cluster.settle()
    assert cluster.live("Service", "churn")["spec"]["ports"][0]["targetPort"] == 9080


def test_a_pod_that_crashes_beside_one_that_answers_is_told_of() -> None:
    cluster = served(replicas={"min": 2, "max": 2})
    stable = cluster.status["stable"]
    cluster.set_ready(stable["name"], 1)
    cluster.add_pod(stable["hash"], crash(3, code=7))
    cluster.settle()
    found = cluster.condition("Ready")
    assert found is not None
    assert (found["status"], found["reason"]) == ("True", "Degraded")
    assert "1 of 2 pods" in found["message"]
    assert "exit code 7" in found["message"]
    assert cluster.truth("Stalled") is None


def test_an_interrupted_deletion_of_the_previous_revision_is_no_rollout() -> None:
    """Killed after the Service had dropped it and before its Deployment was gone: it was taken for a candidate."""
    cluster = served(rollout={"keepPrevious": "1m"})
    cluster.publish("b", 2)
    cluster.settle()
    cluster.set_ready(cluster.status["candidate"]["name"])
    cluster.settle()
    leftover = copy.deepcopy(cluster.live("Deployment", cluster.status["previous"]["name"]))
    cluster.wait(61)
    cluster.settle()
    before = cluster.status["history"]
    assert [entry["result"] for entry in before] == ["Promoted", "Promoted"]

    cluster.store.put(leftover)
    cluster.settle()

    assert cluster.status["history"] == before
    assert "candidate" not in cluster.status
    assert cluster.names("Deployment") == [cluster.status["stable"]["name"]]
