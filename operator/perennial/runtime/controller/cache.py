"""The cache of all watched objects: controllers read it, watch events and the operator's own writes fill it.

One event loop owns it, so it has no locks. Objects are stored compactly by `codec`, and each read returns a fresh copy.
Every change returns the keys of the resources to reconcile.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from perennial.core.kinds import Key, Kind, Raw
from perennial.core.labels import KIND_LABEL, NAME_LABEL
from perennial.runtime.controller.codec import pack, unpack
from perennial.runtime.controller.ownership import INTERMEDIATE, controller_uid, leads_to

Names = Callable[[Mapping[str, Any]], tuple[Key, ...]]
Place = tuple[str, str]
"""Namespace and name."""

_TOMBSTONES = 8192
"""Number of deleted uids to remember: more than can be deleted while a late event is in flight."""

_NOTHING: frozenset[Key] = frozenset()


@dataclass(frozen=True, slots=True)
class _Kept:
    """A stored object, with the fields that are needed without decoding it."""

    text: bytes
    uid: str
    version: int | None
    owner: frozenset[Key]
    """The owner by its labels, if that is one of the operator's resources."""
    controller: str
    """uid of the controlling owner; empty if there is none."""


@dataclass
class _Shelf:
    """The objects of one kind."""

    objects: dict[Place, _Kept] = field(default_factory=dict)
    by_owner: defaultdict[Key, set[Place]] = field(default_factory=lambda: defaultdict(set))


