"""The resources' models: JSON names, defaults, and the checks that CEL cannot make."""

from contextlib import nullcontext
from typing import Any

import pytest
from pydantic import ValidationError

from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.trainingjob.resource import TrainingJob, TrainingJobSpec


def training(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "churn"}, "spec": {"image": "x", **spec}}


def test_json_names_are_camel_case_and_round_trip() -> None:
    job = TrainingJob.model_validate(
        training(onChange="Wait", activeDeadlineSeconds=5, resources={"limits": {"cpu": 1}})
    )

    assert job.spec.on_change == "Wait"
    assert job.spec.dump()["activeDeadlineSeconds"] == 5
    assert TrainingJob.model_validate(job.dump()) == job


def test_a_quantity_may_be_a_number_and_stays_as_written() -> None:
    job = TrainingJob.model_validate(training(resources={"limits": {"cpu": 1, "memory": "1500m"}}))

    assert job.spec.dump()["resources"] == {"limits": {"cpu": "1", "memory": "1500m"}}


def test_parameters_must_not_share_a_variable() -> None:
    with pytest.raises(ValidationError, match="depth and DEPTH share the variable PERENNIAL_PARAM_DEPTH"):
        TrainingJob.model_validate(training(parameters={"depth": "1", "DEPTH": "2"}))


def test_from_is_a_name_of_the_resource_though_not_of_python() -> None:
    monitor = DriftMonitor.model_validate(
        {
            "metadata": {"name": "m"},
            "spec": {"target": {"modelDeployment": "d"}, "schedule": "0 * * * *", "reference": {"from": "TrainingRun"}},
        }
    )

    assert monitor.spec.reference.from_ == "TrainingRun"
    assert monitor.spec.reference.dump() == {"from": "TrainingRun"}


def test_models_cannot_be_changed() -> None:
    deployment = ModelDeployment.model_validate(
        {"metadata": {"name": "d"}, "spec": {"model": {"trainingJob": "churn"}, "runtime": {"name": "x"}}}
    )

    with pytest.raises(ValidationError, match="frozen"):
        deployment.spec.replicas = None  # type: ignore[misc, assignment]
    assert deployment.status.observed_generation == -1


# What newData watches, where the output goes, and whether a run would start the next one.
LOOPS = [
    ("s3://team/churn/", "s3://team/churn/models/", True),
    ("s3://team/churn", "s3://team/churn/models", True),
    ("s3://team", "s3://team/models/", True),
    ("s3://team/models/", "s3://team/models/", True),
    ("s3://team/models/runs/", "s3://team/models/", True),
    ("s3://team/models/versions/abababababab/", "s3://team/models/", True),
    ("s3://team/models/data/", "s3://team/models/", False),
    ("s3://team/churn/", "s3://team/churn-models/", False),
    ("s3://team/churn/", "s3://models/churn/", False),
]


@pytest.mark.parametrize(("watched", "output", "loops"), LOOPS)
def test_new_data_does_not_watch_what_a_run_publishes(watched: str, output: str, loops: bool) -> None:
    fields = {"image": "a", "inputs": [{"name": "train", "uri": watched}], "output": {"uri": output}}
    TrainingJobSpec.model_validate(fields)

    with pytest.raises(ValueError, match="every run would start another") if loops else nullcontext():
        TrainingJobSpec.model_validate({**fields, "newData": {"poll": "10m"}})
