"""Everything in a namespace that commands show, read once and parsed."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import BeforeValidator, ValidationError

from perennial.api.common.base import Model, ObjectMeta, Resource
from perennial.api.common.status import BaseStatus
from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.kubernetes import Deployment, Job, Pod
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.trainingjob.resource import TrainingJob
from perennial.cli.cluster import Cluster
from perennial.cli.errors import CliError
from perennial.core.kinds import (
    DEPLOYMENT,
    DRIFT_MONITOR,
    EVENT,
    JOB,
    MODEL_DEPLOYMENT,
    POD,
    TRAINING_JOB,
    Key,
    Kind,
    Raw,
)
from perennial.core.labels import KIND_LABEL, NAME_LABEL

AnyResource = TrainingJob | ModelDeployment | DriftMonitor
ModelT = TypeVar("ModelT", bound=Model)


class _Reference(Model):
    kind: str = ""
    name: str = ""


class Event(Model):
    """An Event about an object."""

    metadata: ObjectMeta
    type: str = "Normal"
    reason: str = ""
    message: str = ""
    last_timestamp: str | None = None
    event_time: str | None = None
    count: Annotated[int, BeforeValidator(lambda value: value or 1)] = 1
    involved_object: _Reference = _Reference()

    @property
    def time(self) -> str:
        """When it was last seen; empty if unknown."""
        return self.last_timestamp or self.event_time or self.metadata.creation_timestamp or ""


class _Invalid(Resource):
    """A resource whose spec this release cannot read; the operator says so in its conditions."""

    status: BaseStatus = BaseStatus()


@dataclass(frozen=True)
class Snapshot:
    """The resources of a namespace, what belongs to them, and the Events."""

    namespace: str
    training_jobs: tuple[TrainingJob, ...] = ()
    model_deployments: tuple[ModelDeployment, ...] = ()
    drift_monitors: tuple[DriftMonitor, ...] = ()
    jobs: tuple[Job, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    pods: tuple[Pod, ...] = ()
    events: tuple[Event, ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()
    """Kind and name of resources that this release cannot parse."""

    @property
    def resources(self) -> tuple[tuple[Key, AnyResource], ...]:
        """All resources with their keys."""
        named: tuple[tuple[Kind, Iterable[AnyResource]], ...] = (
            (TRAINING_JOB, self.training_jobs),
            (MODEL_DEPLOYMENT, self.model_deployments),
            (DRIFT_MONITOR, self.drift_monitors),
        )
        return tuple(
            (Key(kind.kind, item.metadata.namespace, item.metadata.name), item)
            for kind, items in named
            for item in items
        )

    def resource(self, key: Key) -> AnyResource | None:
        """Find a resource."""
        return next((item for found, item in self.resources if found == key), None)

    def pods_of(self, key: Key) -> tuple[Pod, ...]:
        """Pods that carry the labels of a resource."""
        return tuple(pod for pod in self.pods if _belongs(pod.metadata, key))

    def jobs_of(self, key: Key) -> tuple[Job, ...]:
        """Jobs that carry the labels of a resource, oldest first."""
        found = (job for job in self.jobs if _belongs(job.metadata, key))
        return tuple(sorted(found, key=lambda job: job.metadata.creation_timestamp or ""))

    def events_of(self, kind: str, name: str) -> tuple[Event, ...]:
        """Events about an object, oldest first."""
        found = (item for item in self.events if (item.involved_object.kind, item.involved_object.name) == (kind, name))
        return tuple(sorted(found, key=lambda item: item.time))


def _belongs(meta: ObjectMeta, key: Key) -> bool:
    return (meta.labels.get(KIND_LABEL), meta.labels.get(NAME_LABEL)) == (key.kind, key.name)


def read_snapshot(cluster: Cluster) -> Snapshot:
    """Read a namespace. Events are left out where the user may not read them."""
    unreadable: list[tuple[str, str]] = []

    def resources(kind: Kind, model: type[ModelT]) -> tuple[ModelT, ...]:
        return tuple(_parsed(cluster.list(kind), model, kind, unreadable))

    def children(kind: Kind, model: type[ModelT]) -> tuple[ModelT, ...]:
        return tuple(model.model_validate(raw) for raw in cluster.list(kind, selector=KIND_LABEL))

    return Snapshot(
        namespace=cluster.namespace,
        training_jobs=resources(TRAINING_JOB, TrainingJob),
        model_deployments=resources(MODEL_DEPLOYMENT, ModelDeployment),
        drift_monitors=resources(DRIFT_MONITOR, DriftMonitor),
        jobs=children(JOB, Job),
        deployments=children(DEPLOYMENT, Deployment),
        pods=children(POD, Pod),
        events=_events(cluster),
        unreadable=tuple(unreadable),
    )


def _parsed(
    found: Iterable[Raw], model: type[ModelT], kind: Kind, unreadable: list[tuple[str, str]]
) -> Iterable[ModelT]:
    for raw in found:
        try:
            yield model.model_validate(raw)
        except ValidationError:
            unreadable.append((kind.kind, str(raw["metadata"]["name"])))


def _events(cluster: Cluster) -> tuple[Event, ...]:
    try:
        return tuple(Event.model_validate(raw) for raw in cluster.list(EVENT))
    except CliError:
        return ()


def find_key(text: str, snapshot: Snapshot) -> Key:
    """Resolve `kind/name`, with short names such as `tj/churn`, or a name alone if it is unique.

    Raises:
        CliError: there is no such resource, or several have the name.
    """
    kind, _, name = text.rpartition("/")
    keys = [key for key, _ in snapshot.resources if key.name == name]
    if kind:
        wanted = kind_of(kind)
        keys = [key for key in keys if key.kind == wanted.kind]
    if len(keys) == 1:
        return keys[0]
    if keys:
        choices = " or ".join(f"{key.kind.lower()}/{key.name}" for key in keys)
        raise CliError(f"{name} is the name of several resources: say {choices}")
    broken = [f"{found}/{other}" for found, other in snapshot.unreadable if other == name]
    if broken:
        raise CliError(f"{broken[0]} has fields that this release cannot read: kubectl describe {broken[0].lower()}")
    known = ", ".join(f"{key.kind.lower()}/{key.name}" for key, _ in snapshot.resources) or "none"
    raise CliError(f"namespace {snapshot.namespace} has no {text}; it has: {known}")


def kind_of(text: str) -> Kind:
    """Resolve a kind by name, plural or short name.

    Raises:
        CliError: it is none of ours.
    """
    aliases = {"tj": TRAINING_JOB, "md": MODEL_DEPLOYMENT, "dm": DRIFT_MONITOR}
    for short, kind in aliases.items():
        if text.lower() in {short, kind.kind.lower(), kind.plural}:
            return kind
    raise CliError(f"unknown kind {text}: use trainingjob (tj), modeldeployment (md) or driftmonitor (dm)")
