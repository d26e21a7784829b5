"""What controllers observe: watched objects from the cache, HTTP answers from the poller."""

from collections.abc import Callable
from dataclasses import dataclass

from perennial.core.kinds import Key, Kind, Raw
from perennial.runtime.controller.cache import Cache


@dataclass(frozen=True)
class CachedWorld:
    """Implements `core.decision.World`. Every read is in memory."""

    cache: Cache
    answers: Callable[[str], str | None]
    """Newest answer from an address that a `Read` asked for."""

    def get(self, kind: Kind, namespace: str, name: str) -> Raw | None:
        """Read one object."""
        return self.cache.get(kind, namespace, name)

    def children(self, kind: Kind, owner: Key, uid: str) -> tuple[Raw, ...]:
        """Read the objects that belong to the resource with this uid, sorted by name."""
        return self.cache.children(kind, owner, uid)

    def naming(self, kind: Kind, upstream: Key) -> tuple[Raw, ...]:
        """Read the resources whose spec names another resource, sorted by name."""
        return self.cache.naming(kind, upstream)

    def answer(self, url: str) -> str | None:
        """Read the newest answer from an address; None before there is one."""
        return self.answers(url)
