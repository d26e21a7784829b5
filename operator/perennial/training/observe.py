"""Reads from the cache what a decision about a TrainingJob needs: Jobs, pods, CronJobs and DriftMonitors."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from pydantic import ValidationError

from perennial.api.common.base import Model, ObjectMeta, Resource
from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.kubernetes import Job, OwnerReference, Pod
from perennial.api.trainingjob.resource import TrainingJob
from perennial.core.decision import World
from perennial.core.kinds import CRON_JOB, DRIFT_MONITOR, JOB, MODEL_DEPLOYMENT, POD, SERVICE, TRAINING_JOB, Key, Raw
from perennial.core.labels import JOB_INDEX_KEY, PLAN_ANNOTATION
from perennial.core.reads import Read
from perennial.training.job.plan import RunPlan, numbers_of, read_plan, trial_numbers_of


class OwnedMeta(ObjectMeta):
    """Metadata with owner references."""

    owner_references: tuple[OwnerReference, ...] = ()
    deletion_grace_period_seconds: int | None = None

    def belongs_to(self, uid: str) -> bool:
        """Tell whether the object's controlling owner has this uid."""
        return any(owner.controller and owner.uid == uid for owner in self.owner_references)


class OwnedJob(Job):
    """A Job with its owner references."""

    metadata: OwnedMeta


class OwnedPod(Pod):
    """A pod with its owner references."""

    metadata: OwnedMeta


@dataclass(frozen=True)
class AttemptJob:
    """The Job of one attempt of one run."""

    number: int
    attempt: int
    job: OwnedJob
    trial: int = 0
    """Number of the trial; 0 if the run is not a sweep."""

    @cached_property
    def plan(self) -> RunPlan | None:
        """Plan of the run; None if the Job tells none. Parsed when asked for: it can be large, and Jobs many."""
        return read_plan(self.job.metadata.annotations.get(PLAN_ANNOTATION))

    @property
    def workers(self) -> int:
        """Number of pods that the Job was created with; on Jobs of earlier releases, its completions."""
        own = self.plan.spec if self.plan is not None else None
        return own.workers if own is not None else self.job.spec.completions

    @property
    def order(self) -> tuple[int, int]:
        """Run and attempt: the order in which Jobs are created. The trials of a sweep are not ordered."""
        return self.number, 0 if self.trial else self.attempt

    @property
    def deleting(self) -> bool:
        """Whether the Job is being deleted."""
        return self.job.metadata.deletion_timestamp is not None

    @property
    def ended(self) -> bool:
        """Whether the Job is complete or failed."""
        return self.job.complete or self.job.failed is not None


@dataclass(frozen=True)
class Serving:
    """What the monitored ModelDeployment serves, by digest of the model."""

    stable: str | None = None
    candidate: str | None = None
    """Model that is being rolled out."""
    rolled_out: frozenset[str] = frozenset()
    """Models whose rollout has ended: promoted, failed, aborted or rolled back."""
    follows: bool = False
    """Whether it rolls out the artifacts of this TrainingJob."""


@dataclass(frozen=True)
class RetrainRequest:
    """A DriftMonitor's request to retrain."""

    monitor: str
    verdict: str
    digest: str | None
    """Model that the verdict is about: the one that served."""
    serving: Serving = Serving()


@dataclass(frozen=True)
class Observed:
    """A TrainingJob and the objects related to it."""

    resource: TrainingJob
    jobs: tuple[AttemptJob, ...] = ()
    pods: tuple[OwnedPod, ...] = ()
    requests: tuple[RetrainRequest, ...] = ()
    cron_jobs: tuple[ObjectMeta, ...] = ()
    services: tuple[ObjectMeta, ...] = ()
    answer: Callable[[Read], str | None] = lambda _: None
    """Returns the newest response to a `Read` of this URL."""

    def job_of(self, number: int, attempt: int) -> AttemptJob | None:
        """Return the Job of an attempt; None if it does not exist or is being deleted."""
        return self.trial_job_of(number, 0, attempt)

    def trial_job_of(self, number: int, trial: int, attempt: int) -> AttemptJob | None:
        """Return the Job of a trial's attempt; None if it does not exist or is being deleted."""
        wanted = (number, trial, attempt)
        found = (item for item in self.jobs if (item.number, item.trial, item.attempt) == wanted and not item.deleting)
        return next(found, None)

    def pods_of(self, job: OwnedJob) -> tuple[OwnedPod, ...]:
        """Return the newest pod of each worker; a pod that is being deleted only if the worker has no other."""
        own = sorted((pod for pod in self.pods if pod.metadata.belongs_to(job.metadata.uid)), key=_newest_last)
        newest = {worker_index(pod): pod for pod in own}
        return tuple(newest[index] for index in sorted(newest))

    def leader_pod(self, job: OwnedJob) -> OwnedPod | None:
        """Return the pod of worker 0, which publishes the output and reports progress."""
        return leader(self.pods_of(job))


