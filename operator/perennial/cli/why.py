"""Finds the first cause of a resource's state: across the resources that it waits for, its pods and their Events."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from perennial.api.common.status import Condition
from perennial.api.kubernetes import Pod
from perennial.cli.loop import upstreams
from perennial.cli.snapshot import AnyResource, Event, Snapshot
from perennial.core.conditions import READY, RECONCILING, STALLED, find
from perennial.core.kinds import Key
from perennial.core.reasons import ReasonDoc
from perennial.drift import reasons as drift
from perennial.serving import reasons as serving
from perennial.training import reasons as training

_FAILURES = ("RolloutFailed", "RetrainFailed", "Failed")
"""Conditions that are True when something failed although the resource still serves."""
_EVENTS = 3
_WAITS_UPSTREAM = frozenset({serving.WAITING_FOR_MODEL, drift.TARGET_NOT_READY, drift.REFERENCE_UNKNOWN})
"""Reasons whose cause lies in a resource that this one reads."""

_TABLES: dict[str, tuple[ReasonDoc, ...]] = {
    "TrainingJob": training.REASONS,
    "ModelDeployment": serving.REASONS,
    "DriftMonitor": drift.REASONS,
}


@dataclass(frozen=True)
class Link:
    """One step from a symptom to its cause."""

    object: str
    reason: str
    message: str
    next_step: str = ""
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """The chain from a resource to the first cause: its last link. Empty if nothing is wrong."""

    object: str
    well: bool
    links: tuple[Link, ...]

    def dump(self) -> dict[str, Any]:
        """JSON form."""
        return {"object": self.object, "well": self.well, "links": [asdict(link) for link in self.links]}


def why(key: Key, snapshot: Snapshot) -> Answer:
    """Follow the chain from a resource to its first cause."""
    links: list[Link] = []
    seen: set[Key] = set()
    here: Key | None = key
    while here is not None and here not in seen:
        seen.add(here)
        resource = snapshot.resource(here)
        if resource is None:
            missing = f"namespace {snapshot.namespace} has no {here.kind} {here.name}"
            links.append(Link(_title(here), "NotFound", missing, "Create it, or correct the name that refers to it."))
            break
        decisive = deciding_condition(resource)
        if decisive is None:
            break
        links.append(_link(here, decisive, snapshot))
        here = _upstream(here, resource, decisive)
    return Answer(_title(key), not links, tuple(links))


def deciding_condition(resource: AnyResource) -> Condition | None:
    """The condition that says what is wrong, or None if the resource is ready and nothing failed.

    A resource without conditions was not looked at yet.
    """
    conditions = resource.status.conditions
    if not conditions:
        return Condition(
            type=READY,
            status="Unknown",
            last_transition_time="",
            reason="NotObserved",
            message="the operator has not looked at it yet",
        )
    for kind in (STALLED, RECONCILING):
        found = find(conditions, kind)
        if found is not None and found.status == "True":
            return found
    ready = find(conditions, READY)
    if ready is None or ready.status != "True":
        return ready
    failed = (find(conditions, kind) for kind in _FAILURES)
    return next((item for item in failed if item is not None and item.status == "True"), None)


def _link(key: Key, decisive: Condition, snapshot: Snapshot) -> Link:
    pods = snapshot.pods_of(key)
    evidence = (*_pod_evidence(pods), *_event_evidence(key, pods, snapshot))
    return Link(_title(key), decisive.reason, decisive.message, next_step_of(key.kind, decisive.reason), evidence)


def next_step_of(kind: str, reason: str) -> str:
    """Next step of a documented reason."""
    if reason == "NotObserved":
        return (
            "Check that the operator runs and watches this namespace: "
            "kubectl get deployment -A -l app.kubernetes.io/name=perennial"
        )
    return next((doc.next_step for doc in _TABLES[kind] if doc.reason == reason), "")


def _upstream(key: Key, resource: AnyResource, decisive: Condition) -> Key | None:
    """The resource that this one waits for."""
    if decisive.reason not in _WAITS_UPSTREAM:
        return None
    return next(iter(upstreams(key, resource)), None)


def _pod_evidence(pods: Iterable[Pod]) -> list[str]:
    """What pods themselves say: not scheduled, waiting, ended with an error."""
    found = []
    for pod in pods:
        if pod.unschedulable:
            found.append(f"pod {pod.metadata.name} has no node: {pod.unschedulable}")
        for container in pod.containers:
            waiting, ended = container.state.waiting, container.ended
            if waiting is not None and waiting.message:
                found.append(f"pod {pod.metadata.name}, {container.name}: {waiting.reason}: {waiting.message}")
            elif ended is not None and ended.exit_code:
                told = f": {ended.message.strip()[:300]}" if ended.message and not ended.message.startswith("{") else ""
                found.append(f"pod {pod.metadata.name}, {container.name} ended with {ended.exit_code}{told}")
    return found[:_EVENTS]


def _event_evidence(key: Key, pods: tuple[Pod, ...], snapshot: Snapshot) -> list[str]:
    """The newest warnings about the resource, its Jobs and its pods, each text once."""
    about = [(key.kind, key.name), *(("Pod", pod.metadata.name) for pod in pods)]
    about += [("Job", job.metadata.name) for job in snapshot.jobs_of(key)]
    events = (event for kind, name in about for event in snapshot.events_of(kind, name) if event.type == "Warning")
    newest = sorted(events, key=lambda event: event.time, reverse=True)
    return list(dict.fromkeys(_event_text(event) for event in newest))[:_EVENTS]


def _event_text(event: Event) -> str:
    times = f" ({event.count} times)" if event.count > 1 else ""
    return f"{event.involved_object.kind} {event.involved_object.name}: {event.reason}: {event.message.strip()}{times}"


def _title(key: Key) -> str:
    return f"{key.kind.lower()}/{key.name}"
