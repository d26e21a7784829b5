"""Lists all objects: once at the start, and then periodically, to find what the watches missed."""

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Sequence
from random import uniform

from perennial.adapters.cluster import Cluster
from perennial.adapters.errors import ApiError
from perennial.core.kinds import OPTIONAL, RESOURCES, WATCHED_BY_LABEL, Kind
from perennial.core.labels import KIND_LABEL
from perennial.runtime.controller.engine import Engine

_log = logging.getLogger(__name__)
_FIRST_RETRY = 1.0
_LONGEST_RETRY = 30.0


class ClusterUnfit(Exception):
    """The operator cannot work with this API server; the message says what to do."""


class Resync:
    """Keeps the cache consistent with the cluster if watches miss events."""

    def __init__(
        self,
        cluster: Cluster,
        engine: Engine,
        namespaces: Sequence[str],
        *,
        every: float,
        on_done: Callable[[float], None],
        on_served: Callable[[], None] = lambda: None,
    ) -> None:
        """`every` is the period in seconds; `on_done` is called with the Unix time of each complete list.

        `on_served` is called when the API server has a kind that it did not have before.
        """
        self._cluster = cluster
        self._engine = engine
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._every = every
        self._on_done = on_done
        self._on_served = on_served

    async def first(self) -> None:
        """Fill the cache; retry until the API server is available.

        Raises:
            ClusterUnfit: the CRDs are not installed, or the operator lacks read permissions.
        """
        wait = _FIRST_RETRY
        while True:
            try:
                await self._all()
                return
            except ApiError as error:
                if error.forbidden:
                    raise ClusterUnfit(
                        f"{error}. Install the chart's RBAC, or list the namespaces that the operator may "
                        "work in under watchNamespaces"
                    ) from error
                _log.warning("the initial list failed, retry in %.0f s: %s", wait, error)
                await asyncio.sleep(wait * uniform(0.5, 1.5))  # noqa: S311 - spreads load, keeps no secret
                wait = min(_LONGEST_RETRY, wait * 2)

    async def run(self) -> None:
        """List periodically; a failure is logged, and the next period retries."""
        while True:
            await asyncio.sleep(self._every * uniform(0.9, 1.1))  # noqa: S311 - spreads load, keeps no secret
            try:
                await self._all()
            except ApiError as error:
                _log.warning("the periodic list failed; the cache is unchanged: %s", error)

    async def _all(self) -> None:
        for kind in (*RESOURCES, *WATCHED_BY_LABEL):
            for namespace in self._namespaces:
                await self._one(kind, namespace)
        # Listed objects live long. Frozen, they are skipped by full collections, which would block the event loop.
        gc.collect()
        gc.freeze()
        self._engine.requeue_all()
        self._on_done(time.time())

    async def _one(self, kind: Kind, namespace: str | None) -> None:
        selector = "" if kind in RESOURCES else KIND_LABEL
        try:
            present: set[str] = set()
            version = ""
            async for page in self._cluster.pages(kind, namespace, selector):
                self._engine.take_page(kind, page.items)
                present.update(item["metadata"]["uid"] for item in page.items)
                version = page.resource_version
        except ApiError as error:
            if error.not_found and kind in RESOURCES:
                raise ClusterUnfit(
                    f"the API server does not serve {kind.plural}.{kind.group}/{kind.version}: install the chart's "
                    "CRDs "
                    "(helm upgrade --install, or kubectl apply --server-side -f crds/), then start again"
                ) from error
            if error.not_found and kind in OPTIONAL:
                if self._engine.cache.note_served(kind, served=False):
                    _log.info("the API server does not serve %s.%s", kind.plural, kind.group)
                self._engine.end_list(kind, namespace, set(), "")
                return
            raise
        if self._engine.cache.note_served(kind, served=True):
            _log.info("the API server serves %s.%s now", kind.plural, kind.group)
            self._on_served()
        self._engine.end_list(kind, namespace, present, version)
