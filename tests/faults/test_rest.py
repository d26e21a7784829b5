"""At rest the operator writes nothing, whatever time passes and however often it starts."""

import asyncio

from perennial.core.kinds import DRIFT_MONITOR, MODEL_DEPLOYMENT, TRAINING_JOB
from tests.support.kube import eventually
from tests.support.replay import settled
from tests.support.stage import Stages
from tests.support.stories import (
    compare,
    monitor_spec,
    roll_out,
    serving_spec,
    train,
    training_spec,
)

REST_SECONDS = 60
MANY = 200


async def test_converged_resources_cost_no_writes(stage: Stages) -> None:
    async with stage() as scene:
        await scene.create(TRAINING_JOB, "churn", training_spec())
        await train(scene, "churn-1-0", "a")
        await scene.create(MODEL_DEPLOYMENT, "churn", serving_spec(model={"trainingJob": "churn"}))
        await roll_out(scene, "a")
        await scene.create(DRIFT_MONITOR, "churn", monitor_spec())
        await compare(scene, "churn-run", drifted=False)
        await scene.until_phase(DRIFT_MONITOR, "churn", "Watching")
        await settled(scene, 3)
        scene.proxy.forget()
        lists = await scene.operator.metric("perennial_last_resync_timestamp_seconds")
        await asyncio.sleep(REST_SECONDS)
        assert await scene.operator.metric("perennial_last_resync_timestamp_seconds") > lists, "it has listed meanwhile"
        assert [str(write) for write in scene.proxy.writes + scene.proxy.uncounted] == []
        await scene.operator.stop()
        await scene.operator.start()
        await settled(scene, 2)
        assert [str(write) for write in scene.proxy.writes + scene.proxy.uncounted] == []


async def test_a_restart_with_many_resources_writes_nothing(stage: Stages) -> None:
    async with stage() as scene:
        names = [f"churn-{number}" for number in range(MANY)]
        await asyncio.gather(*(scene.create(TRAINING_JOB, name, training_spec()) for name in names))

        async def made() -> bool:
            return len({path for path in scene.proxy.created() if "/jobs/" in path}) == MANY

        await eventually(made, f"{MANY} Jobs", 60)
        # Without nodes the pods would be found unschedulable after a while; so let them all run.
        pods = await scene.until_pods("perennial.dev/kind=TrainingJob", MANY)
        await asyncio.gather(*(scene.kubelet.run(pod) for pod in pods))
        await settled(scene, 3)
        await scene.operator.stop()
        scene.proxy.forget()
        await scene.operator.start()

        async def looked() -> bool:
            done = await scene.operator.metric("perennial_reconciles_total", kind="TrainingJob", result="done")
            return done >= MANY

        await eventually(looked, "every resource has been looked at", 60)
        await settled(scene, 2)
        assert [str(write) for write in scene.proxy.writes + scene.proxy.uncounted] == []
