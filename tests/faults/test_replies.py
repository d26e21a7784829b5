"""An API server that loses replies, refuses, breaks off or sends rubbish for a while costs time and nothing else."""

import asyncio
import time
from collections.abc import Callable
from itertools import count

from tests.support.harness import Stages
from tests.support.proxy import WRITES, Answer, Fault, FaultRule, Request
from tests.support.replay import References, prepared, until_like
from tests.support.scenarios import SCENARIOS, Scenario

STORM_SECONDS = 3.0
SIDE_BY_SIDE = 10


def _is_write(request: Request) -> bool:
    return request.method in WRITES


def every_write(fault: Fault) -> FaultRule:
    """Each write meets the fault."""
    return lambda request: fault if _is_write(request) else None


def every_other(fault: Fault, *, only_writes: bool = True) -> FaultRule:
    """Each second request meets the fault; watches go on."""
    numbers = count()

    def rule(request: Request) -> Fault | None:
        if "watch" in request.query or (only_writes and not _is_write(request)):
            return None
        return fault if next(numbers) % 2 == 0 else None

    return rule


def storm(answer: Answer) -> FaultRule:
    """From the first write on, all requests are refused for some seconds, those that open watches too."""
    ends: list[float] = []

    def rule(request: Request) -> Fault | None:
        if not ends and _is_write(request):
            ends.append(time.monotonic() + STORM_SECONDS)
        return answer if ends and time.monotonic() < ends[0] else None

    return rule


FAULTS: dict[str, Callable[[], FaultRule]] = {
    "every reply to a write is lost": lambda: every_write("swallow"),
    "every second write is cut off": lambda: every_other("reset"),
    "every second answer is cut off": lambda: every_other("truncate", only_writes=False),
    "every second write is a conflict": lambda: every_other(Answer(409, "Conflict")),
    "429": lambda: storm(Answer(429, "TooManyRequests", retry_after=1)),
    "500": lambda: storm(Answer(500, "InternalError")),
    "503": lambda: storm(Answer(503, "ServiceUnavailable")),
}


async def test_it_ends_as_without_faults(harness: Stages, references: References) -> None:
    for scenario in SCENARIOS:
        await references(scenario)
    controller = asyncio.Semaphore(SIDE_BY_SIDE)

    async def attempt(scenario: Scenario, fault: str) -> str | None:
        async with controller:
            failure = await _disturbed(scenario, FAULTS[fault](), harness, references)
            return failure and f"{scenario.name}, {fault}: {failure}"

    found = await asyncio.gather(*(attempt(scenario, fault) for fault in FAULTS for scenario in SCENARIOS))
    failures = [failure for failure in found if failure is not None]
    assert not failures, f"{len(failures)} of {len(found)}:\n" + "\n".join(failures)


async def _disturbed(scenario: Scenario, fault: FaultRule, harness: Stages, references: References) -> str | None:
    reference = await references(scenario)
    try:
        async with harness() as env:
            await prepared(scenario, env)
            met = 0

            def rule(request: Request) -> Fault | None:
                nonlocal met
                found = fault(request)
                met += found is not None
                return found

            env.proxy.fault = rule
            await scenario.play(env)
            await until_like(env, reference)
            assert met, "no request met the fault"
            assert not env.operator.ended, "the operator has ended"
    except AssertionError as error:
        return f"{error}\n" + "\n".join(getattr(error, "__notes__", []))
    return None
