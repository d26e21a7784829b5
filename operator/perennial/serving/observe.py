"""The input of a decision about a ModelDeployment: read from the cache and parsed once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from pydantic import Field, ValidationError

from perennial.api.common.base import Digest, Model, Name, ObjectMeta, Resource, S3Uri, ShortText
from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.gateway import HTTPRoute
from perennial.api.keda import ScaledObject
from perennial.api.kubernetes import Deployment, HorizontalPodAutoscaler, Job, Pod
from perennial.api.modeldeployment.models import OciUri
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.modeldeployment.revisions import RolloutRecord
from perennial.core.decision import World
from perennial.core.kinds import (
    AUTOSCALER,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    DRIFT_MONITOR,
    HTTP_ROUTE,
    JOB,
    MODEL_DEPLOYMENT,
    NETWORK_POLICY,
    POD,
    SCALED_OBJECT,
    SERVICE,
    TRAINING_JOB,
    Key,
    Raw,
)
from perennial.core.labels import COMPONENT_LABEL, REVISION_LABEL, ROLLOUT_ANNOTATION, SERVER_COMPONENT
from perennial.core.reads import AnswerT, Poll


class ModelVersion(Model):
    """A published version. Validated, because a status that was edited by hand may contain anything."""

    uri: S3Uri | OciUri
    digest: Digest
    run: ShortText | None = None
    chain: ShortText | None = None


class _Published(Model):
    artifact: ModelVersion | None = None


class _Upstream(Model):
    status: _Published = _Published()


@dataclass(frozen=True)
class Upstream:
    """The TrainingJob of spec.model."""

    artifact: ModelVersion | None
    broken: bool = False
    """Its status.artifact is invalid."""


class Answer(Protocol):
    """Looks up the newest answer to a read."""

    def __call__(self, read: Poll[AnswerT]) -> AnswerT | None:
        """Return the answer; None before there is one."""
        ...


def _no_answer(read: Poll[AnswerT]) -> AnswerT | None:
    del read
    return None


@dataclass(frozen=True)
class Observed:
    """The resource, the TrainingJob that it follows, and its children."""

    resource: ModelDeployment
    upstream: Upstream | None
    deployments: tuple[Deployment, ...] = ()
    pods: tuple[Pod, ...] = ()
    services: tuple[ObjectMeta, ...] = ()
    autoscalers: tuple[HorizontalPodAutoscaler, ...] = ()
    scaled_objects: tuple[ScaledObject, ...] = ()
    keda: bool = True
    """The cluster has ScaledObjects."""
    policies: tuple[ObjectMeta, ...] = ()
    jobs: tuple[Job, ...] = ()
    """Jobs of gates."""
    selected: str | None = None
    """Hash of the revision that the Service selects."""
    split: bool = False
    """The Service selects the pods of all revisions."""
    route: HTTPRoute | None = None
    gateway_api: bool = True
    """The cluster has HTTPRoutes."""
    record: RolloutRecord | None = None
    """What the Service, or else the PodDisruptionBudget, records of the rollout."""
    monitors: tuple[DriftMonitor, ...] = ()
    """DriftMonitors that gates name, as far as they are valid."""
    answer: Answer = _no_answer
    """Newest answer to a read."""

    def deployment(self, name: str) -> Deployment | None:
        """Find the Deployment of a revision by its name, unless it is being deleted."""
        found = next((item for item in self.deployments if item.metadata.name == name), None)
        return found if found is not None and found.metadata.deletion_timestamp is None else None

    def pods_of(self, revision: str) -> tuple[Pod, ...]:
        """Find the pods of a revision by its hash, without those that are being deleted."""
        return tuple(
            pod
            for pod in self.pods
            if pod.metadata.labels.get(REVISION_LABEL) == revision and pod.metadata.deletion_timestamp is None
        )

    def serving_pods(self, *, without: frozenset[str]) -> tuple[Pod, ...]:
        """Find the pods of other revisions than these hashes, also those that are being deleted."""
        return tuple(
            pod
            for pod in self.pods
            if pod.metadata.labels.get(REVISION_LABEL, "") not in {"", *without}
            and pod.metadata.labels.get(COMPONENT_LABEL, SERVER_COMPONENT) == SERVER_COMPONENT
        )


class _ServiceSpec(Model):
    selector: Annotated[dict[str, str], Field(default_factory=dict)]


class _Service(Model):
    spec: _ServiceSpec


def observe(resource: ModelDeployment, world: World) -> Observed:
    """Read the resource's world from the cache."""
    meta = resource.metadata
    owner = Key(MODEL_DEPLOYMENT.kind, meta.namespace, meta.name)
    addresses = world.children(SERVICE, owner, meta.uid)
    services = _called(meta.name, addresses)
    budgets = _called(meta.name, world.children(DISRUPTION_BUDGET, owner, meta.uid))
    routes = _called(meta.name, world.children(HTTP_ROUTE, owner, meta.uid))
    return Observed(
        resource=resource,
        upstream=_upstream(resource, world),
        deployments=tuple(Deployment.model_validate(raw) for raw in world.children(DEPLOYMENT, owner, meta.uid)),
        pods=tuple(Pod.model_validate(raw) for raw in world.children(POD, owner, meta.uid)),
        services=tuple(Resource.model_validate(raw).metadata for raw in addresses),
        autoscalers=tuple(
            HorizontalPodAutoscaler.model_validate(raw) for raw in world.children(AUTOSCALER, owner, meta.uid)
        ),
        scaled_objects=tuple(
            ScaledObject.model_validate(raw) for raw in world.children(SCALED_OBJECT, owner, meta.uid)
        ),
        keda=world.serves(SCALED_OBJECT),
        policies=tuple(
            Resource.model_validate(raw).metadata for raw in world.children(NETWORK_POLICY, owner, meta.uid)
        ),
        jobs=tuple(Job.model_validate(raw) for raw in world.children(JOB, owner, meta.uid)),
        selected=_selected(services),
        split=bool(services) and _selected(services) is None,
        route=next((HTTPRoute.model_validate(raw) for raw in routes), None),
        gateway_api=world.serves(HTTP_ROUTE),
        record=next((found for raw in (*services, *budgets) if (found := _record(raw)) is not None), None),
        monitors=_monitors(resource, world),
        answer=world.answer,
    )


