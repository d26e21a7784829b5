"""Of the pods of an Indexed Job one gives the verdict; the others have only counted a part."""

from __future__ import annotations

from typing import Any

import pytest

from perennial.core.kinds import DRIFT_MONITOR, Raw
from perennial.core.labels import JOB_INDEX_KEY
from tests.support import builders
from tests.support.builders import EARLIER, condition, drift_monitor, job_failed
from tests.unit.drift import worlds
from tests.unit.drift.worlds import after, conditions, cron_job, decide, failed_job, status_of, target, verdict

NAME = "churn-1"
MONITOR = drift_monitor(shards=4, report={"uri": "s3://reports/churn/"})
SOONER = "2026-01-31T10:59:00Z"


def job(*found: Raw, succeeded: int = 0) -> Raw:
    """Build a Job with four shards."""
    made = builders.job(NAME, DRIFT_MONITOR, status={"conditions": list(found), "succeeded": succeeded})
    return {**made, "spec": {"completions": 4, "parallelism": 4}}


def pod(index: int, message: Any, **changes: Any) -> Raw:
    """Build the pod of a shard that has ended."""
    made = worlds.pod(NAME, message, **changes)
    labels = {**made["metadata"]["labels"], JOB_INDEX_KEY: str(index)}
    return {**made, "metadata": {**made["metadata"], "name": f"{NAME}-{index}-x", "labels": labels}}


def part(index: int, at: str = EARLIER) -> Raw:
    """Build the pod of a shard that has written its part."""
    return pod(index, {"v": 1, "kind": "ShardWritten", "shard": index, "shards": 4, "files": 6, "rows": 100}, at=at)


def run_of(*world: Raw) -> dict[str, Any] | None:
    return status_of(decide(MONITOR, target(), cron_job(), *world)).get("lastRun")


@pytest.mark.parametrize("found", [(), (condition("Complete", reason="", message="", time=EARLIER),)])
@pytest.mark.parametrize("at", [SOONER, EARLIER])
def test_the_verdict_is_that_of_the_pod_that_merged_whenever_it_ended(found: tuple[Raw, ...], at: str) -> None:
    decision = decide(MONITOR, target(), cron_job(), job(*found), part(0), pod(1, verdict(), at=at), part(2), part(3))
    assert conditions(decision)["Drifted"][0] == "True"
    assert status_of(decision)["lastRun"] == {"job": NAME, "time": at, "result": "Verdict"}


def test_parts_are_no_result_while_others_run() -> None:
    assert run_of(job(), part(0), part(2)) is None
    assert run_of(job(), part(0), pod(1, {}, code=77)) is None  # its index is tried again


def test_a_second_shard_that_merged_makes_no_second_verdict() -> None:
    world = target(), cron_job(), job(), part(0), pod(1, verdict(), at=SOONER)
    first = decide(MONITOR, *world)
    second = decide(after(first, MONITOR), *world, pod(2, verdict(), at=EARLIER))
    assert status_of(second)["consecutive"] == status_of(first)["consecutive"] == 1
    assert status_of(second)["lastRun"] == status_of(first)["lastRun"]


def test_a_shard_that_failed_is_named_and_not_those_that_were_stopped_for_it() -> None:
    stopped = {"v": 1, "kind": "Failure", "reason": "Interrupted", "message": "the agent was stopped"}
    broken = {"v": 1, "kind": "Failure", "reason": "DataInvalid", "message": "s3://capture/x cannot be read"}
    failed = job(job_failed("PodFailurePolicy", EARLIER))
    found = run_of(failed, part(0), pod(1, stopped, code=76), pod(3, broken, code=73, at=SOONER))
    assert found is not None
    assert (found["result"], found["reason"]) == ("Failed", "DataInvalid")
    assert found["message"].startswith("shard 3: s3://capture/x cannot be read")


def test_a_comparison_without_shards_names_none() -> None:
    broken = {"v": 1, "kind": "Failure", "reason": "DataInvalid", "message": "s3://capture/x cannot be read"}
    found = run_of(failed_job(NAME), worlds.pod(NAME, broken, code=73))
    assert found is not None
    assert found["message"].startswith("s3://capture/x cannot be read")


def test_at_the_deadline_it_is_told_how_many_shards_were_done() -> None:
    stopped = {"v": 1, "kind": "Failure", "reason": "Interrupted", "message": "the agent was stopped"}
    found = run_of(job(job_failed("DeadlineExceeded", EARLIER), succeeded=3), part(0), pod(1, stopped, code=76))
    assert found is not None
    assert found["reason"] == "DeadlineExceeded"
    assert "3 of 4 shards had ended" in found["message"]


def test_a_verdict_whose_pod_is_gone_is_lost_and_the_comparison_repeated() -> None:
    complete = job(condition("Complete", reason="", message="", time=EARLIER), succeeded=4)
    decision = decide(MONITOR, target(), cron_job(), complete, part(0), part(2), part(3))
    run = status_of(decision)["lastRun"]
    assert (run["reason"], run["message"][:56]) == (
        "VerdictLost",
        "the Job completed, but its pod was deleted before its ve",
    )
    again = decision.actions[1].manifest  # type: ignore[union-attr]
    assert again["spec"]["completions"] == 4


def test_shards_that_all_ended_without_a_verdict_are_told() -> None:
    complete = job(condition("Complete", reason="", message="", time=EARLIER), succeeded=4)
    found = run_of(complete, *(part(index) for index in range(4)))
    assert found is not None
    assert found["reason"] == "VerdictLost"
    assert "no shard found what all others had counted" in found["message"]


@pytest.mark.parametrize(("shards", "kept"), [(1, 10), (8, 10), (16, 5), (64, 3)])
def test_fewer_finished_jobs_are_kept_with_many_pods(shards: int, kept: int) -> None:
    monitor = drift_monitor(shards=shards, report={"uri": "s3://reports/churn/"})
    spec = decide(monitor, target()).actions[0].manifest["spec"]  # type: ignore[union-attr]
    assert (spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"]) == (kept, kept)
