"""Passes watch events from kopf to a listener. Nothing is decided or written here.

Only kopf's `on.event` is used, which adds no annotations or finalizers to objects. Errors, retries and state are
handled by `runtime.controller.engine`.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import uniform
from typing import Any, Protocol

import aiohttp
import kopf

from perennial.core.kinds import RESOURCES, WATCHED_BY_LABEL, Kind, Raw
from perennial.core.labels import KIND_LABEL

_log = logging.getLogger(__name__)

_WATCHERS = "watcher for "  # how kopf names its tasks

_BACKOFFS = (0.5, 1, 2, 4, *(5,) * 60)
"""Seconds between attempts of a watch; after about five minutes kopf gives up and the process exits."""


class Listener(Protocol):
    """Receives events: kind, event type (None: listed at the start of the watch) and raw object."""

    def is_news(self, kind: Kind, event: str | None, raw: Raw) -> bool:
        """Tell whether the event contains anything new; the echo of an own write does not."""
        ...

    def on_event(self, kind: Kind, event: str | None, raw: Raw) -> None:
        """Process the event."""
        ...


class WatchEnded(Exception):
    """A watch has ended, so the operator would miss events."""


@dataclass(frozen=True)
class WatchPlan:
    """What to watch, and with which connection."""

    server: str
    session: Callable[[], aiohttp.ClientSession]
    """Creates a session with fresh credentials; kopf closes it."""
    namespaces: Sequence[str] = ()
    """Empty: the whole cluster."""
    kinds: Sequence[Kind] = (*RESOURCES, *WATCHED_BY_LABEL)
    """Those that the API server has."""


class _Backoffs(Iterable[float]):
    """Backoffs with jitter, so that replicas do not reconnect at the same time."""

    def __iter__(self) -> Iterator[float]:
        return (wait * uniform(0.5, 1.5) for wait in _BACKOFFS)  # noqa: S311 - spreads load, keeps no secret

    def __len__(self) -> int:
        return len(_BACKOFFS)


class _NoEssence(kopf.DiffBaseStorage):
    """Disables kopf's diff base, which is never stored: saves a copy of each object."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


class _NoProgress(kopf.ProgressStorage):
    """Disables kopf's handler progress, which `on.event` does not have."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None

    def purge(self, **_: Any) -> None:
        return None

    def touch(self, **_: Any) -> None:
        return None

    def clear(self, *, essence: Any) -> Any:
        return essence


async def run_watch(plan: WatchPlan, listener: Listener, on_started: Callable[[], None]) -> None:
    """Watch until cancelled. `on_started` is called after kopf has started, to restore the signal handlers it replaces.

    Raises:
        WatchEnded: kopf gave up; the message says why.
    """
    sessions: list[aiohttp.ClientSession] = []

    def session() -> aiohttp.ClientSession:
        sessions.append(plan.session())
        return sessions[-1]

    # Without an identity kopf looks up the user name, which a container's user lacks. Its type is not exported.
    identity: Any = "perennial"
    tasks = await kopf.spawn_tasks(
        registry=_registry(plan, session, listener),
        settings=_settings(),
        clusterwide=not plan.namespaces,
        namespaces=plan.namespaces,
        identity=identity,
    )
    on_started()
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        raise WatchEnded(_cause(done))
    finally:
        await _cancel(tasks)
        # When one watch has failed, kopf does not stop the others.
        await _cancel([task for task in asyncio.all_tasks() if task.get_name().startswith(_WATCHERS)])
        for opened in sessions:
            await opened.close()


async def _cancel(tasks: Collection[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _registry(
    plan: WatchPlan, session: Callable[[], aiohttp.ClientSession], listener: Listener
) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=plan.server, aiohttp_session=session())

    for kind in plan.kinds:
        _listen(registry, kind, listener)
    return registry


def _listen(registry: kopf.OperatorRegistry, kind: Kind, listener: Listener) -> None:
    # A filter costs half as much as a handler, and most events are echoes of own writes.
    def is_news(event: Any, **_: Any) -> bool:
        return listener.is_news(kind, event["type"], event["object"])

    @kopf.on.event(kind.group, kind.version, kind.plural, id=kind.plural, when=is_news, registry=registry)
    async def handle(event: Any, **_: Any) -> None:
        listener.on_event(kind, event["type"], event["object"])


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.process.ultimate_exiting_timeout = None
    settings.networking.error_backoffs = _Backoffs()
    settings.watching.connect_timeout = 10
    settings.watching.chunk_size = 100
    settings.queueing.idle_timeout = 0.05  # each idle worker uses a task and a queue
    settings.persistence.diffbase_storage = _NoEssence()
    settings.persistence.progress_storage = _NoProgress()
    for kind in WATCHED_BY_LABEL:
        # The server sends only objects with our label.
        settings.watching.label_selectors[kind.group, kind.version, kind.plural] = KIND_LABEL
    return settings


def _cause(done: Iterable[asyncio.Task[Any]]) -> str:
    """Describe why the first of kopf's tasks ended."""
    for task in done:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            because = f", because of {error.__cause__}" if error.__cause__ is not None else ""
            return f"a watch ended, so the operator would miss events: {type(error).__name__}: {error}{because}"
    names = ", ".join(task.get_name() for task in done)
    return f"a watch ended without an error ({names}), so the operator would miss events"
