"""One store of objects with the API server's rules, and the API of the runtime on top of it.

Controllers read a `Store` directly, as a `core.decision.World`; simulations write into it. `FakeCluster` implements
`runtime.controller.api.Api` on a store, and records every write.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Self, cast

from perennial.adapters.cluster import Page, kind_of
from perennial.adapters.errors import ApiError
from perennial.core.decision import Controller
from perennial.core.kinds import RESOURCES, Key, Kind, Raw
from perennial.core.labels import KIND_LABEL, NAME_LABEL
from perennial.core.reads import AnswerT, Poll
from perennial.core.times import format_time
from perennial.drift.controller import CONTROLLER as DRIFT
from perennial.runtime.controller.ownership import controller_uid, leads_to
from perennial.serving.controller import CONTROLLER as SERVING
from perennial.training.controller import CONTROLLER as TRAINING

CONTROLLERS: dict[str, Controller[Any, Any]] = {item.kind.kind: item for item in (TRAINING, SERVING, DRIFT)}
"""The controller of each kind."""
START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def refusal(status: int, reason: str = "", message: str = "", **more: Any) -> ApiError:
    return ApiError("TEST /", status, reason or HTTPStatus(status).phrase.replace(" ", ""), message, **more)


def key_of(raw: Raw) -> Key:
    metadata = raw["metadata"]
    return Key(raw["kind"], metadata.get("namespace", "default"), metadata["name"])


@dataclass
class Store:
    """Objects by kind, namespace and name.

    Reads return the stored objects themselves, so that a test can edit them in place. Each write stores a copy under a
    new resourceVersion. An apply replaces whole lists, also those that the API server merges by key.
    """

    objects: dict[Key, Raw] = field(default_factory=dict)
    now: datetime = START
    version: int = 100
    admit: Callable[[Raw], Raw] = lambda raw: raw
    """What defaulting and webhooks make of an applied object."""
    answers: dict[str, Any] = field(default_factory=dict)
    """Answers of pods and of the Prometheus server, by address."""
    absent: set[str] = field(default_factory=set)
    """Kinds that this API server does not have."""
    applied: dict[str, dict[str, Raw]] = field(default_factory=dict)
    """The newest manifest of each field manager, by the uid of the object; `create` holds what it was created with."""

    @classmethod
    def of(cls, objects: Iterable[Raw]) -> Self:
        """Build a store of objects exactly as listed: no field is added to them."""
        return cls({key_of(raw): raw for raw in objects})

    # Reads: `core.decision.World`.

    def get(self, kind: Kind, namespace: str, name: str) -> Raw | None:
        return self.objects.get(Key(kind.kind, namespace, name))

    def children(self, kind: Kind, owner: Key, uid: str) -> tuple[Raw, ...]:
        """Objects with the owner's labels that belong to it; an object without ownerReferences does."""
        wanted = {KIND_LABEL: owner.kind, NAME_LABEL: owner.name}
        controllers = {raw["metadata"].get("uid", ""): _controller(raw, uid) for raw in self.objects.values()}
        return tuple(
            raw
            for raw in self.named(kind, owner.namespace).values()
            if wanted.items() <= raw["metadata"].get("labels", {}).items()
            and (leads_to(_controller(raw, uid), uid, controllers) or not uid)
        )

    def naming(self, kind: Kind, upstream: Key) -> tuple[Raw, ...]:
        found = self.named(kind, upstream.namespace).values()
        return tuple(raw for raw in found if upstream in CONTROLLERS[kind.kind].names(raw))

    def serves(self, kind: Kind) -> bool:
        return kind.kind not in self.absent

    def answer(self, read: Poll[AnswerT]) -> AnswerT | None:
        return cast("AnswerT | None", self.answers.get(read.address))

    # Reads of tests.

    def named(self, kind: Kind | str, namespace: str = "default") -> dict[str, Raw]:
        """All objects of a kind, by name and sorted by it."""
        wanted = kind if isinstance(kind, str) else kind.kind
        found = {key.name: raw for key, raw in self.objects.items() if (key.kind, key.namespace) == (wanted, namespace)}
        return dict(sorted(found.items()))

    def live(self, kind: str, name: str, namespace: str = "default") -> Raw:
        """One object that must exist."""
        return self.objects[Key(kind, namespace, name)]

    def remove(self, kind: str, name: str, namespace: str = "default") -> None:
        """Delete an object without preconditions, as a user does; it need not exist."""
        self.objects.pop(Key(kind, namespace, name), None)

    # Writes.

    def put(self, raw: Raw) -> Raw:
        """Store an object with all its metadata, status included, whatever was there."""
        self.version += 1
        made = {"generation": 1, "uid": f"uid-{self.version}", "creationTimestamp": format_time(self.now)}
        stored = deepcopy(raw)
        stored["metadata"] = {**made, **stored["metadata"], "resourceVersion": str(self.version)}
        self.objects[key_of(raw)] = stored
        return stored

    def update(self, raw: Raw) -> Raw:
        """Replace an existing object; a changed spec raises its generation, and an equal object is not written."""
        known = self.objects[key_of(raw)]
        if raw == known:
            return known
        edited = raw.get("spec") != known.get("spec")
        generation = known["metadata"].get("generation", 1) + int(edited)
        return self.put({**raw, "metadata": {**raw["metadata"], "generation": generation}})

    def create(self, manifest: Raw) -> Raw:
        if key_of(manifest) in self.objects:
            raise refusal(409, "AlreadyExists", "already exists")
        live = self.put(manifest)
        self.applied[live["metadata"]["uid"]] = {"create": deepcopy(manifest)}
        return live

    def apply(self, manifest: Raw, manager: str) -> Raw:
        """Server-side apply: a field that this manager leaves out now goes, unless another one holds it."""
        known, uid = self.objects.get(key_of(manifest)), manifest["metadata"].get("uid")
        if uid is not None and (known is None or known["metadata"]["uid"] != uid):
            raise refusal(409, "Conflict", "uid mismatch")
        if known is None:
            live = self.put(self.admit(manifest))
        else:
            managers = self.applied.get(known["metadata"]["uid"], {})
            held = [manifest, *(theirs for name, theirs in managers.items() if name != manager)]
            live = self.update(self.admit(_merged(_pruned(known, managers.get(manager, {}), held), manifest)))
        metadata = {key: value for key, value in manifest["metadata"].items() if key != "uid"}
        self.applied.setdefault(live["metadata"]["uid"], {})[manager] = deepcopy({**manifest, "metadata": metadata})
        return live

    def merge(self, manifest: Raw) -> Raw:
        """Merge patch, of an object that may not exist yet."""
        known = self.objects.get(key_of(manifest))
        return self.put(manifest) if known is None else self.update(_merged(known, manifest))

    def replace_status(self, resource: Raw, status: dict[str, Any]) -> Raw:
        known = self.objects.get(key_of(resource))
        if known is None:
            raise refusal(404, "NotFound")
        if known["metadata"]["resourceVersion"] != resource["metadata"]["resourceVersion"]:
            raise refusal(409, "Conflict", "the object has been modified")
        return self.update({**known, "status": status})

    def delete(self, kind: str, namespace: str, name: str, uid: str) -> Raw:
        known = self.objects.get(Key(kind, namespace, name))
        if known is None:
            raise refusal(404, "NotFound")
        if known["metadata"]["uid"] != uid:
            raise refusal(409, "Conflict", "uid precondition failed")
        del self.objects[Key(kind, namespace, name)]
        return {"kind": "Status", "status": "Success"}


