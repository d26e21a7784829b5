"""The one reconcile for all three resources: parse, observe, decide, act, write status, tell.

It is the same after an event, a restart, a resync or a lost reply. Each step may be the last one before a crash.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from perennial.adapters.errors import ApiError
from perennial.api.config import OperatorConfig
from perennial.core.decision import ChildConflict, Decision, EventNote, Read, Room
from perennial.core.kinds import Key, Kind, Raw
from perennial.runtime.cache import Cache
from perennial.runtime.children import Accept, Children, NotYet
from perennial.runtime.ports import Api
from perennial.runtime.trouble import (
    Trouble,
    keep_trouble,
    of_children,
    of_spec,
    only_status_is_broken,
    with_trouble,
)

_log = logging.getLogger(__name__)


Tell = Callable[[Raw, Iterable[EventNote]], None]
"""Takes a resource as it was just written, and the notes about it that should become Events."""


Want = Callable[[Key, Read | None], None]
"""Takes what a resource wants to be read from now on."""


class Result(StrEnum):
    """How a reconcile ended; a label of the metrics."""

    DONE = "done"
    GONE = "gone"
    INVALID = "invalid"
    BLOCKED = "blocked"
    WAITING = "waiting"
    CONFLICT = "conflict"
    ERROR = "error"


@dataclass(frozen=True)
class Outcome:
    """How a reconcile ended, and when the next one is due."""

    result: Result
    after: float | None = None
    """Seconds until the next look; 0: at once; None: when something changes."""
    retry: bool = False
    """Look again after a wait that grows with every failure in a row, and is at least `after`."""


class _Stale(Exception):
    """The resource has changed since it was read."""


class Reconciler:
    """Moves one resource one step toward its spec."""

    def __init__(
        self,
        *,
        rooms: Mapping[str, Room[Any, Any]],
        cache: Cache,
        api: Api,
        children: Children,
        accept: Accept,
        config: OperatorConfig,
        now: Callable[[], datetime],
        tell: Tell,
        want: Want = lambda _key, _read: None,
    ) -> None:
        """Take everything that a reconcile needs; it keeps no state of its own."""
        self._rooms = rooms
        self._cache = cache
        self._api = api
        self._children = children
        self._accept = accept
        self._config = config
        self._now = now
        self._tell = tell
        self._want = want

    async def reconcile(self, key: Key) -> Outcome:
        """Carry out one step.

        Raises:
            ApiError: the API server did not do what was asked, for no reason that lies in the resource.
            NotLeader: this process may not write any more.
        """
        room = self._rooms[key.kind]
        raw = self._cache.get(room.kind, key.namespace, key.name)
        if raw is None or "deletionTimestamp" in raw["metadata"]:
            self._want(key, None)
            return Outcome(Result.GONE)  # children go by garbage collection
        try:
            try:
                resource = _parse(room, raw)
            except ValidationError as error:
                await self._report(room.kind, raw, of_spec(error))
                return Outcome(Result.INVALID)
            decision = room.decide(room.observe(resource, self._cache), self._config, self._now())
            self._want(key, decision.read)
            return await self._carry_out(room.kind, raw, decision)
        except _Stale:
            return Outcome(Result.CONFLICT, after=0)
        except NotYet as reason:
            _log.info("%s; waiting", reason)
            return Outcome(Result.WAITING, retry=True)
        except ApiError as error:
            if error.namespace_ending or error.gone:
                return Outcome(Result.GONE)  # the namespace or the resource is on its way out
            raise

    async def _carry_out(self, kind: Kind, raw: Raw, decision: Decision) -> Outcome:
        live = raw
        if decision.status is not None and decision.status_first:
            live = await self._write_status(kind, live, keep_trouble(decision.status, live.get("status")))
        try:
            await self._children.carry_out(raw, decision.actions)
        except (ChildConflict, ApiError) as error:
            trouble = of_children(error)
            if trouble is None:
                raise
            if live is not raw:
                self._tell(live, decision.events)
            await self._report(kind, live, trouble)
            return Outcome(Result.BLOCKED, after=trouble.retry_seconds, retry=trouble.retry_seconds is None)
        if decision.status is not None:
            live = await self._write_status(kind, live, decision.status)
        if live is not raw:
            self._tell(live, decision.events)
        return Outcome(Result.DONE, after=decision.requeue_after)

    async def _report(self, kind: Kind, raw: Raw, trouble: Trouble) -> None:
        """Put the trouble into the status, and into an Event when that is new."""
        generation = raw["metadata"].get("generation", 0)
        status = with_trouble(raw.get("status"), trouble, generation, self._now())
        live = await self._write_status(kind, raw, status)
        if live is not raw:
            _log.warning("%s: %s", trouble.reason, trouble.message)
            self._tell(live, [EventNote("Warning", trouble.reason, trouble.message)])

    async def _write_status(self, kind: Kind, raw: Raw, status: dict[str, Any]) -> Raw:
        """Write the status if it differs; return the resource as it is then, the same object if nothing was written.

        Raises:
            _Stale: the resource has changed meanwhile; the cache has the newer version.
        """
        if raw.get("status") == status:
            return raw
        try:
            written = await self._api.replace_status(kind, raw, status)
        except ApiError as error:
            if not error.conflict:
                raise
            metadata = raw["metadata"]
            newer = await self._api.get(kind, metadata["namespace"], metadata["name"])
            if newer is None:
                self._cache.remove(kind, raw, final=True)
            else:
                self._accept(kind, newer)
            raise _Stale from error
        self._accept(kind, written)
        return written


def _parse(room: Room[Any, Any], raw: Raw) -> Any:
    """Return the model of an object; a status that someone broke by hand counts as empty.

    Raises:
        ValidationError: the spec cannot work.
    """
    try:
        return room.parse(raw)
    except ValidationError as error:
        if not only_status_is_broken(error):
            raise
        _log.warning("the status cannot be read and is made anew: someone has edited it by hand")
        return room.parse({**raw, "status": {}})
