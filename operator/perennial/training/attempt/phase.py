"""Progress of an attempt that has not ended, and why it waits.

States that pass by themselves within a minute are not reported, to save status writes: a healthy
run goes from Starting to Running to its end. Other states show only if they last or if a person
should act.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from perennial.api.kubernetes import ContainerStatus, Job, Pod, Terminated, condition
from perennial.api.trainingjob.resource import CurrentRun, TrainingJobStatus
from perennial.core.conditions import RECONCILING, STALLED
from perennial.core.problem import Problem
from perennial.core.times import seconds_since
from perennial.core.waiting import IMAGE_PULL_FAILED, UNSCHEDULABLE, waiting_problem
from perennial.training.attempt.outcomes import AttemptOutcome, injected_containers, of_agent
from perennial.training.job.build import AGENT, FETCH, TRAIN
from perennial.training.job.prepare import step_of

TRAINING = "Training"
"""Type of the condition that reports a run while an earlier model is ready."""

IMAGE_PULL_TIMEOUT_SECONDS = 600.0
"""Time after which an image that cannot be pulled fails the run; registries have short outages."""

CONFIG_GRACE_SECONDS = 60.0
"""Time after which a missing Secret or ConfigMap is reported as Stalled; GitOps tools may apply it a little later."""

UNSCHEDULABLE_GRACE_SECONDS = 10.0
LONG_STEP_SECONDS = 60.0
SLOW_START_SECONDS = 120.0
POD_CREATION_GRACE_SECONDS = 30.0
"""Time after which a Job without a pod is reported; enough for a thousand new Jobs at once."""

MAX_SIDECAR_CRASHES = 3


@dataclass(frozen=True)
class Progress:
    """What an attempt is doing, as a condition's reason and message."""

    reason: str
    message: str
    running: bool = False
    waiting: bool = False
    """The attempt waits for something that a person may have to fix; reported as an Event too."""
    needs_person: bool = False
    """The attempt waits for something that only a person can provide; reported as Stalled."""
    recheck_after: float | None = None
    """Seconds after which the progress of an unchanged pod would be another."""
    failure: AttemptOutcome | None = None
    """Set if the pod can never start: the attempt has failed."""


def starting(run: CurrentRun) -> Progress:
    """Return the progress of an attempt whose pod does not exist yet or is starting normally."""
    if run.last_failure:
        message = f"retrying run {run.name} (attempt {run.attempt + 1}); last failure: {run.last_failure}"
        return Progress("Retrying", message)
    return Progress("Starting", f"run {run.name} is starting")


def queued(run: CurrentRun, queue: str) -> Progress:
    """Return the progress of an attempt that waits in a Kueue queue."""
    previous = f"; last failure: {run.last_failure}" if run.last_failure else ""
    return Progress(
        "Queued",
        f"attempt {run.attempt + 1} of run {run.name} waits for quota in queue {queue}{previous}; see kubectl describe "
        "workloads (if there is no workload, check that Kueue is installed and that the LocalQueue exists)",
    )


def reported_reason(status: TrainingJobStatus) -> str | None:
    """Return the reason that the conditions give for the current run; None if they do not report one."""
    kinds = (RECONCILING, STALLED, TRAINING)
    return next((item.reason for item in status.conditions if item.type in kinds), None)


def progress_of(run: CurrentRun, job: Job, pod: Pod | None, now: datetime) -> Progress:
    """Return the progress that the attempt's pod shows: for several workers, the slowest one."""
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
    """Return the progress of a Job without a pod: it will have one soon, or admission rejects its pods.

    A Job reports a rejection only in Events. So the message lists the likely causes and says where
    to look.
    """
    if job.spec.suspend:
        return starting(run)  # a change of the Job wakes the run
    # Without a start time the Job controller has not looked yet, as just after a queue has released an old Job.
    left = POD_CREATION_GRACE_SECONDS - seconds_since(job.status.start_time, now, otherwise=0)
    if left > 0:
        return replace(starting(run), recheck_after=left)
    name = job.metadata.name
    missing = "no pod" if job.spec.completions == 1 else "fewer pods than workers"
    return Progress(
        "PodNotCreated",
        f"Job {name} has had {missing} for {POD_CREATION_GRACE_SECONDS:.0f} s: pods are rejected because of a quota, a "
        "LimitRange, the namespace's Pod Security level or a missing ServiceAccount; see kubectl describe job "
        f"{name}",
        waiting=True,
    )


def _running(run: CurrentRun) -> Progress:
    return Progress("Running", f"attempt {run.attempt + 1} of run {run.name} is running", running=True)


def _publishing(run: CurrentRun, pod: Pod, train: ContainerStatus, now: datetime) -> Progress:
    """Return the progress after the code has ended; Publishing if the sidecar takes long."""
    ended = train.state.terminated
    agent = pod.container(AGENT)
    injected = injected_containers(pod)
    if ended is not None and injected:
        return _kept_running(run, ended, injected, now)
    if ended is None or agent is None or agent.state.running is None:
        return _running(run)
    left = LONG_STEP_SECONDS - seconds_since(ended.finished_at, now, otherwise=0)
    if left > 0:
        return replace(_running(run), recheck_after=left)
    return Progress("Publishing", f"run {run.name} is publishing its output", running=True)


