"""Tells what an attempt that has not ended is doing, and why it waits.

Quiet on purpose: what passes by itself within a minute is not worth a write, so a healthy run goes from Starting to
Running and to its end, and the rest shows only when it lasts or when a person should look.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from perennial.api.kubernetes import ContainerStatus, Job, Pod, condition
from perennial.api.trainingjob.resource import CurrentRun
from perennial.core.clock import seconds_since
from perennial.core.problem import Problem
from perennial.core.waiting import IMAGE_PULL_FAILED, UNSCHEDULABLE, waiting_problem
from perennial.training.attempt.outcomes import AttemptOutcome, of_agent
from perennial.training.job.build import AGENT, FETCH, TRAIN
from perennial.training.job.prepare import step_of

PULL_PATIENCE = 600.0
"""Seconds after which an image that cannot be pulled fails the run: registries have short outages."""

UNSCHEDULABLE_PATIENCE = 10.0
LASTING = 60.0
START_PATIENCE = 120.0
POD_PATIENCE = 30.0
"""Seconds after which a Job that still has no pod is worth a word; a thousand Jobs at once are served within it."""

MOST_CRASHES = 3


@dataclass(frozen=True)
class Progress:
    """What an attempt is doing."""

    reason: str
    message: str
    running: bool = False
    waiting: bool = False
    """A wait that a person may have to end: worth an Event."""
    look_after: float | None = None
    """Seconds after which the same pod would be told of differently."""
    hopeless: AttemptOutcome | None = None
    """Set when the pod can never start and the attempt is to be given up."""


def starting(run: CurrentRun) -> Progress:
    """Return the progress of an attempt whose pod is still unseen, or is starting as pods do."""
    if run.last_failure:
        return Progress("Retrying", f"attempt {run.attempt + 1} of run {run.name}, after: {run.last_failure}")
    return Progress("Starting", f"run {run.name} is starting")


def queued(run: CurrentRun, queue: str) -> Progress:
    """Return the progress of an attempt that waits for quota."""
    after = f", after: {run.last_failure}" if run.last_failure else ""
    return Progress(
        "Queued",
        f"attempt {run.attempt + 1} of run {run.name} waits in queue {queue} for quota{after}; kubectl describe "
        "workloads tells what it waits for (none there: is Kueue installed, and does the LocalQueue exist?)",
    )


def progress_of(run: CurrentRun, job: Job, pod: Pod | None, now: datetime) -> Progress:
    """Return what the attempt's pod is doing."""
    if pod is None:
        return _without_pod(run, job, now)
    if pod.metadata.deletion_timestamp is not None:
        return starting(run)
    train = pod.container(TRAIN)
    if train is not None and train.state.terminated is not None:
        return _publishing(run, pod, train, now)
    if train is not None and train.state.running is not None:
        return _running(run)
    return _waiting(run, pod, now)


def _without_pod(run: CurrentRun, job: Job, now: datetime) -> Progress:
    """The Job controller has made no pod: in a moment it will, or admission refuses it time and again.

    A Job has no condition for that, only Events; so the likely causes are named, and where to read the very one.
    """
    since = job.status.start_time or job.metadata.creation_timestamp
    left = POD_PATIENCE - seconds_since(since, now, otherwise=0)
    if left > 0:
        return replace(starting(run), look_after=left)
    name = job.metadata.name
    lacks = "had no pod" if job.spec.completions == 1 else "lacked pods of its workers"
    return Progress(
        "PodNotCreated",
        f"Job {name} has {lacks} for {POD_PATIENCE:.0f} s: a quota, a LimitRange, the namespace's Pod Security "
        f"level or a missing ServiceAccount refuses it; kubectl describe job {name} tells which",
        waiting=True,
    )


def _running(run: CurrentRun) -> Progress:
    return Progress("Running", f"attempt {run.attempt + 1} of run {run.name} is training", running=True)


def _publishing(run: CurrentRun, pod: Pod, train: ContainerStatus, now: datetime) -> Progress:
    """The code has ended; the sidecar publishes. Worth telling when it takes long."""
    ended = train.state.terminated
    agent = pod.container(AGENT)
    if ended is None or agent is None or agent.state.running is None:
        return _running(run)
    left = LASTING - seconds_since(ended.finished_at, now, otherwise=0)
    if left > 0:
        return replace(_running(run), look_after=left)
    return Progress("Publishing", f"run {run.name} has ended and its output is being published", running=True)


