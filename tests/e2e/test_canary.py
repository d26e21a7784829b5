"""A canary on a real node: two revisions share one address, no request fails, and promotion restarts no pod."""

import asyncio
from collections import Counter

import pytest

from perennial.core.kinds import MODEL_DEPLOYMENT, POD, SERVICE, Raw
from perennial.core.labels import ABORT_ANNOTATION, PROMOTE_ANNOTATION, REVISION_LABEL
from tests.e2e.support.versions import publish, serving
from tests.e2e.support.world import World, condition
from tests.e2e.test_serving import answer, ask_on

NAMESPACE = "canary"
REQUESTS = 400
POINTS = 10
"""Four standard deviations of a share of one half among so many requests."""
STEPS = [{"weight": 25, "hold": "1s"}, {"weight": 50, "hold": "1h"}]


async def address_of(world: World, name: str) -> str:
    service = await world.kube.get(SERVICE, world.namespace, name) or {}
    return str(service["spec"]["clusterIP"])


async def with_canary(world: World, name: str, **rollout: object) -> tuple[str, str]:
    """Serve a first version, and roll out a second one; return their digests."""
    first = publish(world.site, f"canary/{name}/first/", {"model": b"first"})
    second = publish(world.site, f"canary/{name}/second/", {"model": b"second"})
    spec = serving(world.site, f"s3://models/canary/{name}/first/", first)
    asked = {"strategy": "Canary", "steps": STEPS, "keepPrevious": "5s", **rollout}
    await world.serve(name, **spec, replicas={"min": 4}, rollout=asked)
    await world.until(MODEL_DEPLOYMENT, name, lambda now: now.get("readyReplicas") == 4, "four pods serve", 180)
    model = {"uri": f"s3://models/canary/{name}/second/", "digest": second}
    await world.change(MODEL_DEPLOYMENT, name, model=model)
    return first, second


async def held(world: World, name: str) -> Raw:
    """Wait until the second step has its weight."""
    await world.condition(MODEL_DEPLOYMENT, name, "Progressing", "Holding")
    return await world.until(
        MODEL_DEPLOYMENT,
        name,
        lambda now: (
            now.get("candidate", {}).get("step") == 2
            and condition(now, "Progressing", "True", "Holding")
            and now["candidate"].get("reachedWeight") == 50
        ),
        "half of the requests go to the candidate",
    )


async def pods_of(world: World, revision: str) -> dict[str, int]:
    """Return the restarts of a revision's pods, by name."""
    found = await world.kube.list(POD, world.namespace, f"{REVISION_LABEL}={revision}")
    return {
        pod["metadata"]["name"]: sum(item["restartCount"] for item in pod["status"]["containerStatuses"])
        for pod in found
        if "deletionTimestamp" not in pod["metadata"]
    }


async def counted(address: str) -> Counter[str]:
    return Counter([await asyncio.to_thread(answer, address) for _ in range(REQUESTS)])


async def test_two_revisions_share_the_address_and_the_new_one_is_promoted_without_a_restart(world: World) -> None:
    _, second = await with_canary(world, "share")
    address = await address_of(world, "share")
    answers: list[str] = []
    asking = asyncio.create_task(ask_on(address, answers))
    status = await held(world, "share")
    candidate = status["candidate"]

    asked = await counted(address)
    assert set(asked) == {"first", "second"}
    assert asked["second"] * 100 / REQUESTS == pytest.approx(50, abs=POINTS)
    assert await asyncio.to_thread(answer, await address_of(world, candidate["name"])) == "second"
    before = await pods_of(world, candidate["hash"])
    assert len(before) == 2

    said = {"metadata": {"annotations": {PROMOTE_ANNOTATION: candidate["name"]}}}
    await world.kube.patch(MODEL_DEPLOYMENT, world.namespace, "share", said)
    status = await world.until(
        MODEL_DEPLOYMENT,
        "share",
        lambda now: now.get("stable", {}).get("digest") == second and "previous" not in now,
        "the second version serves alone",
    )
    assert status["readyReplicas"] == 4
    after = await pods_of(world, candidate["hash"])
    assert before.items() <= after.items(), "the pods of the canary go on, without a restart"
    await asyncio.sleep(1)
    asking.cancel()
    assert set(answers) == {"first", "second"}, "no request failed"
    assert set(await counted(address)) == {"second"}


async def test_an_aborted_canary_gives_all_requests_back(world: World) -> None:
    first, _ = await with_canary(world, "back")
    address = await address_of(world, "back")
    candidate = (await held(world, "back"))["candidate"]
    answers: list[str] = []
    asking = asyncio.create_task(ask_on(address, answers))

    said = {"metadata": {"annotations": {ABORT_ANNOTATION: candidate["name"]}}}
    await world.kube.patch(MODEL_DEPLOYMENT, world.namespace, "back", said)
    await world.condition(MODEL_DEPLOYMENT, "back", "RolloutFailed", "Aborted")
    status = await world.until(MODEL_DEPLOYMENT, "back", lambda now: now.get("readyReplicas") == 4, "four pods again")
    assert status["stable"]["digest"] == first
    asking.cancel()
    assert set(answers) <= {"first", "second"}, "no request failed"
    assert set(await counted(address)) == {"first"}
