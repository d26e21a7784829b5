"""Metrics are rendered in parts, and the parts together are what a scraper expects."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from perennial.runtime.process.render import AT_ONCE, render


def registry_of(gauges: int) -> CollectorRegistry:
    registry = CollectorRegistry()
    family = Gauge("perennial_score", "A score.", ["name"], registry=registry)
    for number in range(gauges):
        family.labels(f"model-{number}").set(number)
    Counter("perennial_reads", "Reads.", registry=registry).inc()
    Histogram("perennial_seconds", "Seconds.", registry=registry).observe(1)
    return registry


@pytest.mark.parametrize("gauges", [0, 1, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE + 7])
async def test_the_parts_are_the_whole(gauges: int) -> None:
    registry = registry_of(gauges)
    text = await render(registry)
    assert text == generate_latest(registry)
    names = [family.name for family in text_string_to_metric_families(text.decode())]
    assert len(names) == len(set(names)), "no family is announced twice"


async def test_other_tasks_run_between_the_parts() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await render(registry_of(20 * AT_ONCE))
    task.cancel()
    assert turns >= 20
