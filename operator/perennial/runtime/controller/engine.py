"""Connects cache, queue and reconciler: watch events in, reconciles out, requeues by their results."""

import logging
from collections.abc import Iterable, Mapping, Set
from contextvars import ContextVar
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from perennial.adapters.errors import ApiError, NotLeader
from perennial.api.contract.settings import OperatorConfig
from perennial.core.decision import Controller
from perennial.core.kinds import Key, Kind, Raw
from perennial.runtime.controller.api import Api
from perennial.runtime.controller.cache import Cache
from perennial.runtime.controller.children import Children
from perennial.runtime.controller.events import EventPoster
from perennial.runtime.controller.polling import Poller
from perennial.runtime.controller.queue import Clock, QueueClosed, WorkQueue
from perennial.runtime.controller.reconcile import ReconcileOutcome, Reconciler, ReconcileResult, Record
from perennial.runtime.controller.world import CachedWorld
from perennial.runtime.process.gauges import ResourceGauges
from perennial.runtime.process.logs import about
from perennial.runtime.process.metrics import Metrics

_log = logging.getLogger(__name__)

_wanted_at: ContextVar[float | None] = ContextVar("perennial_wanted_at", default=None)
"""When the key of this worker was queued; None outside of a worker."""

_AT_ONCE_LIMIT = 10
"""Consecutive immediate requeues of a key; more indicate a loop and are slowed down."""


