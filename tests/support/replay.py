"""Playing a story with faults, and holding its end against a run without any."""

import asyncio
import re
from dataclasses import dataclass

from tests.support.canonical import State, differences, state_of
from tests.support.harness import Harness, Stages
from tests.support.kube import eventually
from tests.support.scenarios import Scenario


@dataclass(frozen=True)
class Ending:
    """How a story ended: what is there, and what was made on the way, each as often as it was made."""

    state: State
    created: list[str]
    writes: list[str]


async def undisturbed(scenario: Scenario, harness: Stages) -> Ending:
    """Play the story without faults."""
    async with harness() as env:
        await prepared(scenario, env)
        await scenario.play(env)
        await settled(env)
        return Ending(await state_of(env), created_in(env), [str(write) for write in env.proxy.writes])


async def prepared(scenario: Scenario, env: Harness) -> None:
    """Play what comes before the story, and start counting."""
    await scenario.prepare(env)
    await settled(env)
    env.proxy.forget()


async def until_like(env: Harness, reference: Ending) -> None:
    """Wait for the end state of the reference; fail with what differs, also in what was made on the way."""
    found: list[str] = []

    async def check() -> bool:
        found[:] = differences(reference.state, await state_of(env))
        return not found

    try:
        await eventually(check, "the end state is that of a run without faults", 20, pause=0.3)
        await settled(env)
        assert await check(), "the end state does not last"
    except AssertionError as error:
        raise AssertionError(f"{error}:\n" + "\n".join(found[:20])) from None
    assert created_in(env) == reference.created, "other children were made than without faults, or one of them twice"


def created_in(env: Harness) -> list[str]:
    """Return the children made since the count began, each as often as it was made."""
    return [re.sub(rf"\b{env.namespace}\b", "<namespace>", path) for path in env.proxy.created()]


async def settled(env: Harness, seconds: float = 0.7) -> None:
    """Wait until the operator has written nothing for a while."""
    while True:
        before = len(env.proxy.writes)
        await asyncio.sleep(seconds)
        if len(env.proxy.writes) == before:
            return


class References:
    """The endings of stories without faults; each story is played once for all tests."""

    def __init__(self, known: dict[str, Ending], harness: Stages) -> None:
        """Share what is known between tests."""
        self._known = known
        self._stage = harness

    async def __call__(self, scenario: Scenario) -> Ending:
        """Return a story's ending."""
        if scenario.name not in self._known:
            self._known[scenario.name] = await undisturbed(scenario, self._stage)
        return self._known[scenario.name]
