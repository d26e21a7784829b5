"""The operator's process: connects its parts, supervises them, and shuts down cleanly."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from math import inf
from typing import Any
from uuid import uuid4

from perennial import __version__
from perennial.adapters.cluster import Cluster, path_of
from perennial.adapters.connection import Connection
from perennial.adapters.errors import ClusterConfigError
from perennial.adapters.limiter import TokenBucket
from perennial.core.decision import Controller
from perennial.core.kinds import OPTIONAL, RESOURCES, WATCHED_BY_LABEL
from perennial.handlers.watch import WatchEnded, WatchPlan, run_watch
from perennial.runtime.audit.delivery import Delivery
from perennial.runtime.audit.outbox import Outbox
from perennial.runtime.controller.engine import Engine
from perennial.runtime.controller.resync import ClusterUnfit, Resync
from perennial.runtime.process import logs
from perennial.runtime.process.health import Health
from perennial.runtime.process.leader import Elector, Leadership, LeadershipLost
from perennial.runtime.process.metrics import Metrics
from perennial.runtime.process.reads import reading
from perennial.runtime.process.server import PortTaken, serving
from perennial.runtime.process.settings import Settings, SettingsError, parse_arguments
from perennial.runtime.process.tasks import cancel, raise_cause

_log = logging.getLogger(__name__)

_DRAIN_SECONDS = 10.0
_YOUNG_OBJECTS = 20_000
"""Allocations between garbage collections: many raw objects are parsed, and they contain no cycles."""

Controllers = Mapping[str, Controller[Any, Any]]


class Operator:
    """One replica of the operator."""

    def __init__(self, settings: Settings, connection: Connection, controllers: Controllers) -> None:
        """Connect the parts; nothing is sent yet."""
        config = settings.config
        self._config = config
        self._connection = connection
        self._identity = os.environ.get("POD_NAME") or f"{socket.gethostname()}_{uuid4().hex[:8]}"
        self._namespaces = config.watch_namespaces
        self._metrics = Metrics()
        self._leadership = Leadership()
        self._stop = asyncio.Event()
        limiter = TokenBucket(config.queue.writes_per_second, config.queue.burst)
        self._cluster = Cluster(
            connection, guard=self._leadership.guard, limiter=limiter, on_write=self._metrics.note_write
        )
        namespace = settings.namespace or connection.namespace
        self._outbox = Outbox(self._cluster, namespace, lambda: datetime.now(UTC), self._metrics.audit_dropped.inc)
        self._delivery = Delivery(
            self._cluster,
            self._outbox,
            config.audit,
            config.agent,
            namespace,
            on_failure=lambda reason: self._metrics.audit_failures.labels(reason).inc(),
        )
        self._leading = asyncio.Event()
        self._engine = Engine(
            controllers=controllers,
            api=self._cluster,
            config=config,
            metrics=self._metrics,
            clock=asyncio.get_running_loop(),
            instance=self._identity,
            record=self._outbox.record if config.audit.uri else None,
        )
        self._health = Health(self._engine.queue, self._stream_paths())
        self._ready = asyncio.Event()
        self._listed = asyncio.Event()
        self._served = asyncio.Event()
        self._elector = Elector(
            self._cluster,
            self._leadership,
            config.leader_election,
            namespace=namespace,
            identity=self._identity,
            sleep=asyncio.sleep,
        )
        self._resync = Resync(
            self._cluster,
            self._engine,
            self._namespaces,
            every=config.resync_seconds,
            on_done=self._metrics.last_resync.set,
            on_served=self._served.set,
        )
        self._expose()

    async def run(self) -> None:
        """Run until a stop signal.

        Raises:
            Exception: the error that ended one of the parts.
        """
        self._catch_signals()
        async with serving(
            self._config.http_port,
            alive=self._health.not_alive,
            ready=self._health.not_ready,
            registry=self._metrics.registry,
            refresh=self._engine.gauges.refresh,
        ):
            parts = {name: asyncio.create_task(part, name=name) for name, part in self._parts().items()}
            stop = asyncio.create_task(self._stop.wait(), name="stop signal")
            try:
                done, _ = await asyncio.wait((stop, *parts.values()), return_when=asyncio.FIRST_COMPLETED)
                if stop in done:
                    _log.info("stopping")
                else:
                    raise_cause(done)
            finally:
                stop.cancel()
                await self._end(parts)

    def _parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        return {
            "lists": self._fill_then_resync(),
            "watch": self._watch(),
            "leader election": self._lead(),
            "events": self._engine.events.run(),
            "reads": self._read(),
            **({"audit log": self._delivery.run(self._leading)} if self._config.audit.uri else {}),
            **{f"worker {number}": self._work() for number in range(self._config.queue.workers)},
        }

    async def _fill_then_resync(self) -> None:
        await self._resync.first()
        self._listed.set()
        self._health.note_listed()
        self._note_progress()
        await self._resync.run()

    async def _watch(self) -> None:
        """Watch what the API server has; begin again when it has a kind more, such as those of the Gateway API."""
        await self._listed.wait()  # it tells which kinds there are
        while True:
            self._served.clear()
            watching = asyncio.create_task(self._watch_served(), name="watch of the served kinds")
            changed = asyncio.create_task(self._served.wait(), name="served kinds")
            try:
                await asyncio.wait((watching, changed), return_when=asyncio.FIRST_COMPLETED)
                if watching.done():
                    watching.result()
                    return
            finally:
                await cancel([watching, changed])

    async def _watch_served(self) -> None:
        plan = WatchPlan(
            server=self._connection.server,
            session=lambda: self._connection.watch_session(self._on_stream),
            namespaces=self._namespaces,
            kinds=tuple(kind for kind in (*RESOURCES, *WATCHED_BY_LABEL) if self._engine.cache.serves(kind)),
        )
        await run_watch(plan, self._engine, on_started=self._catch_signals)

    async def _lead(self) -> None:
        await self._ready.wait()
        if not self._config.leader_election.enabled:
            self._leadership.hold_until(inf)
            self._activate()
            await asyncio.Event().wait()
        await self._elector.acquire()
        self._activate()
        await self._elector.keep()

    def _activate(self) -> None:
        self._leading.set()
        self._engine.activate()

    async def _read(self) -> None:
        async with reading(self._config.prometheus.url, lambda: datetime.now(UTC), self._cluster) as reads:
            await self._engine.poller.run(reads.fetch)

    async def _work(self) -> None:
        await self._engine.work()

    def _on_stream(self, path: str) -> None:
        self._metrics.streams.inc()
        self._health.note_stream(path)
        self._note_progress()

    def _note_progress(self) -> None:
        if not self._ready.is_set() and self._health.not_ready() is None:
            self._ready.set()
            _log.info("ready: %s", ", ".join(f"{n} {kind}" for kind, n in self._engine.cache.counts().items() if n))

    async def _end(self, parts: Mapping[str, asyncio.Task[None]]) -> None:
        """Drain the workers, release the lease, and stop the other parts."""
        self._health.note_stopping()
        self._engine.queue.close()
        workers = [task for name, task in parts.items() if name.startswith("worker ")]
        _, late = await asyncio.wait(workers, timeout=_DRAIN_SECONDS)
        if late:
            _log.warning("%d reconciles did not finish within %.0f s and are cancelled", len(late), _DRAIN_SECONDS)
        await cancel([*late, parts["events"]])
        await self._engine.events.flush()
        await cancel([parts["leader election"]])
        await self._elector.release()
        await cancel(list(parts.values()))

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)

    def _stream_paths(self) -> list[str]:
        namespaces: tuple[str | None, ...] = self._namespaces or (None,)
        # Where an optional kind is absent, there is no stream to wait for.
        kinds = (kind for kind in (*RESOURCES, *WATCHED_BY_LABEL) if kind not in OPTIONAL)
        return [path_of(kind, item) for kind in kinds for item in namespaces]

    def _expose(self) -> None:
        """Connect the gauges that are read at scrape time."""
        metrics, queue = self._metrics, self._engine.queue
        metrics.registry.register(self._engine.gauges)
        metrics.queue_depth.set_function(lambda: len(queue))
        metrics.queue_delayed.set_function(lambda: queue.delayed)
        metrics.queue_running.set_function(lambda: queue.running)
        metrics.audit_pending.set_function(lambda: self._outbox.pending)
        metrics.audit_oldest.set_function(lambda: self._outbox.oldest_seconds)
        metrics.leader.set_function(lambda: float(self._leadership.is_held()))
        for kind in (*RESOURCES, *WATCHED_BY_LABEL):
            name = kind.kind
            metrics.cache_objects.labels(name).set_function(_reader(self._engine.cache.counts, name))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the operator; return the exit status: 0 stopped, 1 failed, 2 invalid settings."""
    try:
        settings = parse_arguments(sys.argv[2:] if argv is None else argv)
    except SettingsError as error:
        sys.stderr.write(f"perennial operator: {error}\n")
        return 2
    logs.configure(settings.config.log_level, settings.config.log_format)
    gc.set_threshold(_YOUNG_OBJECTS, 20, 20)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_run(settings))


