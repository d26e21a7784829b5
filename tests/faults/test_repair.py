"""What someone edits or deletes by hand is put right, and nothing that works is disturbed by that."""

from typing import Any

import pytest

from perennial.core.kinds import (
    AUTOSCALER,
    CRON_JOB,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    DRIFT_MONITOR,
    JOB,
    MODEL_DEPLOYMENT,
    SERVICE,
    TRAINING_JOB,
    Kind,
)
from tests.support.harness import Harness, Stages
from tests.support.kube import eventually
from tests.support.scenarios import (
    compare,
    end_training,
    monitor_spec,
    roll_out,
    serving_spec,
    start_training,
    train,
    training_spec,
    until_artifact,
)


async def test_children_of_a_model_deployment(harness: Stages) -> None:
    async with harness() as env:
        await env.create(MODEL_DEPLOYMENT, "churn", serving_spec())
        await roll_out(env, "a")
        (deployment,) = await env.names(DEPLOYMENT)
        image = {"template": {"spec": {"containers": [{"name": "server", "image": "evil:1"}]}}}
        await env.kube.request(
            "PATCH",
            f"/apis/apps/v1/namespaces/{env.namespace}/deployments/{deployment}",
            {"spec": image},
            "application/strategic-merge-patch+json",
        )
        await _until(env, DEPLOYMENT, deployment, lambda raw: _images(raw) == ["server:test"])
        await env.set_spec(SERVICE, "churn", {"ports": [{"port": 81, "targetPort": 1}]})
        await _until(env, SERVICE, "churn", lambda raw: [port["port"] for port in raw["spec"]["ports"]] == [80])
        await env.set_spec(AUTOSCALER, deployment, {"maxReplicas": 50})
        await _until(env, AUTOSCALER, deployment, lambda raw: raw["spec"]["maxReplicas"] == 2)
        for kind in (SERVICE, AUTOSCALER, DISRUPTION_BUDGET, DEPLOYMENT):
            for name in await env.names(kind):
                before = await env.get(kind, name)
                await env.kube.delete(kind, env.namespace, name)
                uid = before["metadata"]["uid"]
                await _until(env, kind, name, lambda raw, uid=uid: raw["metadata"]["uid"] != uid)


async def test_the_cron_job_of_a_monitor(harness: Stages) -> None:
    async with harness() as env:
        await env.create(MODEL_DEPLOYMENT, "churn", serving_spec())
        await roll_out(env, "a")
        await env.create(DRIFT_MONITOR, "churn", monitor_spec())
        await env.until_phase(DRIFT_MONITOR, "churn", "Watching")
        await env.set_spec(CRON_JOB, "churn", {"schedule": "* * * * *", "suspend": True})
        wanted = {"schedule": "0 0 1 1 *", "suspend": False}
        await _until(env, CRON_JOB, "churn", lambda raw: wanted.items() <= raw["spec"].items())
        await env.kube.delete(CRON_JOB, env.namespace, "churn")
        await compare(env, "churn-run", drifted=False)
        await env.until_condition(DRIFT_MONITOR, "churn", "Drifted", "NoDrift")


async def test_a_job_deleted_while_it_runs(harness: Stages) -> None:
    async with harness() as env:
        await env.create(TRAINING_JOB, "churn", training_spec())
        await start_training(env, "churn-1-0")
        await env.until_phase(TRAINING_JOB, "churn", "Running")
        old = (await env.get(JOB, "churn-1-0"))["metadata"]["uid"]
        await env.kube.delete(JOB, env.namespace, "churn-1-0")
        await _until(env, JOB, "churn-1-0", lambda raw: raw["metadata"]["uid"] != old)
        await train(env, "churn-1-0", "a")
        assert (await env.get(TRAINING_JOB, "churn"))["status"]["runCount"] == 1


STATUSES: dict[str, Any] = {
    "wiped": None,
    "run set back": {"runCount": 0, "runs": [], "currentRun": None, "conditions": None},
    "rubbish": {"currentRun": {"number": -3, "attempt": 99, "job": "../x", "attemptTime": "0001-01-01T00:00:00Z"}},
}


@pytest.mark.parametrize("edit", STATUSES)
async def test_a_status_edited_while_a_run_is_under_way(edit: str, harness: Stages) -> None:
    async with harness() as env:
        await env.create(TRAINING_JOB, "churn", training_spec())
        pod = await start_training(env, "churn-1-0")
        await env.until_phase(TRAINING_JOB, "churn", "Running")
        await _edit_status(env, TRAINING_JOB, STATUSES[edit])
        await env.until_phase(TRAINING_JOB, "churn", "Running")
        await end_training(env, pod, "a")
        await until_artifact(env, "a")
        assert await env.names(JOB) == ["churn-1-0"], "nothing has run twice"
        assert not env.operator.logged("error")


async def test_the_status_of_a_model_deployment_wiped(harness: Stages) -> None:
    async with harness() as env:
        await env.create(MODEL_DEPLOYMENT, "churn", serving_spec())
        await roll_out(env, "a")
        before = await env.all(DEPLOYMENT)
        await _edit_status(env, MODEL_DEPLOYMENT, None)
        await roll_out(env, "a")
        assert [item["metadata"]["uid"] for item in await env.all(DEPLOYMENT)] == [
            item["metadata"]["uid"] for item in before
        ]
        assert not env.operator.logged("error")


async def _edit_status(env: Harness, kind: Kind, status: Any) -> None:
    await env.kube.patch(kind, env.namespace, "churn", {"status": status}, "status")


def _images(raw: dict[str, Any]) -> list[str]:
    return [item["image"] for item in raw["spec"]["template"]["spec"]["containers"]]


async def _until(env: Harness, kind: Kind, name: str, check: Any) -> None:
    async def found() -> bool:
        raw = await env.kube.get(kind, env.namespace, name)
        return raw is not None and bool(check(raw))

    await eventually(found, f"{kind.kind} {name} is put right")
