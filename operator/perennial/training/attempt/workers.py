"""Attempts with several workers: the pod that determines the outcome, and the slowest pod.

Any worker's failure ends the attempt. The first failure in time is the cause; later ones follow
from it, because the other workers lose their peer and the Job controller deletes the remaining
pods. A disruption is the exception: peers of a lost node fail at once, but Kubernetes reports the
node about a minute later. So the attempt counts as disrupted if any worker was.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from perennial.api.kubernetes import condition, holds
from perennial.api.trainingjob.resource import TrainingJobSpec
from perennial.core.times import moment_of, seconds_since, soonest
from perennial.core.waiting import clean
from perennial.training.attempt.outcomes import AttemptOutcome, of_code_alone, outcome_of, succeeded_alone
from perennial.training.attempt.retry import apply_exit_codes
from perennial.training.context import Context
from perennial.training.job.build import AGENT, TRAIN
from perennial.training.job.plan import Lineage
from perennial.training.observe import AttemptJob, OwnedJob, OwnedPod, leader, worker_index

STUCK_GRACE_SECONDS = 60.0
"""Seconds after the end of a deleted pod's grace period until its node counts as lost."""

NODE_GRACE_SECONDS = 90.0
"""Seconds to wait for the state of a node before a crashed worker is taken for the cause; Kubernetes needs about 50."""

_NEVER = datetime.max.replace(tzinfo=UTC)


def outcome_of_attempt(context: Context, found: AttemptJob, lineage: Lineage) -> AttemptOutcome | None:
    """Return how an attempt ended, by the spec's retry rules; None while it goes on."""
    pods = context.observed.pods_of(found.job)
    outcome = outcome_of_workers(found.job, pods, lineage, context.now)
    return apply_exit_codes(_with_limit(outcome, context.spec), context.spec.retry)


def _with_limit(outcome: AttemptOutcome | None, spec: TrainingJobSpec) -> AttemptOutcome | None:
    """Name the memory limit that the code exceeded."""
    if outcome is None or outcome.reason != "OutOfMemory" or outcome.exit_code is None:
        return outcome
    limit = ((spec.resources.limits if spec.resources is not None else None) or {}).get("memory")
    if limit is None:
        return outcome
    return replace(outcome, message=outcome.message.replace("memory limit;", f"memory limit of {limit};"))


def outcome_of_workers(
    job: OwnedJob, pods: tuple[OwnedPod, ...], lineage: Lineage, now: datetime
) -> AttemptOutcome | None:
    """Return how the attempt ended; None while it runs or the pods' final state may still arrive."""
    if job.complete:
        return outcome_of(job, leader(pods), lineage, now)
    cause = first_failed_worker(pods)
    found = outcome_of(job, cause, lineage, now)
    if found is None and job.failed is None:
        found = _of_failing(job, cause) or _of_stuck(job, pods, cause, now)
    if found is None and job.failed is None:
        found = _of_code_alone(job, pods, lineage)
    if found is not None and found.reason == "TrainingFailed" and job.spec.completions > 1:
        lost = _lost_peer(pods, cause)
        if lost is not None:
            return _with_worker(_of_lost_peer(lost, found), job, lost)
        if _may_still_be_lost(job, pods, now):
            return None
    return _with_worker(found, job, cause)


def _of_code_alone(job: OwnedJob, pods: tuple[OwnedPod, ...], lineage: Lineage) -> AttemptOutcome | None:
    """Judge by the training container if injected containers keep pods running; an output needs the publisher too."""
    failed = next((found for pod in pods if (found := of_code_alone(pod)) is not None), None)
    if failed is not None or lineage.output is not None or len(pods) < job.spec.completions:
        return failed
    return succeeded_alone(pods)


def first_failed_worker(pods: tuple[OwnedPod, ...]) -> OwnedPod | None:
    """Return the pod that failed, was disrupted or was deleted first; worker 0 if none was."""
    return min(pods, key=_first_incident, default=None)


def slowest_worker(job: OwnedJob, pods: tuple[OwnedPod, ...]) -> OwnedPod | None:
    """Return the pod that the other workers wait for; None while a worker has no pod yet."""
    if len(pods) < job.spec.completions:
        return None
    return min(pods, key=_stage, default=None)


def is_failing(job: OwnedJob) -> bool:
    """Tell whether a worker has failed and the Job is stopping the others."""
    return holds(job.status.conditions, "FailureTarget") and job.spec.completions > 1


def stuck_after(pods: tuple[OwnedPod, ...], now: datetime) -> float | None:
    """Return the seconds until a pod in deletion counts as stuck; None if none is in deletion."""
    return soonest(*(_seconds_until_stuck(pod, now) for pod in pods))


def _seconds_until_stuck(pod: OwnedPod, now: datetime) -> float | None:
    end = pod.metadata.deletion_timestamp
    if end is None or pod.status.phase in {"Failed", "Succeeded"}:
        return None
    return STUCK_GRACE_SECONDS - seconds_since(end, now, otherwise=0)


def _of_failing(job: OwnedJob, pod: OwnedPod | None) -> AttemptOutcome | None:
    """Report a disruption as soon as the Job begins to fail: when the Job has ended, the pod is gone."""
    if not is_failing(job) or pod is None or pod.disrupted is None:
        return None
    return AttemptOutcome("Disrupted", "Disrupted", f"pod disrupted: {clean(pod.disrupted)}")