class Cache:
    """Objects by kind, namespace and name, with indexes by owner and by named resource."""

    def __init__(self, names: Mapping[str, Names]) -> None:
        """Take, for each of the operator's kinds, the function that returns the keys a resource names."""
        self._names = names
        self._shelves: defaultdict[str, _Shelf] = defaultdict(_Shelf)
        self._named: dict[Key, tuple[Key, ...]] = {}
        self._naming: defaultdict[Key, set[Key]] = defaultdict(set)
        self._gone: dict[str, int | None] = {}
        self._absent: set[str] = set()

    # Reading.

    def get(self, kind: Kind, namespace: str, name: str) -> Raw | None:
        """Read one object."""
        kept = self._shelves[kind.kind].objects.get((namespace, name))
        return unpack(kept.text) if kept is not None else None

    def children(self, kind: Kind, owner: Key, uid: str) -> tuple[Raw, ...]:
        """Read the objects with the owner's labels whose controller references lead to this uid, sorted by name."""
        controllers = {kept.uid: kept.controller for item in INTERMEDIATE for _, kept in self._labelled(item, owner)}
        return tuple(
            unpack(kept.text)
            for _, kept in sorted(self._labelled(kind, owner))
            if leads_to(kept.controller, uid, controllers)
        )

    def naming(self, kind: Kind, upstream: Key) -> tuple[Raw, ...]:
        """Read the resources of a kind whose spec names another resource, sorted by name."""
        objects = self._shelves[kind.kind].objects
        keys = sorted(key for key in self._naming.get(upstream, ()) if key.kind == kind.kind)
        return tuple(unpack(objects[key.namespace, key.name].text) for key in keys)

    def keys(self, kind: Kind) -> list[Key]:
        """Keys of all objects of a kind."""
        return [Key(kind.kind, *place) for place in self._shelves[kind.kind].objects]

    def counts(self) -> dict[str, int]:
        """Number of objects of each kind."""
        return {kind: len(shelf.objects) for kind, shelf in self._shelves.items()}

    def is_news(self, kind: Kind, raw: Raw) -> bool:
        """Tell whether `put` would store the object."""
        metadata = raw["metadata"]
        known = self._shelves[kind.kind].objects.get((metadata.get("namespace", ""), metadata["name"]))
        return self._is_newer(metadata, known)

    def serves(self, kind: Kind) -> bool:
        """Tell whether the API server had this kind when it was last listed."""
        return kind.kind not in self._absent

    # Writing.

    def note_served(self, kind: Kind, *, served: bool) -> bool:
        """Remember whether the API server has a kind; tell whether that is news."""
        if served is self.serves(kind):
            return False
        (self._absent.discard if served else self._absent.add)(kind.kind)
        return True

    def put(self, kind: Kind, raw: Raw) -> frozenset[Key]:
        """Store an object unless the cache has this or a newer version; return the keys to reconcile."""
        metadata = raw["metadata"]
        place = (metadata.get("namespace", ""), metadata["name"])
        shelf = self._shelves[kind.kind]
        known = shelf.objects.get(place)
        if not self._is_newer(metadata, known):
            return _NOTHING
        if known is not None:
            self._unlink(kind, place, known)
            if known.uid != metadata.get("uid", ""):
                self._bury(known.uid, known.version)
        self._gone.pop(metadata.get("uid", ""), None)
        kept = _Kept(pack(kind, raw), metadata.get("uid", ""), _version(raw), self._owner_of(raw), controller_uid(raw))
        shelf.objects[place] = kept
        return self._link(kind, place, raw, kept.owner) | (known.owner if known is not None else _NOTHING)

    def remove(self, kind: Kind, raw: Raw, *, final: bool = False) -> frozenset[Key]:
        """Remove a deleted object as of its version, but not a newer one of the same name.

        `final`: no version of this uid can appear again.
        """
        metadata = raw["metadata"]
        self._bury(metadata.get("uid", ""), None if final else _version(raw))
        place = (metadata.get("namespace", ""), metadata["name"])
        known = self._shelves[kind.kind].objects.get(place)
        if known is None or known.uid != metadata.get("uid", ""):
            return _NOTHING
        return self._drop(kind, place)

    def prune(self, kind: Kind, namespace: str | None, present: Set[str], list_version: str) -> frozenset[Key]:
        """Remove objects that a list does not contain, given its uids: an interrupted watch can miss deletions.

        Objects newer than the list are kept, since they may have been created after it.
        """
        horizon = _number(list_version)
        missing = [
            place
            for place, kept in self._shelves[kind.kind].objects.items()
            if (namespace is None or place[0] == namespace)
            and kept.uid not in present
            and not _is_after(kept.version, horizon)
        ]
        wake: set[Key] = set()
        for place in missing:
            self._bury(self._shelves[kind.kind].objects[place].uid, horizon)
            wake |= self._drop(kind, place)
        return frozenset(wake)

    # Inside.

    def _labelled(self, kind: Kind, owner: Key) -> Iterator[tuple[Place, _Kept]]:
        """Iterate over the objects with the owner's labels; another owner may have the same labels."""
        shelf = self._shelves[kind.kind]
        return ((place, shelf.objects[place]) for place in shelf.by_owner.get(owner, ()))

    def _is_newer(self, metadata: Mapping[str, Any], known: _Kept | None) -> bool:
        version = _number(metadata.get("resourceVersion"))
        uid = metadata.get("uid")
        if uid in self._gone:
            buried = self._gone[uid]
            # A child whose labels were removed leaves the watch as if deleted, and can come back in a later version.
            if version is None or buried is None or version <= buried:
                return False
        if known is None:
            return True
        return version is None or known.version is None or version > known.version

    def _drop(self, kind: Kind, place: Place) -> frozenset[Key]:
        wake = self._unlink(kind, place, self._shelves[kind.kind].objects.pop(place))
        if kind.kind in self._names:
            key = Key(kind.kind, *place)
            wake = wake | {key} | self._naming.get(key, _NOTHING)
        return wake

    def _link(self, kind: Kind, place: Place, raw: Raw, owner: frozenset[Key]) -> frozenset[Key]:
        """Add the object to the indexes; return the keys to reconcile."""
        names = self._names.get(kind.kind)
        if names is None:
            for key in owner:
                self._shelves[kind.kind].by_owner[key].add(place)
            return owner
        key = Key(kind.kind, *place)
        upstream = names(raw)
        self._named[key] = upstream
        for item in upstream:
            self._naming[item].add(key)
        return frozenset((key, *upstream, *self._naming.get(key, ())))

    def _unlink(self, kind: Kind, place: Place, kept: _Kept) -> frozenset[Key]:
        """Remove the object from the indexes; return the keys to reconcile."""
        if kind.kind in self._names:
            key = Key(kind.kind, *place)
            upstream = self._named.pop(key, ())
            for item in upstream:
                _discard(self._naming, item, key)
            return frozenset(upstream)
        for key in kept.owner:
            _discard(self._shelves[kind.kind].by_owner, key, place)
        return kept.owner

    def _owner_of(self, raw: Raw) -> frozenset[Key]:
        """Find the owner by the labels of a child or pod, if it is one of the operator's kinds."""
        metadata = raw["metadata"]
        labels = metadata.get("labels") or {}
        kind, name = labels.get(KIND_LABEL, ""), labels.get(NAME_LABEL)
        if kind not in self._names or not name:
            return _NOTHING
        return frozenset((Key(kind, metadata.get("namespace", ""), name),))

    def _bury(self, uid: str, version: int | None) -> None:
        """Remember that the uid was deleted, so that a late event does not restore it."""
        if not uid:
            return
        self._gone.pop(uid, None)
        self._gone[uid] = version
        if len(self._gone) > _TOMBSTONES:
            del self._gone[next(iter(self._gone))]


def _discard(index: defaultdict[Key, set[Any]], key: Key, member: Any) -> None:
    """Remove a member from an index, and the entry if it was the last."""
    members = index.get(key)
    if members is not None:
        members.discard(member)
        if not members:
            del index[key]


def _version(raw: Raw) -> int | None:
    return _number(raw["metadata"].get("resourceVersion"))


def _number(version: Any) -> int | None:
    """Parse a resourceVersion, which is a number in practice; None if it is not."""
    return int(version) if isinstance(version, str) and version.isdigit() else None


def _is_after(version: int | None, horizon: int | None) -> bool:
    return version is not None and horizon is not None and version > horizon
