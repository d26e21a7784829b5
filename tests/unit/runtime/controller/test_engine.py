"""The engine: what each outcome means for the queue, and that one bad resource harms no other."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from perennial.adapters.errors import ApiError, NotLeader
from perennial.api.contract.settings import OperatorConfig
from perennial.core.kinds import JOB, MODEL_DEPLOYMENT, POD, TRAINING_JOB, Key, Raw
from perennial.core.labels import KIND_LABEL, NAME_LABEL
from perennial.runtime.controller.engine import Engine
from perennial.runtime.controller.reconcile import ReconcileOutcome, ReconcileResult
from perennial.runtime.process.metrics import Metrics
from tests.support.clock import FakeClock
from tests.support.memory import FakeCluster
from tests.support.toy import controllers

A, B = Key("TrainingJob", "default", "a"), Key("TrainingJob", "default", "b")


class Rig:
    """An engine whose reconciles are scripted."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.cluster = FakeCluster()
        self.metrics = Metrics()
        self.engine = Engine(
            controllers=controllers(),
            api=self.cluster,
            config=OperatorConfig(),
            metrics=self.metrics,
            clock=self.clock,
            instance="test",
        )

    def script(self, reconcile: Callable[[Key], Awaitable[ReconcileResult]]) -> None:
        self.engine.reconciler.reconcile = reconcile  # type: ignore[method-assign]

    async def settle(self) -> None:
        worker = asyncio.create_task(self.engine.work())
        for _ in range(300):
            await asyncio.sleep(0)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)

    def count(self, metric: str, /, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(metric, labels) or 0.0


@pytest.fixture
def rig() -> Rig:
    return Rig()


def resource(name: str = "a", version: int = 1, kind: str = "TrainingJob") -> Raw:
    return {
        "apiVersion": "perennial.dev/v1alpha1",
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": name,
            "resourceVersion": str(version),
            "generation": 1,
        },
        "spec": {"image": "i", "follows": "a"},
    }


async def test_a_standby_keeps_its_cache_and_reconciles_nothing(rig: Rig) -> None:
    rig.engine.on_event(TRAINING_JOB, "ADDED", resource())
    assert rig.engine.cache.keys(TRAINING_JOB) == [A]
    assert len(rig.engine.queue) == 0
    rig.engine.activate()
    assert len(rig.engine.queue) == 1


async def test_one_resource_from_event_to_child(rig: Rig) -> None:
    rig.engine.activate()
    rig.engine.on_event(TRAINING_JOB, "ADDED", rig.cluster.put(resource()))
    await rig.settle()
    assert rig.cluster.writes == [("status", "TrainingJob", "a"), ("create", "Job", "a")]
    assert rig.count("perennial_event_to_child_seconds_count", kind="Job") == 1
    assert rig.count("perennial_watch_events_total", kind="TrainingJob", type="ADDED") == 1


async def test_echoes_of_own_writes_are_no_news(rig: Rig) -> None:
    rig.engine.activate()
    rig.engine.on_event(TRAINING_JOB, "ADDED", rig.cluster.put(resource()))
    await rig.settle()
    assert not rig.engine.is_news(TRAINING_JOB, "MODIFIED", rig.cluster.live("TrainingJob", "a"))
    assert not rig.engine.is_news(JOB, "ADDED", rig.cluster.live("Job", "a"))
    assert rig.engine.is_news(JOB, "DELETED", rig.cluster.live("Job", "a"))


async def test_a_status_written_wakes_those_who_follow(rig: Rig) -> None:
    rig.engine.on_event(MODEL_DEPLOYMENT, "ADDED", resource("m", kind="ModelDeployment"))
    rig.engine.on_event(TRAINING_JOB, "ADDED", resource())
    rig.engine.activate()
    while len(rig.engine.queue):
        rig.engine.queue.done((await rig.engine.queue.get()).key)
    rig.engine.accept(TRAINING_JOB, resource(version=2))
    assert (await rig.engine.queue.get()).key == Key("ModelDeployment", "default", "m")
    assert len(rig.engine.queue) == 0


