"""Renders metrics as text in parts, so that a scrape of many gauges does not block the event loop."""

import asyncio
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.registry import Collector

AT_ONCE = 500
"""Samples that are rendered without a pause: a few milliseconds."""


class _Part(Collector):
    """A family, or a part of one."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        return (self._family,)


async def render(registry: CollectorRegistry) -> bytes:
    """Render all metrics in the Prometheus text format, yielding to other tasks in between."""
    texts: list[bytes] = []
    for family in tuple(registry.collect()):
        for number, part in enumerate(_parts(family)):
            text = _text(part)
            # HELP and TYPE may stand only once in front of a family.
            texts.append(text if number == 0 else text.split(b"\n", 2)[2])
            await asyncio.sleep(0)
    return b"".join(texts)


def _parts(family: Metric) -> Iterator[Metric]:
    """Split a family of gauges; the others are small, and their samples belong together."""
    if family.type != "gauge" or len(family.samples) <= AT_ONCE:
        yield family
        return
    for start in range(0, len(family.samples), AT_ONCE):
        part = Metric(family.name, family.documentation, family.type)
        part.samples = family.samples[start : start + AT_ONCE]
        yield part


def _text(family: Metric) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Part(family))
    return generate_latest(registry)
