"""Random scenarios in the simulated cluster: invariants hold whatever happens and wherever the operator is killed."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.builders import training_job
from tests.unit.training.scenario_steps import STEPS
from tests.unit.training.simulation import Cluster, Killed

steps = st.sampled_from(sorted(STEPS))
reconciles = st.one_of(
    st.just(("whole", 1)),
    st.just(("whole", 4)),
    st.tuples(st.just("killed"), st.integers(1, 3)),
    st.tuples(st.just("stale"), st.integers(1, 3)),
)


def walk(history: list[tuple[str, tuple[str, int]]]) -> Cluster:
    """Return the cluster after a history of events, each followed by the operator's reaction."""
    cluster = Cluster()
    for event, (way, count) in history:
        STEPS[event](cluster)
        if way == "whole":
            for _ in range(count):
                cluster.reconcile()
        elif way == "killed":
            with contextlib.suppress(Killed):
                cluster.reconcile(killed_after=count)
        elif cluster.past:
            cluster.reconcile(seen=cluster.past[-min(count, len(cluster.past))])
    return cluster


WHOLE = ("whole", 1)
FORGOTTEN = ["wait", "pod lost", "seed 1", "status wiped", "jobs deleted by hand"]
"""A run that only its ended Job still knew, while the last word of its pod was waited for."""


SUSPENDED = ["a sweep", "a moment", "suspend"]
"""Trials whose Jobs have never started: nobody waits for their pods."""


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(history=[(event, WHOLE) for event in SUSPENDED])
@example(history=[(event, WHOLE) for event in FORGOTTEN])
@given(history=st.lists(st.tuples(steps, reconciles), max_size=25))
def test_one_job_at_a_time_no_number_twice_and_rest_at_the_end(history: list[tuple[str, tuple[str, int]]]) -> None:
    cluster = walk(history)

    cluster.settle()

    status, spec = cluster.resource["status"], cluster.resource["spec"]
    kinds = {item["type"]: item for item in status["conditions"]}
    assert kinds["Ready"]["observedGeneration"] == cluster.resource["metadata"]["generation"]
    assert status["observedGeneration"] == cluster.resource["metadata"]["generation"]
    assert not {"Reconciling", "Stalled"} <= set(kinds)
    if spec.get("suspend"):
        assert status["phase"] == "Suspended"
        assert not {"Reconciling", "Stalled"} & set(kinds)
    else:
        assert status["phase"] in ("Succeeded", "Failed")
        assert "Reconciling" not in kinds
        assert "currentRun" not in status
        newest = status["runs"][0]
        assert newest["specHash"] == cluster.wanted_hash or spec.get("onChange") == "Ignore"
        assert ("Complete" in kinds) == (status["phase"] == "Succeeded") == (kinds["Ready"]["status"] == "True")
        assert ("Stalled" in kinds) == (status["phase"] == "Failed")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=st.lists(st.tuples(steps, reconciles), max_size=15))
def test_at_rest_nothing_is_written_however_long_it_lasts(history: list[tuple[str, tuple[str, int]]]) -> None:
    cluster = walk(history)
    cluster.settle()
    writes = cluster.writes

    for seconds in (1, 3600, 86400):
        cluster.wait(seconds)
        decision = cluster.reconcile()
        assert decision.requeue_after is None

    assert cluster.writes == writes


def test_a_healthy_run_costs_one_job_and_three_writes_of_status() -> None:
    cluster = Cluster()
    for event in ("a moment", "pod starts", "a moment", "succeeds", "an hour"):
        cluster.reconcile()
        STEPS[event](cluster)
        cluster.reconcile()

    assert cluster.resource["status"]["phase"] == "Succeeded"
    assert (cluster.made, cluster.writes) == (1, 4)


