"""One namespace of the stage, as a test uses it: resources in short, and waiting for what they say."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from perennial.core.kinds import EVENT, MODEL_DEPLOYMENT, TRAINING_JOB, Kind, Raw
from tests.e2e.support.site import ENDPOINT, KEYS, Site
from tests.support.kube import Kube, Refused, eventually, path_of

SECRET = Kind("", "v1", "Secret", "secrets")
NAMESPACE = Kind("", "v1", "Namespace", "namespaces", namespaced=False)

STORAGE_FIELD = {"endpoint": ENDPOINT, "secretName": "s3", "addressing": "path"}
SLEEP = ["sh", "-c", "trap 'exit 0' TERM; sleep 600 & wait"]
"""Code that runs until it is told to end, and then ends at once."""


@dataclass(frozen=True)
class World:
    """A namespace."""

    site: Site
    kube: Kube
    namespace: str

    async def prepare(self) -> "World":
        """Make the namespace with the Secrets of storage; one that is there is fine."""
        found = {item["metadata"]["name"] for item in await self.kube.list(NAMESPACE)}
        if self.namespace not in found:
            await self.kube.namespace(self.namespace)
            await self.kube.create(SECRET, self.namespace, {"metadata": {"name": "s3"}, "stringData": KEYS})
        return self

    # Writing.

    def training(self, name: str, code: str | None = None, **fields: Any) -> Raw:
        """Return a TrainingJob that runs a line of Python, tries once, and publishes."""
        spec = {
            "image": self.site.demo.name,
            "command": ["python3", "-c", code] if code is not None else SLEEP,
            "output": {"uri": f"s3://models/{self.namespace}/{name}/"},
            "storage": STORAGE_FIELD,
            "retry": {"limit": 0},
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "512Mi"}},
            **fields,
        }
        return {
            "metadata": {"name": name},
            "spec": {key: value for key, value in spec.items() if value is not None},
        }

    async def train(self, name: str, code: str | None = None, **fields: Any) -> Raw:
        """Create such a TrainingJob."""
        return await self.kube.create(TRAINING_JOB, self.namespace, self.training(name, code, **fields))

    async def serve(self, name: str, **fields: Any) -> Raw:
        """Create a ModelDeployment."""
        spec = {"storage": STORAGE_FIELD, **fields}
        return await self.kube.create(MODEL_DEPLOYMENT, self.namespace, {"metadata": {"name": name}, "spec": spec})

    async def change(self, kind: Kind, name: str, **fields: Any) -> Raw:
        """Merge fields into a resource's spec."""
        return await self.kube.patch(kind, self.namespace, name, {"spec": fields})

    # Reading.

    async def status(self, kind: Kind, name: str) -> Raw:
        """Return a resource's status; empty before there is any."""
        found = await self.kube.get(kind, self.namespace, name)
        return dict((found or {}).get("status") or {})

    async def until(self, kind: Kind, name: str, holds: Callable[[Raw], Any], what: str, seconds: float = 120) -> Raw:
        """Return the status once something holds of it."""
        last: Raw = {}

        async def check() -> Raw | None:
            nonlocal last
            last = await self.status(kind, name)
            return last if holds(last) else None

        try:
            return dict(await eventually(check, f"{kind.kind} {name}: {what}", seconds, 0.3))
        except AssertionError as error:
            raise AssertionError(f"{error}; its conditions: {brief(last)}") from None

    async def condition(
        self, kind: Kind, name: str, type_: str, reason: str, *, seconds: float = 120, status: str = "True"
    ) -> str:
        """Return the message of a condition once it has that status and reason."""
        wanted = f"{type_}={status} with reason {reason}"
        found = await self.until(kind, name, lambda now: condition(now, type_, status, reason), wanted, seconds)
        return str(condition(found, type_, status, reason)["message"])

    async def succeeded(self, name: str, runs: int = 1, seconds: float = 150) -> Raw:
        """Return a TrainingJob's status once so many runs have ended, the newest of them well."""
        found = await self.until(
            TRAINING_JOB, name, lambda now: len(now.get("runs", ())) >= runs, f"{runs} runs have ended", seconds
        )
        assert found["runs"][0]["result"] == "Succeeded", found["runs"][0]
        return found

    async def gone(self, kind: Kind, name: str, seconds: float = 60) -> None:
        """Wait until an object is gone."""

        async def check() -> bool:
            return await self.kube.get(kind, self.namespace, name) is None

        await eventually(check, f"{kind.kind} {name} is gone", seconds, 0.3)

    async def children(self, kind: Kind, name: str, owner: str = "TrainingJob") -> list[Raw]:
        """Return what belongs to a resource."""
        return await self.kube.list(kind, self.namespace, f"perennial.dev/kind={owner},perennial.dev/name={name}")

    async def events(self, name: str) -> list[str]:
        """Return the reasons of the Events about a resource."""
        found = await self.kube.list(EVENT, self.namespace)
        return [item["reason"] for item in found if item["involvedObject"]["name"] == name]

    async def log(self, pod: str, container: str) -> str:
        """Return a container's log, or nothing where there is none."""
        path = path_of(Kind("", "v1", "Pod", "pods"), self.namespace, pod, "log")
        try:
            return str(await self.kube.request("GET", f"{path}?container={container}"))
        except Refused:
            return ""


def condition(status: Raw, type_: str, wanted: str = "True", reason: str | None = None) -> Raw:
    """Return a condition that has a status and a reason, or nothing."""
    for item in status.get("conditions", ()):
        if item["type"] == type_ and item["status"] == wanted and reason in (None, item["reason"]):
            return dict(item)
    return {}


def brief(status: Raw) -> str:
    """Return the conditions in a line."""
    found = (
        f"{item['type']}={item['status']} {item['reason']}: {item['message']}" for item in status.get("conditions", ())
    )
    return " | ".join(found) or "none"


async def within(check: Callable[[], Awaitable[Any]], what: str, seconds: float = 60) -> Any:
    """Wait for something outside of a status."""
    return await eventually(check, what, seconds, 0.3)
