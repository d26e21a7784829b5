"""Readiness and liveness, each with the reason."""

from perennial.core.kinds import Key
from perennial.runtime.controller.queue import WorkQueue
from perennial.runtime.process.health import Health
from tests.support.clock import FakeClock


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
    assert health.not_alive() == "a worker has been reconciling TrainingJob/n/a for 301 s"
