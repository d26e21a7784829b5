"""The operator is killed before and after every write of each resource's life, and the end is as if it had not been."""

import asyncio
import re
import signal
from dataclasses import dataclass
from typing import Literal

import pytest

from tests.support.canonical import State, differences, state_of
from tests.support.kube import eventually
from tests.support.proxy import Write
from tests.support.stage import Stage, Stages
from tests.support.stories import STORIES, Story

Moment = Literal["before", "after"]
SIDE_BY_SIDE = 10


@dataclass(frozen=True)
class Ending:
    """How a story ended: what is there, and what was made on the way, each as often as it was made."""

    state: State
    created: list[str]
    writes: list[str]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
async def test_a_crash_around_any_write_changes_nothing_in_the_end(story: Story, stage: Stages) -> None:
    reference = await undisturbed(story, stage)
    assert reference.created, "the story makes children"
    room = asyncio.Semaphore(SIDE_BY_SIDE)

    async def attempt(number: int, moment: Moment) -> str | None:
        async with room:
            return await crashed(story, stage, reference, number, moment)

    points = [(number, moment) for number in range(1, len(reference.writes) + 1) for moment in ("before", "after")]
    found = await asyncio.gather(*(attempt(number, moment) for number, moment in points))
    failures = [failure for failure in found if failure is not None]
    assert not failures, f"{len(failures)} of {len(points)} crashes:\n" + "\n".join(failures)


async def undisturbed(story: Story, stage: Stages) -> Ending:
    async with stage() as scene:
        await story.prepare(scene)
        await settled(scene)
        scene.proxy.forget()
        await story.play(scene)
        await settled(scene)
        return Ending(await state_of(scene), created_in(scene), [str(write) for write in scene.proxy.writes])


async def crashed(story: Story, stage: Stages, reference: Ending, number: int, moment: Moment) -> str | None:
    """Play the story with one crash; return what differs in the end, if anything does."""
    where = f"{story.name}, killed {moment} write {number} ({reference.writes[number - 1]})"
    try:
        async with stage() as scene:
            await story.prepare(scene)
            await settled(scene)
            scene.proxy.forget()
            crash = Crash(scene, number)
            setattr(scene.proxy, moment, crash)
            await story.play(scene)
            await eventually(crash.over, "the crash has happened and the operator is back")
            await _until_like(scene, reference)
    except AssertionError as error:
        notes = "\n".join(getattr(error, "__notes__", []))
        return f"{where}: {error}\n{notes}"
    return None


class Crash:
    """Kills the operator at a write, and starts it again."""

    def __init__(self, scene: Stage, number: int) -> None:
        self._scene = scene
        self._number = number
        self._back: asyncio.Task[None] | None = None

    async def __call__(self, write: Write) -> bool:
        if write.number != self._number or self._back is not None:
            return False
        self._scene.operator.signal(signal.SIGKILL)
        self._back = asyncio.create_task(self._restart())
        return True

    async def _restart(self) -> None:
        await self._scene.operator.wait()
        await self._scene.operator.start()

    async def over(self) -> bool:
        return self._back is not None and self._back.done() and self._back.exception() is None


async def _until_like(scene: Stage, reference: Ending) -> None:
    found: list[str] = []

    async def check() -> bool:
        found[:] = differences(reference.state, await state_of(scene))
        return not found

    try:
        await eventually(check, "the end state is that of a run without faults", 15)
        await settled(scene)
        assert await check(), "the end state does not last"
    except AssertionError as error:
        raise AssertionError(f"{error}:\n" + "\n".join(found[:20])) from None
    assert created_in(scene) == reference.created, "other children were made than without faults, or one of them twice"


def created_in(scene: Stage) -> list[str]:
    return [re.sub(rf"\b{scene.namespace}\b", "<namespace>", path) for path in scene.proxy.created()]


async def settled(scene: Stage, seconds: float = 0.7) -> None:
    """Wait until the operator has written nothing for a while."""
    while True:
        before = len(scene.proxy.writes)
        await asyncio.sleep(seconds)
        if len(scene.proxy.writes) == before:
            return
