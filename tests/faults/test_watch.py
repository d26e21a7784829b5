"""Watches that lie, lag or break: the operator's view may be wrong for a while, what it does may not."""

import asyncio

from perennial.core.kinds import JOB, TRAINING_JOB
from tests.support.kube import eventually
from tests.support.stage import Stages
from tests.support.stories import end_training, start_training, training_spec, until_artifact


async def test_deletions_missed_in_a_gap_are_found_by_the_next_list(stage: Stages) -> None:
    async with stage({"resyncSeconds": 3}) as scene:
        for name in ("stays", "goes"):
            await scene.create(TRAINING_JOB, name, training_spec())
            await start_training(scene, f"{name}-1-0")
            await scene.until_phase(TRAINING_JOB, name, "Running")
        scene.proxy.drop_event = lambda event: event.get("type") == "DELETED"
        old = await scene.get(JOB, "stays-1-0")
        await scene.kube.delete(TRAINING_JOB, scene.namespace, "goes")
        await scene.kube.delete(JOB, scene.namespace, "stays-1-0")
        for watch in scene.proxy.watches():
            await watch.send_error(410)

        async def made_again() -> bool:
            found = await scene.kube.get(JOB, scene.namespace, "stays-1-0")
            return found is not None and found["metadata"]["uid"] != old["metadata"]["uid"]

        await eventually(made_again, "the Job that was deleted unseen is made again")

        async def true_to_the_cluster() -> bool:
            for kind in (TRAINING_JOB, JOB):
                there = len(await scene.all(kind))
                if await scene.operator.metric("perennial_cache_objects", kind=kind.kind) != there:
                    return False
            return await scene.names(TRAINING_JOB) == ["stays"] and await scene.names(JOB) == ["stays-1-0"]

        await eventually(
            true_to_the_cluster, "the cache holds what the cluster holds, and the deleted one's Job is gone"
        )


async def test_a_watch_that_ends_in_an_error_ends_the_process_and_the_next_goes_on(stage: Stages) -> None:
    async with stage() as scene:
        await scene.create(TRAINING_JOB, "churn", training_spec())
        pod = await start_training(scene, "churn-1-0")
        await scene.until_phase(TRAINING_JOB, "churn", "Running")
        for watch in scene.proxy.watches("trainingjobs"):
            await watch.send_error(500)
        assert await scene.operator.wait(40) == 1
        assert any("WatchingError" in message for message in scene.operator.logged("critical"))
        await end_training(scene, pod, "a")
        await scene.operator.start()
        await until_artifact(scene, "a")
        assert await scene.names(JOB) == ["churn-1-0"]


async def test_watches_that_are_cut_are_taken_up_again(stage: Stages) -> None:
    async with stage({"resyncSeconds": 3600}) as scene:
        await scene.create(TRAINING_JOB, "churn", training_spec())
        pod = await start_training(scene, "churn-1-0")
        for watch in scene.proxy.watches():
            watch.cut()
        await end_training(scene, pod, "a")
        await until_artifact(scene, "a")
        assert not scene.operator.ended


async def test_an_old_view_harms_no_newer_object_of_the_same_name(stage: Stages) -> None:
    async with stage({"resyncSeconds": 3600}) as scene:
        first = await scene.create(TRAINING_JOB, "churn", training_spec())
        await start_training(scene, "churn-1-0")
        await scene.until_phase(TRAINING_JOB, "churn", "Running")
        scene.proxy.freeze()
        await scene.kube.delete(TRAINING_JOB, scene.namespace, "churn")

        async def no_job() -> bool:
            return not await scene.names(JOB)

        await eventually(no_job, "the first one's Job is collected")
        second = await scene.create(TRAINING_JOB, "churn", training_spec(image="train:2"))
        await asyncio.sleep(1)
        scene.proxy.thaw()
        pod = await start_training(scene, "churn-1-0")
        await end_training(scene, pod, "b")
        await until_artifact(scene, "b")
        (job,) = await scene.all(JOB)
        assert job["metadata"]["ownerReferences"][0]["uid"] == second["metadata"]["uid"] != first["metadata"]["uid"]
        assert job["spec"]["template"]["spec"]["containers"][0]["image"] == "train:2"
