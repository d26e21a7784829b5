"""Playing a story with faults, and holding its end against a run without any."""

import asyncio
import re
from dataclasses import dataclass

from tests.support.canonical import State, differences, state_of
from tests.support.kube import eventually
from tests.support.stage import Stage, Stages
from tests.support.stories import Story


@dataclass(frozen=True)
class Ending:
    """How a story ended: what is there, and what was made on the way, each as often as it was made."""

    state: State
    created: list[str]
    writes: list[str]


async def undisturbed(story: Story, stage: Stages) -> Ending:
    """Play the story without faults."""
    async with stage() as scene:
        await prepared(story, scene)
        await story.play(scene)
        await settled(scene)
        return Ending(await state_of(scene), created_in(scene), [str(write) for write in scene.proxy.writes])


async def prepared(story: Story, scene: Stage) -> None:
    """Play what comes before the story, and start counting."""
    await story.prepare(scene)
    await settled(scene)
    scene.proxy.forget()


async def until_like(scene: Stage, reference: Ending) -> None:
    """Wait for the end state of the reference; fail with what differs, also in what was made on the way."""
    found: list[str] = []

    async def check() -> bool:
        found[:] = differences(reference.state, await state_of(scene))
        return not found

    try:
        await eventually(check, "the end state is that of a run without faults", 20, pause=0.3)
        await settled(scene)
        assert await check(), "the end state does not last"
    except AssertionError as error:
        raise AssertionError(f"{error}:\n" + "\n".join(found[:20])) from None
    assert created_in(scene) == reference.created, "other children were made than without faults, or one of them twice"


def created_in(scene: Stage) -> list[str]:
    """Return the children made since the count began, each as often as it was made."""
    return [re.sub(rf"\b{scene.namespace}\b", "<namespace>", path) for path in scene.proxy.created()]


async def settled(scene: Stage, seconds: float = 0.7) -> None:
    """Wait until the operator has written nothing for a while."""
    while True:
        before = len(scene.proxy.writes)
        await asyncio.sleep(seconds)
        if len(scene.proxy.writes) == before:
            return


class References:
    """The endings of stories without faults; each story is played once for all tests."""

    def __init__(self, known: dict[str, Ending], stage: Stages) -> None:
        """Share what is known between tests."""
        self._known = known
        self._stage = stage

    async def __call__(self, story: Story) -> Ending:
        """Return a story's ending."""
        if story.name not in self._known:
            self._known[story.name] = await undisturbed(story, self._stage)
        return self._known[story.name]
