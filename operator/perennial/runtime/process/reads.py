"""Carries out the reads that controllers ask for, each kind with its own client and limits."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.adapters.http import SmallReader
from perennial.adapters.prometheus import PrometheusReader
from perennial.api.contract.messages import MAX_BYTES
from perennial.core.reads import Poll, QueryRead, Read


@dataclass(frozen=True)
class Reads:
    """The clients of the reads."""

    texts: SmallReader
    queries: PrometheusReader | None
    """None: the settings name no Prometheus server."""

    async def fetch(self, read: Poll[Any]) -> Any:
        """Read once; None if there is no answer."""
        match read:
            case Read():
                return await self.texts.read(read.address)
            case QueryRead() if self.queries is not None:
                return await self.queries.measure(read.address)
        return None


@asynccontextmanager
async def reading(prometheus: str, now: Callable[[], datetime]) -> AsyncIterator[Reads]:
    """Open the clients; `prometheus` is the base address of the Prometheus server, or empty."""
    texts = SmallReader(MAX_BYTES)
    queries = PrometheusReader(prometheus, now) if prometheus else None
    try:
        yield Reads(texts, queries)
    finally:
        await texts.close()
        if queries is not None:
            await queries.close()
