"""What ails a pod: one row for each way, with whether waiting helps."""

from __future__ import annotations

import json
from typing import Any

import pytest

from perennial.api.kubernetes import Deployment, Pod
from perennial.core.failures import TABLE
from perennial.serving.health import assess, pod_problem
from tests.support import builders
from tests.support.builders import ended, looping, running, terminated, waiting

FETCHED = ended("fetch", ready=True)


def pod(*containers: dict[str, Any], **status: Any) -> Pod:
    """Build a pod whose model was fetched, unless its fetch container is given."""
    fetch = () if any(item["name"] == "fetch" for item in containers) else (FETCHED,)
    return Pod.model_validate(builders.pod("p", status.pop("phase", "Running"), *fetch, *containers, **status))


def stuck(reason: str, message: str = "") -> Pod:
    return pod(waiting("server", reason, message))


def crashed(code: int, reason: str = "", message: str = "", **more: Any) -> dict[str, Any]:
    return ended("server", code, reason, message, **more)


NOT_FOUND = 'exec: "nope": executable file not found in $PATH'

ROWS = [
    ("nothing wrong", pod(running("server", ready=True)), None, False),
    ("starting", stuck("ContainerCreating"), None, False),
    ("running, not ready", pod(running("server")), None, False),
    (
        "ready after an old crash",
        pod(running("server", ready=True, restartCount=4, lastState=terminated(1))),
        None,
        False,
    ),
    ("image name", stuck("InvalidImageName"), "ImageInvalid", True),
    ("first pull error", stuck("ErrImagePull", "rpc error"), "ImagePullFailed", False),
    ("later pull error", stuck("ImagePullBackOff", "Back-off"), "ImagePullFailed", False),
    (
        "no secret",
        stuck("CreateContainerConfigError", 'secret "a" not found'),
        "ContainerConfigError",
        False,
    ),
    ("first crash", pod(crashed(1, restartCount=0)), "ContainerCrashing", False),
    ("second crash", pod(looping("server", 2, terminated(1))), "ContainerCrashing", False),
    ("third crash", pod(looping("server", 3, terminated(1))), "ContainerCrashing", True),
    (
        "ends well, which a server must not",
        pod(looping("server", 3, terminated(0))),
        "ContainerCrashing",
        True,
    ),
    ("memory", pod(looping("server", 3, terminated(137, "OOMKilled"))), "OutOfMemory", True),
    ("memory, once", pod(crashed(137, "OOMKilled")), "OutOfMemory", False),
    ("no such command", pod(crashed(128, "StartError", NOT_FOUND)), "CommandNotFound", True),
    ("another CPU", pod(crashed(255, "Error", "exec /bin/serve: exec format error\n")), "WrongArchitecture", True),
    ("cannot start for now", pod(crashed(128, "StartError", "cgroup busy")), "ContainerCrashing", False),
    ("fetch killed", pod(ended("fetch", 137, "OOMKilled")), "OutOfMemory", False),
    ("evicted", pod(phase="Failed", reason="Evicted", message="memory pressure"), "Evicted", False),
    (
        "volume full",
        pod(phase="Failed", reason="Evicted", message='Usage of EmptyDir volume "model" exceeds the limit "1Gi"'),
        "OutOfSpace",
        False,
    ),
    (
        "the node's disk full",
        pod(phase="Failed", reason="Evicted", message="The node was low on resource: ephemeral-storage."),
        "Evicted",
        False,
    ),
    ("a shell may not run it", pod(crashed(126, restartCount=0)), "ContainerCrashing", False),
    (
        "no such command, by the kubelet",
        pod(crashed(127, "RunContainerError", NOT_FOUND)),
        "CommandNotFound",
        True,
    ),
    (
        "no node",
        pod(conditions=[{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]),
        "Unschedulable",
        False,
    ),
]


@pytest.mark.parametrize(("what", "seen", "reason", "fatal"), ROWS, ids=[row[0] for row in ROWS])
def test_each_cause_has_a_name(what: str, seen: Pod, reason: str | None, fatal: bool) -> None:
    cause = pod_problem(seen)
    assert (cause.reason if cause else None) == reason
    assert (cause.fatal if cause else False) is fatal
    assert cause is None or len(cause.message) > 20


@pytest.mark.parametrize("failure", TABLE, ids=lambda failure: failure.reason)
def test_the_exit_code_of_fetch_decides_and_its_words_are_quoted_where_they_agree(failure: Any) -> None:
    words = f"s3://models/ said no; {failure.next_step}"
    told = json.dumps({"v": 1, "kind": "Failure", "reason": failure.reason, "message": words})
    cause = pod_problem(pod(looping("fetch", 9, terminated(failure.code, message=told))))
    assert cause is not None
    assert cause.reason == failure.reason
    assert cause.fatal is not failure.retriable
    assert cause.message == f"container fetch: {words}"  # the next step stands there once

    lie = '{"v":1,"kind":"Failure","reason":"Lie","message":"believe me"}'
    cause = pod_problem(pod(looping("fetch", 9, terminated(failure.code, message=lie))))
    assert cause is not None
    assert cause.message == f"container fetch: {failure.next_step}"


def test_what_a_container_said_is_made_harmless() -> None:
    cause = pod_problem(pod(crashed(1, message="a\x00\x1b[2J\n" + "b" * 5000)))
    assert cause is not None
    assert cause.detail.isprintable()
    assert len(cause.detail) == 500


def test_the_message_stays_while_the_kubelet_words_each_try_anew() -> None:
    first, second = (
        pod_problem(stuck("ErrImagePull", "rpc")),
        pod_problem(stuck("ImagePullBackOff", "x")),
    )
    assert first is not None
    assert second is not None
    assert first.message == second.message


def deployment(**status: Any) -> Deployment:
    return Deployment.model_validate({"metadata": {"name": "d", "generation": 2}, "status": status})


def test_what_cannot_be_cured_comes_before_what_may() -> None:
    health = assess(deployment(), (stuck("ErrImagePull"), pod(looping("server", 3, terminated(1)))))
    assert health.problem is not None
    assert health.problem.reason == "ContainerCrashing"


def test_refused_pods_are_told_of_by_the_deployment() -> None:
    refused = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: team"}
    cause = assess(deployment(conditions=[refused]), ()).problem
    assert cause is not None
    assert cause.reason == "PodsRefused"
    assert "exceeded quota: team" in cause.message


@pytest.mark.parametrize(
    ("status", "wanted", "reached"),
    [
        ({"observedGeneration": 2, "updatedReplicas": 2, "availableReplicas": 2}, 2, True),
        ({"observedGeneration": 1, "updatedReplicas": 2, "availableReplicas": 2}, 2, False),
        ({"observedGeneration": 2, "updatedReplicas": 1, "availableReplicas": 2}, 2, False),
        ({"observedGeneration": 2, "updatedReplicas": 2, "availableReplicas": 1}, 2, False),
    ],
)
def test_ready_means_enough_pods_of_the_newest_template(status: dict[str, int], wanted: int, reached: bool) -> None:
    assert assess(deployment(**status), ()).reaches(wanted) is reached


def test_slowness_says_what_is_under_way() -> None:
    fetching = pod(running("fetch"))
    probing = pod(running("server"))
    assert "fetched" in assess(deployment(), (fetching,)).slow
    assert "readiness probe" in assess(deployment(), (probing,)).slow
    assert assess(None, ()).slow
