"""Gauges of a TrainingJob."""

from __future__ import annotations

from perennial.training.controller import CONTROLLER
from tests.support.builders import NOW, artifact, condition, training_job


def test_gauges_tell_runs_and_the_numbers_of_the_artifact() -> None:
    metrics = {"auc": "0.93", "note": "good", "loss": "nan"}
    ended = {
        "name": "churn-2",
        "number": 2,
        "result": "Rejected",
        "reason": "NotAccepted",
        "attempts": 1,
        "trigger": {"kind": "Created"},
        "startTime": NOW,
        "completionTime": NOW,
        "specHash": "a",
        "generation": 1,
    }
    status = {
        "conditions": [condition("Ready", "False", reason="Failed"), condition("Stalled", reason="Failed")],
        "runCount": 2,
        "runs": [ended],
        "artifact": {**artifact("a"), "metrics": metrics},
        "lastSuccessTime": NOW,
    }
    found = CONTROLLER.metrics(CONTROLLER.parse(training_job(status=status)))
    assert {gauge.name: gauge.value for gauge in found} == {
        "perennial_resource_ready": 0.0,
        "perennial_resource_stalled": 1.0,
        "perennial_resource_suspended": 0.0,
        "perennial_training_runs": 2,
        "perennial_training_running": 0.0,
        "perennial_training_failed": 1.0,
        "perennial_training_last_success_timestamp_seconds": 1769860800.0,
        "perennial_artifact_metric": 0.93,
    }


def test_a_new_training_job_has_no_gauge_of_what_has_not_happened() -> None:
    found = CONTROLLER.metrics(CONTROLLER.parse(training_job(status={"lastSuccessTime": "soon"})))
    assert {gauge.name for gauge in found} == {
        "perennial_resource_ready",
        "perennial_resource_stalled",
        "perennial_resource_suspended",
        "perennial_training_runs",
        "perennial_training_running",
    }
