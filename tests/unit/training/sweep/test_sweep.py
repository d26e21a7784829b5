"""Sweeps: which trials are planned, and how they run, fail, and become one model."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from perennial.api.trainingjob.sweep import MOST_TRIALS, Sweep
from perennial.training.job.plan import numbers_of, trial_job_name, trial_numbers_of
from perennial.training.sweep import trials
from perennial.training.sweep.trials import points
from tests.support.builders import ended, running
from tests.unit.training.simulation import Cluster, Killed

OBJECTIVE = {"metric": "auc"}
THREE = {"grid": {"depth": ["1", "2", "3"]}, "parallel": 2, "objective": OBJECTIVE}


def plan_of(job: dict[str, Any]) -> str:
    return str(job["metadata"]["annotations"]["perennial.dev/plan"])


def job_name(job: dict[str, Any]) -> str:
    return str(job["metadata"]["name"])


def parse(**spec: Any) -> Sweep:
    return Sweep.model_validate({"objective": OBJECTIVE, **spec})


# The plan.


def test_a_grid_is_every_combination_in_one_order() -> None:
    found = points(parse(grid={"eta": ["0.1", "0.3"], "depth": ["4", "6"]}), seed=0)

    assert [tuple(point.values()) for point in found] == [("4", "0.1"), ("4", "0.3"), ("6", "0.1"), ("6", "0.3")]
    assert [list(point) for point in found] == [["depth", "eta"]] * 4


def test_a_list_is_tried_as_it_stands_each_once_and_no_more_than_wanted() -> None:
    wanted = [{"a": "1"}, {"b": "2"}, {"a": "1"}, {"a": "3"}]

    assert points(parse(list=wanted), seed=0) == ({"a": "1"}, {"b": "2"}, {"a": "3"})
    assert points(parse(list=wanted, trials=2), seed=0) == ({"a": "1"}, {"b": "2"})


def test_equal_values_of_a_grid_are_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Mapping[str, str]] = []
    distinct = trials._distinct

    def noted(found: Iterator[Mapping[str, str]]) -> Iterator[Mapping[str, str]]:
        for point in found:
            tried.append(point)
            yield point

    def counted(found: Iterator[Mapping[str, str]]) -> Iterator[Mapping[str, str]]:
        return distinct(noted(found))

    monkeypatch.setattr(trials, "_distinct", counted)
    equal = {f"p{number}": ["same"] * MOST_TRIALS for number in range(8)}
    last = {**equal, "p7": ["same"] * (MOST_TRIALS - 1) + ["other"]}

    assert points(parse(grid=equal, trials=MOST_TRIALS), seed=0) == (dict.fromkeys(equal, "same"),)
    assert [point["p7"] for point in points(parse(grid=last, trials=MOST_TRIALS), seed=0)] == ["same", "other"]
    assert len(tried) <= 3


@given(
    grid=st.dictionaries(
        st.sampled_from([f"p{number}" for number in range(8)]),
        st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=MOST_TRIALS),
        min_size=1,
    ),
    wanted=st.integers(1, MOST_TRIALS),
)
def test_no_grid_makes_more_candidates_than_trials(grid: dict[str, list[str]], wanted: int) -> None:
    candidates = trials._combinations(parse(grid=grid, trials=wanted).grid or {})
    first = [tuple(point.values()) for point in islice(candidates, wanted)]

    assert len(set(first)) == len(first), "a candidate that is no new trial is work without a bound"


@pytest.mark.parametrize("scale", ["Linear", "Log"])
@given(seed=st.integers(0, 2**32 - 1), low=st.integers(1, 50), width=st.integers(1, 1000))
def test_draws_stay_within_their_bounds_and_repeat_with_the_seed(seed: int, low: int, width: int, scale: str) -> None:
    bounds = {"min": str(low), "max": str(low + width), "scale": scale}
    draws = [{"name": "x", **bounds}, {"name": "n", "integer": True, **bounds}, {"name": "c", "values": ["a", "b"]}]
    sweep = parse(random=draws, trials=8)

    found = points(sweep, seed)

    assert found == points(sweep, seed)
    assert len(found) == 8
    for point in found:
        assert low <= float(point["x"]) <= low + width
        assert low <= int(point["n"]) <= low + width
        assert point["c"] in {"a", "b"}


def test_another_seed_draws_others_and_more_trials_keep_the_first_ones() -> None:
    draws = [{"name": "x", "min": "0", "max": "1"}]
    ten, twenty = (points(parse(random=draws, trials=count), seed=7) for count in (10, 20))

    assert twenty[:10] == ten
    assert set(map(str, points(parse(random=draws, trials=10), seed=8))).isdisjoint(map(str, ten))


def test_log_draws_are_spread_over_the_magnitudes() -> None:
    draws = [{"name": "x", "min": "0.0001", "max": "1", "scale": "Log"}]
    values = [float(point["x"]) for point in points(parse(random=draws, trials=64), seed=1)]

    assert 20 <= sum(value < 0.01 for value in values) <= 44


def test_a_small_space_has_fewer_trials_than_wanted() -> None:
    found = points(parse(random=[{"name": "c", "values": ["a", "b"]}], trials=50), seed=0)

    assert sorted(point["c"] for point in found) == ["a", "b"]


def test_a_grid_that_is_too_large_is_refused_unless_it_is_cut() -> None:
    grid = {name: [str(value) for value in range(10)] for name in ("a", "b")}

    with pytest.raises(ValidationError, match="100 combinations"):
        parse(grid=grid)
    assert len(points(parse(grid=grid, trials=MOST_TRIALS), seed=0)) == MOST_TRIALS


@given(
    name=st.from_regex(r"\A[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z"),
    number=st.integers(1, 10**9 - 1),
    trial=st.integers(1, MOST_TRIALS),
    attempt=st.integers(0, 10**9 - 1),
)
def test_a_trials_job_is_told_from_every_other(name: str, number: int, trial: int, attempt: int) -> None:
    job = trial_job_name(name, number, trial, attempt)

    assert len(job) <= 57
    assert trial_numbers_of(name, job) == (number, trial, attempt)
    assert numbers_of(name, job) is None
    assert trial_numbers_of(f"{name[:40]}x", job) is None


# The walk.


def sweeping(**spec: Any) -> Cluster:
    cluster = Cluster(most_alive=3)
    cluster.change(spec={"sweep": THREE, **spec})
    step(cluster)
    return cluster


def step(cluster: Cluster) -> None:
    for _ in range(6):
        before = cluster.writes
        cluster.reconcile()
        if cluster.writes == before:
            return


def finish(cluster: Cluster, name: str, auc: str) -> None:
    cluster.succeed(name, auc=auc)
    step(cluster)


def phases(cluster: Cluster) -> list[str]:
    return [trial["phase"] for trial in cluster.resource["status"]["sweep"]["trials"]]


def newest(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.resource["status"]["runs"][0]
    return found


def message(cluster: Cluster, kind: str) -> str:
    found = {item["type"]: item["message"] for item in cluster.resource["status"]["conditions"]}
    return str(found[kind])


def test_trials_run_side_by_side_each_with_its_parameters_and_the_best_makes_the_model() -> None:
    cluster = sweeping(parameters={"eta": "0.1", "depth": "9"})
    assert cluster.busy() == ["churn-1-t1-0", "churn-1-t2-0"]
    seen = {item["name"]: item["value"] for item in _container(cluster, "churn-1-t2-0")["env"]}
    assert (seen["PERENNIAL_PARAM_DEPTH"], seen["PERENNIAL_PARAM_ETA"]) == ("2", "0.1")
    assert seen["PERENNIAL_RUN"] == "churn-1-t2"

    finish(cluster, "churn-1-t1-0", "0.7")
    assert cluster.busy() == ["churn-1-t2-0", "churn-1-t3-0"]
    assert "1 of 3 trials ended, 2 running; best auc so far: 0.7 (trial 1)" in message(cluster, "Ready")
    finish(cluster, "churn-1-t2-0", "0.9")
    finish(cluster, "churn-1-t3-0", "0.8")

    status = cluster.resource["status"]
    assert phases(cluster) == ["Succeeded"] * 3
    assert status["sweep"]["best"]["trial"] == 2
    assert (newest(cluster)["result"], newest(cluster)["metrics"]) == ("Succeeded", {"auc": "0.9"})
    assert newest(cluster)["parameters"] == {"depth": "2", "eta": "0.1"}
    assert newest(cluster)["attempts"] == 3
    assert status["artifact"]["digest"] == status["sweep"]["trials"][1]["digest"]
    assert sorted(cluster.jobs) == ["churn-1-t2-0"]
    cluster.settle()
    assert cluster.made == 3


def _container(cluster: Cluster, job: str) -> dict[str, Any]:
    found: dict[str, Any] = cluster.jobs[job]["spec"]["template"]["spec"]["containers"][0]
    return found


def test_less_may_be_better_and_of_equals_the_first_is_the_best() -> None:
    cluster = sweeping(sweep={**THREE, "objective": {"metric": "auc", "goal": "Minimize"}})
    for name, value in (("churn-1-t2-0", "0.50"), ("churn-1-t1-0", "0.5"), ("churn-1-t3-0", "0.6")):
        finish(cluster, name, value)

    assert cluster.resource["status"]["sweep"]["best"]["trial"] == 1


def test_the_best_model_must_be_accepted_too() -> None:
    cluster = sweeping(acceptance=[{"metric": "auc", "min": "0.95"}])
    for number in (1, 2, 3):
        finish(cluster, f"churn-1-t{number}-0", f"0.{number}")

    assert newest(cluster)["result"] == "Rejected"
    assert "artifact" not in cluster.resource["status"]


def test_a_trial_that_fails_is_repeated_and_then_the_sweep_goes_on_without_it() -> None:
    cluster = sweeping(retry={"limit": 1}, sweep={**THREE, "parallel": 3})
    for attempt in (0, 1):
        name = f"churn-1-t1-{attempt}"
        cluster.run_pod(name, "Failed", ended("fetch"), ended("agent"), ended("train", 1, message="boom"))
        cluster.end_job(name, "Failed", reason="BackoffLimitExceeded")
        step(cluster)
        cluster.wait(30)
        step(cluster)
    trial = cluster.resource["status"]["sweep"]["trials"][0]
    assert (trial["phase"], trial["failures"]) == ("Failed", 1)
    assert "boom" in trial["message"]

    cluster.settle()
    assert newest(cluster)["result"] == "Succeeded"
    assert phases(cluster) == ["Failed", "Succeeded", "Succeeded"]


def test_too_many_failed_trials_end_the_sweep_and_stop_the_others() -> None:
    cluster = sweeping(sweep={**THREE, "maxFailed": 0})
    cluster.run_pod("churn-1-t2-0", "Running", running("agent"), running("train"))
    cluster.run_pod("churn-1-t1-0", "Failed", ended("fetch"), ended("agent"), ended("train", 127))
    cluster.end_job("churn-1-t1-0", "Failed", reason="BackoffLimitExceeded")
    step(cluster)

    assert (newest(cluster)["result"], newest(cluster)["reason"]) == ("Failed", "SweepFailed")
    assert "failed trials: 1, more than spec.sweep.maxFailed (0); trial 1:" in newest(cluster)["message"]
    assert phases(cluster)[2] == "Skipped"
    assert cluster.alive() == []


def test_a_trial_without_the_objectives_metric_has_failed() -> None:
    cluster = sweeping()
    for number in (1, 2, 3):
        cluster.succeed(f"churn-1-t{number}-0", rows="3")
        step(cluster)

    assert phases(cluster) == ["Failed"] * 3
    assert "no trial succeeded; trial 3: metrics.json contains no number for auc" in newest(cluster)["message"]


def test_a_suspended_sweep_stops_all_its_jobs_and_goes_on_with_them() -> None:
    cluster = sweeping()
    cluster.change(spec={"suspend": True})
    step(cluster)
    assert cluster.busy() == []
    assert len(cluster.alive()) == 2

    cluster.change(spec={"suspend": False})
    cluster.settle()
    assert newest(cluster)["result"] == "Succeeded"
    assert cluster.made == 3


@pytest.mark.parametrize("on_change", ["Wait", "Ignore"])
def test_a_changed_spec_replaces_the_sweep_or_waits_for_all_of_its_trials(on_change: str) -> None:
    cluster = sweeping()
    cluster.change(spec={"seed": 4})
    cluster.settle()
    assert [record["result"] for record in cluster.resource["status"]["runs"]] == ["Succeeded", "Replaced"]

    waits = sweeping(onChange=on_change)
    waits.change(spec={"seed": 4, "parameters": {"depth": "9", "other": "1"}})
    step(waits)
    assert waits.busy() == ["churn-1-t1-0", "churn-1-t2-0"]
    assert phases(waits) == ["Running", "Running", "Pending"]
    finish(waits, "churn-1-t1-0", "0.7")
    finish(waits, "churn-1-t2-0", "0.6")
    finish(waits, "churn-1-t3-0", "0.5")
    record = next(item for item in waits.resource["status"]["runs"] if item["number"] == 1)
    assert (record["result"], record["parameters"]) == ("Succeeded", {"depth": "1"})
    assert all(
        "seed" not in json.loads(plan_of(job))["lineage"] for job in waits.jobs.values() if "1-t" in job_name(job)
    )


def test_a_trial_whose_job_went_is_created_again_from_the_spec_of_its_run() -> None:
    cluster = sweeping(onChange="Wait")
    cluster.change(spec={"seed": 4})
    cluster.remove_job("churn-1-t1-0")
    step(cluster)

    assert phases(cluster) == ["Running", "Running", "Pending"]
    assert "seed" not in json.loads(plan_of(cluster.jobs["churn-1-t1-0"]))["lineage"]


def test_a_trial_whose_job_went_with_its_spec_is_left_out() -> None:
    cluster = sweeping(onChange="Wait")
    cluster.change(spec={"seed": 4})
    for job in cluster.jobs.values():  # as an earlier release made them
        plan = {name: value for name, value in json.loads(plan_of(job)).items() if name != "spec"}
        job["metadata"]["annotations"]["perennial.dev/plan"] = json.dumps(plan)
    cluster.remove_job("churn-1-t1-0")
    step(cluster)
    assert phases(cluster) == ["Skipped", "Running", "Skipped"]

    finish(cluster, "churn-1-t2-0", "0.6")
    cluster.settle()
    assert [record["result"] for record in cluster.resource["status"]["runs"]] == ["Succeeded", "Succeeded"]


def test_trials_wait_in_the_queue_like_any_run() -> None:
    cluster = sweeping(queue={"name": "team-a"})
    assert cluster.busy() == []
    assert cluster.resource["status"]["phase"] == "Queued"

    cluster.settle()
    assert newest(cluster)["result"] == "Succeeded"


def test_how_fast_and_how_patiently_is_no_change_of_what_runs() -> None:
    cluster = sweeping()
    cluster.settle()
    cluster.change(spec={"sweep": {**THREE, "parallel": 3, "maxFailed": 1}})
    cluster.settle()

    assert cluster.made == 3


def test_killed_after_any_write_a_sweep_ends_the_same() -> None:
    def life(killed_at: int | None) -> Cluster:
        cluster = Cluster()
        cluster.change(spec={"sweep": THREE})
        for _ in range(12):
            left = None if killed_at is None else killed_at - cluster.writes
            with contextlib.suppress(Killed):
                cluster.reconcile(killed_after=left if left is not None and left > 0 else None)
            for name in cluster.busy()[:1]:
                cluster.succeed(name, auc=f"0.{name[9]}")
        return cluster

    reference = life(None)
    assert reference.resource["status"]["artifact"]["metrics"] == {"auc": "0.3"}
    for write in range(1, reference.writes + 1):
        again = life(write)
        assert again.resource["status"]["artifact"] == reference.resource["status"]["artifact"], write
        assert again.made == reference.made, f"killed after write {write}"