async def _run(settings: Settings) -> int:
    _log.info("perennial operator %s", __version__)
    try:
        connection = await Connection.open(settings.kubeconfig, settings.context, use_proxy_env=settings.use_proxy_env)
    except ClusterConfigError as error:
        _log.critical("%s", error)
        return 2
    try:
        await Operator(settings, connection, _controllers()).run()
    except (ClusterUnfit, PortTaken, LeadershipLost, WatchEnded) as error:
        _log.critical("%s", error)
        return 1
    except Exception as error:
        _log.critical("terminated by %s: %s", type(error).__name__, error, exc_info=error)
        return 1
    finally:
        with suppress(Exception):
            await connection.close()
    _log.info("stopped")
    return 0


def _controllers() -> Controllers:
    """Controllers by kind; imported late, because loading their dependencies takes a while."""
    from perennial.drift.controller import CONTROLLER as DRIFT
    from perennial.serving.controller import CONTROLLER as SERVING
    from perennial.training.controller import CONTROLLER as TRAINING

    return {controller.kind.kind: controller for controller in (TRAINING, SERVING, DRIFT)}


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Use uvloop if it is installed: a fifth less CPU per request."""
    try:
        import uvloop  # not available on some platforms
    except ImportError:
        return None
    return uvloop.new_event_loop


def _reader(counts: Callable[[], Mapping[str, int]], kind: str) -> Callable[[], float]:
    return lambda: float(counts().get(kind, 0))
