"""A namespace, an operator that works in it alone, and the proxy between the operator and the API server."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from perennial.core.kinds import POD, Kind
from tests.support.kube import Kube, Raw, admin, eventually
from tests.support.kubelet import Kubelet
from tests.support.operator import OperatorProcess
from tests.support.proxy import Proxy
from tools.cluster.api import Cluster

_numbers = count(1)


@dataclass(frozen=True)
class Harness:
    """What a test plays on."""

    kube: Kube
    namespace: str
    proxy: Proxy
    operator: OperatorProcess
    kubelet: Kubelet
    folder: Path

    async def create(self, kind: Kind, name: str, spec: Raw, **metadata: Any) -> Raw:
        """Create an object in the stage's namespace."""
        return await self.kube.create(kind, self.namespace, {"metadata": {"name": name, **metadata}, "spec": spec})

    async def get(self, kind: Kind, name: str) -> Raw:
        """Return an object that must be there."""
        found = await self.kube.get(kind, self.namespace, name)
        assert found is not None, f"{kind.kind} {name} is not there"
        return found

    async def all(self, kind: Kind, selector: str = "") -> list[Raw]:
        """Return the namespace's objects of a kind, by name."""
        return await self.kube.list(kind, self.namespace, selector)

    async def names(self, kind: Kind) -> list[str]:
        """Return the names of the namespace's objects of a kind."""
        return [item["metadata"]["name"] for item in await self.all(kind)]

    async def set_spec(self, kind: Kind, name: str, spec: Raw) -> Raw:
        """Merge into an object's spec."""
        return await self.kube.patch(kind, self.namespace, name, {"spec": spec})

    async def until_phase(self, kind: Kind, name: str, phase: str, seconds: float = 40) -> Raw:
        """Wait until the resource's phase of the present generation is this one; return the resource."""

        async def check() -> Raw | None:
            found = await self.get(kind, name)
            status = found.get("status", {})
            reached = status.get("observedGeneration") == found["metadata"]["generation"]
            return found if reached and status.get("phase") == phase else None

        return dict(await eventually(check, f"{kind.kind} {name} is {phase}", seconds))

    async def until_condition(self, kind: Kind, name: str, condition: str, reason: str, seconds: float = 40) -> Raw:
        """Wait until a condition has a reason; return the condition."""

        async def check() -> Raw | None:
            status = (await self.get(kind, name)).get("status", {})
            found = (item for item in status.get("conditions", []) if item["type"] == condition)
            return next((item for item in found if item["reason"] == reason), None)

        return dict(await eventually(check, f"{kind.kind} {name} has {condition} with reason {reason}", seconds))

    async def until_pods(self, selector: str, number: int = 1, seconds: float = 40) -> list[Raw]:
        """Wait until so many pods that nobody deletes carry the labels; return them."""

        async def check() -> list[Raw] | None:
            found = [pod for pod in await self.all(POD, selector) if "deletionTimestamp" not in pod["metadata"]]
            return found if len(found) == number else None

        return list(await eventually(check, f"{number} pod(s) with {selector}", seconds))


class Stages(Protocol):
    """Sets stages, one or more, within one test."""

    def __call__(
        self, config: dict[str, Any] | None = None, *, start: bool = True
    ) -> AbstractAsyncContextManager[Harness]:
        """Set one."""
        ...


@asynccontextmanager
async def staged(
    cluster: Cluster, folder: Path, config: dict[str, Any] | None = None, *, start: bool = True
) -> AsyncIterator[Harness]:
    """Set the stage with a fresh namespace; whatever happens, the operator is gone afterwards."""
    number = next(_numbers)
    place = folder / f"stage-{number}"
    place.mkdir(parents=True)
    async with (
        Kube.connected(cluster.kubeconfig) as kube,
        Proxy.running(*admin(cluster.kubeconfig)) as proxy,
    ):
        namespace = await kube.namespace(f"stage-{number}")
        settings = {"watchNamespaces": [namespace], **(config or {})}
        operator = OperatorProcess(proxy.url, place, settings, namespace=namespace)
        harness = Harness(kube, namespace, proxy, operator, Kubelet(kube), place)
        try:
            if start:
                await operator.start()
            yield harness
        except AssertionError as error:
            error.add_note("writes:\n" + "\n".join(str(write) for write in proxy.writes[-40:]))
            error.add_note(f"the operator's log ends with:\n{operator.tail()}")
            raise
        finally:
            await operator.kill()