async def test_a_bug_in_one_reconcile_stays_there(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Key] = []

    async def reconcile(key: Key) -> ReconcileResult:
        seen.append(key)
        if key == A:
            raise RecursionError("poison")
        return ReconcileResult(ReconcileOutcome.DONE)

    rig.script(reconcile)
    rig.engine.queue.add(A)
    rig.engine.queue.add(B)
    with caplog.at_level(logging.ERROR):
        await rig.settle()
    assert seen == [A, B]
    assert "a bug in the operator" in caplog.text
    assert "poison" in caplog.text
    assert rig.engine.queue.failures(A) == 1
    assert rig.engine.queue.delayed == 1
    assert rig.count("perennial_reconciles_total", kind="TrainingJob", result="error") == 1


async def test_failures_are_put_off_further_and_further(rig: Rig) -> None:
    times: list[float] = []

    async def reconcile(key: Key) -> ReconcileResult:
        times.append(rig.clock.now)
        raise ApiError("GET /", 500, "InternalError", "x")

    rig.script(reconcile)
    rig.engine.queue.add(A)
    for _ in range(6):
        await rig.settle()
        rig.clock.advance(20)
    assert len(times) == 6
    assert rig.count("perennial_retries_total", kind="TrainingJob") == 6
    assert rig.engine.queue.failures(A) == 6


async def test_the_servers_wish_to_be_left_alone_is_heard(rig: Rig) -> None:
    async def reconcile(key: Key) -> ReconcileResult:
        raise ApiError("GET /", 429, "TooManyRequests", "x", retry_after=30)

    rig.script(reconcile)
    rig.engine.queue.add(A)
    await rig.settle()
    rig.clock.advance(29.9)
    assert len(rig.engine.queue) == 0
    rig.clock.advance(8)
    assert len(rig.engine.queue) == 1


