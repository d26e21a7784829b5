"""The work queue: each key once, one worker per key, namespaces in turn, exponential backoff after failures."""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import random
from typing import Protocol

from perennial.core.kinds import Key

_PASSING = 8
"""One in so many keys is taken from the low-priority lane, so that it is never starved."""


class Handle(Protocol):
    """A scheduled call."""

    def cancel(self) -> None:
        """Cancel the call."""
        ...


class Clock(Protocol):
    """The part of an event loop that the queue needs; tests use a manual clock."""

    def time(self) -> float:
        """Current time in seconds."""
        ...

    def call_at(self, when: float, callback: Callable[[], None]) -> Handle:
        """Schedule a callback."""
        ...


@dataclass(frozen=True)
class Item:
    """A key taken from the queue, and how long it waited in seconds."""

    key: Key
    waited: float


class QueueClosed(Exception):
    """The queue is closed."""


class _Lane:
    """Waiting keys, with round robin over namespaces."""

    def __init__(self) -> None:
        self._turns: deque[str] = deque()
        self._keys: dict[str, dict[Key, None]] = {}

    def push(self, key: Key) -> None:
        keys = self._keys.get(key.namespace)
        if keys is None:
            keys = self._keys[key.namespace] = {}
            self._turns.append(key.namespace)
        keys[key] = None

    def pop(self) -> Key | None:
        while self._turns:
            namespace = self._turns.popleft()
            keys = self._keys[namespace]
            if not keys:  # all its keys were removed
                del self._keys[namespace]
                continue
            key = next(iter(keys))
            del keys[key]
            if keys:
                self._turns.append(namespace)
            else:
                del self._keys[namespace]
            return key
        return None

    def take_out(self, key: Key) -> bool:
        keys = self._keys.get(key.namespace, {})
        return keys.pop(key, self) is not self  # the stored value is None


class WorkQueue:
    """Keys to reconcile.

    A key is in the queue at most once, and with at most one worker. A key that is added while a worker has it runs
    again afterwards. Taking a key cancels its delayed requeue, since the reconcile decides anew when the next one is
    due. Keys with `can_wait` (progress of children, resync) have low priority, but are not starved.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        backoff: float,
        max_backoff: float,
        jitter: Callable[[], float] = random,
    ) -> None:
        """Backoffs are in seconds; `jitter` returns numbers from 0 to 1."""
        self._clock = clock
        self._backoff = backoff
        self._max_backoff = max_backoff
        self._jitter = jitter
        self._high = _Lane()
        self._low = _Lane()
        self._passed = 0
        self._since: dict[Key, float] = {}
        self._running: dict[Key, float] = {}
        self._again: dict[Key, tuple[float, bool]] = {}  # since when, and whether it can wait
        self._due: dict[Key, float] = {}
        self._timeline: list[tuple[float, Key]] = []
        self._timer: Handle | None = None
        self._timer_at = 0.0
        self._failures: dict[Key, int] = {}
        self._takers: deque[asyncio.Future[None]] = deque()
        self._closed = False

    def __len__(self) -> int:
        """Number of keys that wait for a worker."""
        return len(self._since)

    @property
    def delayed(self) -> int:
        """Number of keys with a delayed requeue."""
        return len(self._due)

    @property
    def running(self) -> int:
        """Number of keys that workers have."""
        return len(self._running)

    @property
    def longest_run(self) -> tuple[Key, float] | None:
        """The key that a worker has had longest, and its time in seconds."""
        if not self._running:
            return None
        key, since = min(self._running.items(), key=lambda item: item[1])
        return key, self._clock.time() - since

    def add(self, key: Key, *, can_wait: bool = False) -> None:
        """Queue the key; `can_wait` gives it low priority."""
        if self._closed:
            return
        if key in self._since:
            if not can_wait and self._low.take_out(key):
                self._high.push(key)
            return
        now = self._clock.time()
        if key in self._running:
            since, low = self._again.get(key, (now, True))
            self._again[key] = (since, low and can_wait)
            return
        self._enqueue(key, now, can_wait=can_wait)

    def add_after(self, key: Key, seconds: float) -> None:
        """Queue the key after a delay; the earliest of several delays applies."""
        if self._closed:
            return
        when = self._clock.time() + max(0.0, seconds)
        if key not in self._due or when < self._due[key]:
            self._due[key] = when
            heapq.heappush(self._timeline, (when, key))
            self._trim()
            self._set_timer()

    def retry(self, key: Key, at_least: float = 0.0) -> float:
        """Queue the key with exponential backoff; return the delay in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        longest = min(self._max_backoff, self._backoff * 2.0 ** min(failures, 32))
        # Half of the delay is random, so that keys that failed together are not retried together.
        wait = max(longest * (1 + self._jitter()) / 2, at_least * (1 + self._jitter() / 4))
        self.add_after(key, wait)
        return wait

    def forget(self, key: Key) -> None:
        """Reset the backoff of a key."""
        self._failures.pop(key, None)

    def failures(self, key: Key) -> int:
        """Number of consecutive failures of the key."""
        return self._failures.get(key, 0)

    async def get(self) -> Item:
        """Take the next key; the caller has it until it calls `done`.

        Raises:
            QueueClosed: the queue is closed.
        """
        while not self._closed:
            item = self._take()
            if item is not None:
                return item
            taker: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._takers.append(taker)
            try:
                await taker
            except asyncio.CancelledError:
                with suppress(ValueError):
                    self._takers.remove(taker)
                if taker.done() and not taker.cancelled():
                    self._wake_one()  # it was woken for a key that another worker must take now
                raise
        raise QueueClosed

    def done(self, key: Key) -> None:
        """Release a key."""
        del self._running[key]
        again = self._again.pop(key, None)
        if again is not None and not self._closed:
            self._enqueue(key, again[0], can_wait=again[1])

    def close(self) -> None:
        """Hand out no more keys; workers keep theirs until they call `done`."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        while self._takers:
            self._wake_one()

    def _take(self) -> Item | None:
        self._passed = (self._passed + 1) % _PASSING
        first, second = (self._high, self._low) if self._passed else (self._low, self._high)
        key = first.pop() or second.pop()
        if key is None:
            return None
        now = self._clock.time()
        waited = now - self._since.pop(key)
        self._due.pop(key, None)
        self._running[key] = now
        return Item(key, waited)

    def _enqueue(self, key: Key, since: float, *, can_wait: bool) -> None:
        self._since[key] = since
        (self._low if can_wait else self._high).push(key)
        self._wake_one()

    def _wake_one(self) -> None:
        while self._takers:
            taker = self._takers.popleft()
            if not taker.done():
                taker.set_result(None)
                return

    def _trim(self) -> None:
        """Rebuild the timeline when most of its entries are obsolete."""
        if len(self._timeline) > 2 * len(self._due) + 64:
            self._timeline = [(when, key) for key, when in self._due.items()]
            heapq.heapify(self._timeline)

    def _set_timer(self) -> None:
        if not self._timeline:
            return
        when = self._timeline[0][0]
        if self._timer is not None:
            if self._timer_at <= when:
                return
            self._timer.cancel()
        self._timer_at = when
        self._timer = self._clock.call_at(when, self._release)

    def _release(self) -> None:
        """Queue the keys that are due."""
        self._timer = None
        now = self._clock.time()
        while self._timeline and self._timeline[0][0] <= now:
            when, key = heapq.heappop(self._timeline)
            if self._due.get(key) == when:
                del self._due[key]
                self.add(key)
        self._set_timer()
