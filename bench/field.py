"""Where the control plane is measured: a cluster without nodes, one operator that talks to it directly, raw clients."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from perennial.core.kinds import JOB, POD, Kind
from tests.support.kube import Kube, Raw, path_of
from tests.support.kubelet import Kubelet, ended
from tests.support.operator import OperatorProcess
from tools.cluster.api import Cluster

CONCURRENCY = 32
_PAGE = 500


@dataclass(frozen=True)
class Field:
    """What the measurements share."""

    kube: Kube
    operator: OperatorProcess
    cluster: Cluster
    folder: Path

    async def writes(self) -> int:
        """Return how many writes the operator has sent since it started, Events and leases not counted."""
        found = await self.operator.metrics("perennial_writes_total")
        return int(sum(value for labels, value in found.items() if 'kind="Event"' not in labels))

    async def rss(self) -> int:
        """Return the operator's resident memory, bytes."""
        return int(await self.operator.metric("process_resident_memory_bytes"))

    async def until_settled(self, quiet: float = 3, most: float = 180) -> None:
        """Wait until the operator has written nothing for some seconds, and has nothing to do."""
        end, since, last = time.monotonic() + most, time.monotonic(), -1
        while time.monotonic() < end:
            now = await self.writes()
            if now != last or await self.operator.metric("perennial_queue_depth"):
                since, last = time.monotonic(), now
            if time.monotonic() - since >= quiet:
                return
            await asyncio.sleep(0.5)
        raise AssertionError("the operator does not come to rest")


async def at_once(calls: Sequence[Callable[[], Awaitable[Any]]], concurrency: int = CONCURRENCY) -> None:
    """Make all calls, so many at a time."""
    waiting = iter(calls)

    async def work() -> None:
        for call in waiting:
            await call()

    await asyncio.gather(*(work() for _ in range(concurrency)))


class Arrivals:
    """Notes when objects of one kind appear in a namespace, by name; times are of the monotonic clock."""

    def __init__(self) -> None:
        """Start with none."""
        self.seen: dict[str, float] = {}
        self._news = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def of(cls, kube: Kube, kind: Kind, namespace: str) -> AsyncIterator["Arrivals"]:
        """Watch until the context ends."""
        arrivals = cls()
        started = asyncio.Event()
        task = asyncio.create_task(arrivals._watch(kube, kind, namespace, started))
        await started.wait()
        try:
            yield arrivals
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, number: int, seconds: float) -> float:
        """Wait for so many objects, and return when the last of them came."""
        async with asyncio.timeout(seconds):
            while len(self.seen) < number:
                self._news.clear()
                await self._news.wait()
        return max(self.seen.values())

    async def _watch(self, kube: Kube, kind: Kind, namespace: str, started: asyncio.Event) -> None:
        path = path_of(kind, namespace) + "?watch=1&resourceVersion=0"
        async with kube.stream(path) as answer:
            started.set()
            async for line in answer.content:
                # The head of the line is enough: decoding whole objects would steal time from what is measured.
                if line.startswith(b'{"type":"ADDED"'):
                    moment = time.monotonic()
                    self.seen.setdefault(json.loads(line)["object"]["metadata"]["name"], moment)
                    self._news.set()


async def finish_pods(kube: Kube, namespace: str, expected: int, seconds: float) -> None:
    """Play the kubelet until so many Jobs are done: every pod has run and ended well."""
    kubelet, end = Kubelet(kube), time.monotonic() + seconds
    done: set[str] = set()
    while time.monotonic() < end:
        found = [pod async for pod in pages(kube, POD, namespace) if pod["status"].get("phase") == "Pending"]
        fresh = [pod for pod in found if pod["metadata"]["name"] not in done]
        done |= {pod["metadata"]["name"] for pod in fresh}
        await at_once([partial(kubelet.set, pod, "Succeeded", [ended("train")], [ended("fetch")]) for pod in fresh])
        if len(done) >= expected and await _all_done(kube, namespace):
            return
        await asyncio.sleep(0.5)
    raise AssertionError(f"only {len(done)} of {expected} pods came")


async def _all_done(kube: Kube, namespace: str) -> bool:
    async for job in pages(kube, JOB, namespace):
        if not job.get("status", {}).get("completionTime"):
            return False
    return True


async def pages(kube: Kube, kind: Kind, namespace: str) -> AsyncIterator[Raw]:
    """Yield all objects, page by page."""
    following = ""
    while True:
        found = await kube.request("GET", f"{path_of(kind, namespace)}?limit={_PAGE}&continue={following}")
        for item in found["items"]:
            yield item
        following = found["metadata"].get("continue", "")
        if not following:
            return


async def delete_all(kube: Kube, kind: Kind, namespace: str, seconds: float = 120) -> None:
    """Delete a collection by one call, and wait until it and its pods are gone."""
    await kube.request("DELETE", path_of(kind, namespace), {"propagationPolicy": "Background"})
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        left = [await kube.request("GET", path_of(each, namespace) + "?limit=1") for each in (kind, JOB, POD)]
        if not any(found["items"] for found in left):
            return
        await asyncio.sleep(0.5)
    raise AssertionError(f"{kind.plural} of {namespace} do not go")
