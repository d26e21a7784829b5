"""A token bucket that limits the rate of writes."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic


class TokenBucket:
    """Allows `burst` calls at once and then `rate` per second, first come, first served.

    A rate of 0 disables the limit. A caller takes its token before it waits, so that callers are served in order.
    """

    def __init__(
        self,
        rate: float,
        burst: int,
        *,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Start with a full bucket."""
        self._rate = rate
        self._burst = float(burst)
        self._clock = clock
        self._sleep = sleep
        self._tokens = float(burst)
        self._filled_at = clock()

    async def acquire(self) -> None:
        """Wait until the caller may write."""
        if self._rate <= 0:
            return
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        self._tokens -= 1
        if self._tokens < 0:
            await self._sleep(-self._tokens / self._rate)
