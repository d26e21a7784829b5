"""At rest the operator writes nothing, whatever time passes and however often it starts."""

import asyncio

from perennial.core.kinds import DRIFT_MONITOR, MODEL_DEPLOYMENT, TRAINING_JOB
from tests.support.harness import Stages
from tests.support.kube import eventually
from tests.support.replay import settled
from tests.support.scenarios import (
    compare,
    monitor_spec,
    roll_out,
    serving_spec,
    train,
    training_spec,
)

REST_SECONDS = 60
MANY = 200


async def test_converged_resources_cost_no_writes(harness: Stages) -> None:
    async with harness() as env:
        await env.create(TRAINING_JOB, "churn", training_spec())
        await train(env, "churn-1-0", "a")
        await env.create(MODEL_DEPLOYMENT, "churn", serving_spec(model={"trainingJob": "churn"}))
        await roll_out(env, "a")
        await env.create(DRIFT_MONITOR, "churn", monitor_spec())
        await compare(env, "churn-run", drifted=False)
        await env.until_phase(DRIFT_MONITOR, "churn", "Watching")
        await settled(env, 3)
        env.proxy.forget()
        lists = await env.operator.metric("perennial_last_resync_timestamp_seconds")
        await asyncio.sleep(REST_SECONDS)
        assert await env.operator.metric("perennial_last_resync_timestamp_seconds") > lists, "it has listed meanwhile"
        assert [str(write) for write in env.proxy.writes + env.proxy.uncounted] == []
        await env.operator.stop()
        await env.operator.start()
        await settled(env, 2)
        assert [str(write) for write in env.proxy.writes + env.proxy.uncounted] == []


async def test_a_restart_with_many_resources_writes_nothing(harness: Stages) -> None:
    async with harness() as env:
        names = [f"churn-{number}" for number in range(MANY)]
        await asyncio.gather(*(env.create(TRAINING_JOB, name, training_spec()) for name in names))

        async def made() -> bool:
            return len({path for path in env.proxy.created() if "/jobs/" in path}) == MANY

        await eventually(made, f"{MANY} Jobs", 60)
        # Without nodes the pods would be found unschedulable after a while; so let them all run.
        pods = await env.until_pods("perennial.dev/kind=TrainingJob", MANY)
        await asyncio.gather(*(env.kubelet.run(pod) for pod in pods))
        await settled(env, 3)
        await env.operator.stop()
        env.proxy.forget()
        await env.operator.start()

        async def looked() -> bool:
            done = await env.operator.metric("perennial_reconciles_total", kind="TrainingJob", result="done")
            return done >= MANY

        await eventually(looked, "every resource has been looked at", 60)
        await settled(env, 2)
        assert [str(write) for write in env.proxy.writes + env.proxy.uncounted] == []
