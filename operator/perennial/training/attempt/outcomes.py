"""How an attempt ended, from its Job and its pods. Each branch is a row of the table in the tests.

Pods are untrusted: their termination messages are checked against the spec before use.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from perennial.api.contract.messages import Message, NothingToPublish, Published
from perennial.api.kubernetes import ContainerStatus, KubeCondition, Pod, Terminated, condition
from perennial.core import failures
from perennial.core.container_exit import (
    WRONG_CPU_HELP,
    ContainerExit,
    ExitKind,
    is_over_storage_limit,
    judge,
    judge_agent,
)
from perennial.core.decision import EventNote
from perennial.core.termination import BadMessage, agent_words, parse_publishing
from perennial.core.times import canonical_time, seconds_since
from perennial.core.waiting import clean
from perennial.training.job.build import AGENT, FETCH, TRAIN
from perennial.training.job.plan import Lineage
from perennial.training.job.prepare import step_of
from perennial.training.observe import OwnedJob, OwnedPod

Ending = Literal["Succeeded", "Disrupted", "Failed", "Fatal"]


@dataclass(frozen=True)
class AttemptOutcome:
    """How an attempt ended.

    - Succeeded: the code ended with exit code 0, and the output, if declared, was published.
    - Disrupted: the cluster removed the pod; retried without counting against `retry.limit`.
    - Failed: retried up to `retry.limit`.
    - Fatal: not retried, because a person must change something first.
    """

    ending: Ending
    reason: str
    message: str
    published: Published | None = None
    exit_code: int | None = None
    """Exit code of the user's code, if that ended the attempt."""


def end_event(run: str, result: str, outcome: AttemptOutcome) -> EventNote:
    """Return the Event about the end of a run."""
    version = f" version {short_digest(outcome.published.digest)}" if outcome.published else ""
    if result == "Succeeded":
        made = f" and published{version}" if version else ""
        return EventNote("Normal", outcome.reason, f"run {run} succeeded{made}")
    verb = f"published{version}, which was rejected" if result == "Rejected" else "failed"
    return EventNote("Warning", outcome.reason, f"run {run} {verb}: {outcome.message}")


FAILED_GRACE_SECONDS, COMPLETE_GRACE_SECONDS = 5.0, 60.0
"""Time to wait for the final state of a pod whose Job has ended.

Longer for a complete Job: to mistake a success for a disruption would repeat the whole training.
"""

_TASKS = {FETCH: "pulling the inputs", AGENT: "publishing the output"}
"""What the agent does in each of its containers, for messages."""


def outcome_of(job: OwnedJob, pod: OwnedPod | None, lineage: Lineage, now: datetime) -> AttemptOutcome | None:
    """Return how the attempt ended; None while it runs or the pod's final state may still arrive."""
    failed = job.failed
    if failed is not None:
        return _of_job(job, failed) or _of_failed(failed, pod, now)
    complete = condition(job.status.conditions, "Complete")
    return _of_complete(complete, pod, lineage, now) if job.complete and complete is not None else None


def _of_job(job: OwnedJob, failed: KubeCondition) -> AttemptOutcome | None:
    if failed.reason != "DeadlineExceeded":
        return None
    return AttemptOutcome(
        "Fatal",
        "DeadlineExceeded",
        f"Job {job.metadata.name} ran longer than spec.activeDeadlineSeconds; raise it, or shorten the training",
    )


def _of_failed(failed: KubeCondition, pod: OwnedPod | None, now: datetime) -> AttemptOutcome | None:
    if pod is not None and is_over_storage_limit(pod):
        full, said = failures.OUT_OF_SPACE, clean(pod.status.message).rstrip(". ")
        return AttemptOutcome("Fatal", full.reason, f"{said}; {full.next_step}")
    if failed.reason == "PodFailurePolicy" or (pod is not None and pod.disrupted is not None):
        why = (pod.disrupted if pod is not None else None) or failed.message
        return AttemptOutcome("Disrupted", "Disrupted", f"pod disrupted: {clean(why)}")
    if pod is not None and pod.metadata.deletion_timestamp is not None:
        return AttemptOutcome("Disrupted", "PodDeleted", f"pod {pod.metadata.name} was deleted while it ran")
    if pod is None or pod.status.phase != "Failed":
        return _lost(failed, now, FAILED_GRACE_SECONDS)
    return _of_containers(pod) or _of_pod(pod, failed)


