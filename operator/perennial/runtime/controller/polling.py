"""Polls what controllers asked for, at a limited rate, and requeues a resource when an answer changes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast

from perennial.core.kinds import Key
from perennial.core.reads import AnswerT, Poll, QueryRead
from perennial.runtime.controller.queue import Clock

_log = logging.getLogger(__name__)

AT_ONCE = 8
PAUSE = 0.5
"""Seconds between two rounds of at most `AT_ONCE` reads: at most sixteen reads of pods a second."""

Fetch = Callable[[Poll[Any]], Awaitable[Any]]
"""Reads once; None if there is no answer."""


class Poller:
    """Keeps the newest answer of each read."""

    def __init__(self, wake: Callable[[Key], None], clock: Clock) -> None:
        """`wake` is called with the resource whose answer has changed."""
        self._wake = wake
        self._clock = clock
        self._wanted: dict[Key, tuple[Poll[Any], ...]] = {}
        self._due: dict[tuple[Key, Poll[Any]], float] = {}
        self._answers: dict[Poll[Any], Any] = {}

    def want(self, key: Key, reads: tuple[Poll[Any], ...]) -> None:
        """Set what to poll for a resource, replacing what was polled before; other answers are forgotten."""
        before = self._wanted.get(key, ())
        if before == reads:
            return
        for read in set(before) - set(reads):
            self._answers.pop(read, None)
            self._due.pop((key, read), None)
        for read in set(reads) - set(before):
            self._due[key, read] = self._clock.time()
        if reads:
            self._wanted[key] = reads
        else:
            self._wanted.pop(key, None)

    def answer(self, read: Poll[AnswerT]) -> AnswerT | None:
        """Newest answer; None before there is one."""
        return cast("AnswerT | None", self._answers.get(read))

    async def run(self, fetch: Fetch) -> None:
        """Poll until cancelled. A slow Prometheus server delays no read of a pod."""
        await asyncio.gather(self._repeat(fetch, queries=False), self._repeat(fetch, queries=True))

    async def _repeat(self, fetch: Fetch, *, queries: bool) -> None:
        while True:
            await self.round(fetch, queries=queries)
            await asyncio.sleep(PAUSE)

    async def round(self, fetch: Fetch, *, queries: bool = False) -> None:
        """Read what has been due longest, once: queries, or everything else."""
        now = self._clock.time()
        due = [
            (time, number, item)
            for number, (item, time) in enumerate(self._due.items())
            if time <= now and isinstance(item[1], QueryRead) is queries
        ]
        chosen = [item for _, _, item in sorted(due, key=lambda entry: entry[:2])[:AT_ONCE]]
        await asyncio.gather(*(self._read(key, read, fetch) for key, read in chosen))

    async def _read(self, key: Key, read: Poll[Any], fetch: Fetch) -> None:
        if (key, read) not in self._due:
            return  # not wanted any more since the round began
        self._due[key, read] = self._clock.time() + read.every
        try:
            found = await fetch(read)
        except Exception:
            _log.exception("reading %s for %s failed; it is read again", read.address, key)
            return
        # What is wanted may have changed meanwhile, and no answer is not a change.
        if found is None or (key, read) not in self._due:
            return
        before = self._answers.get(read)
        after = self._answers[read] = read.merged(before, found)
        if read.is_news(before, after):
            self._wake(key)
