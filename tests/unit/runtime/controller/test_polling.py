"""Reads over HTTP are slow, bounded, and wake only whom they concern."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from perennial.adapters.http import SmallReader
from perennial.core.kinds import Key
from perennial.core.reads import Poll, Read
from perennial.runtime.controller.polling import AT_ONCE, Poller
from tests.support.http import served

ONE, TWO = Key("TrainingJob", "default", "one"), Key("TrainingJob", "default", "two")


class Hand:
    """A clock that is moved by hand, and what is behind each address."""

    def __init__(self) -> None:
        self.now = 0.0
        self.answers: dict[str, str | None] = {}
        self.asked: list[str] = []
        self.woken: list[Key] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Any:
        raise NotImplementedError

    async def fetch(self, read: Poll[Any]) -> str | None:
        url = read.address
        self.asked.append(url)
        return self.answers.get(url)


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def poller(hand: Hand) -> Poller:
    return Poller(hand.woken.append, hand)


async def test_a_resource_that_goes_during_a_round_costs_no_other_read(hand: Hand, poller: Poller) -> None:
    poller.want(ONE, (Read("a", 15),))
    poller.want(TWO, (Read("b", 15),))

    async def drop_the_other(read: Poll[Any]) -> str | None:
        poller.want(TWO if read.address == "a" else ONE, ())
        return await hand.fetch(read)

    await poller.round(drop_the_other)

    assert len(hand.asked) == 1


async def test_a_read_that_raises_costs_that_read_only(hand: Hand, poller: Poller) -> None:
    hand.answers["b"] = "1"
    poller.want(ONE, (Read("a", 15),))
    poller.want(TWO, (Read("b", 15),))

    async def surprising(read: Poll[Any]) -> str | None:
        if read.address == "a":
            raise KeyError(read)
        return await hand.fetch(read)

    await poller.round(surprising)

    assert hand.woken == [TWO]
    hand.now = 20
    await poller.round(hand.fetch)
    assert hand.asked == ["b", "a", "b"]


async def test_an_answer_wakes_once_and_is_asked_for_again_only_after_its_time(hand: Hand, poller: Poller) -> None:
    hand.answers["a"] = "1"
    poller.want(ONE, (Read("a", 15),))
    for moment in (0, 1, 14, 15, 16):
        hand.now = moment
        await poller.round(hand.fetch)

    assert hand.asked == ["a", "a"]
    assert hand.woken == [ONE]
    assert poller.answer(Read("a", 15)) == "1"

    hand.answers["a"] = "2"
    hand.now = 31
    await poller.round(hand.fetch)
    assert hand.woken == [ONE, ONE]


async def test_silence_keeps_the_last_answer_and_wakes_nobody(hand: Hand, poller: Poller) -> None:
    hand.answers["a"] = "1"
    poller.want(ONE, (Read("a", 1),))
    await poller.round(hand.fetch)
    hand.answers["a"] = None
    hand.now = 5
    await poller.round(hand.fetch)

    assert poller.answer(Read("a", 1)) == "1"
    assert hand.woken == [ONE]


async def test_who_wants_nothing_more_is_forgotten_and_another_address_begins_anew(hand: Hand, poller: Poller) -> None:
    hand.answers.update(a="1", b="2")
    poller.want(ONE, (Read("a", 1),))
    await poller.round(hand.fetch)
    poller.want(ONE, (Read("b", 1),))
    await poller.round(hand.fetch)
    assert (poller.answer(Read("a", 1)), poller.answer(Read("b", 1))) == (None, "2")

    poller.want(ONE, ())
    poller.want(ONE, ())
    hand.now = 100
    await poller.round(hand.fetch)
    assert hand.asked == ["a", "b"]
    assert poller.answer(Read("b", 1)) is None


async def test_a_mind_that_changed_during_the_read_gets_no_old_answer(hand: Hand, poller: Poller) -> None:
    async def slow(_: Poll[Any]) -> str:
        poller.want(ONE, ())
        return "1"

    poller.want(ONE, (Read("a", 1),))
    await poller.round(slow)

    assert hand.woken == []
    assert poller.answer(Read("a", 1)) is None


async def test_who_wants_nothing_more_in_the_middle_of_a_round_costs_nothing(hand: Hand, poller: Poller) -> None:
    async def fetch(read: Poll[Any]) -> str:
        poller.want(TWO if read.address == "a" else ONE, ())
        return "1"

    poller.want(ONE, (Read("a", 1),))
    poller.want(TWO, (Read("b", 1),))
    await poller.round(fetch)
    hand.now = 100
    await poller.round(fetch)
    assert hand.woken.count(TWO) == 0


async def test_a_surprise_costs_one_read(hand: Hand, poller: Poller, caplog: pytest.LogCaptureFixture) -> None:
    async def fetch(read: Poll[Any]) -> str:
        if read.address == "a" and hand.now == 0:
            raise KeyError(read)
        return "1"

    poller.want(ONE, (Read("a", 1),))
    poller.want(TWO, (Read("b", 1),))
    await poller.round(fetch)
    assert (poller.answer(Read("a", 1)), poller.answer(Read("b", 1))) == (None, "1")
    assert "TrainingJob/default/one" in caplog.text
    hand.now = 5
    await poller.round(fetch)
    assert poller.answer(Read("a", 1)) == "1"


async def test_many_take_their_turns(hand: Hand, poller: Poller) -> None:
    keys = [Key("TrainingJob", "default", f"job-{number}") for number in range(3 * AT_ONCE)]
    for key in keys:
        poller.want(key, (Read(key.name, 15),))
    for moment in range(3):
        hand.now = moment
        await poller.round(hand.fetch)
        assert len(hand.asked) == AT_ONCE * (moment + 1)

    assert sorted(hand.asked) == sorted(key.name for key in keys)


# The reader itself.


async def read(answer: Callable[[web.Request], Any], seconds: float = 2) -> str | None:
    reader = SmallReader(100, seconds)
    try:
        async with served(answer) as url:
            return await reader.read(f"{url}/progress")
    finally:
        await reader.close()


async def test_a_short_text_is_read_without_credentials() -> None:
    seen: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request)
        response = web.Response(text="é" * 50)
        response.set_cookie("a", "b")
        return response

    assert await read(answer) == "é" * 50
    assert not {"Authorization", "Cookie"} & set(seen[0].headers)


async def test_what_is_too_long_an_error_or_elsewhere_is_nothing() -> None:
    async def long(_: web.Request) -> web.Response:
        return web.Response(text="a" * 101)

    async def broken(_: web.Request) -> web.Response:
        return web.Response(status=500, text="no")

    async def bytes_only(_: web.Request) -> web.Response:
        return web.Response(body=b"\xff\xfe")

    async def elsewhere(request: web.Request) -> web.Response:
        raise web.HTTPFound("/other") if request.path == "/progress" else AssertionError("a redirect was followed")

    for answer in (long, broken, bytes_only, elsewhere):
        assert await read(answer) is None


async def test_an_endless_or_silent_answer_is_given_up() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"a" * 1000)

    given_up = asyncio.Event()

    async def silent(_: web.Request) -> web.Response:
        await given_up.wait()  # longer than the reader waits, and not longer than the test needs
        return web.Response(text="late")

    assert await read(endless) is None
    async with served(silent) as url:
        reader = SmallReader(100, 0.2)
        assert await reader.read(f"{url}/progress") is None
        await reader.close()
        given_up.set()
