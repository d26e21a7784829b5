"""Runs in a Kueue queue, and suspension without one: who writes what, and what time counts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from perennial.api.kubernetes import Job
from perennial.core.times import format_time, parse_time
from perennial.training.job.suspend import suspension
from perennial.training.observe import OwnedJob
from tests.support.builders import NOW, ended, running
from tests.unit.training.simulation import Cluster

QUEUE = {"queue": {"name": "team-a", "priorityClass": "high"}}


def queued() -> Cluster:
    cluster = Cluster()
    cluster.change(spec=QUEUE)
    cluster.reconcile()
    cluster.reconcile()
    return cluster


def start(cluster: Cluster) -> str:
    cluster.admit()
    (name,) = cluster.busy()
    cluster.run_pod(name, "Running", running("agent"), running("train"))
    cluster.reconcile()
    return name


def phase(cluster: Cluster) -> str:
    return str(cluster.resource["status"]["phase"])


def current(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.resource["status"]["currentRun"]
    return found


def test_a_job_is_made_suspended_and_marked_for_the_queue_and_its_pods_are_not() -> None:
    cluster = queued()
    job = cluster.jobs["churn-1-0"]

    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"
    assert job["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] == "high"
    assert not any(label.startswith("kueue") for label in job["spec"]["template"]["metadata"]["labels"])
    assert phase(cluster) == "Queued"


def test_a_wait_in_the_queue_writes_nothing() -> None:
    cluster = queued()
    writes = cluster.writes
    for _ in range(5):
        cluster.wait(3600)
        assert cluster.reconcile().requeue_after is None

    assert cluster.writes == writes


def test_an_eviction_is_a_disruption_and_the_same_job_goes_on() -> None:
    cluster = queued()
    start(cluster)
    assert phase(cluster) == "Running"

    cluster.evict()
    events = cluster.reconcile().events
    assert [event.reason for event in events] == ["Evicted"]
    assert (phase(cluster), current(cluster)["disruptions"], current(cluster)["failures"]) == ("Queued", 1, 0)
    assert cluster.reconcile().events == ()

    name = start(cluster)
    assert (name, phase(cluster), cluster.made) == ("churn-1-0", "Running", 1)
    cluster.succeed(name)
    cluster.reconcile()
    assert phase(cluster) == "Succeeded"


def test_who_suspends_the_resource_gives_its_place_up_and_takes_another_later() -> None:
    cluster = queued()
    start(cluster)
    cluster.change(spec={"suspend": True})
    cluster.reconcile()
    cluster.reconcile()
    assert cluster.jobs == {}
    assert phase(cluster) == "Suspended"

    cluster.change(spec={"suspend": False})
    cluster.reconcile()
    assert sorted(cluster.jobs) == ["churn-1-1"]
    assert (current(cluster)["failures"], current(cluster)["disruptions"]) == (0, 0)
    cluster.settle()
    assert phase(cluster) == "Succeeded"


def test_a_change_of_queue_retrains_nothing_and_leaves_the_present_job_where_it_is() -> None:
    cluster = queued()
    cluster.change(spec={"queue": {"name": "team-b"}})
    cluster.reconcile()
    assert cluster.jobs["churn-1-0"]["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"

    cluster.settle()
    cluster.change(spec={"queue": None})
    cluster.settle()
    assert cluster.made == 1


def test_a_failed_attempt_takes_its_place_in_the_queue_again() -> None:
    cluster = queued()
    name = start(cluster)
    cluster.run_pod(name, "Failed", ended("fetch"), ended("agent"), ended("train", 1))
    cluster.end_job(name, "Failed", reason="BackoffLimitExceeded")
    cluster.reconcile()
    cluster.wait(10)
    cluster.reconcile()

    assert cluster.jobs["churn-1-1"]["spec"]["suspend"] is True
    assert current(cluster)["failures"] == 1


# Without a queue.


def job(limit: int | None, ran: int | None = None) -> OwnedJob:
    started = parse_time(NOW) - timedelta(seconds=ran) if ran is not None else None
    return OwnedJob.model_validate(
        {
            "metadata": {"name": "churn-1-0"},
            "spec": {"activeDeadlineSeconds": limit},
            "status": {"startTime": format_time(started)} if started else {},
        }
    )


@pytest.mark.parametrize(
    ("found", "suspend", "expected"),
    [
        (job(None, 50), True, None),
        (job(100, 40), True, 60),
        (job(100), True, 100),  # suspended before it began
        (job(100, 130), True, 1),
        (job(100, -5), True, 100),  # this clock is behind
        (job(60), False, 60),
        (job(60, 3), False, 60),
    ],
)
def test_a_deadline_counts_only_the_time_in_which_the_job_runs(
    found: OwnedJob, suspend: bool, expected: int | None
) -> None:
    manifest = suspension(found, parse_time(NOW), suspend=suspend).manifest

    assert Job.model_validate(manifest).spec.suspend is suspend
    assert manifest["spec"].get("activeDeadlineSeconds") == expected
