"""Several workers: the first failure, disruption or deletion determines how the attempt ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from perennial.core.labels import JOB_INDEX_KEY
from perennial.core.times import format_time, parse_time
from perennial.training.attempt.workers import first_failed_worker, outcome_of_workers, slowest_worker, stuck_after
from perennial.training.job.plan import Lineage
from perennial.training.observe import OwnedJob, OwnedPod
from tests.unit.training.objects import NOW, OUTPUT, condition, ended, pod, published, running, waiting

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
    found = ended("train", exit_code)
    found["state"]["terminated"]["finishedAt"] = at(second)
    return found


def drained(second: float) -> list[dict[str, str]]:
    return [condition("DisruptionTarget", time=at(second), reason="EvictionByEvictionAPI", message="drained")]


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
        "one fails, and another is drained only then",
        FAILED,
        (worker(0, "Failed", code(1, -6)), worker(1, "Failed", code(143, -2), conditions=drained(-5))),
        0,
        "Failed",
        "worker 0: the code ended with exit code 1",
    ),
    (
        "one is drained, and the others have not ended yet",
        FAILING,
        (DYING, worker(1, "Failed", code(143), conditions=drained(-5))),
        0,
        "Disrupted",
        "worker 1: pod disrupted",
    ),
    ("one fails, and another's node is dead", FAILING, (DYING, worker(1, "Failed", code(3, -1))), 61, "Failed", "work"),
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
