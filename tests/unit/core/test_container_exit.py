"""What the end of a container means: one row for each way to end."""

from __future__ import annotations

import pytest

from perennial.api.kubernetes import Pod, Terminated
from perennial.core.container_exit import ExitKind, is_over_storage_limit, judge, judge_agent
from perennial.core.failures import TABLE, AgentFailure

NOT_FOUND = 'exec: "pyhton": executable file not found in $PATH'

ROWS: list[tuple[str, int, str, str, ExitKind]] = [
    # what happened, exit code, reason, message, meaning
    ("ended well", 0, "Completed", "", ExitKind.COMPLETED),
    ("failed", 1, "Error", "ValueError", ExitKind.FAILED),
    ("crashed by a signal", 139, "Error", "", ExitKind.FAILED),
    ("an exit code of the agent in user code", 66, "Error", "", ExitKind.FAILED),
    ("killed", 137, "Error", "", ExitKind.STOPPED),
    ("stopped", 143, "Error", "", ExitKind.STOPPED),
    ("out of memory", 137, "OOMKilled", "", ExitKind.OUT_OF_MEMORY),
    ("a child of the main process out of memory", 1, "OOMKilled", "", ExitKind.OUT_OF_MEMORY),
    ("out of memory, and yet ended well", 0, "OOMKilled", "", ExitKind.OUT_OF_MEMORY),
    ("containerd: no such command", 128, "StartError", NOT_FOUND, ExitKind.COMMAND_NOT_FOUND),
    ("dockershim: no such command", 127, "ContainerCannotRun", NOT_FOUND, ExitKind.COMMAND_NOT_FOUND),
    ("kubelet: no such command", 127, "RunContainerError", NOT_FOUND, ExitKind.COMMAND_NOT_FOUND),
    ("no such file", 128, "StartError", "exec: /run.sh: no such file or directory", ExitKind.COMMAND_NOT_FOUND),
    ("not executable", 128, "StartError", "exec: /run.py: permission denied", ExitKind.COMMAND_NOT_FOUND),
    ("a folder", 128, "StartError", "exec: /app: is a directory", ExitKind.COMMAND_NOT_FOUND),
    ("cannot start for now", 128, "StartError", "cgroup busy", ExitKind.START_FAILED),
    ("cannot start, exit code of a shell", 127, "ContainerCannotRun", "cgroup busy", ExitKind.START_FAILED),
    ("shell: no such command", 127, "Error", "sh: pyhton: not found", ExitKind.SHELL_COMMAND_NOT_FOUND),
    ("shell: not executable", 126, "Error", "", ExitKind.SHELL_COMMAND_NOT_FOUND),
    ("words of a start failure in a log", 1, "Error", NOT_FOUND, ExitKind.FAILED),
]


@pytest.mark.parametrize(("code", "reason", "message", "kind"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_each_end_has_one_meaning(code: int, reason: str, message: str, kind: ExitKind) -> None:
    found = judge(Terminated(exit_code=code, reason=reason, message=message))

    assert (found.kind, found.exit_code, found.said, found.failure) == (kind, code, message, None)


@pytest.mark.parametrize("failure", TABLE, ids=lambda failure: failure.reason)
def test_each_exit_code_of_the_agent_is_its_failure(failure: AgentFailure) -> None:
    found = judge_agent(Terminated(exit_code=failure.code, reason="Error"))

    assert (found.kind, found.failure) == (ExitKind.AGENT_FAILURE, failure)


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (0, "Completed", ExitKind.COMPLETED),
        (3, "Error", ExitKind.FAILED),
        (137, "Error", ExitKind.STOPPED),
        (TABLE[0].code, "OOMKilled", ExitKind.OUT_OF_MEMORY),
        (128, "StartError", ExitKind.START_FAILED),
    ],
)
def test_an_agent_can_end_as_any_other_container(code: int, reason: str, kind: ExitKind) -> None:
    found = judge_agent(Terminated(exit_code=code, reason=reason))

    assert (found.kind, found.failure) == (kind, None)


def test_the_last_words_are_made_printable() -> None:
    found = judge(Terminated(exit_code=1, message="\x1b[31mValueError:\x1b[0m no\ncolumn \x07'age'\u202e"))

    assert found.said == "ValueError: no column 'age'"


EVICTIONS: list[tuple[str, str, str, bool]] = [
    # what happened, reason, message, over a limit of its own
    ("emptyDir", "Evicted", 'Usage of EmptyDir volume "workspace" exceeds the limit "1Gi". ', True),
    ("pod", "Evicted", "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi.", True),
    ("container", "Evicted", 'Container train exceeded its local ephemeral storage limit "1Gi". ', True),
    ("node's disk", "Evicted", "The node was low on resource: ephemeral-storage.", False),
    (
        "node's disk, and over the request",
        "Evicted",
        "The node was low on resource: ephemeral-storage. Container a was using 9Gi, which exceeds its request of 0.",
        False,
    ),
    ("node's memory", "Evicted", "The node was low on resource: memory.", False),
    ("not evicted", "OutOfcpu", "ephemeral storage exceeds", False),
]


@pytest.mark.parametrize(("reason", "said", "over"), [row[1:] for row in EVICTIONS], ids=[row[0] for row in EVICTIONS])
def test_only_a_limit_of_the_pod_itself_is_its_own_fault(reason: str, said: str, over: bool) -> None:
    pod = Pod.model_validate({"metadata": {"name": "p"}, "status": {"reason": reason, "message": said}})

    assert is_over_storage_limit(pod) is over