def _of_complete(
    complete: KubeCondition, pod: OwnedPod | None, lineage: Lineage, now: datetime
) -> AttemptOutcome | None:
    seen = pod is not None and pod.status.phase == "Succeeded"
    if not seen:
        lost = _lost(complete, now, COMPLETE_GRACE_SECONDS)
        return lost if lost is None or lineage.output is not None else _succeeded(None)
    if lineage.output is None or pod is None:
        return _succeeded(None)
    return _of_publishing(pod.container(AGENT), lineage.output.uri)


def _lost(ended: KubeCondition, now: datetime, grace: float) -> AttemptOutcome | None:
    if seconds_since(ended.last_transition_time, now, otherwise=grace) < grace:
        return None
    return AttemptOutcome("Disrupted", "PodLost", "the pod no longer exists, and how it ended is unknown")


def _succeeded(published: Published | None) -> AttemptOutcome:
    return AttemptOutcome("Succeeded", "RunSucceeded", "", published)


# The containers of a pod that failed, in the order in which they run.


def _of_containers(pod: Pod) -> AttemptOutcome | None:
    fetch, train = pod.container(FETCH), pod.container(TRAIN)
    if fetch is not None and fetch.ended is not None and fetch.ended.exit_code != 0:
        return of_agent(FETCH, fetch.ended)
    for item in pod.containers:
        step, end = step_of(item.name), item.state.terminated
        if step is not None and end is not None and end.exit_code != 0:
            return _of_step(step, end)
    if train is not None and train.state.terminated is not None and train.state.terminated.exit_code != 0:
        return replace(_of_code(train.state.terminated), exit_code=train.state.terminated.exit_code)
    return None


def injected_containers(pod: Pod) -> tuple[str, ...]:
    """Return the running containers that an admission webhook put beside the training, such as a mesh's proxy."""
    ours = (item for item in pod.status.container_statuses if item.name != TRAIN and item.state.running is not None)
    return tuple(item.name for item in ours)


def of_code_alone(pod: Pod) -> AttemptOutcome | None:
    """Return the outcome of a pod that injected containers keep running after its code has failed."""
    return _of_containers(pod) if injected_containers(pod) else None


def succeeded_alone(pods: tuple[OwnedPod, ...]) -> AttemptOutcome | None:
    """Return success if the code of every pod has, and only injected containers still run."""
    ends = [(pod, train.state.terminated) for pod in pods if (train := pod.container(TRAIN)) is not None]
    done = all(end is not None and end.exit_code == 0 for _, end in ends) and len(ends) == len(pods) > 0
    return _succeeded(None) if done and any(injected_containers(pod) for pod in pods) else None


def _of_step(step: str, ended: Terminated) -> AttemptOutcome:
    """Return the outcome of a failed `spec.prepare` step."""
    found = _of_code(ended)
    return replace(found, reason="PrepareFailed", message=f"step {step} of spec.prepare: {found.message}")


def _of_pod(pod: Pod, failed: KubeCondition) -> AttemptOutcome:
    """Return the outcome of a failed pod without a failed container: the node rejected or evicted it."""
    reason = pod.status.reason
    if reason:
        return AttemptOutcome(
            "Disrupted",
            "Disrupted",
            f"the node rejected or evicted the pod: {clean(f'{reason}: {pod.status.message}')}",
        )
    return AttemptOutcome(
        "Failed", "PodFailed", f"the pod failed, and its status does not say why: {clean(failed.message)}"
    )


