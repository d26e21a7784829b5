import asyncio
from datetime import timedelta

import pytest

from perennial.adapters.errors import ApiError
from perennial.core.kinds import CONFIG_MAP, Raw
from perennial.runtime.audit import outbox as module
from perennial.runtime.audit.outbox import Outbox
from tests.support.audit import NAMESPACE
from tests.support.memory import FakeCluster, refusal
from tests.unit.agent.audit.support import entry


class Slow(FakeCluster):
    """A cluster that lets others run while it answers."""

    async def create(self, manifest: Raw, manager: str) -> Raw:
        await asyncio.sleep(0)
        return await super().create(manifest, manager)


class Bench:
    """An outbox in memory."""

    def __init__(self, cluster: FakeCluster | None = None) -> None:
        self.cluster = cluster or FakeCluster()
        self.dropped: list[int] = []
        self.outbox = Outbox(self.cluster, NAMESPACE, lambda: self.cluster.store.now, self.dropped.append)

    @property
    def stored(self) -> dict[str, list[str]]:
        """Lines of each ConfigMap that is there."""
        found = self.cluster.store.named(CONFIG_MAP, NAMESPACE)
        return {
            name: [line for text in raw["data"].values() for line in text.splitlines()] for name, raw in found.items()
        }


async def test_a_fact_is_one_immutable_config_map_however_often_it_is_recorded() -> None:
    bench = Bench()

    await bench.outbox.record((entry(1),))
    await bench.outbox.record((entry(1),))

    ((name, lines),) = bench.stored.items()
    assert (len(lines), bench.outbox.pending) == (1, 1)
    assert entry(1).id in lines[0]
    assert bench.cluster.live("ConfigMap", name, NAMESPACE)["immutable"] is True
    assert bench.outbox.filled.is_set()


async def test_facts_of_concurrent_callers_share_a_write() -> None:
    bench = Bench(Slow())

    await asyncio.gather(*(bench.outbox.record((entry(number),)) for number in range(10)))

    assert bench.outbox.pending == 10
    assert len(bench.stored) <= 2


async def test_each_caller_learns_that_its_facts_could_not_be_stored() -> None:
    bench = Bench()
    bench.cluster.fault = lambda _verb, _kind: refusal(500)

    found = await asyncio.gather(
        *(bench.outbox.record((entry(number),)) for number in range(3)), return_exceptions=True
    )

    assert [type(item) for item in found] == [ApiError] * 3
    assert (bench.outbox.pending, bench.outbox.unsure) == (0, True)
    bench.cluster.fault = lambda _verb, _kind: None
    await bench.outbox.record((entry(0),))
    assert bench.outbox.pending == 1


async def test_names_are_in_order_of_time_and_none_is_used_twice() -> None:
    bench = Bench()
    for number in range(3):
        await bench.outbox.record((entry(number),))
    later = Bench(bench.cluster)  # of another leader, whose clock stands still
    await later.outbox.record((entry(3),))

    assert len(bench.stored) == 4
    assert [lines[0] for lines in bench.stored.values()] == sorted(
        (line for lines in bench.stored.values() for line in lines),
        key=lambda line: [entry(number).id in line for number in range(4)].index(True),
    )


async def test_the_next_leader_finds_what_is_left_and_how_long_it_waits() -> None:
    bench = Bench()
    await bench.outbox.record((entry(1), entry(2)))
    bench.cluster.store.now += timedelta(minutes=5)
    following = Bench(bench.cluster)

    await following.outbox.load()

    assert (following.outbox.pending, following.outbox.oldest_seconds) == (2, 300)
    writes = len(bench.cluster.writes)
    await following.outbox.record((entry(1),))
    assert len(bench.cluster.writes) == writes


async def test_what_is_dropped_is_deleted_also_if_somebody_was_faster() -> None:
    bench = Bench()
    await bench.outbox.record((entry(1),))
    await bench.outbox.record((entry(2),))
    first, second = bench.outbox.oldest(10)
    bench.cluster.store.remove("ConfigMap", first.name, NAMESPACE)

    await bench.outbox.drop([first.name, second.name, "unknown"])

    assert (bench.stored, bench.outbox.pending, bench.outbox.filled.is_set()) == ({}, 0, False)


async def test_a_full_outbox_counts_what_it_cannot_hold_and_the_log_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BATCHES", 2)
    bench = Bench()
    for number in range(5):
        await bench.outbox.record((entry(number),))

    gap = bench.cluster.live("ConfigMap", "perennial-audit-gap", NAMESPACE)
    assert (gap["data"]["dropped"], sum(bench.dropped), bench.outbox.pending) == ("3", 3, 2)
    assert gap["data"]["since"] == entry(2).time
    await bench.outbox.tell_gap()
    assert bench.outbox.pending == 2  # still no room

    bench.cluster.store.now += timedelta(minutes=5)
    following = Bench(bench.cluster)
    await following.outbox.load()
    await following.outbox.drop([following.outbox.oldest(1)[0].name])
    await following.outbox.tell_gap()

    told = following.outbox.oldest(10)[-1].entries[0]
    assert (told.event, told.kind, told.figures["dropped"]) == ("EntriesDropped", "Operator", "3")
    assert "perennial-audit-gap" not in bench.stored


async def test_large_facts_are_split_over_config_maps() -> None:
    bench = Bench()
    figures = {f"name{number}": "x" * 64 for number in range(16)}

    await bench.outbox.record(tuple(entry(number, message="y" * 512, figures=figures) for number in range(300)))

    assert len(bench.stored) > 1
    assert sum(map(len, bench.stored.values())) == 300
