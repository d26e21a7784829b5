"""Events about resources: their form, their order and their limits."""

import asyncio

from perennial.core.decision import EventNote
from perennial.runtime.controller.events import EventPoster
from tests.support.memory import FakeCluster, refusal

RESOURCE = {
    "apiVersion": "perennial.dev/v1alpha1",
    "kind": "TrainingJob",
    "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7"},
}


async def test_events_name_their_resource_and_wait_their_turn() -> None:
    cluster, busy = FakeCluster(), True
    poster = EventPoster(cluster, instance="pod-1", is_busy=lambda: busy)
    poster.add(RESOURCE, [EventNote("Warning", "Failed", "x" * 5000), EventNote("Normal", "Other", "y")])
    running = asyncio.create_task(poster.run())
    await asyncio.sleep(0)
    assert cluster.events == []
    busy = False
    await asyncio.sleep(0.06)
    assert [item["reason"] for item in cluster.events] == ["Failed", "Other"]
    event = cluster.events[0]
    assert event["involvedObject"]["uid"] == "u"
    assert event["involvedObject"]["kind"] == "TrainingJob"
    assert event["reportingInstance"] == "pod-1"
    assert len(event["message"]) == 1024
    assert event["metadata"]["namespace"] == "n"
    running.cancel()


async def test_an_event_that_is_refused_holds_up_no_other() -> None:
    cluster = FakeCluster()
    poster = EventPoster(cluster, instance="x", is_busy=lambda: False)
    errors = [refusal(403), None]
    cluster.fault = lambda verb, kind: errors.pop(0)
    poster.add(RESOURCE, [EventNote("Normal", "One", ""), EventNote("Normal", "Two", "")])
    await poster.flush()
    assert [item["reason"] for item in cluster.events] == ["Two"]


async def test_a_flood_of_events_drops_the_oldest() -> None:
    cluster = FakeCluster()
    poster = EventPoster(cluster, instance="x", is_busy=lambda: False)
    poster.add(RESOURCE, [EventNote("Normal", f"R{number}", "") for number in range(5000)])
    await poster.flush()
    assert len(cluster.events) == 4096
    assert cluster.events[-1]["reason"] == "R4999"
