"""Deletions at the worst moment, names that are taken, quotas, and objects made to break the operator."""

import asyncio
from typing import Any

import pytest

from perennial.core.kinds import (
    DEPLOYMENT,
    DRIFT_MONITOR,
    JOB,
    MODEL_DEPLOYMENT,
    SERVICE,
    TRAINING_JOB,
    Kind,
)
from perennial.core.labels import KIND_LABEL, NAME_LABEL
from tests.support.harness import Harness, Stages
from tests.support.kube import Refused, eventually
from tests.support.scenarios import (
    candidate_pods,
    compare,
    monitor_spec,
    roll_out,
    serving_spec,
    start_training,
    train,
    training_spec,
    until_artifact,
)

QUOTA = Kind("", "v1", "ResourceQuota", "resourcequotas")


async def test_resources_deleted_while_they_work_leave_nothing(harness: Stages) -> None:
    async with harness() as env:
        await env.create(TRAINING_JOB, "churn", training_spec())
        await start_training(env, "churn-1-0")
        await env.create(MODEL_DEPLOYMENT, "churn", serving_spec())
        await candidate_pods(env, "a")
        for kind in (TRAINING_JOB, MODEL_DEPLOYMENT):
            await env.kube.delete(kind, env.namespace, "churn")

        async def nothing_left() -> bool:
            return not any([await env.names(kind) for kind in (JOB, DEPLOYMENT, SERVICE)])

        # The garbage collector looks for new kinds of owners every half minute only.
        await eventually(nothing_left, "the children are gone", seconds=120)
        await _silent(env)


async def test_a_namespace_deleted_while_a_run_is_under_way(harness: Stages) -> None:
    # Half of the pods' grace period is what Kubernetes waits before it looks at such a namespace again.
    without_output = {name: value for name, value in training_spec().items() if name != "output"}
    async with harness() as env:
        for number in range(5):
            await env.create(TRAINING_JOB, f"churn-{number}", without_output)
        await start_training(env, "churn-0-1-0")
        await env.create(MODEL_DEPLOYMENT, "churn", serving_spec())
        await env.kube.request("DELETE", f"/api/v1/namespaces/{env.namespace}")

        async def gone() -> bool:
            try:
                await env.kube.request("GET", f"/api/v1/namespaces/{env.namespace}")
            except Refused as refused:
                return refused.status == 404
            return False

        await eventually(gone, "the namespace is gone", 420)
        await _silent(env)


async def _silent(env: Harness) -> None:
    """Prove that the operator lives, and neither writes nor complains any more."""
    await asyncio.sleep(1)
    writes, complaints = len(env.proxy.writes), len(env.operator.logged("warning"))
    await asyncio.sleep(3)
    assert not env.operator.ended
    assert (len(env.proxy.writes), len(env.operator.logged("warning"))) == (writes, complaints)
    assert not env.operator.logged("error")


def _foreign_job(**metadata: Any) -> dict[str, Any]:
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "theirs:1"}]}
    return {"metadata": {"name": "churn-1-0", **metadata}, "spec": {"template": {"spec": pod}}}


async def test_a_childs_name_that_someone_else_has_is_left_to_them(harness: Stages) -> None:
    async with harness() as env:
        theirs = await env.kube.create(JOB, env.namespace, _foreign_job())
        service = await env.create(SERVICE, "churn", {"ports": [{"port": 1234}], "selector": {"app": "theirs"}})
        await env.create(TRAINING_JOB, "churn", training_spec())
        await env.create(MODEL_DEPLOYMENT, "churn", serving_spec())
        for kind in (TRAINING_JOB, MODEL_DEPLOYMENT):
            found = await env.until_condition(kind, "churn", "Stalled", "ChildNameTaken")
            assert "Delete or rename" in found["message"]
        assert (await env.get(JOB, "churn-1-0"))["spec"] == theirs["spec"]
        assert await env.get(SERVICE, "churn") == service
        await env.kube.delete(JOB, env.namespace, "churn-1-0")
        await env.kube.delete(SERVICE, env.namespace, "churn")
        for kind in (TRAINING_JOB, MODEL_DEPLOYMENT):  # touched, they look again at once
            await env.kube.patch(kind, env.namespace, "churn", {"metadata": {"labels": {"again": "1"}}})
        await train(env, "churn-1-0", "a")
        await roll_out(env, "a")


async def test_a_child_claimed_by_two_resources_belongs_to_its_owner(harness: Stages) -> None:
    async with harness() as env:
        other = await env.create(TRAINING_JOB, "other", training_spec(suspend=True))
        owner = {"apiVersion": other["apiVersion"], "kind": "TrainingJob", "name": "other"}
        reference = {**owner, "uid": other["metadata"]["uid"], "controller": True}
        labels = {KIND_LABEL: "TrainingJob", NAME_LABEL: "churn"}
        theirs = _foreign_job(labels=labels, ownerReferences=[reference])
        made = await env.kube.create(JOB, env.namespace, theirs)
        await env.create(TRAINING_JOB, "churn", training_spec())
        await env.until_condition(TRAINING_JOB, "churn", "Stalled", "ChildNameTaken")
        assert (await env.get(JOB, "churn-1-0"))["metadata"]["uid"] == made["metadata"]["uid"]


