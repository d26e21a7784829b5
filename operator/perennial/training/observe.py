"""Reads from the cache what a decision about a TrainingJob needs: Jobs, pods, CronJobs and DriftMonitors."""

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationError

from perennial.api.common.base import ObjectMeta, Resource
from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.kubernetes import Job, OwnerReference, Pod
from perennial.api.trainingjob.resource import TrainingJob
from perennial.core.decision import World
from perennial.core.kinds import CRON_JOB, DRIFT_MONITOR, JOB, POD, TRAINING_JOB, Key, Raw
from perennial.core.labels import JOB_INDEX_KEY, PLAN_ANNOTATION
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
    plan: RunPlan | None
    trial: int = 0
    """Number of the trial; 0 if the run is not a sweep."""

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
class RetrainRequest:
    """A DriftMonitor's request to retrain."""

    monitor: str
    verdict: str
    digest: str | None


@dataclass(frozen=True)
class Observed:
    """A TrainingJob and the objects related to it."""

    resource: TrainingJob
    jobs: tuple[AttemptJob, ...] = ()
    pods: tuple[OwnedPod, ...] = ()
    requests: tuple[RetrainRequest, ...] = ()
    cron_jobs: tuple[ObjectMeta, ...] = ()
    answer: Callable[[str], str | None] = lambda _: None
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
    requests = (_retrain_request(meta.name, raw) for raw in world.naming(DRIFT_MONITOR, key))
    return Observed(
        resource=resource,
        jobs=tuple(item for item in found if item is not None),
        pods=tuple(OwnedPod.model_validate(raw) for raw in world.children(POD, key, meta.uid)),
        requests=tuple(item for item in requests if item is not None),
        cron_jobs=tuple(Resource.model_validate(raw).metadata for raw in world.children(CRON_JOB, key, meta.uid)),
        answer=world.answer,
    )


def _attempt_job(resource: TrainingJob, raw: Raw) -> AttemptJob | None:
    job = OwnedJob.model_validate(raw)
    if not job.metadata.belongs_to(resource.metadata.uid):
        return None
    owner, name = resource.metadata.name, job.metadata.name
    plan = read_plan(job.metadata.annotations.get(PLAN_ANNOTATION))
    numbers, of_trial = numbers_of(owner, name), trial_numbers_of(owner, name)
    if of_trial is not None:
        number, trial, attempt = of_trial
        return AttemptJob(number, attempt, job, plan, trial)
    return AttemptJob(*numbers, job, plan) if numbers is not None else None


def _retrain_request(name: str, raw: Raw) -> RetrainRequest | None:
    try:
        monitor = DriftMonitor.model_validate(raw)
    except ValidationError:
        return None  # the drift controller reports it
    on_drift, request = monitor.spec.on_drift, monitor.status.retrain
    if request is None or on_drift is None or on_drift.retrain is None or on_drift.retrain.training_job != name:
        return None
    return RetrainRequest(monitor.metadata.name, request.verdict, request.digest)


def _newest_last(pod: OwnedPod) -> tuple[bool, str, str]:
    meta = pod.metadata
    return meta.deletion_timestamp is None, meta.creation_timestamp or "", meta.name
