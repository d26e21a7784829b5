"""What the cluster knows when the demo waits in vain: conditions, pods, warnings, and the one log that matters."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perennial.api.common.base import Model
from perennial.api.common.status import BaseStatus
from perennial.api.kubernetes import ContainerStatus, Pod
from tools.cluster.errors import ClusterError
from tools.demo.kubectl import Kubectl

Raw = Mapping[str, Any]

RESOURCES = "trainingjobs,modeldeployments,driftmonitors"
_LOG_LINES = 15
_MOST_WARNINGS = 6
_WAITS_ITS_TURN = frozenset({"PodInitializing", "ContainerCreating", ""})
_BAD_IF_TRUE = frozenset({"Stalled", "RolloutFailed", "RetrainFailed", "Failed"})


@dataclass(frozen=True)
class Trouble:
    """A container, or a whole pod, that does not do well."""

    pod: str
    container: str
    why: str
    ended: bool = False

    def __str__(self) -> str:
        """Return the line that is shown."""
        where = f"{self.pod}, container {self.container}" if self.container else self.pod
        return f"{where}: {self.why}"


class Involved(Model):
    """What an Event is about."""

    kind: str = ""
    name: str = ""


class Event(Model):
    """The part of an Event that is shown."""

    type: str = ""
    reason: str = ""
    message: str = ""
    involved_object: Involved = Involved()
    last_timestamp: str | None = None


def report(kubectl: Kubectl, namespace: str) -> str:
    """Return what a person would look at first; never raises, since something has failed already."""
    found = troubles(_items(kubectl, "pods", namespace))
    sections = (
        ("conditions", conditions(_items(kubectl, RESOURCES, namespace))),
        ("pods", [str(item) for item in found]),
        ("last warnings", warnings(_items(kubectl, "events", namespace))),
    )
    lines = [line for title, texts in sections for line in _section(title, texts)]
    worst = culprit(found)
    if worst is not None:
        lines += _section(f"log of pod {worst.pod}, container {worst.container}", _log(kubectl, namespace, worst))
    return "\n".join(lines) or "  the cluster tells neither a condition, a pod nor a warning"


def conditions(resources: Iterable[Raw]) -> list[str]:
    """Return the conditions that keep a resource from being done."""
    return [
        f"{item['kind']} {item['metadata']['name']}: {one.type}={one.status} ({one.reason}) {one.message}"
        for item in resources
        for one in BaseStatus.model_validate(item.get("status", {})).conditions
        if (one.type == "Ready" and one.status != "True") or (one.type in _BAD_IF_TRUE and one.status == "True")
    ]


def troubles(pods: Iterable[Raw]) -> list[Trouble]:
    """Return what does not do well, pod by pod."""
    return [found for raw in pods for found in _of_pod(Pod.model_validate(raw))]


def culprit(found: Sequence[Trouble]) -> Trouble | None:
    """Return the container whose log says most: the first one that ended badly."""
    return next((item for item in found if item.ended), None)


def warnings(events: Iterable[Raw]) -> list[str]:
    """Return the last warnings, oldest first, each text once."""
    parsed = sorted((Event.model_validate(item) for item in events), key=lambda item: item.last_timestamp or "")
    texts = [
        f"{item.involved_object.kind} {item.involved_object.name}: {item.reason}: {item.message}"
        for item in parsed
        if item.type == "Warning"
    ]
    newest_first = list(dict.fromkeys(reversed(texts)))
    return newest_first[:_MOST_WARNINGS][::-1]


def _of_pod(pod: Pod) -> list[Trouble]:
    name = pod.metadata.name
    if pod.unschedulable is not None:
        return [Trouble(name, "", f"no node takes it: {pod.unschedulable}")]
    return [found for status in pod.containers if (found := _of_container(name, status)) is not None]


def _of_container(pod: str, status: ContainerStatus) -> Trouble | None:
    ended = status.ended
    if ended is not None and ended.exit_code != 0:
        said = f": {ended.message.strip()}" if ended.message.strip() else ""
        return Trouble(pod, status.name, f"ended with exit code {ended.exit_code} ({ended.reason}){said}", ended=True)
    waits = status.state.waiting
    if waits is not None and waits.reason not in _WAITS_ITS_TURN:
        return Trouble(pod, status.name, f"waits ({waits.reason}): {waits.message}")
    if status.state.running is not None and not status.ready:
        return Trouble(pod, status.name, "runs, but is not ready")
    return None


def _log(kubectl: Kubectl, namespace: str, worst: Trouble) -> list[str]:
    """Return the end of a container's log: of the life before its restart, where there was one."""
    asked = ("logs", worst.pod, "-c", worst.container, "-n", namespace, f"--tail={_LOG_LINES}")
    try:
        texts = [kubectl.attempt(*asked, "--previous").stdout, kubectl.attempt(*asked).stdout]
    except ClusterError:
        return []
    return next((text.splitlines() for text in texts if text.strip()), [])


def _section(title: str, texts: Sequence[str]) -> list[str]:
    return [f"  {title}:", *(f"    | {text[:300]}" for text in texts)] if texts else []


def _items(kubectl: Kubectl, kinds: str, namespace: str) -> list[Raw]:
    try:
        return list((kubectl.get(kinds, "-n", namespace) or {}).get("items", []))
    except ClusterError:
        return []
