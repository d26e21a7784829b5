"""The queue: each key once, in turn, later when it fails, and never by two workers."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.core.kinds import Key
from perennial.runtime.controller.queue import QueueClosed, WorkQueue
from tests.support.clock import FakeClock


def key(name: str, namespace: str = "n") -> Key:
    return Key("TrainingJob", namespace, name)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(clock: FakeClock) -> WorkQueue:
    return WorkQueue(clock, backoff=1.0, max_backoff=10.0, jitter=lambda: 1.0)


async def drain(queue: WorkQueue) -> list[str]:
    names = []
    while len(queue):
        item = await queue.get()
        names.append(item.key.name)
        queue.done(item.key)
    return names


async def test_a_key_is_handed_out_once_however_often_it_is_added(queue: WorkQueue) -> None:
    for _ in range(3):
        queue.add(key("a"))
    assert len(queue) == 1
    assert await drain(queue) == ["a"]


async def test_a_key_added_while_it_runs_runs_again_and_not_at_the_same_time(queue: WorkQueue) -> None:
    queue.add(key("a"))
    item = await queue.get()
    queue.add(key("a"))
    queue.add(key("a"))
    assert len(queue) == 0
    queue.done(item.key)
    assert await drain(queue) == ["a"]


async def test_namespaces_take_turns(queue: WorkQueue) -> None:
    for name in ("a1", "a2", "a3", "a4"):
        queue.add(key(name, "a"))
    queue.add(key("b1", "b"))
    queue.add(key("c1", "c"))
    assert await drain(queue) == ["a1", "b1", "c1", "a2", "a3", "a4"]


async def test_what_can_wait_lets_others_pass_but_not_for_ever(queue: WorkQueue) -> None:
    queue.add(key("patient"), can_wait=True)
    for number in range(20):
        queue.add(key(f"urgent{number}"))
    names = await drain(queue)
    assert 0 < names.index("patient") <= 8


async def test_a_key_that_can_wait_becomes_urgent_when_it_must(queue: WorkQueue) -> None:
    queue.add(key("a"), can_wait=True)
    queue.add(key("b"), can_wait=True)
    queue.add(key("b"))
    assert await drain(queue) == ["b", "a"]


async def test_a_delayed_key_comes_at_its_time_and_the_earliest_wins(queue: WorkQueue, clock: FakeClock) -> None:
    queue.add_after(key("a"), 60)
    queue.add_after(key("a"), 5)
    queue.add_after(key("a"), 30)
    assert queue.delayed == 1
    clock.advance(4.9)
    assert len(queue) == 0
    clock.advance(0.1)
    assert await drain(queue) == ["a"]
    clock.advance(100)
    assert len(queue) == 0


async def test_running_earlier_sets_aside_what_was_put_off(queue: WorkQueue, clock: FakeClock) -> None:
    queue.add_after(key("a"), 5)
    queue.add(key("a"))
    assert await drain(queue) == ["a"]
    clock.advance(10)
    assert len(queue) == 0


async def test_waits_double_up_to_the_longest_and_start_again_after_success(queue: WorkQueue) -> None:
    waits = [queue.retry(key("a")) for _ in range(6)]
    assert waits == [1, 2, 4, 8, 10, 10]
    queue.forget(key("a"))
    assert queue.retry(key("a")) == 1


async def test_half_of_a_wait_is_random_and_the_servers_wish_is_a_lower_bound(clock: FakeClock) -> None:
    eager = WorkQueue(clock, backoff=1.0, max_backoff=10.0, jitter=lambda: 0.0)
    assert eager.retry(key("a")) == 0.5
    assert eager.retry(key("a"), at_least=30) == 30
    late = WorkQueue(clock, backoff=1.0, max_backoff=10.0, jitter=lambda: 1.0)
    assert late.retry(key("a"), at_least=30) == 37.5


async def test_the_wait_for_a_worker_is_measured(queue: WorkQueue, clock: FakeClock) -> None:
    queue.add(key("a"))
    clock.advance(3)
    assert (await queue.get()).waited == 3
    clock.advance(7)
    assert queue.longest_run == (key("a"), 7)


async def test_a_waiting_worker_is_woken(queue: WorkQueue) -> None:
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add(key("a"))
    assert (await worker).key == key("a")


async def test_a_cancelled_worker_takes_no_key_with_it(queue: WorkQueue) -> None:
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add(key("a"))
    first.cancel()
    assert (await asyncio.wait_for(second, 1)).key == key("a")


async def test_after_closing_nothing_is_handed_out_and_workers_are_told(queue: WorkQueue, clock: FakeClock) -> None:
    queue.add_after(key("late"), 1)
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.close()
    with pytest.raises(QueueClosed):
        await worker
    queue.add(key("a"))
    clock.advance(5)
    assert len(queue) == 0
    with pytest.raises(QueueClosed):
        await queue.get()


async def test_a_key_that_was_running_when_the_queue_closed_is_not_queued_again(queue: WorkQueue) -> None:
    queue.add(key("a"))
    item = await queue.get()
    queue.add(key("a"))
    queue.close()
    queue.done(item.key)
    assert len(queue) == 0


async def test_the_timeline_does_not_grow_with_what_was_set_aside(queue: WorkQueue) -> None:
    for round_ in range(2000):
        queue.add_after(key("a"), 10_000 - round_)
    assert len(queue._timeline) < 200


@given(st.lists(st.tuples(st.sampled_from(["add", "patient", "after", "get", "done", "tick"]), st.integers(0, 5))))
def test_every_key_is_reconciled_after_its_last_addition(steps: list[tuple[str, int]]) -> None:
    """Whatever happens in whatever order: no key is lost, and none is with two workers."""

    async def run() -> None:
        clock = FakeClock()
        queue = WorkQueue(clock, backoff=1.0, max_backoff=10.0)
        owed: set[Key] = set()
        held: list[Key] = []
        for step, number in steps:
            name = key(str(number), str(number % 2))
            if step in {"add", "patient"}:
                queue.add(name, can_wait=step == "patient")
                owed.add(name)
            elif step == "after":
                queue.add_after(name, number)
                owed.add(name)
            elif step == "get" and len(queue):
                got = (await queue.get()).key
                assert got not in held
                held.append(got)
                owed.discard(got)
            elif step == "done" and held:
                queue.done(held.pop(0))
            else:
                clock.advance(1)
        clock.advance(10)
        while held or len(queue):
            for item in held:
                queue.done(item)
            held = []
            while len(queue):
                held.append((await queue.get()).key)
                owed.discard(held[-1])
        assert owed == set()

    asyncio.run(run())
