"""The largest specs that the CRD accepts: status stays below 1 MiB, and no Job is created that cannot exist."""

from __future__ import annotations

from typing import Any

import pytest

from perennial.core.serialized import serialized_bytes
from perennial.training.job.limits import MAX_ANNOTATION_BYTES, MAX_JOB_BYTES, MAX_VARIABLE_BYTES, oversize
from perennial.training.run.retention import MAX_RECORD_BYTES
from tests.support.builders import training_job
from tests.unit.training.simulation import Cluster

MIB = 2**20
WIDE = "\U0001f9ea"
"""One character, four bytes: the CRD counts characters."""

PARAMETERS = {f"p{number:062}": WIDE * 1024 for number in range(64)}
ARGS = [WIDE * 8192] * 128
ENV = [{"name": f"V{number}", "value": "$" * 8192} for number in range(64)]
INPUTS = [{"name": f"{number:063}", "uri": f"s3://bucket/{'x' * 1010}/"} for number in range(16)]
SWEEP = {
    "list": [{f"q{key:061}": WIDE * 60 + f"{number:04}" for key in range(8)} for number in range(64)],
    "objective": {"metric": "auc"},
    "parallel": 64,
}

LIMITS: list[tuple[str, dict[str, Any]]] = [
    ("parameters", {"parameters": PARAMETERS}),
    ("parameters of one byte a character", {"parameters": dict.fromkeys(PARAMETERS, "$" * 1024)}),
    ("args", {"args": ARGS}),
    ("160 KB of args", {"args": ["x" * 8192] * 20}),
    ("command", {"command": ARGS}),
    ("env", {"env": ENV}),
    ("inputs", {"inputs": INPUTS}),
    ("workers", {"workers": 512, "framework": "tensorflow"}),
    ("sweep", {"sweep": SWEEP}),
    (
        "prepare",
        {
            "prepare": [{"name": f"s{number}", "args": ARGS, "env": ENV} for number in range(8)],
            "parameters": PARAMETERS,
        },
    ),
]
NAMED = pytest.mark.parametrize("spec", [spec for _, spec in LIMITS], ids=[name for name, _ in LIMITS])


@NAMED
def test_a_spec_at_its_limit_runs_or_is_refused_with_a_reason(spec: dict[str, Any]) -> None:
    cluster = Cluster(resource=training_job(spec), most_alive=64)
    for _ in range(3):
        cluster.reconcile()

    stalled = [item for item in cluster.resource["status"]["conditions"] if item["type"] == "Stalled"]
    if cluster.jobs:
        assert stalled == []
    else:
        assert [item["reason"] for item in stalled] == ["SpecTooLarge"]
        assert "move long values into a file" in stalled[0]["message"]
    for job in cluster.jobs.values():
        assert serialized_bytes(job) < MAX_JOB_BYTES * 1.2
        assert serialized_bytes(job["metadata"]["annotations"]) < 2 * 256 * 1024
        assert sum(map(len, job["metadata"]["annotations"].values())) <= MAX_ANNOTATION_BYTES
    assert serialized_bytes(cluster.resource["status"]) < MIB


def test_the_limits_themselves() -> None:
    def job(args: int = 0, plan: int = 0, variable: int = 0) -> dict[str, Any]:
        train = {"name": "train", "args": ["x" * args], "env": [{"name": "V", "value": "$" * 2 * variable}]}
        return {
            "metadata": {"annotations": {"perennial.dev/plan": "x" * plan}},
            "spec": {"template": {"spec": {"containers": [train]}}},
        }

    assert oversize(job(MAX_JOB_BYTES - 1024)) is None
    assert "the Job of a run" in (oversize(job(MAX_JOB_BYTES)) or "")
    assert oversize(job(variable=MAX_VARIABLE_BYTES)) is None
    assert "variable V of container train" in (oversize(job(variable=MAX_VARIABLE_BYTES + 1)) or "")
    assert "the run's plan" in (oversize(job(plan=MAX_ANNOTATION_BYTES)) or "")


def test_fifty_records_with_full_parameters_stay_below_the_limit() -> None:
    parameters = dict.fromkeys(PARAMETERS, "x" * 1024)
    cluster = Cluster(resource=training_job({"parameters": parameters, "history": {"runs": 50}}))
    cluster.settle()
    (first,) = cluster.resource["status"]["runs"]
    fat = {**first, "parameters": PARAMETERS, "message": WIDE * 2048}
    records = [{**fat, "number": number, "name": f"churn-{number}"} for number in range(50, 0, -1)]
    cluster.change(status={**cluster.resource["status"], "runs": records, "runCount": 50})
    cluster.reconcile()

    runs = cluster.resource["status"]["runs"]
    assert serialized_bytes(runs) <= MAX_RECORD_BYTES
    assert (runs[0]["number"], runs[0]["parameters"]) == (50, PARAMETERS)
    assert len(runs) > 10
    assert "parameters" not in runs[-1]
    assert serialized_bytes(cluster.resource["status"]) < MIB
    written = cluster.writes
    cluster.reconcile()
    assert cluster.writes == written


def test_the_newest_success_is_never_left_out() -> None:
    cluster = Cluster(resource=training_job({"history": {"runs": 50}}))
    cluster.settle()
    (first,) = cluster.resource["status"]["runs"]
    failed = {**first, "result": "Failed", "message": WIDE * 2048, "image": WIDE * 1024}
    records = [{**failed, "number": number, "name": f"churn-{number}"} for number in range(50, 1, -1)]
    cluster.change(status={**cluster.resource["status"], "runs": [*records, first], "runCount": 50})
    cluster.reconcile()

    runs = cluster.resource["status"]["runs"]
    assert (runs[0]["number"], runs[-1]["number"]) == (50, 1)
    assert serialized_bytes(runs) < MAX_RECORD_BYTES + 32 * 1024
