"""An object that only carries a resource's labels is not its child: it is neither believed nor deleted."""

from __future__ import annotations

from typing import Any

import pytest

from perennial.api.contract.settings import OperatorConfig
from perennial.core.decision import Controller, Decision, Delete
from perennial.core.kinds import (
    AUTOSCALER,
    CRON_JOB,
    DEPLOYMENT,
    JOB,
    NETWORK_POLICY,
    POD,
    REPLICA_SET,
    Kind,
    Raw,
)
from perennial.core.labels import JOB_NAME_LABEL, KIND_LABEL, NAME_LABEL, REVISION_LABEL
from perennial.drift.controller import CONTROLLER as DRIFT
from perennial.runtime.controller.cache import Cache
from perennial.runtime.controller.world import CachedWorld
from perennial.serving.controller import CONTROLLER as SERVING
from perennial.serving.observe import observe
from perennial.training.controller import CONTROLLER as TRAINING
from tests.support.builders import artifact, drift_monitor, model_deployment, training_job
from tests.support.memory import START as NOW
from tests.unit.drift import worlds
from tests.unit.serving.cluster import CONFIG

CONTROLLERS: dict[str, Controller[Any, Any]] = {item.kind.kind: item for item in (TRAINING, SERVING, DRIFT)}
MONITOR_CONFIG = OperatorConfig.model_validate({"agent": {"image": "perennial:1"}})


def child(kind: Kind, name: str, owner: Raw, *controllers: Raw, **more: Any) -> Raw:
    """Build an object with the labels of a resource, and with these controllers."""
    labels = {KIND_LABEL: owner["kind"], NAME_LABEL: owner["metadata"]["name"], **more.pop("labels", {})}
    references = [
        {"kind": item["kind"], "name": item["metadata"]["name"], "uid": item["metadata"]["uid"], "controller": True}
        for item in controllers
    ]
    metadata = {
        "name": name,
        "namespace": "default",
        "uid": f"{kind.kind}-{name}",
        "labels": labels,
        "ownerReferences": references,
        **more.pop("metadata", {}),
    }
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **more}


def world_of(*objects: tuple[Kind, Raw]) -> CachedWorld:
    cache = Cache({kind: controller.names for kind, controller in CONTROLLERS.items()})
    for kind, raw in objects:
        cache.put(kind, raw)
    return CachedWorld(cache, lambda _: None)


def decide(resource: Raw, *objects: tuple[Kind, Raw], config: OperatorConfig = MONITOR_CONFIG) -> Decision:
    controller = CONTROLLERS[resource["kind"]]
    parsed = controller.parse(resource)
    return controller.decide(controller.observe(parsed, world_of(*objects)), config, NOW)


def deleted(decision: Decision) -> list[str]:
    return [f"{item.kind.kind}/{item.name}" for item in decision.actions if isinstance(item, Delete)]


STRANGER: Raw = {"kind": "Deployment", "metadata": {"name": "stranger", "uid": "stranger"}}


@pytest.mark.parametrize("controllers", [(), (STRANGER,)], ids=["of nobody", "of someone else"])
@pytest.mark.parametrize("kind", [DEPLOYMENT, AUTOSCALER, NETWORK_POLICY], ids=lambda kind: kind.kind)
def test_a_copy_of_a_serving_child_is_left_alone(kind: Kind, controllers: tuple[Raw, ...]) -> None:
    resource = model_deployment(model={"uri": artifact("a")["uri"], "digest": artifact("a")["digest"]})
    own = child(kind, "churn-own", resource, resource)
    copy = child(kind, "copy", resource, *controllers)
    assert deleted(decide(resource, (kind, own), (kind, copy), config=CONFIG)) == [f"{kind.kind}/churn-own"]


@pytest.mark.parametrize("controllers", [(), (STRANGER,)], ids=["of nobody", "of someone else"])
def test_a_copy_of_a_training_cron_job_is_left_alone(controllers: tuple[Raw, ...]) -> None:
    resource = training_job()
    own, copy = child(CRON_JOB, "own", resource, resource), child(CRON_JOB, "copy", resource, *controllers)
    assert deleted(decide(resource, (CRON_JOB, own), (CRON_JOB, copy))) == ["CronJob/own"]


def test_pods_are_followed_to_their_deployment() -> None:
    resource = model_deployment()
    labels = {REVISION_LABEL: "12345678"}
    deployment = child(DEPLOYMENT, "churn-12345678", resource, resource, labels=labels)
    replica_set = child(REPLICA_SET, "churn-12345678-x", resource, deployment, labels=labels)
    other_set = child(REPLICA_SET, "copy-x", resource, STRANGER, labels=labels)
    pods = [
        child(POD, "ours", resource, replica_set, labels=labels),
        child(POD, "of-nobody", resource, labels=labels),
        child(POD, "of-a-copy", resource, other_set, labels=labels),
        child(POD, "of-an-unknown-set", resource, STRANGER, labels=labels),
    ]
    sets = [(DEPLOYMENT, deployment), (REPLICA_SET, replica_set), (REPLICA_SET, other_set)]
    world = world_of(*sets, *((POD, pod) for pod in pods))
    found = observe(SERVING.parse(resource), world)
    assert [pod.metadata.name for pod in found.pods] == ["ours"]


def test_a_chain_of_controllers_that_goes_round_ends() -> None:
    resource = training_job()
    first, second = child(JOB, "first", resource), child(JOB, "second", resource)
    first, second = child(JOB, "first", resource, second), child(JOB, "second", resource, first)
    pod = child(POD, "pod", resource, first)
    world = world_of((JOB, first), (JOB, second), (POD, pod))
    assert TRAINING.observe(TRAINING.parse(resource), world).pods == ()


def verdict_world(owner: Raw) -> list[tuple[Kind, Raw]]:
    """Build the CronJob, Job and pod of a comparison that has found drift."""
    cron = child(CRON_JOB, "churn", owner, owner)
    job = child(JOB, "churn-1", owner, cron)
    said = worlds.pod("churn-1", worlds.verdict())
    names = {**said["metadata"]["labels"], JOB_NAME_LABEL: "churn-1"}
    annotations = {"annotations": said["metadata"]["annotations"]}
    pod = child(POD, "churn-1-x", owner, job, labels=names, metadata=annotations, status=said["status"])
    return [(CRON_JOB, cron), (JOB, job), (POD, pod)]


@pytest.mark.parametrize(("uid", "expected"), [("dm-1", True), ("dm-0", False)], ids=["its own", "its predecessor's"])
def test_a_monitor_reads_the_verdicts_of_its_own_jobs_only(uid: str, expected: bool) -> None:
    resource = drift_monitor()
    owner = {**resource, "metadata": {**resource["metadata"], "uid": uid}}
    decision = decide(resource, *verdict_world(owner))
    assert ("lastVerdict" in (decision.status or {})) is expected


def test_a_job_made_by_hand_from_the_cron_job_is_the_monitors() -> None:
    """Some kubectl versions name the CronJob as owner without marking it as controller."""
    resource = drift_monitor()
    (_, cron), (_, job), pod = verdict_world(resource)
    job["metadata"]["ownerReferences"] = [{"kind": "CronJob", "name": "churn", "uid": cron["metadata"]["uid"]}]
    found = DRIFT.observe(DRIFT.parse(resource), world_of((CRON_JOB, cron), (JOB, job), pod))
    assert [item.metadata.name for item in found.jobs] == ["churn-1"]
