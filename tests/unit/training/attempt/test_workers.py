"""Several workers: the first failure, disruption or deletion determines how the attempt ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from perennial.api.trainingjob.resource import CurrentRun
from perennial.core.labels import JOB_INDEX_KEY
from perennial.core.times import format_time, parse_time
from perennial.training.attempt.phase import progress_of
from perennial.training.attempt.workers import first_failed_worker, outcome_of_workers, slowest_worker, stuck_after
from perennial.training.job.plan import Lineage
from perennial.training.observe import OwnedJob, OwnedPod
from tests.support.builders import NOW, OUTPUT, condition, ended, published, running, waiting
from tests.unit.training.objects import pod

NOON = parse_time(NOW)
PUBLISHES = Lineage.model_validate({"image": "train:1", "output": {"uri": OUTPUT}})
GONE = {"deletionTimestamp": NOW, "deletionGracePeriodSeconds": 0}


def at(seconds: float) -> str:
    return format_time(NOON + timedelta(seconds=seconds))


def workers_job(*conditions: dict[str, str], workers: int = 3) -> OwnedJob:
    return OwnedJob.model_validate(
        {
            "metadata": {"name": "churn-1-0", "uid": "j1"},
            "spec": {"completions": workers},
            "status": {"conditions": conditions},
        }
    )


def worker(index: int, phase: str, *containers: dict[str, Any], **more: Any) -> OwnedPod:
    meta = {"name": f"churn-1-0-{index}-x", "uid": f"p{index}", "labels": {JOB_INDEX_KEY: str(index)}}
    return pod(phase, *containers, meta={**meta, **more.pop("meta", {})}, **more)


def code(exit_code: int, second: float = 0) -> dict[str, Any]:
    return ended("train", exit_code, time=at(second))


def drained(second: float) -> list[dict[str, str]]:
    return [condition("DisruptionTarget", time=at(second), reason="EvictionByEvictionAPI", message="drained")]


NOT_READY = [condition("Ready", "False", time=NOW)]
FAILED = workers_job(condition("Failed", reason="BackoffLimitExceeded", message="limit"))
FAILING = workers_job(condition("FailureTarget", reason="BackoffLimitExceeded", message="limit"))
LATE = workers_job(condition("FailureTarget", reason="DeadlineExceeded", message="too long"))
ALIVE = worker(0, "Running", running("train"))
DYING = worker(0, "Running", running("train"), meta=GONE)
ROWS: list[tuple[str, OwnedJob, tuple[OwnedPod, ...], float, str, str]] = [
    # what happened, Job, pods, seconds later, ending, start of the message
    ("one fails", FAILED, (DYING, worker(2, "Failed", code(3, -1))), 0, "Failed", "worker 2: the code ended with exit"),
    (
        "one fails, and its peers of that",
        FAILED,
        (worker(0, "Failed", code(1, -3)), worker(1, "Failed", code(139, -5)), worker(2, "Failed", code(1, -4))),
        0,
        "Failed",
        "worker 1: the code ended with exit code 139",
    ),
    (
        "one is drained, and its peers fail of that",
        FAILED,
        (worker(0, "Failed", code(1, -3)), worker(1, "Failed", code(143, -2), conditions=drained(-5))),
        0,
        "Disrupted",
        "worker 1: pod disrupted",
    ),
    (
        "one is drained, which shows only after its peers have failed of it",
        FAILED,
        (worker(0, "Failed", code(1, -60)), worker(1, "Failed", code(143, -2), conditions=drained(-5))),
        0,
        "Disrupted",
        "worker 1: pod disrupted: EvictionByEvictionAPI: drained; another worker then failed: the code ended with exit",
    ),
    (
        "a node is not ready, and its peers fail of that",
        FAILED,
        (worker(0, "Failed", code(1, -60)), worker(1, "Running", running("train"), conditions=NOT_READY)),
        0,
        "Disrupted",
        "worker 1: the node of pod churn-1-0-1-x is not ready",
    ),
    (
        "one fails, and the node of another stays ready",
        FAILED,
        (worker(0, "Failed", code(1, -60)), worker(1, "Running", running("train"))),
        90,
        "Failed",
        "worker 0: the code ended with exit code 1",
    ),
    (
        "one lacks memory, which no lost node explains",
        FAILED,
        (
            worker(0, "Failed", ended("train", 137, "OOMKilled")),
            worker(1, "Failed", code(143, 5), conditions=drained(5)),
        ),
        9,
        "Failed",
        "worker 0: the code exceeded its memory limit",
    ),
    (
        "one is drained, and the others have not ended yet",
        FAILING,
        (DYING, worker(1, "Failed", code(143), conditions=drained(-5))),
        0,
        "Disrupted",
        "worker 1: pod disrupted",
    ),
    (
        "a node dies, and its peers fail of that first",
        FAILING,
        (DYING, worker(1, "Failed", code(3, -60))),
        61,
        "Disrupted",
        "worker 1: pod churn-1-0-0-x has not ended",
    ),
    (
        "a node dies",
        workers_job(),
        (DYING, worker(1, "Running", running("train"))),
        61,
        "Disrupted",
        "worker 0: pod churn-1-",
    ),
    ("a node dies after the deadline", LATE, (DYING,), 61, "Fatal", "worker 0: Job churn-1-0 ran longer"),
    (
        "all end well; only the first publishes",
        workers_job(condition("Complete")),
        (
            worker(0, "Succeeded", ended("agent", message=published()), ended("train")),
            worker(1, "Succeeded", ended("agent", message="anything"), ended("train")),
        ),
        0,
        "Succeeded",
        "",
    ),
]


@pytest.mark.parametrize(
    ("job", "pods", "later", "ending", "message"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_how_several_workers_end(
    job: OwnedJob, pods: tuple[OwnedPod, ...], later: float, ending: str, message: str
) -> None:
    found = outcome_of_workers(job, pods, PUBLISHES, NOON + timedelta(seconds=later))

    assert found is not None
    assert found.ending == ending
    assert found.message.startswith(message)


@pytest.mark.parametrize(
    ("job", "pods", "later"),
    [
        (workers_job(), (ALIVE,), 0),
        (FAILING, (DYING, worker(1, "Failed", code(1, -1))), 0),  # its peers are still ending
        (FAILED, (ALIVE, worker(1, "Failed", code(1, -1))), 89),  # a lost node shows later than its peers fail
        (workers_job(), (DYING,), 59),  # its node may only be slow
    ],
)
def test_an_attempt_that_goes_on(job: OwnedJob, pods: tuple[OwnedPod, ...], later: float) -> None:
    assert outcome_of_workers(job, pods, PUBLISHES, NOON + timedelta(seconds=later)) is None


def test_the_workers_wait_for_the_slowest_and_for_pods_that_are_missing() -> None:
    slow = worker(1, "Pending", waiting("train", "PodInitializing"))

    assert slowest_worker(workers_job(workers=2), (ALIVE, slow)) is slow
    assert slowest_worker(workers_job(workers=3), (ALIVE, slow)) is None
    assert first_failed_worker((ALIVE, slow)) is ALIVE


def test_a_stuck_pod_is_looked_at_again_when_its_time_is_up() -> None:
    assert stuck_after((ALIVE, DYING), NOON + timedelta(seconds=20)) == 40
    assert stuck_after((ALIVE,), NOON) is None


def test_a_label_that_is_no_number_is_the_first_worker() -> None:
    odd = worker(0, "Running", running("train"), meta={"labels": {JOB_INDEX_KEY: "²"}})

    assert slowest_worker(workers_job(workers=1), (odd,)) is odd


# Containers that a mesh puts into the pods.

NO_OUTPUT = Lineage.model_validate({"image": "train:1"})


def meshed(exit_code: int) -> OwnedPod:
    """Return a pod whose code has ended while a proxy still runs."""
    status = {"phase": "Running", "containerStatuses": [code(exit_code), running("istio-proxy")]}
    raw = {"metadata": {"name": "churn-1-0-0-x", "uid": "p0", "creationTimestamp": NOW}, "status": status}
    return OwnedPod.model_validate(raw)


@pytest.mark.parametrize(
    ("pods", "lineage", "ending"),
    [
        ((meshed(3),), PUBLISHES, "Failed"),
        ((meshed(0),), NO_OUTPUT, "Succeeded"),
        ((meshed(0),), PUBLISHES, None),
        ((worker(0, "Running", code(0)),), NO_OUTPUT, None),
    ],
)
def test_an_injected_container_does_not_hide_that_the_code_has_ended(
    pods: tuple[OwnedPod, ...], lineage: Lineage, ending: str | None
) -> None:
    found = outcome_of_workers(workers_job(workers=1), pods, lineage, NOON)

    assert (found.ending if found is not None else None) == ending


def test_a_run_whose_publisher_waits_for_an_injected_container_says_so() -> None:
    run = CurrentRun.model_validate(
        {
            "name": "churn-1",
            "number": 1,
            "trigger": {"kind": "Created"},
            "specHash": "h",
            "generation": 1,
            "job": "churn-1-0",
            "startTime": NOW,
            "attemptTime": NOW,
        }
    )
    found = progress_of(run, workers_job(workers=1), meshed(0), NOON + timedelta(seconds=61))

    assert (found.reason, found.waiting) == ("InjectedContainerRuns", True)
    assert "istio-proxy" in found.message
    assert "spec.podAnnotations" in found.message