async def test_missing_permissions_are_named_with_the_next_step(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    async def reconcile(key: Key) -> ReconcileResult:
        raise ApiError("POST /jobs", 403, "Forbidden", 'cannot create resource "jobs"')

    rig.script(reconcile)
    rig.engine.queue.add(A)
    await rig.settle()
    assert 'cannot create resource "jobs"' in caplog.text
    assert "upgrade the chart" in caplog.text


async def test_work_that_met_a_lapsed_lease_is_retried(rig: Rig) -> None:
    tried: list[Key] = []

    async def reconcile(key: Key) -> ReconcileResult:
        tried.append(key)
        if len(tried) == 1:
            raise NotLeader
        return ReconcileResult(ReconcileOutcome.DONE)

    rig.script(reconcile)
    rig.engine.queue.add(A)
    await rig.settle()
    assert rig.engine.queue.delayed == 1
    rig.clock.advance(60)
    await rig.settle()
    assert tried == [A, A]


async def test_every_resource_is_queued_again_on_request_but_not_by_a_standby(rig: Rig) -> None:
    rig.engine.on_event(TRAINING_JOB, "ADDED", resource("a"))
    rig.engine.on_event(TRAINING_JOB, "ADDED", resource("b"))
    rig.engine.requeue_all()
    assert len(rig.engine.queue) == 0

    async def reconcile(key: Key) -> ReconcileResult:
        return ReconcileResult(ReconcileOutcome.DONE)

    rig.script(reconcile)
    rig.engine.activate()
    await rig.settle()
    assert len(rig.engine.queue) == 0
    rig.engine.requeue_all()
    assert len(rig.engine.queue) == 2


async def test_success_starts_the_waits_anew_and_sets_the_next_look(rig: Rig) -> None:
    outcomes: list[Any] = [ApiError("GET /", 500, "x", "x"), ReconcileResult(ReconcileOutcome.DONE, requeue_after=90)]

    async def reconcile(key: Key) -> ReconcileResult:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    rig.script(reconcile)
    rig.engine.queue.add(A)
    await rig.settle()
    rig.clock.advance(1)
    await rig.settle()
    assert rig.engine.queue.failures(A) == 0
    rig.clock.advance(89)
    assert len(rig.engine.queue) == 0
    rig.clock.advance(1)
    assert len(rig.engine.queue) == 1


async def test_a_reconcile_that_turns_in_circles_is_slowed_down(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    looks = 0

    async def reconcile(key: Key) -> ReconcileResult:
        nonlocal looks
        looks += 1
        return ReconcileResult(ReconcileOutcome.DONE, requeue_after=0)

    rig.script(reconcile)
    rig.engine.queue.add(A)
    await rig.settle()
    assert looks == 11
    assert rig.engine.queue.delayed == 1
    assert "backing off" in caplog.text


async def test_what_a_list_lacks_is_forgotten(rig: Rig) -> None:
    rig.engine.activate()
    rig.engine.take_page(TRAINING_JOB, [resource("a", 5), resource("b", 6)])
    rig.engine.end_list(TRAINING_JOB, None, {"b"}, "10")
    assert rig.engine.cache.keys(TRAINING_JOB) == [B]


async def test_gauges_follow_their_resource_and_go_with_it(rig: Rig) -> None:
    rig.metrics.registry.register(rig.engine.gauges)
    rig.engine.on_event(TRAINING_JOB, "ADDED", resource(version=1))
    await rig.engine.gauges.refresh()
    assert rig.count("perennial_toy_generation", namespace="default", name="a") == 1
    changed = resource(version=2)
    changed["metadata"]["generation"] = 7
    rig.engine.accept(TRAINING_JOB, changed)
    await rig.engine.gauges.refresh()
    assert rig.count("perennial_toy_generation", namespace="default", name="a") == 7
    rig.engine.on_event(TRAINING_JOB, "DELETED", resource(version=3))
    await rig.engine.gauges.refresh()
    assert (
        rig.metrics.registry.get_sample_value("perennial_toy_generation", {"namespace": "default", "name": "a"}) is None
    )


async def test_gauges_tell_what_the_pods_of_a_resource_reserve(rig: Rig) -> None:
    def cores() -> float:
        return rig.count("perennial_reserved", namespace="default", name="a", kind="TrainingJob", resource="cpu")

    rig.metrics.registry.register(rig.engine.gauges)
    rig.engine.on_event(TRAINING_JOB, "ADDED", resource(version=1))
    await rig.engine.gauges.refresh()
    assert cores() == 0
    owner = {"kind": "TrainingJob", "name": "a", "uid": "a", "controller": True}
    running: Raw = {
        "metadata": {
            "name": "a-1",
            "namespace": "default",
            "uid": "p",
            "resourceVersion": "2",
            "labels": {KIND_LABEL: "TrainingJob", NAME_LABEL: "a"},
            "ownerReferences": [owner],
        },
        "spec": {"nodeName": "n1", "containers": [{"resources": {"requests": {"cpu": "1500m"}}}]},
    }
    rig.engine.on_event(POD, "ADDED", running)
    await rig.engine.gauges.refresh()
    assert cores() == 1.5
    rig.engine.on_event(POD, "DELETED", running)
    await rig.engine.gauges.refresh()
    assert cores() == 0


async def test_a_resource_that_cannot_be_read_has_no_gauges(rig: Rig) -> None:
    rig.engine.on_event(TRAINING_JOB, "ADDED", {**resource(), "spec": {"image": ""}})
    await rig.engine.gauges.refresh()
    assert list(rig.engine.gauges.collect()) == []


async def test_workers_end_when_the_queue_closes(rig: Rig) -> None:
    worker = asyncio.create_task(rig.engine.work())
    await asyncio.sleep(0)
    rig.engine.queue.close()
    await asyncio.wait_for(worker, 1)
