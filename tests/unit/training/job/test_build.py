"""The Job of an attempt: the pod gets exactly what the spec says."""

from __future__ import annotations

from typing import Any

import pytest

from perennial.agent.publish.command import READY_FILE as AGENT_READY_FILE
from perennial.api.contract.commands import ROOT, FetchInputs, PublishConfig
from perennial.api.contract.settings import OperatorConfig
from perennial.api.trainingjob.resource import CurrentRun, Trigger
from perennial.core.labels import PLAN_ANNOTATION
from perennial.core.times import parse_time
from perennial.training.job.build import READY_FILE, build_job, grace_seconds
from perennial.training.job.plan import job_name, read_plan, run_hash
from perennial.training.run.records import start
from tests.support.builders import NOW
from tests.unit.training.objects import parsed

CONFIG = OperatorConfig.model_validate({"agent": {"image": "perennial:1", "imagePullPolicy": "Never"}})


def run_of(name: str = "churn") -> CurrentRun:
    trigger = Trigger(kind="Created")
    return start(name, trigger, number=1, spec_hash="h", generation=1, now=parse_time(NOW))


def job(spec: dict[str, Any] | None = None, **meta: Any) -> dict[str, Any]:
    resource = parsed(spec, **meta)
    return build_job(resource, run_of(resource.metadata.name), CONFIG)


def pod(spec: dict[str, Any] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = job(spec)["spec"]["template"]["spec"]
    return found


def env(spec: dict[str, Any] | None = None) -> dict[str, Any]:
    (train,) = pod(spec)["containers"]
    names = [item["name"] for item in train["env"]]
    assert len(names) == len(set(names)), "the API server warns of variables that are there twice"
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in train["env"]}


def config_of(container: dict[str, Any]) -> str:
    """Return what the container will read: Kubernetes turns $$ into $."""
    value: str = next(item["value"] for item in container["env"] if item["name"] == "PERENNIAL_CONFIG")
    return value.replace("$$", "$")


def test_a_pod_without_inputs_parameters_and_output_has_only_the_code() -> None:
    found = pod({"output": None})

    assert "initContainers" not in found
    assert [item["name"] for item in found["containers"]] == ["train"]
    assert found["terminationGracePeriodSeconds"] == 30


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        ({}, ["fetch", "agent"]),
        ({"output": None, "inputs": [{"name": "a", "uri": "s3://data/a/"}]}, ["fetch"]),
        ({"output": None, "parameters": {"a": "1"}}, ["fetch"]),
    ],
)
def test_helpers_are_there_where_they_have_something_to_do(spec: dict[str, Any], names: list[str]) -> None:
    assert [item["name"] for item in pod(spec)["initContainers"]] == names


def test_the_folders_are_made_before_the_sidecar_and_the_sidecar_listens_before_the_code_starts() -> None:
    fetch, agent = pod()["initContainers"]

    assert "restartPolicy" not in fetch
    assert agent["restartPolicy"] == "Always"
    assert agent["startupProbe"]["exec"]["command"] == ["ls", READY_FILE]
    assert f"{ROOT}/{AGENT_READY_FILE}" == READY_FILE


def test_what_users_wrote_reaches_the_agent_and_the_code_unchanged() -> None:
    odd = {"pattern": "a$$b $(PERENNIAL_RUN) ${x}", "text": 'quote " and \\ and ü'}
    fetch, agent = pod({"parameters": odd, "seed": 0})["initContainers"]

    assert FetchInputs.model_validate_json(config_of(fetch)).parameters == odd
    assert PublishConfig.model_validate_json(config_of(agent)).recipe.parameters == odd
    assert env({"parameters": odd})["PERENNIAL_PARAM_PATTERN"].replace("$$", "$") == odd["pattern"]
    assert env({"parameters": odd})["PERENNIAL_PARAM_PATTERN"].count("$$") == 4


@pytest.mark.parametrize(("steps", "limit"), [(0, 2457), (8, 945)])
def test_the_sidecar_gets_its_share_of_the_termination_messages(steps: int, limit: int) -> None:
    spec = {
        "prepare": [{"name": f"step{number}", "command": ["true"]} for number in range(steps)] or None,
        "acceptance": [{"metric": "auc", "min": "0.8"}, {"metric": "loss", "max": "1"}],
    }
    config = PublishConfig.model_validate_json(config_of(pod(spec)["initContainers"][-1]))

    assert (config.message_bytes, config.metrics_first) == (limit, ("auc", "loss"))


def test_the_code_is_told_where_it_is_and_what_it_gets() -> None:
    found = env({"seed": 0, "parameters": {"max_depth": "6"}})

    assert found == {
        "PERENNIAL_NAMESPACE": "default",
        "PERENNIAL_JOB": "churn",
        "PERENNIAL_RUN": "churn-1",
        "PERENNIAL_ATTEMPT": "0",
        "PERENNIAL_INPUTS": "/perennial/inputs",
        "PERENNIAL_OUTPUT": "/perennial/output",
        "PERENNIAL_SEED": "0",
        "PYTHONHASHSEED": "0",
        "PERENNIAL_PARAM_MAX_DEPTH": "6",
    }


