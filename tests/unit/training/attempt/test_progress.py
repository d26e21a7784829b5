"""Progress in status: read from the sidecar only, rarely written, and never believed further than it may be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from perennial.core.decision import Decision
from perennial.training.attempt.progress import read_of
from tests.support.builders import running
from tests.unit.training.objects import parsed, pod
from tests.unit.training.simulation import Cluster

URL = "http://10.0.0.7:9464/progress"


def training() -> Cluster:
    """Return a cluster with a run whose code runs and whose pod has an address."""
    cluster = Cluster()
    cluster.reconcile()
    cluster.run_pod("churn-1-0", "Running", running("agent"), running("train"), podIP="10.0.0.7")
    cluster.reconcile()
    return cluster


def say(cluster: Cluster, **fields: Any) -> Decision:
    cluster.store.answers[URL] = json.dumps(fields)
    return cluster.reconcile()


def progress(cluster: Cluster) -> Any:
    return cluster.resource["status"]["currentRun"].get("progress")


@pytest.mark.parametrize(
    ("spec", "status", "expected"),
    [
        ({}, {"phase": "Running", "podIP": "10.0.0.7"}, URL),
        ({}, {"phase": "Running", "podIP": "fd00::7"}, "http://[fd00::7]:9464/progress"),
        ({}, {"phase": "Running"}, None),
        ({}, {"phase": "Pending", "podIP": "10.0.0.7"}, None),
        ({"output": None}, {"phase": "Running", "podIP": "10.0.0.7"}, None),
    ],
)
def test_only_a_running_pod_with_the_sidecar_is_asked(
    spec: dict[str, Any], status: dict[str, Any], expected: str | None
) -> None:
    read = read_of(parsed(spec).spec, pod(**status))

    assert (read.address if read else None) == expected
    assert read is None or read.every >= 15


def test_progress_is_written_when_it_changes_and_not_more_than_every_half_minute() -> None:
    cluster = training()
    assert say(cluster, step=1, total=10, metrics={"loss": "0.5"}, eta=90).reads != ()
    assert progress(cluster) == {
        "step": 1,
        "total": 10,
        "metrics": {"loss": "0.5"},
        "etaSeconds": 90,
        "time": "2026-01-31T12:00:00Z",
    }
    writes = cluster.writes
    cluster.wait(10)
    assert say(cluster, step=2, total=10).requeue_after == 20
    assert cluster.writes == writes

    cluster.wait(20)
    say(cluster, step=3, total=10)
    assert progress(cluster)["step"] == 3
    writes = cluster.writes
    cluster.wait(600)
    say(cluster, step=3, total=10, eta=5)  # nothing but the guess has changed
    assert cluster.writes == writes


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "{",
        "[]",
        '{"step": -1}',
        '{"step": 99999999999999999999}',
        '{"step": 1, "metrics": {"a\\u0000": "1"}}',
        "null",
    ],
)
def test_nonsense_changes_nothing(answer: str) -> None:
    cluster = training()
    writes = cluster.writes
    cluster.store.answers[URL] = answer
    cluster.reconcile()

    assert cluster.writes == writes
    assert progress(cluster) is None


def test_the_next_attempt_begins_without_progress() -> None:
    cluster = training()
    say(cluster, step=5)
    cluster.end_job("churn-1-0", "Failed", reason="PodFailurePolicy")
    cluster.wait(60)
    decision = cluster.reconcile()

    assert progress(cluster) is None
    assert decision.reads == ()


def unreadable(cluster: Cluster) -> Any:
    found = [item for item in cluster.resource["status"]["conditions"] if item["type"] == "OutputUnreadable"]
    return found[0]["message"] if found else None


def test_files_that_could_not_be_published_are_told_while_the_code_still_runs() -> None:
    cluster = training()
    assert unreadable(cluster) is None

    first = say(cluster, warnings=["the agent cannot read 'model.bin' in the output: chmod a+r it"])
    assert "'model.bin'" in unreadable(cluster)
    assert [event.reason for event in first.events] == ["OutputUnreadable"]
    assert progress(cluster) is None

    again = say(cluster, step=1, warnings=["the agent cannot read 'model.bin' in the output: chmod a+r it"])
    assert again.events == ()
    assert progress(cluster)["step"] == 1

    cluster.store.answers[URL] = "not JSON"
    cluster.reconcile()
    assert unreadable(cluster) is not None

    say(cluster, step=1)
    assert unreadable(cluster) is None


@pytest.mark.parametrize("warnings", [["a\nb"], ["x" * 201], ["a"] * 4, "text", [1]])
def test_warnings_that_no_agent_sends_are_not_believed(warnings: Any) -> None:
    cluster = training()
    say(cluster, step=1, warnings=warnings)
    assert unreadable(cluster) is None
    assert progress(cluster) is None


KEPT = {"resumed": "2026-01-31T11:00:00Z", "kept": "2026-01-31T12:00:05Z"}


def checkpoint(cluster: Cluster) -> Any:
    return cluster.resource["status"]["currentRun"].get("checkpoint")


def not_kept(cluster: Cluster) -> Any:
    found = [item for item in cluster.resource["status"]["conditions"] if item["type"] == "CheckpointNotKept"]
    return found[0]["message"] if found else None


def test_status_tells_what_an_attempt_goes_on_from_and_rarely_how_new_its_checkpoint_is() -> None:
    cluster = training()
    say(cluster, checkpoint={})
    assert checkpoint(cluster) == {}
    say(cluster, checkpoint=KEPT)
    assert checkpoint(cluster) == {"resumedFrom": "2026-01-31T11:00:00Z", "time": "2026-01-31T12:00:05Z"}
    writes = cluster.writes
    say(cluster, checkpoint={**KEPT, "kept": "2026-01-31T12:05:04Z"})
    assert cluster.writes == writes
    say(cluster, checkpoint={**KEPT, "kept": "2026-01-31T12:05:05Z"})
    assert checkpoint(cluster)["time"] == "2026-01-31T12:05:05Z"

    cluster.end_job("churn-1-0", "Failed", reason="PodFailurePolicy")
    cluster.wait(60)
    cluster.reconcile()
    assert checkpoint(cluster) is None, "the next attempt has its own"


def test_a_checkpoint_that_is_not_kept_is_told_while_the_code_still_runs() -> None:
    cluster = training()
    first = say(cluster, checkpoint={"problem": "the files keep changing"})
    assert not_kept(cluster) == "the files keep changing; there is none of this attempt"
    assert [event.reason for event in first.events] == ["CheckpointNotKept"]

    again = say(cluster, checkpoint={**KEPT, "problem": "the files keep changing"})
    assert not_kept(cluster) == "the files keep changing; the last one is of 2026-01-31T12:00:05Z"
    assert again.events == ()

    say(cluster, checkpoint=KEPT)
    assert not_kept(cluster) is None


@pytest.mark.parametrize("state", [{"problem": "a\nb"}, {"problem": "x" * 201}, {"kept": "x" * 33}, "text", [1]])
def test_a_state_of_checkpoints_that_no_agent_sends_is_not_believed(state: Any) -> None:
    cluster = training()
    say(cluster, checkpoint=state)
    assert checkpoint(cluster) is None
    assert not_kept(cluster) is None


def test_a_time_that_is_none_is_left_out() -> None:
    cluster = training()
    say(cluster, checkpoint={"resumed": "soon", "kept": "9999999999"})
    assert checkpoint(cluster) == {}
