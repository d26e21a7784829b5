"""Carries out the reads that controllers ask for, each kind with its own client and limits."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.adapters.cluster import Cluster
from perennial.adapters.gateways import features_of
from perennial.adapters.http import SmallReader
from perennial.adapters.prometheus import PrometheusReader
from perennial.api.contract.messages import MAX_BYTES
from perennial.core.reads import GatewayRead, Poll, QueryRead, Read
from perennial.core.traffic import Traffic, TrafficRead
from perennial.runtime.process.exposition import counters_of

_METRICS_BYTES = 1024 * 1024
"""Longest answer of a pod's metrics: a server with many models writes some hundred KiB."""


@dataclass(frozen=True)
class Reads:
    """The clients of the reads."""

    texts: SmallReader
    metrics: SmallReader
    queries: PrometheusReader | None
    """None: the settings name no Prometheus server."""

    now: Callable[[], datetime]

    cluster: Cluster

    async def fetch(self, read: Poll[Any]) -> Any:
        """Read once; None if there is no answer."""
        match read:
            case Read():
                return await self.texts.read(read.address)
            case TrafficRead():
                return await self._traffic(read)
            case GatewayRead():
                return await features_of(self.cluster, read.address)
            case QueryRead() if self.queries is not None:
                return await self.queries.measure(read.address)
        return None

    async def _traffic(self, read: TrafficRead) -> Traffic:
        text = await self.metrics.read(read.address)
        found = counters_of(text, read.metrics) if text is not None else None
        now = self.now()
        return Traffic(now) if found is None else Traffic(now, now, found)


@asynccontextmanager
async def reading(prometheus: str, now: Callable[[], datetime], cluster: Cluster) -> AsyncIterator[Reads]:
    """Open the clients; `prometheus` is the base address of the Prometheus server, or empty."""
    texts, metrics = SmallReader(MAX_BYTES), SmallReader(_METRICS_BYTES)
    queries = PrometheusReader(prometheus, now) if prometheus else None
    try:
        yield Reads(texts, metrics, queries, now, cluster)
    finally:
        await texts.close()
        await metrics.close()
        if queries is not None:
            await queries.close()