def test_users_may_replace_the_hash_seed_but_none_of_ours() -> None:
    found = env(
        {
            "seed": 1,
            "env": [
                {"name": "PYTHONHASHSEED", "value": "random"},
                {"name": "PERENNIAL_RUN", "value": "another"},
                {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            ],
        }
    )

    assert found["PYTHONHASHSEED"] == "random"
    assert found["PERENNIAL_RUN"] == "churn-1"
    assert found["TOKEN"] == {"secretKeyRef": {"name": "s", "key": "k"}}


def test_options_reach_the_pod() -> None:
    found = pod(
        {
            "command": ["python"],
            "args": [],
            "workingDir": "/app",
            "imagePullPolicy": "Never",
            "envFrom": [{"configMapRef": {"name": "c"}}],
            "resources": {"limits": {"nvidia.com/gpu": 1}},
            "nodeSelector": {"pool": "gpu"},
            "workspace": {"sizeLimit": "20Gi", "medium": "Memory"},
            "storage": {"caConfigMap": "ca"},
        }
    )
    (train,) = found["containers"]

    assert train["command"] == ["python"]
    assert train["args"] == []
    assert train["workingDir"] == "/app"
    assert train["imagePullPolicy"] == "Never"
    assert train["envFrom"] == [{"configMapRef": {"name": "c"}}]
    assert train["resources"] == {"limits": {"nvidia.com/gpu": "1"}}
    assert found["nodeSelector"] == {"pool": "gpu"}
    assert found["volumes"] == [
        {"name": "workspace", "emptyDir": {"sizeLimit": "20Gi", "medium": "Memory"}},
        {"name": "storage-ca", "configMap": {"name": "ca"}},
    ]


def test_the_pod_carries_no_token_and_cannot_gain_rights() -> None:
    found = pod({"storage": {"secretName": "s3"}})
    (train,) = found["containers"]

    assert found["automountServiceAccountToken"] is False
    assert found["enableServiceLinks"] is False
    assert "serviceAccountName" not in found
    assert train["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
    }
    assert not any(item["name"].startswith("AWS_") for item in train["env"])


def test_labels_and_annotations_of_users_stay_with_the_resource() -> None:
    found = job(labels={"team": "a"}, annotations={"argocd.argoproj.io/tracking-id": "x"})

    assert "team" not in found["metadata"]["labels"]
    assert list(found["metadata"]["annotations"]) == [PLAN_ANNOTATION]
    assert found["metadata"]["ownerReferences"][0]["uid"] == "tj-1"


def test_the_plan_travels_with_the_job() -> None:
    plan = read_plan(job({"seed": 7})["metadata"]["annotations"][PLAN_ANNOTATION])

    assert plan is not None
    assert plan.run == run_of()
    assert plan.lineage.seed == 7


def test_a_deadline_is_the_jobs() -> None:
    assert "activeDeadlineSeconds" not in job()["spec"]
    assert job({"activeDeadlineSeconds": 60})["spec"]["activeDeadlineSeconds"] == 60


@pytest.mark.parametrize(
    ("workspace", "seconds"),
    [
        (None, 600),
        ({"sizeLimit": "1Gi"}, 600),
        ({"sizeLimit": "200Gi"}, 4096),
        ({"sizeLimit": "10Ti"}, 21600),
        ({}, 600),
    ],
)
def test_a_larger_output_gets_more_time_to_be_published(workspace: dict[str, Any] | None, seconds: int) -> None:
    assert grace_seconds(parsed({"workspace": workspace}).spec) == seconds


@pytest.mark.parametrize("name", ["a", "a" * 53, "a" * 63, f"{'a' * 50}-{'b' * 12}"])
def test_an_index_still_fits_behind_the_jobs_name(name: str) -> None:
    found = job(name=name)["metadata"]["name"]

    assert found == job_name(name, 1, 0)
    assert len(f"{found}-99999") <= 63


def test_checkpoints_have_a_place_of_their_own_for_each_training_job_run_and_attempt() -> None:
    spec = {"checkpoint": {"uri": "s3://scratch/churn/", "every": "2m"}}
    fetch, agent = pod(spec)["initContainers"]
    expected = {
        "number": 1,
        "run": "churn-1",
        "attempt": 0,
        "every": 120,
    }
    for found in (
        FetchInputs.model_validate_json(config_of(fetch)),
        PublishConfig.model_validate_json(config_of(agent)),
    ):
        assert found.checkpoint is not None
        uid = parsed(spec).metadata.uid
        assert found.checkpoint.model_dump() == {**expected, "uri": f"s3://scratch/churn/default/churn/{uid}"}
    assert env(spec)["PERENNIAL_CHECKPOINT"] == "/perennial/checkpoint"


def test_without_the_field_no_checkpoints_are_kept() -> None:
    fetch, agent = pod()["initContainers"]
    assert FetchInputs.model_validate_json(config_of(fetch)).checkpoint is None
    assert PublishConfig.model_validate_json(config_of(agent)).checkpoint is None
    assert "PERENNIAL_CHECKPOINT" not in env()


def test_a_change_of_where_checkpoints_are_kept_is_no_change_of_what_is_computed() -> None:
    with_it = parsed({"checkpoint": {"uri": "s3://scratch/churn/"}}).spec
    assert run_hash(with_it) == run_hash(parsed().spec)