POISON: dict[str, tuple[Kind, dict[str, Any]]] = {
    "status of a TrainingJob": (
        TRAINING_JOB,
        {
            "runCount": 2**53,
            "lastRunTime": "0001-01-01T00:00:00Z",
            "runs": [],
            "verdicts": {"\u202e": "x"},
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "Fine",
                    "message": "\u2028" * 100,
                    "lastTransitionTime": "2026-01-31T12:00:00Z",
                }
            ],
        },
    ),
    "status of a ModelDeployment": (
        MODEL_DEPLOYMENT,
        {
            "stable": {
                "name": "x",
                "hash": "../..",
                "uri": "s3://x/",
                "digest": "sha256:" + "0" * 64,
                "since": "0001-01-01T00:00:00Z",
            }
        },
    ),
    "status of a DriftMonitor": (
        DRIFT_MONITOR,
        {"consecutive": 2**31 - 1, "lastRun": {"job": "x", "time": "9999-12-31T23:59:59Z", "result": "Verdict"}},
    ),
}


@pytest.mark.parametrize("poison", POISON)
async def test_a_status_made_to_break_the_operator_harms_nobody_else(poison: str, harness: Stages) -> None:
    kind, status = POISON[poison]
    async with harness() as env:
        await env.create(TRAINING_JOB, "churn", training_spec())
        await start_training(env, "churn-1-0")
        await env.create(MODEL_DEPLOYMENT, "churn", serving_spec())
        await env.create(DRIFT_MONITOR, "churn", monitor_spec())
        await candidate_pods(env, "a")
        await env.kube.patch(kind, env.namespace, "churn", {"status": status}, "status")
        await env.create(TRAINING_JOB, "healthy", training_spec())
        await train(env, "healthy-1-0", "b", "healthy")
        await roll_out(env, "a")
        assert not env.operator.ended
        assert not [message for message in env.operator.logged("error") if "a bug in the operator" in message]


async def test_marks_on_children_made_to_break_the_operator_harm_nobody_else(harness: Stages) -> None:
    async with harness() as env:
        await env.create(TRAINING_JOB, "churn", training_spec())
        await start_training(env, "churn-1-0")
        job = await env.get(JOB, "churn-1-0")
        annotations = dict.fromkeys(job["metadata"]["annotations"], '{"run":{"number":1e999}}')
        labels = {name: "x" for name in job["metadata"]["labels"] if name not in (KIND_LABEL, NAME_LABEL)}
        marks = {"metadata": {"annotations": annotations, "labels": labels}}
        await env.kube.patch(JOB, env.namespace, "churn-1-0", marks)
        await env.create(TRAINING_JOB, "healthy", training_spec())
        await train(env, "healthy-1-0", "b", "healthy")
        assert not env.operator.ended
        assert not [message for message in env.operator.logged("error") if "a bug in the operator" in message]


async def test_names_at_the_limit(harness: Stages) -> None:
    async with harness() as env:
        left, right = "a" * 62 + "x", "a" * 62 + "y"
        for name in (left, right):
            await env.create(TRAINING_JOB, name, training_spec())
            await env.create(MODEL_DEPLOYMENT, name, serving_spec())

        async def made() -> list[str] | None:
            found = await env.names(JOB)
            return found if len(found) == 2 else None

        jobs = await eventually(made, "each TrainingJob has a Job of its own")
        assert all(len(name) <= 63 for name in jobs)
        for name in (left, right):
            (job,) = await env.all(JOB, f"{NAME_LABEL}={name}")
            await train(env, job["metadata"]["name"], "a", name)
            for pod in await candidate_pods(env, "a", name):
                await env.kubelet.run(pod)
            await env.until_phase(MODEL_DEPLOYMENT, name, "Stable")
        target = "a" * 52
        await env.create(MODEL_DEPLOYMENT, target, serving_spec())
        await roll_out(env, "a", target)
        await env.create(DRIFT_MONITOR, target, monitor_spec(target={"modelDeployment": target}))
        await compare(env, "run", target, drifted=False)
        await env.until_condition(DRIFT_MONITOR, target, "Drifted", "NoDrift")


async def test_a_quota_that_is_used_up_is_told_and_waited_for(harness: Stages) -> None:
    async with harness() as env:
        await env.create(QUOTA, "jobs", {"hard": {"count/jobs.batch": "0"}})

        async def counted() -> bool:
            return bool((await env.get(QUOTA, "jobs")).get("status", {}).get("hard"))

        await eventually(counted, "the quota is in force")
        await env.create(TRAINING_JOB, "churn", training_spec())
        found = await env.until_condition(TRAINING_JOB, "churn", "Reconciling", "QuotaExceeded")
        assert "raise the ResourceQuota" in found["message"]
        await env.set_spec(QUOTA, "jobs", {"hard": {"count/jobs.batch": "5"}})
        await train(env, "churn-1-0", "a")
        await until_artifact(env, "a")
