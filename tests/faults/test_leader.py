"""Two replicas: one acts, the other takes over, and a leader that was deposed writes nothing more."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from perennial.core.kinds import JOB, TRAINING_JOB
from tests.support.kube import admin, eventually
from tests.support.operator import OperatorProcess
from tests.support.proxy import Proxy
from tests.support.stage import Stage, Stages
from tests.support.stories import training_spec
from tools.cluster.api import Cluster

SHORT: dict[str, Any] = {"leaderElection": {"enabled": True, "leaseSeconds": 3, "renewSeconds": 2, "retrySeconds": 0.5}}
LONG: dict[str, Any] = {
    "leaderElection": {"enabled": True, "leaseSeconds": 300, "renewSeconds": 200, "retrySeconds": 0.5}
}


@asynccontextmanager
async def standby(
    scene: Stage, cluster: Cluster, config: dict[str, Any]
) -> AsyncIterator[tuple[OperatorProcess, Proxy]]:
    """Start a second replica behind a proxy of its own, while the first one leads."""

    async def leads() -> bool:
        return await scene.operator.metric("perennial_leader") == 1

    await eventually(leads, "the first replica leads")
    async with Proxy.running(*admin(cluster.kubeconfig)) as proxy:
        settings = {"watchNamespaces": [scene.namespace], **config}
        second = OperatorProcess(proxy.url, scene.folder, settings, name="standby", namespace=scene.namespace)
        try:
            await second.start()
            yield second, proxy
        finally:
            await second.kill()


async def acts(scene: Stage, name: str) -> None:
    """Prove that somebody acts: a TrainingJob gets its Job."""
    await scene.create(TRAINING_JOB, name, training_spec())

    async def made() -> bool:
        return f"{name}-1-0" in await scene.names(JOB)

    await eventually(made, f"TrainingJob {name} gets its Job")


async def test_a_leader_that_was_stopped_beyond_its_lease_writes_nothing_more(cluster: Cluster, stage: Stages) -> None:
    async with stage(SHORT) as scene, standby(scene, cluster, SHORT) as (second, proxy):
        await acts(scene, "one")
        assert not proxy.writes, "the standby stands by"
        scene.operator.signal(signal.SIGSTOP)
        await acts(scene, "two")
        assert proxy.created(), "the standby has taken over"
        scene.proxy.forget()
        scene.operator.signal(signal.SIGCONT)
        await acts(scene, "three")
        assert await scene.operator.wait() == 1, "a deposed leader ends, and starts anew as a standby"
        assert [str(write) for write in scene.proxy.writes] == []
        assert not [write for write in scene.proxy.uncounted if "/leases" not in write.path], "nor any Event"
        assert not second.ended


async def test_a_standby_takes_over_from_a_leader_that_was_killed(cluster: Cluster, stage: Stages) -> None:
    async with stage(SHORT) as scene, standby(scene, cluster, SHORT) as (_, proxy):
        await acts(scene, "one")
        await scene.operator.kill()
        await acts(scene, "two")
        assert [path.rpartition("/")[2] for path in proxy.created()] == ["two-1-0"]


async def test_a_leader_that_is_told_to_stop_gives_its_lease_back(cluster: Cluster, stage: Stages) -> None:
    # The lease holds for five minutes: only one that was given back lets the standby act within this test.
    async with stage(LONG) as scene, standby(scene, cluster, LONG) as (_, proxy):
        await acts(scene, "one")
        assert await scene.operator.stop() == 0
        await acts(scene, "two")
        assert [path.rpartition("/")[2] for path in proxy.created()] == ["two-1-0"]


async def test_a_leader_cut_off_from_the_api_server_ends_before_its_lease_does(cluster: Cluster, stage: Stages) -> None:
    async with stage(SHORT) as scene, standby(scene, cluster, SHORT):
        scene.proxy.fault = lambda _: "reset"
        assert await scene.operator.wait() == 1
        scene.proxy.forget()
        await acts(scene, "one")
        assert not scene.proxy.writes
