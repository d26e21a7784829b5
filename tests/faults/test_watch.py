"""Watches that lie, lag or break: the operator's view may be wrong for a while, what it does may not."""

import asyncio

from perennial.core.kinds import JOB, TRAINING_JOB
from tests.support.harness import Stages
from tests.support.kube import eventually
from tests.support.scenarios import end_training, start_training, training_spec, until_artifact


async def test_deletions_missed_in_a_gap_are_found_by_the_next_list(harness: Stages) -> None:
    async with harness({"resyncSeconds": 3}) as env:
        for name in ("stays", "goes"):
            await env.create(TRAINING_JOB, name, training_spec())
            await start_training(env, f"{name}-1-0")
            await env.until_phase(TRAINING_JOB, name, "Running")
        env.proxy.drop_event = lambda event: event.get("type") == "DELETED"
        old = await env.get(JOB, "stays-1-0")
        await env.kube.delete(TRAINING_JOB, env.namespace, "goes")
        await env.kube.delete(JOB, env.namespace, "stays-1-0")
        for watch in env.proxy.watches():
            await watch.send_error(410)

        async def made_again() -> bool:
            found = await env.kube.get(JOB, env.namespace, "stays-1-0")
            return found is not None and found["metadata"]["uid"] != old["metadata"]["uid"]

        await eventually(made_again, "the Job that was deleted unseen is made again")

        async def true_to_the_cluster() -> bool:
            for kind in (TRAINING_JOB, JOB):
                there = len(await env.all(kind))
                if await env.operator.metric("perennial_cache_objects", kind=kind.kind) != there:
                    return False
            return await env.names(TRAINING_JOB) == ["stays"] and await env.names(JOB) == ["stays-1-0"]

        await eventually(
            true_to_the_cluster, "the cache holds what the cluster holds, and the deleted one's Job is gone"
        )


async def test_a_watch_that_ends_in_an_error_ends_the_process_and_the_next_goes_on(harness: Stages) -> None:
    async with harness() as env:
        await env.create(TRAINING_JOB, "churn", training_spec())
        pod = await start_training(env, "churn-1-0")
        await env.until_phase(TRAINING_JOB, "churn", "Running")
        for watch in env.proxy.watches("trainingjobs"):
            await watch.send_error(500)
        assert await env.operator.wait(40) == 1
        assert any("WatchingError" in message for message in env.operator.logged("critical"))
        await end_training(env, pod, "a")
        await env.operator.start()
        await until_artifact(env, "a")
        assert await env.names(JOB) == ["churn-1-0"]


async def test_watches_that_are_cut_are_taken_up_again(harness: Stages) -> None:
    async with harness({"resyncSeconds": 3600}) as env:
        await env.create(TRAINING_JOB, "churn", training_spec())
        pod = await start_training(env, "churn-1-0")
        for watch in env.proxy.watches():
            watch.cut()
        await end_training(env, pod, "a")
        await until_artifact(env, "a")
        assert not env.operator.ended


async def test_an_old_view_harms_no_newer_object_of_the_same_name(harness: Stages) -> None:
    async with harness({"resyncSeconds": 3600}) as env:
        first = await env.create(TRAINING_JOB, "churn", training_spec())
        await start_training(env, "churn-1-0")
        await env.until_phase(TRAINING_JOB, "churn", "Running")
        env.proxy.freeze()
        await env.kube.delete(TRAINING_JOB, env.namespace, "churn")

        async def no_job() -> bool:
            return not await env.names(JOB)

        await eventually(no_job, "the first one's Job is collected")
        second = await env.create(TRAINING_JOB, "churn", training_spec(image="train:2"))
        await asyncio.sleep(1)
        env.proxy.thaw()
        pod = await start_training(env, "churn-1-0")
        await end_training(env, pod, "b")
        await until_artifact(env, "b")
        (job,) = await env.all(JOB)
        assert job["metadata"]["ownerReferences"][0]["uid"] == second["metadata"]["uid"] != first["metadata"]["uid"]
        assert job["spec"]["template"]["spec"]["containers"][0]["image"] == "train:2"