def worker_index(pod: OwnedPod) -> int:
    """Return the number of the worker, from 0, that a pod is."""
    text = pod.metadata.labels.get(JOB_INDEX_KEY, "")
    return int(text) if text.isascii() and text.isdecimal() else 0


def leader(pods: tuple[OwnedPod, ...]) -> OwnedPod | None:
    """Return the pod of worker 0."""
    return next((pod for pod in pods if worker_index(pod) == 0), None)


def observe(resource: TrainingJob, world: World) -> Observed:
    """Read the cache. Jobs that carry our labels but have another owner are left out."""
    meta = resource.metadata
    key = Key(TRAINING_JOB.kind, meta.namespace, meta.name)
    found = (_attempt_job(resource, raw) for raw in world.children(JOB, key, meta.uid))
    requests = (_retrain_request(meta.name, raw, world) for raw in world.naming(DRIFT_MONITOR, key))
    return Observed(
        resource=resource,
        jobs=tuple(item for item in found if item is not None),
        pods=tuple(OwnedPod.model_validate(raw) for raw in world.children(POD, key, meta.uid)),
        requests=tuple(item for item in requests if item is not None),
        services=tuple(Resource.model_validate(raw).metadata for raw in world.children(SERVICE, key, meta.uid)),
        cron_jobs=tuple(Resource.model_validate(raw).metadata for raw in world.children(CRON_JOB, key, meta.uid)),
        answer=world.answer,
    )


def _attempt_job(resource: TrainingJob, raw: Raw) -> AttemptJob | None:
    job = OwnedJob.model_validate(raw)
    if not job.metadata.belongs_to(resource.metadata.uid):
        return None
    owner, name = resource.metadata.name, job.metadata.name
    numbers, of_trial = numbers_of(owner, name), trial_numbers_of(owner, name)
    if of_trial is not None:
        number, trial, attempt = of_trial
        return AttemptJob(number, attempt, job, trial)
    return AttemptJob(*numbers, job) if numbers is not None else None


class _Model(Model):
    digest: str


class _Candidate(_Model):
    phase: str = "Progressing"


class _DeploymentStatus(Model):
    stable: _Model | None = None
    candidate: _Candidate | None = None
    history: tuple[_Model, ...] = ()


class _ModelSource(Model):
    training_job: str | None = None


class _DeploymentSpec(Model):
    model: _ModelSource = _ModelSource()


class _Deployment(Model):
    spec: _DeploymentSpec = _DeploymentSpec()
    status: _DeploymentStatus = _DeploymentStatus()


def _serving(training_job: str, monitor: DriftMonitor, world: World) -> Serving:
    """Return what the monitor's target serves; its newest verdict tells it if the target cannot be read."""
    verdict = monitor.status.last_verdict
    judged = Serving(stable=verdict.digest if verdict is not None else None)
    raw = world.get(MODEL_DEPLOYMENT, monitor.metadata.namespace, monitor.spec.target.model_deployment)
    try:
        target = _Deployment.model_validate(raw) if raw is not None else None
    except ValidationError:  # edited by hand, or written by another release
        return judged
    if target is None:
        return judged
    candidate, ended = target.status.candidate, [item.digest for item in target.status.history]
    failed = candidate is not None and candidate.phase == "Failed"
    if candidate is not None and failed:
        ended.append(candidate.digest)
    return Serving(
        stable=target.status.stable.digest if target.status.stable is not None else judged.stable,
        candidate=candidate.digest if candidate is not None and not failed else None,
        rolled_out=frozenset(ended),
        follows=target.spec.model.training_job == training_job,
    )


def _retrain_request(name: str, raw: Raw, world: World) -> RetrainRequest | None:
    try:
        monitor = DriftMonitor.model_validate(raw)
    except ValidationError:
        return None  # the drift controller reports it
    on_drift, request = monitor.spec.on_drift, monitor.status.retrain
    if request is None or on_drift is None or on_drift.retrain is None or on_drift.retrain.training_job != name:
        return None
    return RetrainRequest(monitor.metadata.name, request.verdict, request.digest, _serving(name, monitor, world))


def _newest_last(pod: OwnedPod) -> tuple[bool, str, str]:
    meta = pod.metadata
    return meta.deletion_timestamp is None, meta.creation_timestamp or "", meta.name
