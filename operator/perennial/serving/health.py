"""How a revision's pods fare, and why they do not when they do not."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from perennial.api.kubernetes import ContainerStatus, Deployment, Pod, Terminated, condition
from perennial.core.failures import OUT_OF_SPACE, by_code
from perennial.core.termination import agent_words
from perennial.core.waiting import Cause, clean, waiting_cause
from perennial.serving import reasons

FETCH = "fetch"
SERVER = "server"
CAPTURE = "capture"

_AGENTS = frozenset({FETCH, CAPTURE})
_CRASHES = 3
"""Restarts after which a container that still ends will not come right by being started again."""

_NOT_STARTED = frozenset({"StartError", "ContainerCannotRun", "RunContainerError"})
_NO_COMMAND = ("executable file not found", "no such file or directory", "permission denied")
_SHELL_NOT_FOUND = 127
_LOCAL_STORAGE = ("emptydir", "ephemeral")


@dataclass(frozen=True)
class Health:
    """How many pods of a revision there are, how many answer, and what ails the others."""

    replicas: int = 0
    ready: int = 0
    available: int = 0
    updated: int = 0
    current: bool = False
    """The Deployment controller has seen the newest template."""
    cause: Cause | None = None
    slow: str = ""
    """What is under way where nothing is known to be wrong."""

    def reaches(self, wanted: int) -> bool:
        """Tell whether as many pods as wanted answer, all of the newest template."""
        return self.current and self.updated >= wanted and self.available >= wanted


def assess(deployment: Deployment | None, pods: tuple[Pod, ...]) -> Health:
    """Return the health of one revision."""
    if deployment is None:
        return Health(slow="its Deployment is being made")
    status = deployment.status
    return Health(
        replicas=status.replicas,
        ready=status.ready_replicas,
        available=status.available_replicas,
        updated=status.updated_replicas,
        current=status.observed_generation >= deployment.metadata.generation,
        cause=_cause(deployment, pods),
        slow=_slow(pods),
    )


def _cause(deployment: Deployment, pods: tuple[Pod, ...]) -> Cause | None:
    found = [cause for pod in pods if (cause := pod_cause(pod)) is not None]
    if found:
        return next((cause for cause in found if cause.fatal), found[0])
    refused = condition(deployment.status.conditions, "ReplicaFailure")
    if refused is not None and refused.status == "True":
        return Cause(
            reasons.PODS_REFUSED,
            f"pods cannot be made: {clean(refused.message)}. Raise the quota, or correct what the policy refuses",
        )
    return None


def pod_cause(pod: Pod) -> Cause | None:
    """Return why a pod does not answer, as far as anything says so."""
    if pod.status.reason == "Evicted":
        said = clean(pod.status.message)
        if any(word in said.lower() for word in _LOCAL_STORAGE):
            return Cause(OUT_OF_SPACE.reason, f"the node put a pod out: {said}. {OUT_OF_SPACE.next_step}")
        return Cause(reasons.EVICTED, f"the node put a pod out: {said}. Raise spec.resources.requests")
    crashed = (_crash(status) for status in pod.containers)
    return next((cause for cause in crashed if cause is not None), None) or waiting_cause(pod)


def _crash(status: ContainerStatus) -> Cause | None:
    ended = status.ended
    if ended is None or status.ready or (status.name == FETCH and ended.exit_code == 0):
        return None
    cause = _of_agent(status.name, ended) if status.name in _AGENTS else _of_server(status, ended)
    waiting = status.state.waiting
    looping = waiting is not None and waiting.reason == "CrashLoopBackOff" and status.restart_count >= _CRASHES
    # What an agent says of itself is believed: a storage that is away for a while is no reason to give up.
    explained = status.name in _AGENTS and by_code(ended.exit_code) is not None
    return replace(cause, fatal=True) if looping and not explained else cause


def _of_agent(name: str, ended: Terminated) -> Cause:
    """Return the cause that an agent's exit code names; what it said is only quoted, since it is untrusted."""
    failure = by_code(ended.exit_code)
    if failure is None:
        return _ended(name, ended)
    words = agent_words(ended.message, failure)
    return Cause(failure.reason, f"container {name}: {words}", fatal=not failure.retriable)


def _of_server(status: ContainerStatus, ended: Terminated) -> Cause:
    said = clean(ended.message)
    if ended.reason in _NOT_STARTED and any(words in ended.message for words in _NO_COMMAND):
        return Cause(
            reasons.COMMAND_NOT_FOUND,
            f"image {status.image} has no such command as container {status.name} is told to run: correct the command",
            fatal=True,
            detail=said,
        )
    return _ended(status.name, ended)


def _ended(name: str, ended: Terminated) -> Cause:
    said = clean(ended.message)
    if ended.reason == "OOMKilled":
        return Cause(
            reasons.OUT_OF_MEMORY,
            f"container {name} needed more memory than its limit: raise spec.resources.limits.memory",
            detail=said,
        )
    hint = " (a shell did not find the command)" if ended.exit_code == _SHELL_NOT_FOUND else ""
    return Cause(
        reasons.CONTAINER_CRASHING,
        f"container {name} ends with exit code {ended.exit_code}{hint} instead of serving: see kubectl logs --previous",
        detail=said,
    )


def _slow(pods: Iterable[Pod]) -> str:
    """Return what the first pod that does not answer is at."""
    for pod in pods:
        fetch, server = pod.container(FETCH), pod.container(SERVER)
        if server is not None and server.ready:
            continue
        if fetch is not None and fetch.state.running is not None:
            return "its model is still being fetched"
        if server is not None and server.state.running is not None:
            return "the server runs, but does not pass its readiness probe; see kubectl logs"
        return "its containers are being made"
    return "its pods are being made"
