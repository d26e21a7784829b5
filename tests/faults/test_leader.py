"""Two replicas: one acts, the other takes over, and a leader that was deposed writes nothing more."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from perennial.core.kinds import JOB, TRAINING_JOB
from tests.support.harness import Harness, Stages
from tests.support.kube import admin, eventually
from tests.support.operator import OperatorProcess
from tests.support.proxy import Proxy
from tests.support.scenarios import training_spec
from tools.cluster.api import Cluster

SHORT: dict[str, Any] = {"leaderElection": {"enabled": True, "leaseSeconds": 6, "renewSeconds": 4, "retrySeconds": 0.5}}
LONG: dict[str, Any] = {
    "leaderElection": {"enabled": True, "leaseSeconds": 300, "renewSeconds": 200, "retrySeconds": 0.5}
}


@asynccontextmanager
async def standby(
    env: Harness, cluster: Cluster, config: dict[str, Any]
) -> AsyncIterator[tuple[OperatorProcess, Proxy]]:
    """Start a second replica behind a proxy of its own, while the first one leads."""

    async def leads() -> bool:
        return await env.operator.metric("perennial_leader") == 1

    await eventually(leads, "the first replica leads")
    async with Proxy.running(*admin(cluster.kubeconfig)) as proxy:
        settings = {"watchNamespaces": [env.namespace], **config}
        second = OperatorProcess(proxy.url, env.folder, settings, name="standby", namespace=env.namespace)
        try:
            await second.start()
            yield second, proxy
        finally:
            await second.kill()


async def acts(env: Harness, name: str) -> None:
    """Prove that somebody acts: a TrainingJob gets its Job."""
    await env.create(TRAINING_JOB, name, training_spec())

    async def made() -> bool:
        return f"{name}-1-0" in await env.names(JOB)

    await eventually(made, f"TrainingJob {name} gets its Job")


async def at_rest(env: Harness, seconds: float = 1.0) -> None:
    """Wait until an operator has written nothing for a while, Events included; it renews its lease all the time."""

    def written() -> int:
        return len(env.proxy.writes) + sum("/leases" not in write.path for write in env.proxy.uncounted)

    before = -1
    while before != written():
        before = written()
        await asyncio.sleep(seconds)


async def test_a_leader_that_was_stopped_beyond_its_lease_writes_nothing_more(
    cluster: Cluster, harness: Stages
) -> None:
    async with harness(SHORT) as env, standby(env, cluster, SHORT) as (second, proxy):
        await acts(env, "one")
        await at_rest(env)  # what is on its way when the process stops arrives all the same
        assert not proxy.writes, "the standby stands by"
        env.operator.signal(signal.SIGSTOP)
        await acts(env, "two")
        assert proxy.created(), "the standby has taken over"
        env.proxy.forget()
        env.operator.signal(signal.SIGCONT)
        await acts(env, "three")
        assert await env.operator.wait() == 1, "a deposed leader ends, and starts anew as a standby"
        assert [str(write) for write in env.proxy.writes] == []
        assert not [write for write in env.proxy.uncounted if "/leases" not in write.path], "nor any Event"
        assert not second.ended


async def test_a_standby_takes_over_from_a_leader_that_was_killed(cluster: Cluster, harness: Stages) -> None:
    async with harness(SHORT) as env, standby(env, cluster, SHORT) as (_, proxy):
        await acts(env, "one")
        await env.operator.kill()
        await acts(env, "two")
        assert [path.rpartition("/")[2] for path in proxy.created()] == ["two-1-0"]


async def test_a_leader_that_is_told_to_stop_gives_its_lease_back(cluster: Cluster, harness: Stages) -> None:
    # The lease holds for five minutes: only one that was given back lets the standby act within this test.
    async with harness(LONG) as env, standby(env, cluster, LONG) as (_, proxy):
        await acts(env, "one")
        assert await env.operator.stop() == 0
        await acts(env, "two")
        assert [path.rpartition("/")[2] for path in proxy.created()] == ["two-1-0"]


async def test_a_leader_cut_off_from_the_api_server_ends_before_its_lease_does(
    cluster: Cluster, harness: Stages
) -> None:
    async with harness(SHORT) as env, standby(env, cluster, SHORT):
        env.proxy.fault = lambda _: "reset"
        assert await env.operator.wait() == 1
        env.proxy.forget()
        await acts(env, "one")
        assert not env.proxy.writes