def _of_stuck(
    job: OwnedJob, pods: tuple[OwnedPod, ...], cause: OwnedPod | None, now: datetime
) -> AttemptOutcome | None:
    """Report a pod that does not end after its grace period: the Job would wait for ever."""
    stuck = [pod for pod in pods if (left := _seconds_until_stuck(pod, now)) is not None and left <= 0]
    if not stuck:
        return None
    failing = condition(job.status.conditions, "FailureTarget")
    if failing is not None and (failing.reason == "DeadlineExceeded" or cause not in stuck):
        known = failing.model_copy(update={"type": "Failed", "status": "True"})
        over = job.model_copy(update={"status": job.status.model_copy(update={"conditions": (known,)})})
        found = outcome_of(over, cause, _NO_LINEAGE, now)
        if found is None or found.reason != "TrainingFailed":
            return found
    return AttemptOutcome(
        "Disrupted",
        "NodeLost",
        f"pod {stuck[0].metadata.name} has not ended within its grace period; its node is considered lost",
    )


def _lost_peer(pods: tuple[OwnedPod, ...], cause: OwnedPod | None) -> OwnedPod | None:
    """Return another worker that the cluster removed or whose node does not answer; the crash follows from it.

    The control plane notices a lost node only after its peers, which lose their connection at once.
    """
    return next((pod for pod in pods if pod is not cause and (pod.disrupted is not None or _is_silent(pod))), None)


def _is_silent(pod: OwnedPod) -> bool:
    """Tell whether a running pod is not ready: no training pod has a readiness probe, so its node is not ready."""
    ready = condition(pod.status.conditions, "Ready")
    train = pod.container(TRAIN)
    runs = pod.metadata.deletion_timestamp is None and train is not None and train.state.running is not None
    return runs and ready is not None and ready.status == "False"


def _of_lost_peer(lost: OwnedPod, crash: AttemptOutcome) -> AttemptOutcome:
    if lost.disrupted is not None:
        reason, message = "Disrupted", f"pod disrupted: {clean(lost.disrupted)}"
    else:
        reason, message = "NodeLost", f"the node of pod {lost.metadata.name} is not ready"
    return AttemptOutcome("Disrupted", reason, f"{message}; another worker then failed: {crash.message}")


def _may_still_be_lost(job: OwnedJob, pods: tuple[OwnedPod, ...], now: datetime) -> bool:
    """Tell whether a worker still runs though the Job has failed: its node may be lost, which takes a while to show."""
    failed = job.failed
    since = failed.last_transition_time if failed is not None else None
    waited = seconds_since(since, now, otherwise=NODE_GRACE_SECONDS)
    runs = any(pod.status.phase == "Running" and pod.metadata.deletion_timestamp is None for pod in pods)
    return runs and 0 <= waited < NODE_GRACE_SECONDS


_NO_LINEAGE = Lineage(image="none")
"""A failed attempt is classified without its lineage."""


def _with_worker(outcome: AttemptOutcome | None, job: OwnedJob, pod: OwnedPod | None) -> AttemptOutcome | None:
    """Add the worker's number to the message if there are several workers."""
    if outcome is None or pod is None or job.spec.completions == 1:
        return outcome
    return replace(outcome, message=f"worker {worker_index(pod)}: {outcome.message}")


def _first_incident(pod: OwnedPod) -> tuple[datetime, int, int]:
    """Return time, kind and worker number of the pod's first disruption, failure or deletion.

    Within one second, a disruption precedes a failure and both precede a deletion: after a failure
    the Job controller deletes the other pods.
    """
    moments: list[tuple[datetime, int]] = []
    disruption = condition(pod.status.conditions, "DisruptionTarget")
    if disruption is not None and disruption.status == "True":
        moments.append((_moment(disruption.last_transition_time), 0))
    moments += [
        (_moment(ended.finished_at), 1)
        for item in pod.containers
        if item.name != AGENT and (ended := item.state.terminated) is not None and ended.exit_code != 0
    ]
    if pod.status.phase == "Failed" and not moments:
        moments.append((_moment(pod.metadata.creation_timestamp), 1))
    if pod.metadata.deletion_timestamp is not None:
        grace = timedelta(seconds=pod.metadata.deletion_grace_period_seconds or 0)
        moments.append((_moment(pod.metadata.deletion_timestamp, grace), 2))
    when, kind = min(moments, default=(_NEVER, 3))
    return when, kind, worker_index(pod)


def _moment(text: str | None, before: timedelta = timedelta()) -> datetime:
    moment = moment_of(text)
    return moment - before if moment is not None else _NEVER


def _stage(pod: OwnedPod) -> tuple[int, int]:
    """Return the pod's stage (deleting, waiting, running, ended) and its worker number."""
    main = next((item for item in pod.status.container_statuses), None)
    if pod.metadata.deletion_timestamp is not None:
        stage = 0
    elif main is None or (main.state.running is None and main.state.terminated is None):
        stage = 1
    else:
        stage = 2 if main.state.running is not None else 3
    return stage, worker_index(pod)
