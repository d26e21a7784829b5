"""Attempts with several workers: the pod that determines the outcome, and the slowest pod.

Any worker's failure ends the attempt. The first failure in time is the cause; later ones follow
from it, because the other workers lose their peer and the Job controller deletes the remaining
pods.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from perennial.api.kubernetes import condition, holds
from perennial.core.times import moment_of, seconds_since, soonest
from perennial.core.waiting import clean
from perennial.training.attempt.outcomes import AttemptOutcome, outcome_of
from perennial.training.attempt.retry import apply_exit_codes
from perennial.training.context import Context
from perennial.training.job.build import AGENT
from perennial.training.job.plan import Lineage
from perennial.training.observe import AttemptJob, OwnedJob, OwnedPod, leader, worker_index

STUCK_GRACE_SECONDS = 60.0
"""Seconds after the end of a deleted pod's grace period until its node counts as lost."""

_NEVER = datetime.max.replace(tzinfo=UTC)


def outcome_of_attempt(context: Context, found: AttemptJob, lineage: Lineage) -> AttemptOutcome | None:
    """Return how an attempt ended, by the spec's retry rules; None while it goes on."""
    pods = context.observed.pods_of(found.job)
    outcome = outcome_of_workers(found.job, pods, lineage, context.now)
    return apply_exit_codes(outcome, context.spec.retry)


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
    return _with_worker(found, job, cause)


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
        return outcome_of(over, cause, _NO_LINEAGE, now)
    return AttemptOutcome(
        "Disrupted",
        "NodeLost",
        f"pod {stuck[0].metadata.name} has not ended within its grace period; its node is considered lost",
    )


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
