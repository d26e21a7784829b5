"""What controllers observe: watched objects from the cache, answers from the poller."""

from dataclasses import dataclass

from perennial.core.kinds import Key, Kind, Raw
from perennial.core.reads import AnswerT, Poll
from perennial.runtime.controller.cache import Cache
from perennial.runtime.controller.polling import Poller


@dataclass(frozen=True)
class CachedWorld:
    """Implements `core.decision.World`. Every read is in memory."""

    cache: Cache
    poller: Poller

    def get(self, kind: Kind, namespace: str, name: str) -> Raw | None:
        """Read one object."""
        return self.cache.get(kind, namespace, name)

    def children(self, kind: Kind, owner: Key, uid: str) -> tuple[Raw, ...]:
        """Read the objects that belong to the resource with this uid, sorted by name."""
        return self.cache.children(kind, owner, uid)

    def naming(self, kind: Kind, upstream: Key) -> tuple[Raw, ...]:
        """Read the resources whose spec names another resource, sorted by name."""
        return self.cache.naming(kind, upstream)

    def serves(self, kind: Kind) -> bool:
        """Tell whether the API server has this kind."""
        return self.cache.serves(kind)

    def answer(self, read: Poll[AnswerT]) -> AnswerT | None:
        """Newest answer to a read; None before there is one."""
        return self.poller.answer(read)