def test_killed_after_any_write_of_a_life_with_a_failure_it_ends_the_same() -> None:
    events = ("a moment", "pod starts", "fails", "a moment", "a moment", "pod starts", "succeeds", "a moment")

    def life(killed_at: int | None) -> Cluster:
        cluster = Cluster()
        for event in events:
            for _ in range(3):
                left = None if killed_at is None else killed_at - cluster.writes
                with contextlib.suppress(Killed):
                    cluster.reconcile(killed_after=left if left is not None and left > 0 else None)
            STEPS[event](cluster)
        for _ in range(3):
            cluster.reconcile()
        return cluster

    reference = life(None)
    assert reference.resource["status"]["phase"] == "Succeeded"
    for write in range(1, reference.writes + 1):
        again = life(write)
        assert again.resource["status"] == reference.resource["status"], f"killed after write {write}"
        assert sorted(again.jobs) == sorted(reference.jobs)
        assert again.made == reference.made


def test_a_verdict_starts_one_run_and_is_then_answered() -> None:
    cluster = Cluster()
    cluster.settle()
    STEPS["drift"](cluster)
    cluster.settle()
    cluster.settle()

    status = cluster.resource["status"]
    assert [record["trigger"]["kind"] for record in status["runs"]] == ["Drift", "Created"]
    assert status["verdicts"] == {"watch": cluster.monitors[0]["status"]["retrain"]["verdict"]}
    assert status["artifact"]["run"] == "churn-2"


def test_a_run_that_always_fails_stops_at_the_limit_and_starts_no_other() -> None:
    cluster = Cluster()
    for _ in range(40):
        cluster.reconcile()
        STEPS["fails"](cluster)
        STEPS["an hour"](cluster)

    assert cluster.made == 4
    assert cluster.resource["status"]["phase"] == "Failed"
    assert [record["attempts"] for record in cluster.resource["status"]["runs"]] == [4]
    assert sorted(cluster.jobs) == ["churn-1-3"]


def test_disruptions_never_use_up_the_retries() -> None:
    cluster = Cluster()
    for _ in range(40):
        cluster.reconcile()
        STEPS["disrupted"](cluster)
        STEPS["an hour"](cluster)
    cluster.settle()

    record = cluster.resource["status"]["runs"][0]
    assert record["result"] == "Succeeded"
    assert record["attempts"] > 10


def play(*events: str) -> Cluster:
    """Return the cluster after these events, each of them met in full."""
    cluster = Cluster()
    cluster.reconcile()
    for event in events:
        STEPS[event](cluster)
        cluster.reconcile()
        cluster.reconcile()
    return cluster


def test_what_a_replaced_run_was_to_bring_is_still_owed_when_the_change_is_taken_back() -> None:
    cluster = play("seed 1", "pod starts", "suspend", "seed 2", "seed 1", "resume")
    cluster.settle()

    status = cluster.resource["status"]
    assert [record["result"] for record in status["runs"]] == ["Succeeded", "Replaced", "Replaced"]
    assert status["runs"][0]["specHash"] == cluster.wanted_hash


@pytest.mark.parametrize("ending", ["fails", "disrupted"])
def test_wait_repeats_the_attempt_with_the_spec_of_its_run_and_then_runs_the_new_spec(ending: str) -> None:
    cluster = play("wait", "pod starts", "seed 1")
    assert cluster.busy() == ["churn-1-0"]

    STEPS[ending](cluster)
    cluster.settle()

    runs = cluster.resource["status"]["runs"]
    assert [(record["name"], record["result"], record.get("seed"), record["attempts"]) for record in runs] == [
        ("churn-2", "Succeeded", 1, 1),
        ("churn-1", "Succeeded", None, 2),
    ]
    assert runs[0]["trigger"] == {"kind": "SpecChanged", "chain": "churn-2"}


def test_a_success_of_the_old_spec_counts_and_the_new_spec_follows() -> None:
    cluster = play("wait", "pod starts", "seed 1", "succeeds")
    cluster.settle()

    assert [record["result"] for record in cluster.resource["status"]["runs"]] == ["Succeeded", "Succeeded"]
    assert cluster.resource["status"]["artifact"]["run"] == "churn-2"