def _called(name: str, found: tuple[Raw, ...]) -> tuple[Raw, ...]:
    return tuple(raw for raw in found if raw["metadata"]["name"] == name)


def _selected(services: tuple[Raw, ...]) -> str | None:
    return next((_Service.model_validate(raw).spec.selector.get(REVISION_LABEL) for raw in services), None)


def _record(raw: Raw) -> RolloutRecord | None:
    """Read the record; None before the first promotion, or if it was edited into something invalid."""
    try:
        return RolloutRecord.model_validate_json((raw["metadata"].get("annotations") or {}).get(ROLLOUT_ANNOTATION, ""))
    except ValidationError:
        return None


def _upstream(resource: ModelDeployment, world: World) -> Upstream | None:
    name = resource.spec.model.training_job
    raw = world.get(TRAINING_JOB, resource.metadata.namespace, name) if name else None
    if raw is None:
        return None
    try:
        return Upstream(_Upstream.model_validate(raw).status.artifact)
    except ValidationError:
        return Upstream(None, broken=True)


def _monitors(resource: ModelDeployment, world: World) -> tuple[DriftMonitor, ...]:
    named = sorted({gate.drift.monitor for gate in resource.spec.rollout.gates if gate.drift is not None})
    found = (world.get(DRIFT_MONITOR, resource.metadata.namespace, name) for name in named)
    return tuple(monitor for raw in found if raw is not None and (monitor := _monitor(raw)) is not None)


def _monitor(raw: Raw) -> DriftMonitor | None:
    try:
        return DriftMonitor.model_validate(raw)
    except ValidationError:  # edited by hand, or written by another release
        return None


class _NamedModel(Model):
    training_job: Name | None = None


class _NamedMonitor(Model):
    monitor: Name | None = None


class _NamedGate(Model):
    drift: _NamedMonitor | None = None


class _NamedRollout(Model):
    gates: tuple[_NamedGate, ...] = ()


class _NamedSpec(Model):
    model: _NamedModel = _NamedModel()
    rollout: _NamedRollout = _NamedRollout()


class _Named(Resource):
    spec: _NamedSpec = _NamedSpec()


def names(raw: Mapping[str, Any]) -> tuple[Key, ...]:
    """Find the TrainingJob and the DriftMonitors that a raw ModelDeployment names; empty if the object is invalid."""
    try:
        read = _Named.model_validate(raw)
    except ValidationError:
        return ()
    monitors = {gate.drift.monitor for gate in read.spec.rollout.gates if gate.drift is not None}
    found = ((TRAINING_JOB, read.spec.model.training_job), *((DRIFT_MONITOR, name) for name in monitors))
    return tuple(Key(kind.kind, read.metadata.namespace, name) for kind, name in found if name)
