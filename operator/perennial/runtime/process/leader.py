"""Leader election by a Lease. Why it is implemented here: docs/adr/0002-leader-election.md.

The clock is monotonic and continues during suspend. A replica never compares its clock with another's: it takes a lease
over only after it has itself seen the lease unchanged for the whole lease duration.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from math import ceil
from random import uniform
from typing import Any, Protocol

from perennial.adapters.errors import ApiError, NotLeader
from perennial.api.contract.settings import LeaderElection
from perennial.core.kinds import LEASE, Raw

_log = logging.getLogger(__name__)


class LeaseApi(Protocol):
    """Verbs of the election; all raise ApiError. `within` is the timeout in seconds."""

    async def get_lease(self, namespace: str, name: str, within: float) -> Raw | None:
        """Read the lease; None if it does not exist."""
        ...

    async def create_lease(self, lease: Raw, within: float) -> Raw:
        """Create the lease; a conflict if it exists."""
        ...

    async def replace_lease(self, lease: Raw, within: float) -> Raw:
        """Write this version of the lease; a conflict if there is a newer one."""
        ...


def boot_clock() -> float:
    """Seconds since boot, including suspend where the system supports it."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


class LeadershipLost(Exception):
    """The lease could not be renewed in time, or another replica has it."""


class Leadership:
    """Whether this process may act now; checked before every write."""

    def __init__(self, clock: Callable[[], float] = boot_clock) -> None:
        """Start without leadership."""
        self._clock = clock
        self._until = 0.0

    def is_held(self) -> bool:
        """Tell whether this process may act now."""
        return self._clock() < self._until

    def guard(self) -> None:
        """Check leadership before a write.

        Raises:
            NotLeader: this process may not act now.
        """
        if not self.is_held():
            raise NotLeader

    def hold_until(self, moment: float) -> None:
        """Hold leadership until a time of the clock."""
        self._until = moment


class Elector:
    """Acquires, renews and releases the lease."""

    def __init__(
        self,
        api: LeaseApi,
        leadership: Leadership,
        config: LeaderElection,
        *,
        namespace: str,
        identity: str,
        clock: Callable[[], float] = boot_clock,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """`clock` must be the clock of `leadership`."""
        self._api = api
        self._leadership = leadership
        self._config = config
        self._namespace = namespace
        self._identity = identity
        self._clock = clock
        self._sleep = sleep
        self._seen: tuple[str, float] = ("", 0.0)  # version of the lease, and when it was first seen

    async def acquire(self) -> None:
        """Wait until this replica is the leader."""
        waiting_for = ""
        while True:
            holder = await self._try()
            if holder == self._identity:
                _log.info("leading as %s", self._identity)
                return
            if holder != waiting_for:
                waiting_for = holder
                _log.info("standby; the leader is %s", holder or "unknown")
            await self._pause()

    async def keep(self) -> None:
        """Renew the lease until it is lost.

        Raises:
            LeadershipLost: another replica has the lease, or it could not be renewed in time.
        """
        while True:
            await self._pause()
            if not self._leadership.is_held():
                # Paused for longer than the right lasts. Another replica may have acted and released the lease since.
                raise LeadershipLost(self._not_renewed())
            holder = await self._try()
            if holder not in {self._identity, ""}:
                self._leadership.hold_until(0.0)
                raise LeadershipLost(f"the lease now belongs to {holder}")
            if not self._leadership.is_held():
                raise LeadershipLost(self._not_renewed())

    async def release(self) -> None:
        """Release the lease, so that a standby need not wait until it expires. Nothing may be written afterwards."""
        was_held = self._leadership.is_held()
        self._leadership.hold_until(0.0)
        if not was_held:
            return
        with suppress(ApiError):
            lease = await self._api.get_lease(self._namespace, self._config.name, self._config.retry_seconds)
            if lease is None or _spec(lease).get("holderIdentity") != self._identity:
                return
            spec = {**_spec(lease), "holderIdentity": "", "leaseDurationSeconds": 1}
            await self._api.replace_lease({**lease, "spec": spec}, self._config.retry_seconds)
            _log.info("lease released")

    def _not_renewed(self) -> str:
        return (
            f"the lease {self._namespace}/{self._config.name} could not be renewed for {self._config.renew_seconds:g} s"
        )

    async def _pause(self) -> None:
        await self._sleep(self._config.retry_seconds * uniform(0.9, 1.1))  # noqa: S311 - spreads load

    async def _try(self) -> str:
        """Acquire or renew the lease if allowed; return its holder, or an empty string if unknown."""
        asked_at = self._clock()
        within = max(1.0, self._config.renew_seconds / 2)
        try:
            lease = await self._api.get_lease(self._namespace, self._config.name, within)
            if lease is None:
                await self._api.create_lease(self._claim(None), within)
            elif self._may_take(lease):
                await self._api.replace_lease(self._claim(lease), within)
            else:
                return str(_spec(lease).get("holderIdentity"))
        except ApiError as error:
            if not error.conflict:
                _log.warning("the lease cannot be read or written: %s", error)
            return ""
        # Counted from before the request, so that a slow response shortens leadership and never extends it.
        self._leadership.hold_until(asked_at + self._config.renew_seconds)
        return self._identity

    def _may_take(self, lease: Raw) -> bool:
        spec = _spec(lease)
        holder = spec.get("holderIdentity")
        if not holder or holder == self._identity:
            return True
        version = str(lease["metadata"].get("resourceVersion"))
        if self._seen[0] != version:
            self._seen = (version, self._clock())
        duration = spec.get("leaseDurationSeconds") or self._config.lease_seconds
        return self._clock() >= self._seen[1] + float(duration)

    def _claim(self, lease: Raw | None) -> Raw:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = _spec(lease) if lease is not None else {}
        mine = before.get("holderIdentity") == self._identity
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": ceil(self._config.lease_seconds),
            "acquireTime": before.get("acquireTime") if mine else now,
            "renewTime": now,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + (0 if mine or lease is None else 1),
        }
        metadata = lease["metadata"] if lease is not None else {"name": self._config.name, "namespace": self._namespace}
        return {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata, "spec": spec}


def _spec(lease: Raw) -> dict[str, Any]:
    return lease.get("spec") or {}