def _waiting(run: CurrentRun, pod: Pod, now: datetime) -> Progress:
    """The code has not started: the scheduler, an image, a missing object, the inputs, or just a moment."""
    cause = waiting_problem(pod)
    if cause is not None:
        return _blocked(run, pod, cause, now)
    crashed = _crashed_sidecar(pod)
    if crashed is not None:
        return Progress(crashed.reason, crashed.message, waiting=True, hopeless=crashed)
    fetch = pod.container(FETCH)
    if fetch is not None and fetch.state.running is not None:
        return _fetching(run, fetch.state.running.started_at, now)
    steps = ((step_of(item.name), item.state.running) for item in pod.containers)
    for step, since in steps:
        if step is not None and since is not None:
            return _preparing(run, step, since.started_at, now)
    left = START_PATIENCE - seconds_since(_ready_to_start(pod), now, otherwise=0)
    if left > 0:
        return replace(starting(run), look_after=left)
    return Progress(
        "SlowStart",
        f"pod {pod.metadata.name} has not started for {START_PATIENCE:.0f} s: a volume or ConfigMap that is missing, "
        f"or a slow registry; kubectl describe pod {pod.metadata.name} tells which",
        waiting=True,
    )


def _crashed_sidecar(pod: Pod) -> AttemptOutcome | None:
    """Return why the sidecar does not come up: it is restarted for ever, and the code never starts."""
    agent = pod.container(AGENT)
    ended = agent.ended if agent is not None else None
    if agent is None or ended is None or ended.exit_code == 0:
        return None
    found = of_agent(AGENT, ended)
    return replace(found, ending="Fatal") if found.ending == "Fatal" or agent.restart_count >= MOST_CRASHES else None


def _blocked(run: CurrentRun, pod: Pod, cause: Problem, now: datetime) -> Progress:
    """Something keeps the pod from starting: for a moment, until a person helps, or for ever."""
    if cause.reason == UNSCHEDULABLE:
        found = condition(pod.status.conditions, "PodScheduled")
        since = found.last_transition_time if found is not None else None
        left = UNSCHEDULABLE_PATIENCE - seconds_since(since, now, otherwise=UNSCHEDULABLE_PATIENCE)
        if left > 0:
            return replace(starting(run), look_after=left)
        return Progress(cause.reason, cause.message, waiting=True)
    left = PULL_PATIENCE - seconds_since(_ready_to_start(pod), now, otherwise=0)
    if cause.fatal or (cause.reason == IMAGE_PULL_FAILED and left <= 0):
        said = f"; the last answer was: {cause.detail}" if cause.detail else ""
        hopeless = AttemptOutcome("Fatal", cause.reason, f"{cause.message}{said}")
        return Progress(cause.reason, cause.message, waiting=True, hopeless=hopeless)
    look_after = left if cause.reason == IMAGE_PULL_FAILED else None
    return Progress(cause.reason, cause.message, waiting=True, look_after=look_after)


def _fetching(run: CurrentRun, since: str | None, now: datetime) -> Progress:
    left = LASTING - seconds_since(since, now, otherwise=0)
    if left > 0:
        return replace(starting(run), look_after=left)
    return Progress("Fetching", f"run {run.name} is pulling its inputs")


def _preparing(run: CurrentRun, step: str, since: str | None, now: datetime) -> Progress:
    left = LASTING - seconds_since(since, now, otherwise=0)
    if left > 0:
        return replace(starting(run), look_after=left)
    return Progress("Preparing", f"run {run.name} is in step {step} of spec.prepare")


def _ready_to_start(pod: Pod) -> str | None:
    """Return when the pod could have gone on: when it was bound to its node, or when an init container ended."""
    scheduled = condition(pod.status.conditions, "PodScheduled")
    moments = [scheduled.last_transition_time if scheduled else None, pod.metadata.creation_timestamp]
    moments += [item.state.terminated.finished_at for item in pod.containers if item.state.terminated is not None]
    return max((moment for moment in moments if moment), default=None)
