"""Health of the pods of a revision: how many are ready, and what is wrong with the others."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from perennial.api.kubernetes import ContainerStatus, Deployment, Pod, Terminated, condition
from perennial.core.container_exit import (
    WRONG_CPU_HELP,
    ContainerExit,
    ExitKind,
    is_over_storage_limit,
    judge,
    judge_agent,
)
from perennial.core.failures import OUT_OF_SPACE
from perennial.core.problem import Problem
from perennial.core.termination import agent_words
from perennial.core.waiting import clean, waiting_problem
from perennial.serving import pod_reasons as reasons

FETCH = "fetch"
SERVER = "server"
CAPTURE = "capture"

_AGENTS = frozenset({FETCH, CAPTURE})
_CRASHES = 3
"""Restarts after which another restart is not expected to help."""


@dataclass(frozen=True)
class Health:
    """Replica counts of a revision, and what is wrong with the pods that are not ready."""

    replicas: int = 0
    ready: int = 0
    available: int = 0
    updated: int = 0
    current: bool = False
    """The Deployment controller has observed the newest template."""
    problem: Problem | None = None
    slow: str = ""
    """What the pods are doing when nothing is known to be wrong."""

    def reaches(self, wanted: int) -> bool:
        """Tell whether the wanted number of pods is available, all of the newest template."""
        return self.current and self.updated >= wanted and self.available >= wanted


def assess(deployment: Deployment | None, pods: tuple[Pod, ...]) -> Health:
    """Assess one revision."""
    if deployment is None:
        return Health(slow="its Deployment is being created")
    status = deployment.status
    return Health(
        replicas=status.replicas,
        ready=status.ready_replicas,
        available=status.available_replicas,
        updated=status.updated_replicas,
        current=status.observed_generation >= deployment.metadata.generation,
        problem=_problem(deployment, pods),
        slow=_slow(pods),
    )


def _problem(deployment: Deployment, pods: tuple[Pod, ...]) -> Problem | None:
    """Find what keeps the pods from serving: what cannot be cured comes first."""
    found = [problem for pod in pods if (problem := pod_problem(pod)) is not None]
    if found:
        return next((problem for problem in found if problem.fatal), found[0])
    refused = condition(deployment.status.conditions, "ReplicaFailure")
    if refused is not None and refused.status == "True":
        return Problem(
            reasons.PODS_REFUSED,
            f"pods are rejected: {clean(refused.message)}. Raise the quota, or correct what the policy rejects",
        )
    return None


def pod_problem(pod: Pod) -> Problem | None:
    """Find what keeps one pod from serving, as far as its status tells."""
    if pod.status.reason == "Evicted":
        said = clean(pod.status.message)
        if is_over_storage_limit(pod):
            return Problem(OUT_OF_SPACE.reason, f"pod evicted: {said}. {OUT_OF_SPACE.next_step}")
        return Problem(reasons.EVICTED, f"pod evicted: {said}. Raise spec.resources.requests")
    crashed = (_crash(status) for status in pod.containers)
    return next((problem for problem in crashed if problem is not None), None) or waiting_problem(pod)


def _crash(status: ContainerStatus) -> Problem | None:
    ended = status.ended
    if ended is None or status.ready or (status.name == FETCH and ended.exit_code == 0):
        return None
    found = judge_agent(ended) if status.name in _AGENTS else judge(ended)
    problem = _of_exit(status, ended, found)
    waiting = status.state.waiting
    looping = waiting is not None and waiting.reason == "CrashLoopBackOff" and status.restart_count >= _CRASHES
    # The agent's own exit codes decide whether a retry helps: an endpoint that is down for a while is retried.
    return replace(problem, fatal=True) if looping and found.failure is None else problem


def _of_exit(status: ContainerStatus, ended: Terminated, found: ContainerExit) -> Problem:
    """Map the end of a container to a reason, and say what to change."""
    name = status.name
    if found.failure is not None:
        words = agent_words(ended.message, found.failure)
        return Problem(found.failure.reason, f"container {name}: {words}", fatal=not found.failure.retriable)
    if found.kind is ExitKind.OUT_OF_MEMORY:
        return Problem(
            reasons.OUT_OF_MEMORY,
            f"container {name} exceeded its memory limit: raise spec.resources.limits.memory",
            detail=found.said,
        )
    if found.kind is ExitKind.WRONG_ARCHITECTURE:
        return Problem(reasons.WRONG_ARCHITECTURE, f"container {name} cannot start: {WRONG_CPU_HELP}", fatal=True)
    if found.kind is ExitKind.COMMAND_NOT_FOUND:
        return Problem(
            reasons.COMMAND_NOT_FOUND,
            f"image {status.image} does not contain the command of container {name}: correct the command",
            fatal=True,
            detail=found.said,
        )
    # A shell's exit code may come from any line of a script, also after it has served: its restarts are counted.
    hint = " (a shell found no such command)" if found.kind is ExitKind.SHELL_COMMAND_NOT_FOUND else ""
    return Problem(
        reasons.CONTAINER_CRASHING,
        f"container {name} exits with exit code {found.exit_code}{hint} instead of serving: see "
        "kubectl logs --previous",
        detail=found.said,
    )


def _slow(pods: Iterable[Pod]) -> str:
    """Describe what the first pod that is not ready is doing."""
    for pod in pods:
        fetch, server = pod.container(FETCH), pod.container(SERVER)
        if server is not None and server.ready:
            continue
        if fetch is not None and fetch.state.running is not None:
            return "its model is still being fetched"
        if server is not None and server.state.running is not None:
            return "the server runs but does not pass its readiness probe; see kubectl logs"
        return "its containers are being created"
    return "its pods are being created"
