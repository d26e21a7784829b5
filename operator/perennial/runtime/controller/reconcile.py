"""The reconcile of all three kinds: parse, observe, decide, act, write status, post Events.

It does not depend on what caused it: an event, a restart, a resync or a lost response. A crash is safe after each step.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from perennial.adapters.errors import ApiError
from perennial.api.contract.audit import AuditEntry
from perennial.api.contract.settings import OperatorConfig
from perennial.core.decision import ChildConflict, Controller, Decision, EventNote, World
from perennial.core.kinds import Key, Kind, Raw
from perennial.core.reads import Poll
from perennial.runtime.controller.api import Api
from perennial.runtime.controller.cache import Cache
from perennial.runtime.controller.children import Accept, Children, NotYet
from perennial.runtime.controller.error_conditions import (
    ErrorCondition,
    keep_error_conditions,
    of_children,
    of_spec,
    of_status,
    only_status_is_broken,
    with_error_condition,
)

_log = logging.getLogger(__name__)


Tell = Callable[[Raw, Iterable[EventNote]], None]
"""Posts Events about a resource, given as it was just written."""


Want = Callable[[Key, tuple[Poll[Any], ...]], None]
"""Sets what to poll for a resource from now on."""


Record = Callable[[tuple[AuditEntry, ...]], Awaitable[None]]
"""Keeps facts for the audit log; returns once they are stored. Raises ApiError if they cannot be."""


class ReconcileOutcome(StrEnum):
    """How a reconcile ended; the values are label values of `perennial_reconciles_total`."""

    DONE = "done"
    GONE = "gone"
    INVALID = "invalid"
    BLOCKED = "blocked"
    WAITING = "waiting"
    CONFLICT = "conflict"
    ERROR = "error"


@dataclass(frozen=True)
class ReconcileResult:
    """How a reconcile ended, and when the next one is due."""

    outcome: ReconcileOutcome
    requeue_after: float | None = None
    """Seconds until the next reconcile; 0: at once; None: when something changes."""
    backoff: bool = False
    """Requeue with exponential backoff, after at least `requeue_after`."""


class _Stale(Exception):
    """The resource has changed since it was read."""


class _StatusRejected(Exception):
    """The API server does not store the status that was decided."""

    def __init__(self, condition: ErrorCondition) -> None:
        super().__init__(condition.message)
        self.condition = condition


class Reconciler:
    """Reconciles one resource at a time."""

    def __init__(
        self,
        *,
        controllers: Mapping[str, Controller[Any, Any]],
        cache: Cache,
        world: World,
        api: Api,
        children: Children,
        accept: Accept,
        config: OperatorConfig,
        now: Callable[[], datetime],
        tell: Tell,
        want: Want = lambda _key, _reads: None,
        record: Record | None = None,
    ) -> None:
        """Take all dependencies; the reconciler itself has no state. Without `record` there is no audit log."""
        self._controllers = controllers
        self._cache = cache
        self._world = world
        self._api = api
        self._children = children
        self._accept = accept
        self._config = config
        self._now = now
        self._tell = tell
        self._want = want
        self._record = record

    async def reconcile(self, key: Key) -> ReconcileResult:
        """Take one step toward the spec.

        Raises:
            ApiError: a request failed for a reason that is not in the resource.
            NotLeader: this process no longer holds the lease.
        """
        controller = self._controllers[key.kind]
        raw = self._cache.get(controller.kind, key.namespace, key.name)
        if raw is None or "deletionTimestamp" in raw["metadata"]:
            self._want(key, ())
            return ReconcileResult(ReconcileOutcome.GONE)  # children are deleted by garbage collection
        try:
            try:
                resource = _parse(controller, raw)
            except ValidationError as error:
                await self._report(controller.kind, raw, of_spec(error))
                return ReconcileResult(ReconcileOutcome.INVALID)
            observed, now = controller.observe(resource, self._world), self._now()
            decision = controller.decide(observed, self._config, now)
            self._want(key, decision.reads)
            facts: tuple[AuditEntry, ...] = ()
            if self._record is not None and decision.status != raw.get("status"):
                facts = controller.facts(observed, decision, now)
            return await self._carry_out(controller.kind, raw, decision, facts)
        except _Stale:
            return ReconcileResult(ReconcileOutcome.CONFLICT, requeue_after=0)
        except NotYet as reason:
            _log.info("%s; waiting", reason)
            return ReconcileResult(ReconcileOutcome.WAITING, backoff=True)
        except ApiError as error:
            if error.namespace_ending or error.gone:
                return ReconcileResult(ReconcileOutcome.GONE)  # the namespace or the resource is being deleted
            raise

    async def _carry_out(
        self, kind: Kind, raw: Raw, decision: Decision, facts: tuple[AuditEntry, ...]
    ) -> ReconcileResult:
        try:
            return await self._act(kind, raw, decision, facts)
        except _StatusRejected as rejected:
            metadata = raw["metadata"]
            live = self._cache.get(kind, metadata["namespace"], metadata["name"]) or raw
            await self._report(kind, live, rejected.condition)
            return ReconcileResult(ReconcileOutcome.BLOCKED, backoff=True)

    async def _act(self, kind: Kind, raw: Raw, decision: Decision, facts: tuple[AuditEntry, ...]) -> ReconcileResult:
        live = raw
        if decision.status is not None and decision.status_first:
            await self._keep(facts)
            live = await self._write_decided(kind, live, keep_error_conditions(decision.status, live.get("status")))
        try:
            await self._children.carry_out(raw, decision.actions)
        except (ChildConflict, ApiError) as error:
            error_condition = of_children(error)
            if error_condition is None:
                raise
            if live is not raw:
                self._tell(live, decision.events)
            await self._report(kind, live, error_condition)
            seconds = error_condition.retry_seconds
            return ReconcileResult(ReconcileOutcome.BLOCKED, requeue_after=seconds, backoff=seconds is None)
        if decision.status is not None:
            await self._keep(facts)
            live = await self._write_decided(kind, live, decision.status)
        if live is not raw:
            self._tell(live, decision.events)
        return ReconcileResult(ReconcileOutcome.DONE, requeue_after=decision.requeue_after)

    async def _keep(self, facts: tuple[AuditEntry, ...]) -> None:
        """Keep facts before the status that makes them true: after a crash in between they are kept again, as one."""
        if facts and self._record is not None:
            await self._record(facts)

    async def _write_decided(self, kind: Kind, raw: Raw, status: dict[str, Any]) -> Raw:
        """Write the status of a decision.

        Raises:
            _StatusRejected: the API server does not store it, now or on a retry.
        """
        try:
            return await self._write_status(kind, raw, status)
        except ApiError as error:
            condition = of_status(error)
            if condition is None:
                raise
            raise _StatusRejected(condition) from error

    async def _report(self, kind: Kind, raw: Raw, error_condition: ErrorCondition) -> None:
        """Write the error condition to status, with an Event if it is new."""
        generation = raw["metadata"].get("generation", 0)
        status = with_error_condition(raw.get("status"), error_condition, generation, self._now())
        live = await self._write_status(kind, raw, status)
        if live is not raw:
            _log.warning("%s: %s", error_condition.reason, error_condition.message)
            self._tell(live, [EventNote("Warning", error_condition.reason, error_condition.message)])

    async def _write_status(self, kind: Kind, raw: Raw, status: dict[str, Any]) -> Raw:
        """Write the status if it differs; return the written resource, or the same object if nothing was written.

        Raises:
            _Stale: the resource has changed; the cache has the newer version.
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


def _parse(controller: Controller[Any, Any], raw: Raw) -> Any:
    """Parse an object; an invalid status counts as empty.

    Raises:
        ValidationError: the spec is invalid.
    """
    try:
        return controller.parse(raw)
    except ValidationError as error:
        if not only_status_is_broken(error):
            raise
        _log.warning("the status is invalid and is rebuilt: it was edited by hand")
        return controller.parse({**raw, "status": {}})