@pytest.mark.parametrize("ending", ["fails", "disrupted", "pod lost", "publishing breaks"])
def test_under_ignore_the_next_attempt_trains_the_spec_of_its_run(ending: str) -> None:
    cluster = play("ignore", "pod starts", "seed 1", ending)
    cluster.settle()

    runs = cluster.resource["status"]["runs"]
    assert [(record["name"], record["result"], record.get("seed"), record["attempts"]) for record in runs] == [
        ("churn-1", "Succeeded", None, 2)
    ]


def test_a_plan_that_was_edited_is_not_trained() -> None:
    cluster = play("ignore", "pod starts", "seed 1")
    annotations = cluster.jobs["churn-1-0"]["metadata"]["annotations"]
    plan = json.loads(annotations["perennial.dev/plan"])
    annotations["perennial.dev/plan"] = json.dumps({**plan, "spec": {**plan["spec"], "serviceAccountName": "admin"}})
    STEPS["fails"](cluster)
    cluster.settle()

    assert not [job for job in cluster.jobs.values() if "serviceAccountName" in job["spec"]["template"]["spec"]]
    assert [record["result"] for record in cluster.resource["status"]["runs"]] == ["Succeeded", "Replaced"]


def test_a_status_wiped_under_way_starts_nothing_twice() -> None:
    cluster = play("fails", "an hour", "pod starts", "status wiped", "succeeds")

    status = cluster.resource["status"]
    assert cluster.made == 2
    assert status["artifact"]["run"] == "churn-1"
    assert status["runs"][0]["attempts"] == 2


def test_a_suspended_run_keeps_its_job_and_goes_on_with_it() -> None:
    cluster = play("pod starts", "suspend", "an hour")
    assert cluster.busy() == []
    assert cluster.alive() == ["churn-1-0"]

    STEPS["resume"](cluster)
    cluster.settle()

    assert cluster.made == 1
    assert cluster.resource["status"]["phase"] == "Succeeded"


def test_a_job_that_was_edited_by_hand_gets_its_pods_again() -> None:
    cluster = play("pod starts", "jobs edited by hand")

    spec = cluster.jobs["churn-1-0"]["spec"]
    assert (spec["parallelism"], spec["completions"], spec["backoffLimit"]) == (1, 1, 0)


def test_a_job_in_a_queue_is_left_as_the_queue_has_it() -> None:
    cluster = Cluster(resource=training_job({"queue": {"name": "team-a"}}))
    cluster.reconcile()
    for event in ("admitted", "pod starts", "jobs edited by hand"):
        STEPS[event](cluster)
        cluster.reconcile()

    assert cluster.jobs["churn-1-0"]["spec"]["parallelism"] == 0


def test_the_service_of_workers_goes_with_the_last_attempt_that_needs_it() -> None:
    cluster = play("wait", "four workers", "succeeds", "pod starts")
    assert cluster.busy() == ["churn-2-0"]
    assert list(cluster.services) == ["tj-churn-workers"]

    STEPS["one worker"](cluster)
    cluster.reconcile()
    assert list(cluster.services) == ["tj-churn-workers"], "workers still resolve each other through it"

    cluster.settle()
    assert cluster.services == {}


def test_an_attempt_with_several_workers_gets_its_service_back_when_it_is_repeated() -> None:
    cluster = Cluster(resource=training_job({"workers": 4, "onChange": "Ignore"}))
    cluster.reconcile()
    STEPS["one worker"](cluster)
    STEPS["fails"](cluster)
    cluster.reconcile()
    cluster.wait(10)
    cluster.reconcile()

    assert cluster.jobs["churn-1-1"]["spec"]["completions"] == 4
    assert list(cluster.services) == ["tj-churn-workers"]