@dataclass
class FakeCluster:
    """Implements `runtime.controller.api.Api` on a store. `fault` may refuse any write, given verb and kind."""

    store: Store = field(default_factory=Store)
    writes: list[tuple[str, str, str]] = field(default_factory=list)
    events: list[Raw] = field(default_factory=list)
    reads: int = 0
    fault: Callable[[str, str], ApiError | None] = lambda _verb, _kind: None

    @property
    def objects(self) -> dict[Key, Raw]:
        return self.store.objects

    def put(self, raw: Raw) -> Raw:
        """Store an object as if someone had written it; return it as it is then."""
        return deepcopy(self.store.put(_known(raw)))

    def live(self, kind: str, name: str, namespace: str = "default") -> Raw:
        return self.store.live(kind, name, namespace)

    async def get(self, kind: Kind, namespace: str, name: str) -> Raw | None:
        self.reads += 1
        return deepcopy(self.store.get(kind, namespace, name))

    async def pages(self, kind: Kind, namespace: str | None = None, selector: str = "") -> AsyncIterator[Page]:
        """Lists, of the audit log only: equalities of labels are all it asks for."""
        self.reads += 1
        wanted = dict(item.split("=", 1) for item in selector.split(",") if item)
        found = self.store.named(kind, namespace or "default").values()
        yield Page(
            [deepcopy(raw) for raw in found if wanted.items() <= raw["metadata"].get("labels", {}).items()],
            str(self.store.version),
        )

    async def create(self, manifest: Raw, manager: str) -> Raw:
        return self._send("create", manifest, lambda: self.store.create(_known(manifest)))

    async def apply(self, manifest: Raw, manager: str) -> Raw:
        return self._send("apply", manifest, lambda: self.store.apply(_known(manifest), manager))

    async def merge(self, manifest: Raw, manager: str) -> Raw:
        return self._send("merge", manifest, lambda: self.store.merge(_known(manifest)))

    async def replace_status(self, kind: Kind, resource: Raw, status: dict[str, Any]) -> Raw:
        return self._send("status", resource, lambda: self.store.replace_status(resource, status))

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> Raw:
        target = {"kind": kind.kind, "metadata": {"name": name}}
        return self._send("delete", target, lambda: self.store.delete(kind.kind, namespace, name, uid))

    async def post_event(self, event: Raw) -> None:
        self._send("create", {"kind": "Event", "metadata": event["involvedObject"]}, lambda: event)
        self.events.append(event)

    def _send(self, verb: str, raw: Raw, write: Callable[[], Raw]) -> Raw:
        """Write, and record it unless it is refused."""
        error = self.fault(verb, raw["kind"])
        if error is not None:
            raise error
        answer = deepcopy(write())
        self.writes.append((verb, raw["kind"], raw["metadata"]["name"]))
        return answer


def _known(raw: Raw) -> Raw:
    """Fail on a kind that the real client does not know either."""
    if raw["kind"] not in {kind.kind for kind in RESOURCES}:
        kind_of(raw)
    return raw


def _controller(raw: Raw, default: str) -> str:
    return controller_uid(raw) if "ownerReferences" in raw["metadata"] else default


def _merged(base: Any, patch: Any) -> Any:
    if isinstance(base, dict) and isinstance(patch, dict):
        return {**base, **{key: _merged(base.get(key), value) for key, value in patch.items()}}
    return deepcopy(patch)


def _pruned(live: Raw, before: Raw, held: list[Raw]) -> Raw:
    """Drop what was applied before and is in none of the manifests that hold fields now."""
    kept: Raw = {}
    for key, value in live.items():
        holders = [manifest[key] for manifest in held if key in manifest]
        if key in before and isinstance(value, dict) and isinstance(before[key], dict):
            inner = _pruned(value, before[key], [item for item in holders if isinstance(item, dict)])
            kept |= {key: inner} if inner or holders else {}
        elif key not in before or holders:
            kept[key] = value
    return kept
