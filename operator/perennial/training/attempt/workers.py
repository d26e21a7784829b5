"""An attempt of several workers: which pod tells how it ended, and which one the others wait for.

Any worker's failure ends the attempt. What comes first in time is the cause; the rest follows from it: others lose
their peer, and the Job controller deletes those that are left.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from perennial.api.kubernetes import condition, holds
from perennial.core.clock import moment_of, seconds_since, soonest
from perennial.core.waiting import clean
from perennial.training.attempt.outcomes import AttemptOutcome, outcome_of
from perennial.training.job.build import AGENT
from perennial.training.job.plan import Lineage
from perennial.training.observe import OwnedJob, OwnedPod, leader, worker_index

STUCK_PATIENCE = 60.0
"""Seconds beyond a deleted pod's whole grace period after which its node counts as dead."""

_NEVER = datetime.max.replace(tzinfo=UTC)


def outcome_of_gang(
    job: OwnedJob, pods: tuple[OwnedPod, ...], lineage: Lineage, now: datetime
) -> AttemptOutcome | None:
    """Return how the attempt ended; None while it goes on, or while the last word may still be under way."""
    if job.complete:
        return outcome_of(job, leader(pods), lineage, now)
    telling = culprit(pods)
    found = outcome_of(job, telling, lineage, now)
    if found is None and job.failed is None:
        found = _of_failing(job, telling) or _of_stuck(job, pods, telling, now)
    return _named(found, job, telling)


def culprit(pods: tuple[OwnedPod, ...]) -> OwnedPod | None:
    """Return the pod to which something happened first; the first worker's where nothing did."""
    return min(pods, key=_cause, default=None)


def laggard(job: OwnedJob, pods: tuple[OwnedPod, ...]) -> OwnedPod | None:
    """Return the pod that is least far: what the whole gang waits for. None while one is still to be made."""
    if len(pods) < job.spec.completions:
        return None
    return min(pods, key=_advance, default=None)


def is_failing(job: OwnedJob) -> bool:
    """Tell whether a worker has failed and the Job waits for the others to end."""
    return holds(job.status.conditions, "FailureTarget") and job.spec.completions > 1


def stuck_after(pods: tuple[OwnedPod, ...], now: datetime) -> float | None:
    """Return the seconds until a pod that is being deleted counts as stuck; None if none is being deleted."""
    return soonest(*(_left(pod, now) for pod in pods))


def _left(pod: OwnedPod, now: datetime) -> float | None:
    end = pod.metadata.deletion_timestamp
    if end is None or pod.status.phase in {"Failed", "Succeeded"}:
        return None
    return STUCK_PATIENCE - seconds_since(end, now, otherwise=0)


def _of_failing(job: OwnedJob, pod: OwnedPod | None) -> AttemptOutcome | None:
    """The Job has begun to fail: a disruption is told at once, since its pod is gone when the Job has ended."""
    if not is_failing(job) or pod is None or pod.disrupted is None:
        return None
    return AttemptOutcome("Disrupted", "Disrupted", f"the cluster took the pod away: {clean(pod.disrupted)}")


def _of_stuck(
    job: OwnedJob, pods: tuple[OwnedPod, ...], telling: OwnedPod | None, now: datetime
) -> AttemptOutcome | None:
    """A pod that does not end after its grace period lies on a dead node; the Job would wait for it for ever."""
    stuck = [pod for pod in pods if (left := _left(pod, now)) is not None and left <= 0]
    if not stuck:
        return None
    failing = condition(job.status.conditions, "FailureTarget")
    if failing is not None and (failing.reason == "DeadlineExceeded" or telling not in stuck):
        known = failing.model_copy(update={"type": "Failed", "status": "True"})
        over = job.model_copy(update={"status": job.status.model_copy(update={"conditions": (known,)})})
        return outcome_of(over, telling, _NO_LINEAGE, now)
    return AttemptOutcome(
        "Disrupted",
        "NodeLost",
        f"pod {stuck[0].metadata.name} was to end and does not: its node is taken for dead, and the pod left to it",
    )


_NO_LINEAGE = Lineage(image="none")
"""A failure is told without it."""


def _named(outcome: AttemptOutcome | None, job: OwnedJob, pod: OwnedPod | None) -> AttemptOutcome | None:
    """Say which worker it was, where there are several."""
    if outcome is None or pod is None or job.spec.completions == 1:
        return outcome
    return replace(outcome, message=f"worker {worker_index(pod)}: {outcome.message}")


def _cause(pod: OwnedPod) -> tuple[datetime, int, int]:
    """Return when something happened to the pod first, what that was, and the worker's number.

    Of one second, a disruption goes before a failure, and both before a deletion: that is how the Job controller
    answers a failure.
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
    when, what = min(moments, default=(_NEVER, 3))
    return when, what, worker_index(pod)


def _moment(text: str | None, before: timedelta = timedelta()) -> datetime:
    moment = moment_of(text)
    return moment - before if moment is not None else _NEVER


def _advance(pod: OwnedPod) -> tuple[int, int]:
    """Return how far a pod is: leaving, waiting, running, ended; of equal ones the first worker's."""
    main = next((item for item in pod.status.container_statuses), None)
    if pod.metadata.deletion_timestamp is not None:
        stage = 0
    elif main is None or (main.state.running is None and main.state.terminated is None):
        stage = 1
    else:
        stage = 2 if main.state.running is not None else 3
    return stage, worker_index(pod)