def _of_code(ended: Terminated) -> AttemptOutcome:
    """Return the outcome of the user's container, which ended with an exit code other than 0."""
    found = judge(ended)
    if found.kind is ExitKind.WRONG_ARCHITECTURE:
        return AttemptOutcome("Fatal", "WrongArchitecture", WRONG_CPU_HELP)
    if found.kind is ExitKind.COMMAND_NOT_FOUND:
        return AttemptOutcome("Fatal", "CommandNotFound", _cannot_start(ended, found))
    if found.kind is ExitKind.START_FAILED:
        return AttemptOutcome("Failed", "ContainerStartFailed", _cannot_start(ended, found))
    if found.kind is ExitKind.OUT_OF_MEMORY:
        return AttemptOutcome(
            "Failed", "OutOfMemory", "the code exceeded its memory limit; raise resources.limits.memory"
        )
    end = f"; last log lines: {found.said}" if found.said else "; see the pod's log"
    if found.kind is ExitKind.SHELL_COMMAND_NOT_FOUND:
        return AttemptOutcome(
            "Fatal",
            "CommandNotFound",
            f"the code ended with exit code {found.exit_code}: a command is missing in the image{end}",
        )
    return AttemptOutcome("Failed", "TrainingFailed", f"the code ended with exit code {found.exit_code}{end}")


def _cannot_start(ended: Terminated, found: ContainerExit) -> str:
    return f"the container cannot start: {found.said or ended.reason}; correct spec.command, or the image"


def of_agent(container: str, ended: Terminated) -> AttemptOutcome:
    """Return the outcome of an agent's container that ended with an exit code other than 0."""
    found, task = judge_agent(ended), _TASKS[container]
    if found.kind is ExitKind.OUT_OF_MEMORY:
        return AttemptOutcome(
            "Failed",
            "OutOfMemory",
            f"{task} failed: container {container} exceeded its memory limit; raise agent.resources in the operator's "
            "settings",
        )
    if found.kind is ExitKind.STOPPED and container == AGENT:
        return AttemptOutcome(
            "Failed",
            failures.INTERRUPTED.reason,
            f"{task} was interrupted because the pod was stopped; a larger workspace.sizeLimit gives it more time",
        )
    failure = found.failure or failures.UNEXPECTED
    code = "" if found.failure is not None else f" with exit code {ended.exit_code}"
    return AttemptOutcome(
        "Failed" if failure.retriable else "Fatal",
        failure.reason,
        f"{task} failed{code}: {agent_words(ended.message, failure)}",
    )


# The publishing sidecar: its failure does not fail the pod, so it is checked even if the Job is
# complete.


def _of_publishing(agent: ContainerStatus | None, output: str) -> AttemptOutcome:
    ended = agent.ended if agent is not None else None
    if ended is None:
        return _bad("the publishing sidecar left no exit status")
    if ended.exit_code != 0:
        return of_agent(AGENT, ended)
    try:
        message = parse_publishing(ended.message, lambda digest: version_uri(output, digest))
    except BadMessage as error:
        return _bad(str(error))
    return _of_message(message, output)


def _of_message(message: Message, output: str) -> AttemptOutcome:
    if isinstance(message, NothingToPublish):
        return AttemptOutcome(
            "Fatal",
            "OutputEmpty",
            "the code ended with exit code 0 but left /perennial/output empty; write the model there "
            "(PERENNIAL_OUTPUT)",
        )
    if not isinstance(message, Published):
        return _bad(f"a termination message of kind {message.kind} is not a publishing result")
    wrong = _rejection(message, output)
    return _bad(wrong) if wrong else _succeeded(message)


def _rejection(message: Published, output: str) -> str | None:
    if message.uri.rstrip("/") != version_uri(output, message.digest).rstrip("/"):
        return "the published version is not under spec.output.uri, or its path does not match its digest"
    return None if canonical_time(message.time) else "the time of publishing is not valid"


def version_uri(output: str, digest: str) -> str:
    """Return the URI of a version: `<output>/versions/<first 12 digits of the digest>/`."""
    return f"{output.rstrip('/')}/versions/{short_digest(digest)}/"


def short_digest(digest: str) -> str:
    """Return the first 12 digits of a digest, without `sha256:`."""
    return digest.removeprefix("sha256:")[:12]


def _bad(why: str) -> AttemptOutcome:
    return AttemptOutcome(
        "Failed",
        "BadTerminationMessage",
        f"{why}; the result is rejected: check that agent.image is Perennial's own image, and that no other program "
        "writes to /dev/termination-log in the agent's containers",
    )
