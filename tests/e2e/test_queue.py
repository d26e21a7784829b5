"""TrainingJobs in the real Kueue: quota, eviction by a more urgent one, re-admission, and who wrote what."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from perennial.core.kinds import JOB, POD, TRAINING_JOB, Raw
from perennial.core.times import parse_time
from tests.e2e.support.kueue import FLAVOUR_LABEL, install_kueue, make_queue
from tests.e2e.support.site import Site
from tests.e2e.support.world import World, within
from tests.support.kube import Kube

pytestmark = pytest.mark.exclusive  # Kueue's webhooks see every Job of the cluster

NAMESPACE = "queues"
QUEUE = "little"
KUEUES_OWN = ("suspend", "parallelism", "nodeSelector", "tolerations", "schedulingGates")
BARE: dict[str, Any] = {
    "output": None,
    "storage": None,
    "resources": {"requests": {"cpu": "100m", "memory": "32Mi"}},
}


def in_queue(priority: str, **more: Any) -> dict[str, Any]:
    return {**BARE, "queue": {"name": QUEUE, "priorityClass": priority}, **more}


@pytest.fixture(scope="module", autouse=True)
def _queue(site: Site) -> None:
    async def prepare() -> None:
        async with Kube.connected(site.kubeconfig) as kube:
            await World(site, kube, NAMESPACE).prepare()

    install_kueue(site)
    asyncio.run(prepare())
    make_queue(site, NAMESPACE, QUEUE, cpu="150m")


async def until_phase(world: World, name: str, phase: str) -> Raw:
    return await world.until(TRAINING_JOB, name, lambda now: now.get("phase") == phase, f"phase {phase}", 150)


async def the_job(world: World, name: str) -> Raw:
    (job,) = await world.children(JOB, name)
    return job


def written_by_us(job: Raw) -> list[str]:
    """Return the fields of Kueue's that one of our field managers holds, beyond the Job's creation."""
    found = []
    for entry in job["metadata"]["managedFields"]:
        ours = entry["manager"].startswith("perennial")
        # A slow API server stamps the fields of a creation a second after the object itself.
        age = parse_time(entry["time"]) - parse_time(job["metadata"]["creationTimestamp"])
        later = entry["operation"] != "Update" or age > timedelta(seconds=5)
        if ours and later:
            found += [field for field in KUEUES_OWN if f"f:{field}" in str(entry.get("fieldsV1"))]
    return found


async def left_the_queue(world: World, name: str) -> bool:
    return not await world.children(JOB, name) and not await world.children(POD, name)


async def told_of_eviction(world: World) -> bool:
    """Tell whether the Event is there; it is written after the status."""
    return "Evicted" in await world.events("first")


async def test_quota_eviction_and_admission_again(world: World) -> None:
    await world.train("first", **in_queue("routine"))
    await until_phase(world, "first", "Running")
    job = await the_job(world, "first")
    assert job["spec"]["template"]["spec"]["nodeSelector"] == FLAVOUR_LABEL  # Kueue's, from its flavour

    await world.train("second", **in_queue("routine"))
    await until_phase(world, "second", "Queued")
    assert not await world.children(POD, "second")

    await world.train("quick", "pass", **in_queue("urgent"))
    evicted = await until_phase(world, "first", "Queued")
    assert evicted["currentRun"]["disruptions"] == 1
    assert evicted["currentRun"]["failures"] == 0
    await within(partial(told_of_eviction, world), "an Event tells of the eviction")

    await world.succeeded("quick")
    again = await until_phase(world, "first", "Running")
    assert again["currentRun"]["job"] == job["metadata"]["name"]
    for name in ("first", "second", "quick"):
        assert written_by_us(await the_job(world, name)) == []


async def test_a_suspended_resource_leaves_the_queue_to_the_next_one(world: World) -> None:
    await world.change(TRAINING_JOB, "first", suspend=True)
    await until_phase(world, "first", "Suspended")
    await until_phase(world, "second", "Running")
    assert await world.children(JOB, "first") == []

    await world.change(TRAINING_JOB, "first", suspend=False)
    status = await until_phase(world, "first", "Queued")
    assert status["currentRun"]["attempt"] == 1
    assert status["currentRun"]["failures"] == 0


async def test_a_queue_that_does_not_exist_is_named(world: World) -> None:
    await world.train("lost", **in_queue("routine", queue={"name": "nowhere"}))

    await until_phase(world, "lost", "Queued")
    message = await world.condition(TRAINING_JOB, "lost", "Reconciling", "Queued")

    assert "queue nowhere" in message
    assert "check that Kueue is installed and that the LocalQueue exists" in message


async def test_a_run_whose_queue_was_wrong_goes_on_once_it_is_right(world: World) -> None:
    # One after the other, each until its Job and pods are gone: else Kueue admits one that is just leaving.
    for name in ("first", "second"):
        await world.change(TRAINING_JOB, name, suspend=True)
        await until_phase(world, name, "Suspended")
        await within(partial(left_the_queue, world, name), f"Job and pods of {name} are gone", 120)
    await world.change(TRAINING_JOB, "lost", suspend=True, queue={"name": QUEUE})
    await until_phase(world, "lost", "Suspended")
    await world.change(TRAINING_JOB, "lost", suspend=False)

    await until_phase(world, "lost", "Running")

    async def pods() -> bool:
        return len(await world.children(POD, "lost")) == 1

    await within(pods, "one pod")
