"""The election: one leader at a time, by clocks that are never compared, and a lease that is given back."""

from copy import deepcopy
from typing import Any

import pytest

from perennial.adapters.errors import ApiError, NotLeader
from perennial.api.contract.settings import LeaderElection
from perennial.core.kinds import Raw
from perennial.runtime.process.leader import Elector, Leadership, LeadershipLost, boot_clock
from tests.support.clock import FakeClock

CONFIG = LeaderElection(lease_seconds=15, renew_seconds=10, retry_seconds=2)


class Leases:
    """A server that knows one lease, and may be away."""

    def __init__(self) -> None:
        self.lease: Raw | None = None
        self.version = 0
        self.away = False
        self.writes = 0

    async def get_lease(self, namespace: str, name: str, within: float) -> Raw | None:
        self._answer()
        return deepcopy(self.lease)

    async def create_lease(self, lease: Raw, within: float) -> Raw:
        self._answer()
        if self.lease is not None:
            raise ApiError("POST", 409, "AlreadyExists", "")
        return self._store(lease)

    async def replace_lease(self, lease: Raw, within: float) -> Raw:
        self._answer()
        if self.lease is None or lease["metadata"]["resourceVersion"] != str(self.version):
            raise ApiError("PUT", 409, "Conflict", "")
        return self._store(lease)

    def _answer(self) -> None:
        if self.away:
            raise ApiError("GET", 0, "Unreachable", "no route")

    def _store(self, lease: Raw) -> Raw:
        self.version += 1
        self.writes += 1
        self.lease = {**lease, "metadata": {**lease["metadata"], "resourceVersion": str(self.version)}}
        return self.lease

    @property
    def spec(self) -> dict[str, Any]:
        assert self.lease is not None
        return dict(self.lease["spec"])


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def leases() -> Leases:
    return Leases()


def replica(leases: Leases, clock: FakeClock, identity: str) -> tuple[Elector, Leadership]:
    leadership = Leadership(clock)
    elector = Elector(
        leases, leadership, CONFIG, namespace="ns", identity=identity, clock=clock, sleep=clock.sleep
    )  # fmt: skip
    return elector, leadership


async def test_the_first_to_come_leads(leases: Leases, clock: FakeClock) -> None:
    elector, leadership = replica(leases, clock, "one")
    with pytest.raises(NotLeader):
        leadership.guard()
    await elector.acquire()
    leadership.guard()
    assert leases.spec["holderIdentity"] == "one"
    assert leases.spec["leaseDurationSeconds"] == 15
    assert leases.spec["leaseTransitions"] == 0


async def test_the_right_ends_by_itself_before_the_lease_does(leases: Leases, clock: FakeClock) -> None:
    elector, leadership = replica(leases, clock, "one")
    await elector.acquire()
    clock.advance(9.9)
    leadership.guard()
    clock.advance(0.1)
    with pytest.raises(NotLeader):
        leadership.guard()


async def test_a_standby_waits_for_a_whole_lease_without_change(leases: Leases, clock: FakeClock) -> None:
    first, leadership = replica(leases, clock, "one")
    second, successor = replica(leases, clock, "two")
    await first.acquire()
    began = clock.now
    await second.acquire()
    assert clock.now - began >= 15
    assert not leadership.is_held()
    assert successor.is_held()
    assert leases.spec["leaseTransitions"] == 1


async def test_two_replicas_never_hold_it_at_once(leases: Leases, clock: FakeClock) -> None:
    first, leadership = replica(leases, clock, "one")
    second, successor = replica(leases, clock, "two")
    await first._try()
    for _ in range(40):
        clock.advance(2)
        await second._try()
        await first._try()
        assert not (leadership.is_held() and successor.is_held())
        assert leadership.is_held()


async def test_a_leader_cut_off_loses_the_lease(leases: Leases, clock: FakeClock) -> None:
    elector, leadership = replica(leases, clock, "one")
    await elector.acquire()
    leases.away = True
    began = clock.now
    with pytest.raises(LeadershipLost, match="could not be renewed for 10 s"):
        await elector.keep()
    assert 10 <= clock.now - began < 15
    assert not leadership.is_held()


async def test_a_short_outage_costs_nothing(leases: Leases, clock: FakeClock) -> None:
    elector, leadership = replica(leases, clock, "one")
    await elector.acquire()
    leases.away = True
    await elector._try()
    clock.advance(6)
    leases.away = False
    assert await elector._try() == "one"
    clock.advance(9)
    assert leadership.is_held()


async def test_a_leader_that_slept_finds_another_and_stops(leases: Leases, clock: FakeClock) -> None:
    first, leadership = replica(leases, clock, "one")
    second, _ = replica(leases, clock, "two")
    await first.acquire()
    await second.acquire()  # takes over after the lease has run out
    writes = leases.writes
    with pytest.raises(LeadershipLost, match="could not be renewed"):
        await first.keep()
    assert leases.writes == writes
    with pytest.raises(NotLeader):
        leadership.guard()


async def test_a_leader_whose_right_lapsed_stops_even_if_it_could_renew(leases: Leases, clock: FakeClock) -> None:
    elector, leadership = replica(leases, clock, "one")
    await elector.acquire()
    clock.advance(12)  # the process was paused
    writes = leases.writes
    with pytest.raises(LeadershipLost, match="could not be renewed for 10 s"):
        await elector.keep()
    assert leases.writes == writes
    assert not leadership.is_held()


async def test_another_holder_is_named(leases: Leases, clock: FakeClock) -> None:
    elector, leadership = replica(leases, clock, "one")
    await elector.acquire()
    assert leases.lease is not None
    leases.lease["spec"] = {**leases.spec, "holderIdentity": "two"}
    with pytest.raises(LeadershipLost, match="belongs to two"):
        await elector.keep()
    assert not leadership.is_held()


async def test_a_released_lease_is_taken_at_once(leases: Leases, clock: FakeClock) -> None:
    first, leadership = replica(leases, clock, "one")
    second, _ = replica(leases, clock, "two")
    await first.acquire()
    await first.release()
    assert not leadership.is_held()
    began = clock.now
    await second.acquire()
    assert clock.now == began


async def test_only_the_holder_releases(leases: Leases, clock: FakeClock) -> None:
    first, _ = replica(leases, clock, "one")
    second, _ = replica(leases, clock, "two")
    await first.acquire()
    await second.release()
    assert leases.spec["holderIdentity"] == "one"


async def test_a_release_that_fails_is_no_error(leases: Leases, clock: FakeClock) -> None:
    elector, leadership = replica(leases, clock, "one")
    await elector.acquire()
    leases.away = True
    await elector.release()
    assert not leadership.is_held()


async def test_a_race_for_the_lease_has_one_winner(leases: Leases, clock: FakeClock) -> None:
    elector, leadership = replica(leases, clock, "one")
    seen = leases.get_lease

    async def beaten(namespace: str, name: str, within: float) -> Raw | None:
        found = await seen(namespace, name, within)
        leases._store({"metadata": {"name": name}, "spec": {"holderIdentity": "two", "leaseDurationSeconds": 15}})
        return found

    leases.get_lease = beaten  # type: ignore[method-assign]
    assert await elector._try() == ""
    assert not leadership.is_held()


async def test_a_lease_without_a_spec_is_free(leases: Leases, clock: FakeClock) -> None:
    leases._store({"metadata": {"name": "x"}})
    elector, leadership = replica(leases, clock, "one")
    await elector.acquire()
    assert leadership.is_held()


def test_the_clock_only_goes_forward() -> None:
    assert 0 < boot_clock() <= boot_clock()
