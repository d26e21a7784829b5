"""Variables, addresses and Service through which workers connect, for each framework."""

from __future__ import annotations

import json
from typing import Any

import pytest

from perennial.api.contract.settings import OperatorConfig
from perennial.training.job.rendezvous import build_service, processes_per_worker, service_name, worker_env
from tests.unit.training.job.test_build import job, pod
from tests.unit.training.objects import parsed

CONFIG = OperatorConfig()
LEADER = "churn-1-0-0.tj-churn-workers.default.svc"


def told(**spec: Any) -> dict[str, str]:
    """Return the variables as worker 1 sees them."""
    env = worker_env(parsed(spec), "churn-1-0", CONFIG)
    values = {item["name"]: item.get("value", "1") for item in env}
    return {name: value.replace("$(PERENNIAL_WORKER_INDEX)", "1") for name, value in values.items()}


COMMON = {"PERENNIAL_WORKER_INDEX": "1", "PERENNIAL_WORKERS": "2", "PERENNIAL_LEADER": LEADER}


@pytest.mark.parametrize(
    ("framework", "expected"),
    [
        ("none", {}),
        (
            "torch",
            {
                "PET_NNODES": "2",
                "PET_NPROC_PER_NODE": "1",
                "PET_NODE_RANK": "1",
                "PET_MASTER_ADDR": LEADER,
                "PET_MASTER_PORT": "29500",
            },
        ),
        (
            "jax",
            {"JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "1", "JAX_COORDINATOR_ADDRESS": f"{LEADER}:29500"},
        ),
        (
            "xgboost",
            {
                "DMLC_TRACKER_URI": LEADER,
                "DMLC_TRACKER_PORT": "9091",
                "DMLC_TASK_ID": "1",
                "DMLC_NUM_WORKER": "2",
            },
        ),
    ],
)
def test_variables(framework: str, expected: dict[str, str]) -> None:
    assert told(framework=framework, workers=2) == COMMON | expected


def test_tensorflow_lists_every_worker() -> None:
    found = json.loads(told(framework="tensorflow", workers=2)["TF_CONFIG"])

    other = LEADER.replace("churn-1-0-0", "churn-1-0-1")
    assert found == {
        "cluster": {"worker": [f"{LEADER}:2222", f"{other}:2222"]},
        "task": {"type": "worker", "index": 1},
        "environment": "cloud",
    }


def test_a_single_worker_needs_no_service_and_meets_itself() -> None:
    assert told(framework="torch")["PET_MASTER_ADDR"] == "localhost"
    assert told() == {}
    assert "TF_CONFIG" not in told(framework="tensorflow")
    assert "subdomain" not in pod({"framework": "torch"})


def test_several_workers_are_one_job_under_one_service() -> None:
    found, service = job({"workers": 3}), build_service(parsed({"workers": 3}))

    assert service is not None
    assert (found["spec"]["completions"], found["spec"]["parallelism"], found["spec"]["backoffLimit"]) == (3, 3, 0)
    template = found["spec"]["template"]
    assert template["spec"]["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True


@pytest.mark.parametrize("name", ["a", "9" * 63, "x" * 63, "x" * 50 + "-" + "y" * 12])
def test_names_are_legal_at_every_length(name: str) -> None:
    found = service_name(name)

    assert len(found) <= 63
    assert found[0].isalpha()


@pytest.mark.parametrize(
    ("spec", "processes"),
    [
        ({}, "1"),
        ({"processesPerWorker": 4}, "4"),
        ({"processesPerWorker": "auto"}, "auto"),
        ({"resources": {"requests": {"cpu": "2500m"}}}, "3"),
        ({"resources": {"limits": {"cpu": "2"}}}, "2"),
        ({"resources": {"requests": {"cpu": "100m"}}}, "1"),
        ({"resources": {"limits": {"nvidia.com/gpu": "8", "cpu": "2"}}}, "auto"),
        ({"resources": {"limits": {"nvidia.com/mig-1g.5gb": "1"}}}, "auto"),
        ({"resources": {"limits": {"nvidia.com/gpu": "0", "cpu": "2"}}}, "2"),
    ],
)
def test_processes_of_each_worker(spec: dict[str, Any], processes: str) -> None:
    assert processes_per_worker(parsed({"framework": "torch", **spec}).spec) == processes
