"""The small pieces of the runtime."""

import asyncio
import copy
import json
import logging
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.core.decision import EventNote
from perennial.core.kinds import JOB, POD, TRAINING_JOB, Key
from perennial.runtime.controller.codec import pack, unpack
from perennial.runtime.controller.diff import covers, first_difference, projection
from perennial.runtime.controller.events import EventPoster
from perennial.runtime.controller.queue import WorkQueue
from perennial.runtime.process import logs
from perennial.runtime.process.health import Health
from tests.reconcile.fake import FakeCluster, refusal
from tests.unit.runtime.clock import FakeClock

RESOURCE = {
    "apiVersion": "perennial.dev/v1alpha1",
    "kind": "TrainingJob",
    "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7"},
}

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["a", "1", "500m", ""]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("live", "desired", "path"),
    [
        ({"spec": {"replicas": 1, "more": 2}}, {"spec": {"replicas": 1}}, None),
        ({"spec": {"replicas": 1}}, {"spec": {"replicas": 2}}, "spec.replicas"),
        ({"spec": {"a": [{"b": 1}, {"b": 2}]}}, {"spec": {"a": [{"b": 1}, {"b": 3}]}}, "spec.a[1].b"),
        ({"spec": {"a": [1]}}, {"spec": {"a": [1, 2]}}, "spec.a"),
        ({"spec": {}}, {"spec": {"a": {"b": 1}}}, "spec.a"),
        ({"cpu": "1"}, {"cpu": "1000m"}, None),
    ],
)
def test_the_first_difference_is_named_by_its_path(live: Any, desired: Any, path: str | None) -> None:
    assert first_difference(live, desired) == path


@given(VALUES, VALUES)
def test_a_difference_is_found_exactly_where_something_is_not_covered(live: Any, desired: Any) -> None:
    assert (first_difference(live, desired) is None) is covers(live, desired)
    assert covers(projection(live, desired), desired) is covers(live, desired)


JOB_IN_FULL: dict[str, Any] = {
    "metadata": {
        "name": "a",
        "managedFields": [1],
        "labels": {"x": "y"},
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "1"},
    },
    "spec": {"suspend": True, "template": {"spec": {}}},
}


def test_what_is_kept_is_small_and_the_object_given_stays_as_it_is() -> None:
    given = copy.deepcopy(JOB_IN_FULL)

    assert unpack(pack(JOB, given)) == {
        "metadata": {"name": "a", "labels": {"x": "y"}, "annotations": {"mine": "1"}},
        "spec": {"suspend": True},
    }
    assert given == JOB_IN_FULL
    pod = {"metadata": {}, "spec": {"containers": [], "nodeName": "n"}, "status": {"phase": "P"}}
    assert unpack(pack(POD, pod)) == {"metadata": {}, "spec": {"nodeName": "n"}, "status": {"phase": "P"}}
    assert "template" in unpack(pack(TRAINING_JOB, given))["spec"]


@given(VALUES)
def test_what_is_kept_is_read_as_it_was(value: Any) -> None:
    raw = {"metadata": {"name": "a"}, "spec": {"value": value, "odd": "\ud800"}}

    assert unpack(pack(TRAINING_JOB, raw)) == raw


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


def test_ready_only_with_cache_and_streams_and_not_while_stopping() -> None:
    clock = FakeClock()
    queue = WorkQueue(clock, backoff=1, max_backoff=1)
    health = Health(queue, ["/a", "/b"])
    assert health.not_ready() == "the cache is being filled"
    health.note_listed()
    health.note_stream("/a")
    assert health.not_ready() == "waiting for watch streams: /b"
    health.note_stream("/b")
    assert health.not_ready() is None
    health.note_stopping()
    assert health.not_ready() == "stopping"
    assert health.not_alive() is None


async def test_a_stuck_worker_is_not_alive() -> None:
    clock = FakeClock()
    queue = WorkQueue(clock, backoff=1, max_backoff=1)
    queue.add(Key("TrainingJob", "n", "a"))
    await queue.get()
    health = Health(queue, [])
    clock.advance(299)
    assert health.not_alive() is None
    clock.advance(2)
    assert health.not_alive() == "a worker has been at TrainingJob/n/a for 301 s"


def test_json_lines_carry_the_key_and_the_error() -> None:
    stream = StringIO()
    logs.configure("info", "json", stream)
    log = logging.getLogger("perennial.test")
    with logs.about(Key("TrainingJob", "n", "a")):
        try:
            raise ValueError("boom")
        except ValueError:
            log.exception("it %s", "failed")
    log.info("after")
    log.debug("never")
    logging.getLogger("kopf.objects").info("never")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first["message"] == "it failed"
    assert first["object"] == "TrainingJob/n/a"
    assert first["level"] == "error"
    assert "boom" in first["error"]
    assert first["time"].endswith("+00:00")
    assert "object" not in second


def test_watches_that_all_retry_are_told_of_once() -> None:
    stream = StringIO()
    logs.configure("info", "json", stream)
    log = logging.getLogger("kopf._cogs.clients.watching")
    for kind in ("jobs", "pods"):
        log.error(f"Request attempt #1/9 failed; will retry: GET {kind}")
    log.error("Request attempt #9/9 failed; escalating: GET pods")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first["level"] == "warning"
    assert first["message"].endswith("GET jobs")
    assert "escalating" in second["message"]


def test_text_lines_are_for_people() -> None:
    stream = StringIO()
    logs.configure("debug", "text", stream)
    with logs.about(Key("TrainingJob", "n", "a")):
        logging.getLogger("perennial").debug("hello")
    assert stream.getvalue().endswith("DEBUG   TrainingJob/n/a: hello\n")
