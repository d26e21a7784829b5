"""The operator is killed before and after every write of each resource's life, and the end is as if it had not been."""

import asyncio
import signal
from typing import Literal

import pytest

from tests.support.harness import Harness, Stages
from tests.support.kube import eventually
from tests.support.proxy import Write
from tests.support.replay import Ending, References, prepared, until_like
from tests.support.scenarios import SCENARIOS, Scenario

Moment = Literal["before", "after"]
SIDE_BY_SIDE = 5


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_a_crash_around_any_write_changes_nothing_in_the_end(
    scenario: Scenario, harness: Stages, references: References
) -> None:
    reference = await references(scenario)
    assert reference.created, "the scenario makes children"
    controller = asyncio.Semaphore(SIDE_BY_SIDE)

    async def attempt(number: int, moment: Moment) -> str | None:
        async with controller:
            return await crashed(scenario, harness, reference, number, moment)

    points = [(number, moment) for number in range(1, len(reference.writes) + 1) for moment in ("before", "after")]
    found = await asyncio.gather(*(attempt(number, moment) for number, moment in points))
    failures = [failure for failure in found if failure is not None]
    assert not failures, f"{len(failures)} of {len(points)} crashes:\n" + "\n".join(failures)


async def crashed(scenario: Scenario, harness: Stages, reference: Ending, number: int, moment: Moment) -> str | None:
    """Play the story with one crash; return what differs in the end, if anything does."""
    where = f"{scenario.name}, killed {moment} write {number} ({reference.writes[number - 1]})"
    try:
        async with harness() as env:
            await prepared(scenario, env)
            crash = Crash(env, number)
            setattr(env.proxy, moment, crash)
            await scenario.play(env)
            if not crash.begun:
                # Status writes that come close together are one write at times, so a life may have fewer than the
                # reference had; then there is no such point in it, and it must still end like the others.
                await until_like(env, reference)
            if crash.begun or len(env.proxy.writes) >= number:
                await eventually(crash.over, "the crash has happened and the operator is back")
                await until_like(env, reference)
    except AssertionError as error:
        notes = "\n".join(getattr(error, "__notes__", []))
        return f"{where}: {error}\n{notes}"
    return None


class Crash:
    """Kills the operator at a write, and starts it again."""

    def __init__(self, env: Harness, number: int) -> None:
        self._env = env
        self._number = number
        self._back: asyncio.Task[None] | None = None

    @property
    def begun(self) -> bool:
        """Tell whether the write has come."""
        return self._back is not None

    async def __call__(self, write: Write) -> bool:
        if write.number != self._number or self._back is not None:
            return False
        self._env.operator.signal(signal.SIGKILL)
        self._back = asyncio.create_task(self._restart())
        return True

    async def _restart(self) -> None:
        await self._env.operator.wait()
        await self._env.operator.start()

    async def over(self) -> bool:
        return self._back is not None and self._back.done() and self._back.exception() is None
