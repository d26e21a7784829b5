"""A cluster in memory: enough of an API server to see every write, and to answer as one would."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from perennial.adapters.cluster import kind_of
from perennial.adapters.errors import ApiError
from perennial.core.kinds import Kind, Raw

Place = tuple[str, str, str]


def refusal(status: int, reason: str = "", message: str = "", **more: Any) -> ApiError:
    return ApiError("TEST /", status, reason or HTTPStatus(status).phrase.replace(" ", ""), message, **more)


@dataclass
class FakeCluster:
    """Implements `runtime.ports.Api`. `fault` may raise instead of any write, given verb and kind."""

    objects: dict[Place, Raw] = field(default_factory=dict)
    writes: list[tuple[str, str, str]] = field(default_factory=list)
    events: list[Raw] = field(default_factory=list)
    reads: int = 0
    version: int = 100
    fault: Callable[[str, str], ApiError | None] = lambda _verb, _kind: None
    mangle: Callable[[Raw], Raw] = lambda raw: raw

    def put(self, raw: Raw) -> Raw:
        """Store an object as if someone had written it; return it as it is then."""
        self.version += 1
        metadata = {"generation": 1, **raw["metadata"], "resourceVersion": str(self.version)}
        metadata.setdefault("uid", f"uid-{self.version}")
        self.objects[self._place(raw)] = {**deepcopy(raw), "metadata": metadata}
        return deepcopy(self.objects[self._place(raw)])

    def live(self, kind: str, name: str, namespace: str = "default") -> Raw:
        return self.objects[kind, namespace, name]

    async def get(self, kind: Kind, namespace: str, name: str) -> Raw | None:
        self.reads += 1
        return deepcopy(self.objects.get((kind.kind, namespace, name)))

    async def create(self, manifest: Raw, manager: str) -> Raw:
        if self._place(manifest) in self.objects:
            raise refusal(409, "AlreadyExists", "already exists")
        self._count("create", manifest)
        return self.put(manifest)

    async def apply(self, manifest: Raw, manager: str) -> Raw:
        known = self.objects.get(self._place(manifest), {})
        uid = manifest["metadata"].get("uid")
        if uid is not None and known.get("metadata", {}).get("uid") != uid:
            raise refusal(409, "Conflict", "uid mismatch")
        self._count("apply", manifest)
        return self.put(self.mangle(_merge(known, manifest)))

    async def merge(self, manifest: Raw, manager: str) -> Raw:
        self._count("merge", manifest)
        return self.put(_merge(self.objects.get(self._place(manifest), {}), manifest))

    async def replace_status(self, kind: Kind, resource: Raw, status: dict[str, Any]) -> Raw:
        self._count("status", resource)
        known = self.objects.get(self._place(resource))
        if known is None:
            raise refusal(404, "NotFound")
        if known["metadata"]["resourceVersion"] != resource["metadata"]["resourceVersion"]:
            raise refusal(409, "Conflict", "the object has been modified")
        return self.put({**known, "status": status})

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> Raw:
        place = (kind.kind, namespace, name)
        self._count("delete", {"kind": kind.kind, "metadata": {"name": name}})
        known = self.objects.get(place)
        if known is None:
            raise refusal(404, "NotFound")
        if known["metadata"]["uid"] != uid:
            raise refusal(409, "Conflict", "uid precondition failed")
        del self.objects[place]
        return {"kind": "Status", "status": "Success"}

    async def post_event(self, event: Raw) -> None:
        self._count("create", {"kind": "Event", "metadata": event["involvedObject"]})
        self.events.append(event)

    def _count(self, verb: str, raw: Raw) -> None:
        error = self.fault(verb, raw["kind"])
        if error is not None:
            raise error
        self.writes.append((verb, raw["kind"], raw["metadata"]["name"]))

    def _place(self, raw: Raw) -> Place:
        metadata = raw["metadata"]
        if raw["kind"] not in ("TrainingJob", "ModelDeployment", "DriftMonitor"):
            kind_of(raw)  # as strict about kinds as the real one
        return raw["kind"], metadata["namespace"], metadata["name"]


def _merge(base: Any, patch: Any) -> Any:
    if isinstance(base, dict) and isinstance(patch, dict):
        return {**base, **{key: _merge(base.get(key), value) for key, value in patch.items()}}
    return deepcopy(patch)