def _kept_running(run: CurrentRun, ended: Terminated, injected: tuple[str, ...], now: datetime) -> Progress:
    """Report containers that keep the pod running after the code: the kubelet stops the publisher only after them."""
    left = LONG_STEP_SECONDS - seconds_since(ended.finished_at, now, otherwise=0)
    if left > 0:
        return replace(_running(run), recheck_after=left)
    return Progress(
        "InjectedContainerRuns",
        f"the code of run {run.name} has ended, but container {', '.join(injected)[:200]}, which was injected into the "
        "pod, still runs: exclude the pods by spec.podAnnotations or spec.podLabels (such as sidecar.istio.io/inject), "
        "or let the mesh inject native sidecars, which end with the pod",
        waiting=True,
    )


def _waiting(run: CurrentRun, pod: Pod, now: datetime) -> Progress:
    """Return the progress before the code has started."""
    cause = waiting_problem(pod)
    if cause is not None:
        return _blocked(run, pod, cause, now)
    crashed = _crashed_sidecar(pod)
    if crashed is not None:
        return Progress(crashed.reason, crashed.message, waiting=True, failure=crashed)
    fetch = pod.container(FETCH)
    if fetch is not None and fetch.state.running is not None:
        return _fetching(run, fetch.state.running.started_at, now)
    steps = ((step_of(item.name), item.state.running) for item in pod.containers)
    for step, since in steps:
        if step is not None and since is not None:
            return _preparing(run, step, since.started_at, now)
    left = SLOW_START_SECONDS - seconds_since(_ready_to_start(pod), now, otherwise=0)
    if left > 0:
        return replace(starting(run), recheck_after=left)
    return Progress(
        "SlowStart",
        f"pod {pod.metadata.name} has not started for {SLOW_START_SECONDS:.0f} s: a volume or ConfigMap is "
        f"missing, or the registry is slow; see kubectl describe pod {pod.metadata.name}",
        waiting=True,
    )


def _crashed_sidecar(pod: Pod) -> AttemptOutcome | None:
    """Return why the sidecar does not start; otherwise it would be restarted for ever."""
    agent = pod.container(AGENT)
    ended = agent.ended if agent is not None else None
    if agent is None or ended is None or ended.exit_code == 0:
        return None
    found = of_agent(AGENT, ended)
    given_up = found.ending == "Fatal" or agent.restart_count >= MAX_SIDECAR_CRASHES
    return replace(found, ending="Fatal") if given_up else None


def _blocked(run: CurrentRun, pod: Pod, cause: Problem, now: datetime) -> Progress:
    """Return the progress of a pod that cannot start: for a moment, until someone acts, or permanently."""
    if cause.reason == UNSCHEDULABLE:
        found = condition(pod.status.conditions, "PodScheduled")
        since = found.last_transition_time if found is not None else None
        left = UNSCHEDULABLE_GRACE_SECONDS - seconds_since(since, now, otherwise=UNSCHEDULABLE_GRACE_SECONDS)
        if left > 0:
            return replace(starting(run), recheck_after=left)
        return Progress(cause.reason, cause.message, waiting=True)
    left = IMAGE_PULL_TIMEOUT_SECONDS - seconds_since(_ready_to_start(pod), now, otherwise=0)
    if cause.fatal or (cause.reason == IMAGE_PULL_FAILED and left <= 0):
        said = f"; last error: {cause.detail}" if cause.detail else ""
        failure = AttemptOutcome("Fatal", cause.reason, f"{cause.message}{said}")
        return Progress(cause.reason, cause.message, waiting=True, failure=failure)
    if cause.reason == IMAGE_PULL_FAILED:
        answer = _registry_answer(cause.detail)
        message = f"{cause.message}; the registry's answer: {answer}" if answer else cause.message
        return Progress(cause.reason, message, waiting=True, recheck_after=left)
    patience = CONFIG_GRACE_SECONDS - seconds_since(_ready_to_start(pod), now, otherwise=0)
    if patience > 0:
        return Progress(cause.reason, cause.message, waiting=True, recheck_after=patience)
    return Progress(cause.reason, cause.message, waiting=True, needs_person=True)


def _registry_answer(detail: str) -> str:
    """Return why a pull failed, worded alike while the kubelet pulls and while it waits for the next try."""
    back_off, found, answer = detail.partition("ErrImagePull: ")
    if found:
        return answer
    return "" if back_off.startswith("Back-off") else back_off


def _fetching(run: CurrentRun, since: str | None, now: datetime) -> Progress:
    left = LONG_STEP_SECONDS - seconds_since(since, now, otherwise=0)
    if left > 0:
        return replace(starting(run), recheck_after=left)
    return Progress("Fetching", f"run {run.name} is pulling its inputs")


def _preparing(run: CurrentRun, step: str, since: str | None, now: datetime) -> Progress:
    left = LONG_STEP_SECONDS - seconds_since(since, now, otherwise=0)
    if left > 0:
        return replace(starting(run), recheck_after=left)
    return Progress("Preparing", f"run {run.name} is running step {step} of spec.prepare")


def _ready_to_start(pod: Pod) -> str | None:
    """Return when the pod was scheduled or its last container ended: the next one could start then."""
    scheduled = condition(pod.status.conditions, "PodScheduled")
    moments = [scheduled.last_transition_time if scheduled else None, pod.metadata.creation_timestamp]
    moments += [item.state.terminated.finished_at for item in pod.containers if item.state.terminated is not None]
    return max((moment for moment in moments if moment), default=None)
