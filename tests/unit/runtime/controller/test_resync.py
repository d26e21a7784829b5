"""Listing everything: before the start, and again to find what the watches missed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from perennial.adapters.cluster import Cluster
from perennial.adapters.connection import Connection
from perennial.api.contract.settings import OperatorConfig
from perennial.core.kinds import HTTP_ROUTE, RESOURCES, TRAINING_JOB, WATCHED_BY_LABEL, Raw
from perennial.runtime.controller.engine import Engine
from perennial.runtime.controller.resync import ClusterUnfit, Resync
from perennial.runtime.process.metrics import Metrics
from tests.support.clock import FakeClock
from tests.support.toy import controllers
from tests.unit.adapters.server import ApiServer, failure, kubeconfig


class Rig:
    def __init__(self, connection: Connection, server: ApiServer) -> None:
        self.server = server
        self.cluster = Cluster(connection)
        self.done: list[float] = []
        self.engine = Engine(
            controllers=controllers(),
            api=self.cluster,
            config=OperatorConfig(),
            metrics=Metrics(),
            clock=FakeClock(),
            instance="test",
        )

    def resync(self, *namespaces: str, every: float = 300) -> Resync:
        return Resync(self.cluster, self.engine, namespaces, every=every, on_done=self.done.append)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with ApiServer().running() as server:
        connection = await Connection.open(kubeconfig(tmp_path, server.url))
        yield Rig(connection, server)
        await connection.close()


def listed(*names: str, version: int = 9) -> Raw:
    items = [
        {"metadata": {"name": name, "namespace": "n", "uid": name, "resourceVersion": "5"}, "spec": {"image": "i"}}
        for name in names
    ]
    return {"items": items, "metadata": {"resourceVersion": str(version)}}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def test_everything_is_listed_once_and_only_ours_of_what_is_shared(rig: Rig) -> None:
    rig.server.script = [listed("a", "b")]
    await rig.resync().first()
    assert [key.name for key in rig.engine.cache.keys(TRAINING_JOB)] == ["a", "b"]
    assert len(rig.server.asked) == len(RESOURCES) + len(WATCHED_BY_LABEL)
    selectors = [asked.query.get("labelSelector") for asked in rig.server.asked]
    assert selectors == [None] * len(RESOURCES) + ["perennial.dev/kind"] * len(WATCHED_BY_LABEL)
    assert len(rig.done) == 1


async def test_only_the_namespaces_given_are_listed(rig: Rig) -> None:
    await rig.resync("one", "two").first()
    assert all("/namespaces/one/" in asked.path or "/namespaces/two/" in asked.path for asked in rig.server.asked)
    assert len(rig.server.asked) == 2 * (len(RESOURCES) + len(WATCHED_BY_LABEL))


async def test_what_a_watch_missed_is_found(rig: Rig) -> None:
    rig.server.script = [listed("a", "b")]
    resync = rig.resync(every=0.01)
    await resync.first()
    rig.server.script = [listed("b", version=20)]
    running = asyncio.create_task(resync.run())
    await until(lambda: len(rig.done) >= 2)
    running.cancel()
    # Later rounds list nothing at all, as of a version that is older than what they would take away.
    assert [key.name for key in rig.engine.cache.keys(TRAINING_JOB)] == ["b"]


async def test_missing_crds_are_named_with_the_next_step(rig: Rig) -> None:
    rig.server.script = [web.Response(status=404, text="404 page not found")]
    with pytest.raises(ClusterUnfit, match=r"trainingjobs\.perennial\.dev/v1alpha1: install the chart's CRDs"):
        await rig.resync().first()


async def test_a_kind_that_not_every_cluster_has_may_be_absent_and_is_found_when_it_comes(rig: Rig) -> None:
    kinds = (*RESOURCES, *WATCHED_BY_LABEL)
    absent = web.Response(status=404, text="404 page not found")
    rig.server.script = [absent if kind == HTTP_ROUTE else listed() for kind in kinds]
    found: list[bool] = []
    resync = Resync(
        rig.cluster, rig.engine, (), every=0.01, on_done=rig.done.append, on_served=lambda: found.append(True)
    )
    await resync.first()
    assert not rig.engine.cache.serves(HTTP_ROUTE)
    assert found == []

    running = asyncio.create_task(resync.run())
    await until(lambda: len(rig.done) >= 3)
    running.cancel()
    assert rig.engine.cache.serves(HTTP_ROUTE)
    assert found == [True]


async def test_missing_permissions_are_named_with_the_next_step(rig: Rig) -> None:
    rig.server.script = [failure(403, "Forbidden", "cannot list resource trainingjobs at the cluster scope")]
    with pytest.raises(ClusterUnfit, match=r"cannot list resource trainingjobs.*watchNamespaces"):
        await rig.resync().first()


async def test_the_start_waits_for_a_server_that_is_not_there_yet(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perennial.runtime.controller.resync._FIRST_RETRY", 0.01)
    rig.server.script = [failure(503, "ServiceUnavailable", "starting"), failure(500, "InternalError", "etcd")]
    await rig.resync().first()
    assert len(rig.done) == 1


async def test_a_failed_round_leaves_the_cache_as_it_is(rig: Rig) -> None:
    rig.server.script = [listed("a")]
    resync = rig.resync(every=0.01)
    await resync.first()
    rig.server.script = [failure(500, "InternalError", "etcd")]
    running = asyncio.create_task(resync.run())
    await until(lambda: not rig.server.script)
    await asyncio.sleep(0)
    running.cancel()
    assert [key.name for key in rig.engine.cache.keys(TRAINING_JOB)] == ["a"]
    assert len(rig.done) == 1
