"""Gauges of single resources, such as drift scores, updated at scrape time for resources or pods that have changed."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from pydantic import ValidationError

from perennial.core.decision import Controller, Gauge
from perennial.core.kinds import POD, Key
from perennial.core.reserved import reserved_gauges
from perennial.runtime.controller.cache import Cache

_MOST_PER_RESOURCE = 64
_LONGEST_LABEL = 128
_AT_ONCE = 50


class ResourceGauges(Collector):
    """Gauges of all resources; those of a deleted resource are removed."""

    def __init__(self, controllers: Mapping[str, Controller[Any, Any]], cache: Cache) -> None:
        """Start empty."""
        self._controllers = controllers
        self._cache = cache
        self._changed: set[Key] = set()
        self._samples: dict[Key, tuple[tuple[Gauge, Sample], ...]] = {}

    def touch(self, keys: Iterable[Key]) -> None:
        """Mark resources as changed or deleted."""
        self._changed.update(keys)

    async def refresh(self) -> None:
        """Update the gauges of changed resources, yielding to other tasks in between."""
        while self._changed:
            for key in [self._changed.pop() for _ in range(min(_AT_ONCE, len(self._changed)))]:
                samples = tuple((gauge, _sample(key, gauge)) for gauge in self._gauges_of(key))
                if samples:
                    self._samples[key] = samples
                else:
                    self._samples.pop(key, None)
            await asyncio.sleep(0)

    def collect(self) -> Iterable[Metric]:
        """Export the gauges as metric families."""
        families: dict[str, Metric] = {}
        for samples in self._samples.values():
            for gauge, sample in samples:
                family = families.get(gauge.name)
                if family is None:
                    family = families[gauge.name] = Metric(gauge.name, gauge.help, "gauge")
                family.samples.append(sample)
        return families.values()

    def _gauges_of(self, key: Key) -> tuple[Gauge, ...]:
        controller = self._controllers.get(key.kind)
        if controller is None:
            return ()
        raw = self._cache.get(controller.kind, key.namespace, key.name)
        if raw is None:
            return ()
        pods = self._cache.children(POD, key, str(raw["metadata"].get("uid", "")))
        try:
            own = controller.metrics(controller.parse(raw))
            return (*reserved_gauges(controller.kind, pods), *own)[:_MOST_PER_RESOURCE]
        except ValidationError:
            return ()


def _sample(key: Key, gauge: Gauge) -> Sample:
    labels = {name: value[:_LONGEST_LABEL] for name, value in gauge.labels}
    return Sample(gauge.name, {**labels, "namespace": key.namespace, "name": key.name}, gauge.value)
