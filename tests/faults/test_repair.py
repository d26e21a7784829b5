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
from tests.support.kube import eventually
from tests.support.stage import Stage, Stages
from tests.support.stories import (
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


async def test_children_of_a_model_deployment(stage: Stages) -> None:
    async with stage() as scene:
        await scene.create(MODEL_DEPLOYMENT, "churn", serving_spec())
        await roll_out(scene, "a")
        (deployment,) = await scene.names(DEPLOYMENT)
        image = {"template": {"spec": {"containers": [{"name": "server", "image": "evil:1"}]}}}
        await scene.kube.request(
            "PATCH",
            f"/apis/apps/v1/namespaces/{scene.namespace}/deployments/{deployment}",
            {"spec": image},
            "application/strategic-merge-patch+json",
        )
        await _until(scene, DEPLOYMENT, deployment, lambda raw: _images(raw) == ["server:test"])
        await scene.set_spec(SERVICE, "churn", {"ports": [{"port": 81, "targetPort": 1}]})
        await _until(scene, SERVICE, "churn", lambda raw: [port["port"] for port in raw["spec"]["ports"]] == [80])
        await scene.set_spec(AUTOSCALER, deployment, {"maxReplicas": 50})
        await _until(scene, AUTOSCALER, deployment, lambda raw: raw["spec"]["maxReplicas"] == 2)
        for kind in (SERVICE, AUTOSCALER, DISRUPTION_BUDGET, DEPLOYMENT):
            for name in await scene.names(kind):
                before = await scene.get(kind, name)
                await scene.kube.delete(kind, scene.namespace, name)
                uid = before["metadata"]["uid"]
                await _until(scene, kind, name, lambda raw, uid=uid: raw["metadata"]["uid"] != uid)


async def test_the_cron_job_of_a_monitor(stage: Stages) -> None:
    async with stage() as scene:
        await scene.create(MODEL_DEPLOYMENT, "churn", serving_spec())
        await roll_out(scene, "a")
        await scene.create(DRIFT_MONITOR, "churn", monitor_spec())
        await scene.until_phase(DRIFT_MONITOR, "churn", "Watching")
        await scene.set_spec(CRON_JOB, "churn", {"schedule": "* * * * *", "suspend": True})
        wanted = {"schedule": "0 0 1 1 *", "suspend": False}
        await _until(scene, CRON_JOB, "churn", lambda raw: wanted.items() <= raw["spec"].items())
        await scene.kube.delete(CRON_JOB, scene.namespace, "churn")
        await compare(scene, "churn-run", drifted=False)
        await scene.until_condition(DRIFT_MONITOR, "churn", "Drifted", "NoDrift")


async def test_a_job_deleted_while_it_runs(stage: Stages) -> None:
    async with stage() as scene:
        await scene.create(TRAINING_JOB, "churn", training_spec())
        await start_training(scene, "churn-1-0")
        await scene.until_phase(TRAINING_JOB, "churn", "Running")
        old = (await scene.get(JOB, "churn-1-0"))["metadata"]["uid"]
        await scene.kube.delete(JOB, scene.namespace, "churn-1-0")
        await _until(scene, JOB, "churn-1-0", lambda raw: raw["metadata"]["uid"] != old)
        await train(scene, "churn-1-0", "a")
        assert (await scene.get(TRAINING_JOB, "churn"))["status"]["runCount"] == 1


STATUSES: dict[str, Any] = {
    "wiped": None,
    "run set back": {"runCount": 0, "runs": [], "currentRun": None, "conditions": None},
    "rubbish": {"currentRun": {"number": -3, "attempt": 99, "job": "../x", "attemptTime": "0001-01-01T00:00:00Z"}},
}


@pytest.mark.parametrize("edit", STATUSES)
async def test_a_status_edited_while_a_run_is_under_way(edit: str, stage: Stages) -> None:
    async with stage() as scene:
        await scene.create(TRAINING_JOB, "churn", training_spec())
        pod = await start_training(scene, "churn-1-0")
        await scene.until_phase(TRAINING_JOB, "churn", "Running")
        await _edit_status(scene, TRAINING_JOB, STATUSES[edit])
        await scene.until_phase(TRAINING_JOB, "churn", "Running")
        await end_training(scene, pod, "a")
        await until_artifact(scene, "a")
        assert await scene.names(JOB) == ["churn-1-0"], "nothing has run twice"
        assert not scene.operator.logged("error")


async def test_the_status_of_a_model_deployment_wiped(stage: Stages) -> None:
    async with stage() as scene:
        await scene.create(MODEL_DEPLOYMENT, "churn", serving_spec())
        await roll_out(scene, "a")
        before = await scene.all(DEPLOYMENT)
        await _edit_status(scene, MODEL_DEPLOYMENT, None)
        await roll_out(scene, "a")
        assert [item["metadata"]["uid"] for item in await scene.all(DEPLOYMENT)] == [
            item["metadata"]["uid"] for item in before
        ]
        assert not scene.operator.logged("error")


async def _edit_status(scene: Stage, kind: Kind, status: Any) -> None:
    await scene.kube.patch(kind, scene.namespace, "churn", {"status": status}, "status")


def _images(raw: dict[str, Any]) -> list[str]:
    return [item["image"] for item in raw["spec"]["template"]["spec"]["containers"]]


async def _until(scene: Stage, kind: Kind, name: str, check: Any) -> None:
    async def found() -> bool:
        raw = await scene.kube.get(kind, scene.namespace, name)
        return raw is not None and bool(check(raw))

    await eventually(found, f"{kind.kind} {name} is put right")
