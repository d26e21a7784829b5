"""A token bucket for writes: never more than a rate, with a burst above it."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic


class TokenBucket:
    """Lets `burst` callers through at once and then `rate` a second, in the order of their asking.

    A rate of 0 lets everyone through. A caller takes its token before it waits, so that the debt of
    those before it counts and nobody is overtaken.
    """

    def __init__(
        self,
        rate: float,
        burst: int,
        *,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Start full."""
        self._rate = rate
        self._burst = float(burst)
        self._clock = clock
        self._sleep = sleep
        self._tokens = float(burst)
        self._filled_at = clock()

    async def acquire(self) -> None:
        """Return when the caller may write."""
        if self._rate <= 0:
            return
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        self._tokens -= 1
        if self._tokens < 0:
            await self._sleep(-self._tokens / self._rate)
