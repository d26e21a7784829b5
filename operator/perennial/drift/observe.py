"""Reads the state that decisions about a DriftMonitor depend on from the cache, parsed into models."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from perennial.api.common.base import Digest, Model, Name, Resource, S3Uri, ShortText
from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.kubernetes import Job, Pod
from perennial.api.modeldeployment.models import OciUri
from perennial.core.decision import World
from perennial.core.kinds import CRON_JOB, DRIFT_MONITOR, JOB, MODEL_DEPLOYMENT, POD, TRAINING_JOB, Key


class ServedModel(Model):
    """The stable model of the target."""

    uri: S3Uri | OciUri
    digest: Digest
    run: ShortText | None = None


class _Capture(Model):
    uri: S3Uri


class _TargetSpec(Model):
    capture: _Capture | None = None


class _Candidate(ServedModel):
    phase: ShortText = ""
    step: int | None = None


class _TargetStatus(Model):
    stable: ServedModel | None = None
    candidate: _Candidate | None = None


class _Target(Resource):
    spec: _TargetSpec = _TargetSpec()
    status: _TargetStatus = _TargetStatus()


@dataclass(frozen=True)
class Target:
    """The monitored ModelDeployment, as far as decisions depend on it."""

    capture: str | None = None
    """URI of captured requests. None: capture is disabled."""
    model: ServedModel | None = None
    """The model to monitor: the stable one, or the candidate of a canary. None: there is none, or its status cannot be
    parsed."""


@dataclass(frozen=True)
class Observed:
    """A DriftMonitor, its target and its children."""

    resource: DriftMonitor
    target: Target | None
    scheduled: bool = False
    """Whether its CronJob exists."""
    jobs: tuple[Job, ...] = ()
    pods: tuple[Pod, ...] = ()


def observe(resource: DriftMonitor, world: World) -> Observed:
    """Read target and children from the cache."""
    meta = resource.metadata
    owner = Key(DRIFT_MONITOR.kind, meta.namespace, meta.name)
    return Observed(
        resource=resource,
        target=_target(resource, world),
        scheduled=any(raw["metadata"]["name"] == meta.name for raw in world.children(CRON_JOB, owner, meta.uid)),
        jobs=tuple(Job.model_validate(raw) for raw in world.children(JOB, owner, meta.uid)),
        pods=tuple(Pod.model_validate(raw) for raw in world.children(POD, owner, meta.uid)),
    )


def _target(resource: DriftMonitor, world: World) -> Target | None:
    raw = world.get(MODEL_DEPLOYMENT, resource.metadata.namespace, resource.spec.target.model_deployment)
    if raw is None:
        return None
    try:
        read = _Target.model_validate(raw)
    except ValidationError:  # edited by hand, or written by another release
        return Target()
    capture = read.spec.capture.uri if read.spec.capture else None
    return Target(capture, read.status.stable if resource.spec.target.revision == "Stable" else _answering(read))


def _answering(target: _Target) -> ServedModel | None:
    """Find the candidate of a canary that answers requests."""
    candidate = target.status.candidate
    if candidate is None or candidate.phase != "Progressing" or candidate.step is None:
        return None
    return ServedModel(uri=candidate.uri, digest=candidate.digest, run=candidate.run)


class _NamedTarget(Model):
    model_deployment: Name | None = None


class _NamedRetrain(Model):
    training_job: Name | None = None


class _NamedOnDrift(Model):
    retrain: _NamedRetrain | None = None


class _NamedSpec(Model):
    target: _NamedTarget = _NamedTarget()
    on_drift: _NamedOnDrift | None = None


class _Named(Resource):
    spec: _NamedSpec = _NamedSpec()


def names(raw: Mapping[str, Any]) -> tuple[Key, ...]:
    """Keys of the ModelDeployment and TrainingJob that a raw DriftMonitor refers to; none if it cannot be parsed."""
    try:
        read = _Named.model_validate(raw)
    except ValidationError:
        return ()
    retrain = read.spec.on_drift.retrain if read.spec.on_drift else None
    found = (
        (MODEL_DEPLOYMENT, read.spec.target.model_deployment),
        (TRAINING_JOB, retrain.training_job if retrain else None),
    )
    return tuple(Key(kind.kind, read.metadata.namespace, name) for kind, name in found if name)