class Engine:
    """The control loop between the watches and the API server."""

    def __init__(
        self,
        *,
        controllers: Mapping[str, Controller[Any, Any]],
        api: Api,
        config: OperatorConfig,
        metrics: Metrics,
        clock: Clock,
        instance: str,
        record: Record | None = None,
    ) -> None:
        """Start passive: events fill the cache, but nothing is reconciled before `activate`.

        `record` keeps facts for the audit log; None: there is none.
        """
        self._controllers = controllers
        self._metrics = metrics
        self._active = False
        self._at_once: dict[Key, int] = {}
        self.cache = Cache({kind: controller.names for kind, controller in controllers.items()})
        self.gauges = ResourceGauges(controllers, self.cache)
        self.queue = WorkQueue(
            clock, backoff=config.queue.backoff_seconds, max_backoff=config.queue.max_backoff_seconds
        )
        self.poller = Poller(self.queue.add, clock)
        self.events = EventPoster(api, instance=instance, is_busy=lambda: len(self.queue) > 0)
        self.reconciler = Reconciler(
            controllers=controllers,
            cache=self.cache,
            world=CachedWorld(self.cache, self.poller),
            api=api,
            children=Children(
                api,
                self.cache,
                self.accept,
                on_created=self._note_child,
                on_unsettled=metrics.note_unsettled,
            ),
            accept=self.accept,
            config=config,
            now=lambda: datetime.now(UTC),
            tell=self.events.add,
            want=self.poller.want,
            record=record,
        )

    def activate(self) -> None:
        """Start to reconcile, beginning with all resources."""
        self._active = True
        self.requeue_all()

    def requeue_all(self) -> None:
        """Queue every resource with low priority, so that nothing that was dropped stays unreconciled."""
        if not self._active:
            return
        for controller in self._controllers.values():
            for key in self.cache.keys(controller.kind):
                self.queue.add(key, can_wait=True)

    def is_news(self, kind: Kind, event: str | None, raw: Raw) -> bool:
        """Tell whether a watch event contains anything that the cache does not."""
        return event == "DELETED" or self.cache.is_news(kind, raw)

    def on_event(self, kind: Kind, event: str | None, raw: Raw) -> None:
        """Process a watch event; `event` is None for objects that the watch listed at its start."""
        self._metrics.events.labels(kind.kind, event or "LISTED").inc()
        keys = self.cache.remove(kind, raw) if event == "DELETED" else self.cache.put(kind, raw)
        # Under load, changes of resources have priority over the progress of their children.
        self._wake(keys, can_wait=kind.kind not in self._controllers)

    def accept(self, kind: Kind, raw: Raw) -> None:
        """Process the answer to a write.

        A write of its own status does not requeue a resource; a controller sets `requeue_after=0` for that.
        """
        keys = self.cache.put(kind, raw)
        if kind.kind in self._controllers:
            metadata = raw["metadata"]
            own = Key(kind.kind, metadata["namespace"], metadata["name"])
            self.gauges.touch((own,))
            keys = keys - {own}
            self._wake(keys)
        else:
            self._wake(keys, can_wait=True)  # usually the first status of the child arrives before that

    def take_page(self, kind: Kind, items: Iterable[Raw]) -> None:
        """Process a page of a list."""
        for raw in items:
            self._wake(self.cache.put(kind, raw), can_wait=True)

    def end_list(self, kind: Kind, namespace: str | None, present: Set[str], version: str) -> None:
        """Remove from the cache what the list did not contain, given the uids that it contained."""
        self._wake(self.cache.prune(kind, namespace, present, version), can_wait=True)

    async def work(self) -> None:
        """Reconcile keys until the queue closes; the process runs several workers concurrently."""
        while True:
            try:
                item = await self.queue.get()
            except QueueClosed:
                return
            self._metrics.queue_seconds.observe(item.waited)
            started = monotonic()
            _wanted_at.set(started - item.waited)
            with about(item.key):
                try:
                    result = await self._reconcile(item.key)
                    self._schedule(item.key, result)
                finally:
                    self.queue.done(item.key)
            self._metrics.reconciles.labels(item.key.kind, result.outcome.value).inc()
            self._metrics.reconcile_seconds.labels(item.key.kind).observe(monotonic() - started)

    async def _reconcile(self, key: Key) -> ReconcileResult:
        """Reconcile a key; an error affects only this key."""
        try:
            return await self.reconciler.reconcile(key)
        except NotLeader:
            _log.warning("not written: this replica does not hold the lease; retrying")
            return ReconcileResult(ReconcileOutcome.ERROR, backoff=True)
        except ApiError as error:
            _log_api_error(error)
            return ReconcileResult(ReconcileOutcome.ERROR, requeue_after=error.retry_after, backoff=True)
        except Exception:
            _log.exception(
                "reconcile failed because of a bug in the operator; other resources are not affected. Please report it"
            )
            return ReconcileResult(ReconcileOutcome.ERROR, backoff=True)

    def _schedule(self, key: Key, result: ReconcileResult) -> None:
        """Requeue the key as the result asks."""
        if result.backoff:
            self._back_off(key, result.requeue_after or 0.0)
            return
        if result.requeue_after == 0:
            times = self._at_once[key] = self._at_once.get(key, 0) + 1
            if times > _AT_ONCE_LIMIT:
                _log.warning("requeued at once %d times in a row; backing off", times)
                self._back_off(key, 0.0)
            else:
                self.queue.add(key)
            return
        self._at_once.pop(key, None)
        self.queue.forget(key)
        if result.requeue_after is not None:
            self.queue.add_after(key, result.requeue_after)

    def _back_off(self, key: Key, at_least: float) -> None:
        wait = self.queue.retry(key, at_least)
        self._metrics.retries.labels(key.kind).inc()
        _log.debug("retry in %.1f s", wait)

    def _note_child(self, kind: Kind) -> None:
        wanted_at = _wanted_at.get()
        if wanted_at is not None:
            self._metrics.child_seconds.labels(kind.kind).observe(monotonic() - wanted_at)

    def _wake(self, keys: Iterable[Key], *, can_wait: bool = False) -> None:
        self.gauges.touch(keys)
        if self._active:
            for key in keys:
                self.queue.add(key, can_wait=can_wait)


def _log_api_error(error: ApiError) -> None:
    if error.forbidden:
        _log.error(
            "%s. The operator's ServiceAccount lacks a permission: upgrade the chart, or add it to its role",
            error,
        )
    else:
        _log.warning("%s; retrying", error)
