"""What the end of a container or the eviction of a pod means, judged in one place for all controllers.

A controller maps an `ExitKind` to its own reason and decides whether to retry. It does not read exit codes itself.
Reasons and messages of a container come from user code or the container runtime: they are matched and quoted, never
trusted.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from perennial.api.kubernetes import Pod, Terminated
from perennial.core import failures
from perennial.core.failures import AgentFailure
from perennial.core.waiting import clean


class ExitKind(StrEnum):
    """Why a container ended."""

    COMPLETED = "Completed"
    """Exit code 0."""
    WRONG_ARCHITECTURE = "WrongArchitecture"
    """The node's CPU cannot execute the image's program: it was built for another kind of CPU."""
    COMMAND_NOT_FOUND = "CommandNotFound"
    """The container runtime found no such command in the image, or may not execute it."""
    START_FAILED = "StartFailed"
    """The container runtime could not start the container for another reason; a retry may help."""
    OUT_OF_MEMORY = "OutOfMemory"
    """Killed by the kernel at the container's memory limit."""
    AGENT_FAILURE = "AgentFailure"
    """The agent ended with one of the exit codes of `core.failures`."""
    SHELL_COMMAND_NOT_FOUND = "ShellCommandNotFound"
    """A shell in the container found no such command, or may not execute it."""
    STOPPED = "Stopped"
    """SIGKILL or SIGTERM: stopped from outside, for example at the end of the grace period."""
    FAILED = "Failed"
    """Any other exit code."""


@dataclass(frozen=True)
class ContainerExit:
    """How a container ended."""

    kind: ExitKind
    exit_code: int
    said: str = ""
    """Termination message or last log lines, as one printable line."""
    failure: AgentFailure | None = None
    """Of an agent's container that ended with a known exit code."""


_START_REASONS = frozenset({"StartError", "ContainerCannotRun", "RunContainerError"})
"""Of containerd and CRI-O, of dockershim, and of the kubelet."""

_NO_COMMAND = re.compile(r"executable file not found|no such file or directory|permission denied|is a directory")
_WRONG_CPU = re.compile(r"exec format error\s*$")
"""Last words of the container runtime, or of a shell about a program that it starts; exit codes differ by version."""
_WRONG_CPU_CODES = frozenset({1, 126, 255})
_SHELL_CODES = frozenset({126, 127})
_STOP_CODES = frozenset({128 + 9, 128 + 15})
_TERMINAL_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def _start_failed(ended: Terminated) -> bool:
    return ended.reason in _START_REASONS


def _wrong_cpu(ended: Terminated) -> bool:
    """Tell whether the last words are the kernel's refusal. Code may print the same, but then it fails as well."""
    codes_fit = _start_failed(ended) or ended.exit_code in _WRONG_CPU_CODES
    return codes_fit and _WRONG_CPU.search(ended.message) is not None


WRONG_CPU_HELP = (
    "the image was built for another kind of CPU than the node has: build it for that (or for several), or choose "
    "nodes by nodeSelector kubernetes.io/arch"
)


_TABLE: tuple[tuple[ExitKind, Callable[[Terminated], bool]], ...] = (
    (ExitKind.OUT_OF_MEMORY, lambda ended: ended.reason == "OOMKilled"),
    (ExitKind.WRONG_ARCHITECTURE, _wrong_cpu),
    (ExitKind.COMMAND_NOT_FOUND, lambda ended: _start_failed(ended) and _NO_COMMAND.search(ended.message) is not None),
    (ExitKind.START_FAILED, _start_failed),
    (ExitKind.COMPLETED, lambda ended: ended.exit_code == 0),
    (ExitKind.SHELL_COMMAND_NOT_FOUND, lambda ended: ended.exit_code in _SHELL_CODES),
    (ExitKind.STOPPED, lambda ended: ended.exit_code in _STOP_CODES),
)
"""The first row that applies decides. A reason tells more than an exit code, so reasons come first."""


def judge(ended: Terminated) -> ContainerExit:
    """Judge the end of a container that runs user code, where the agent's exit codes mean nothing."""
    kind = next((kind for kind, applies in _TABLE if applies(ended)), ExitKind.FAILED)
    return ContainerExit(kind, ended.exit_code, clean(_TERMINAL_SEQUENCE.sub("", ended.message)))


def judge_agent(ended: Terminated) -> ContainerExit:
    """Judge the end of a container that runs `perennial agent`."""
    found, failure = judge(ended), failures.by_code(ended.exit_code)
    if failure is None or found.kind is not ExitKind.FAILED:
        return found
    return ContainerExit(ExitKind.AGENT_FAILURE, found.exit_code, found.said, failure)


_NODE_PRESSURE = re.compile(r"node was low on resource", re.IGNORECASE)
_OVER_LIMIT = re.compile(r"exceed", re.IGNORECASE)
_LOCAL_STORAGE = re.compile(r"emptydir|ephemeral", re.IGNORECASE)


def is_over_storage_limit(pod: Pod) -> bool:
    """Tell whether the pod was evicted for writing more than its own limit on ephemeral storage or an emptyDir.

    Eviction from a node whose disk is full is not the pod's fault, though its message may say that the pod "exceeds
    its request".
    """
    said = pod.status.message
    return (
        pod.status.reason == "Evicted"
        and _NODE_PRESSURE.search(said) is None
        and _OVER_LIMIT.search(said) is not None
        and _LOCAL_STORAGE.search(said) is not None
    )
