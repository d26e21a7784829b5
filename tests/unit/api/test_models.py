"""The resources' models: JSON names, defaults, and the checks that CEL cannot make."""

from typing import Any

import pytest
from pydantic import ValidationError

from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.trainingjob.resource import TrainingJob


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
