"""Polls the addresses that controllers asked for, at a limited rate, and requeues a resource when an answer changes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from perennial.core.decision import Read
from perennial.core.kinds import Key
from perennial.runtime.controller.queue import Clock

_log = logging.getLogger(__name__)

AT_ONCE = 8
PAUSE = 0.5
"""Seconds between two rounds of at most `AT_ONCE` reads: at most sixteen reads a second."""

Fetch = Callable[[str], Awaitable[str | None]]


class Poller:
    """Keeps the newest answer of each polled address."""

    def __init__(self, wake: Callable[[Key], None], clock: Clock) -> None:
        """`wake` is called with the resource whose answer has changed."""
        self._wake = wake
        self._clock = clock
        self._wanted: dict[Key, Read] = {}
        self._due: dict[Key, float] = {}
        self._answers: dict[str, str] = {}

    def want(self, key: Key, read: Read | None) -> None:
        """Set what to poll for a resource, replacing what was polled before."""
        before = self._wanted.get(key)
        if before == read:
            return
        if before is not None:
            self._answers.pop(before.url, None)
        if read is None:
            self._wanted.pop(key, None)
            self._due.pop(key, None)
            return
        self._wanted[key] = read
        self._due[key] = self._clock.time()

    def answer(self, url: str) -> str | None:
        """Newest answer; None before there is one."""
        return self._answers.get(url)

    async def run(self, fetch: Fetch) -> None:
        """Poll until cancelled."""
        while True:
            await self.round(fetch)
            await asyncio.sleep(PAUSE)

    async def round(self, fetch: Fetch) -> None:
        """Read the addresses that have been due longest, once."""
        now = self._clock.time()
        due = sorted((key for key, time in self._due.items() if time <= now), key=self._due.__getitem__)[:AT_ONCE]
        await asyncio.gather(*(self._read(key, fetch) for key in due))

    async def _read(self, key: Key, fetch: Fetch) -> None:
        read = self._wanted.get(key)
        if read is None:
            return  # not wanted any more since the round began
        self._due[key] = self._clock.time() + read.every
        try:
            found = await fetch(read.url)
        except Exception:
            _log.exception("reading %s for %s failed; it is read again", read.url, key)
            return
        # The wanted address may have changed meanwhile, and no answer is not a change.
        if found is None or self._wanted.get(key) != read or found == self._answers.get(read.url):
            return
        self._answers[read.url] = found
        self._wake(key)
