"""The operator is killed before and after every write of each resource's life, and the end is as if it had not been."""

import asyncio
import signal
from typing import Literal

import pytest

from tests.support.kube import eventually
from tests.support.proxy import Write
from tests.support.replay import Ending, References, prepared, until_like
from tests.support.stage import Stage, Stages
from tests.support.stories import STORIES, Story

Moment = Literal["before", "after"]
SIDE_BY_SIDE = 5


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
async def test_a_crash_around_any_write_changes_nothing_in_the_end(
    story: Story, stage: Stages, references: References
) -> None:
    reference = await references(story)
    assert reference.created, "the story makes children"
    room = asyncio.Semaphore(SIDE_BY_SIDE)

    async def attempt(number: int, moment: Moment) -> str | None:
        async with room:
            return await crashed(story, stage, reference, number, moment)

    points = [(number, moment) for number in range(1, len(reference.writes) + 1) for moment in ("before", "after")]
    found = await asyncio.gather(*(attempt(number, moment) for number, moment in points))
    failures = [failure for failure in found if failure is not None]
    assert not failures, f"{len(failures)} of {len(points)} crashes:\n" + "\n".join(failures)


async def crashed(story: Story, stage: Stages, reference: Ending, number: int, moment: Moment) -> str | None:
    """Play the story with one crash; return what differs in the end, if anything does."""
    where = f"{story.name}, killed {moment} write {number} ({reference.writes[number - 1]})"
    try:
        async with stage() as scene:
            await prepared(story, scene)
            crash = Crash(scene, number)
            setattr(scene.proxy, moment, crash)
            await story.play(scene)
            if not crash.begun:
                # Status writes that come close together are one write at times, so a life may have fewer than the
                # reference had; then there is no such point in it, and it must still end like the others.
                await until_like(scene, reference)
            if crash.begun or len(scene.proxy.writes) >= number:
                await eventually(crash.over, "the crash has happened and the operator is back")
                await until_like(scene, reference)
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

    @property
    def begun(self) -> bool:
        """Tell whether the write has come."""
        return self._back is not None

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
