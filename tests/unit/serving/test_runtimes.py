"""Presets: what they make of a pod, and what a ModelDeployment may change about them."""

from __future__ import annotations

from typing import Any

import pytest

from perennial.api.contract.commands import CheckModel, FetchModel
from perennial.api.contract.settings import OperatorConfig
from perennial.core.kinds import Raw
from perennial.generate.presets import PRESETS
from tests.support.builders import digest, model_deployment
from tests.unit.serving.cluster import Cluster

CONFIG = OperatorConfig.model_validate(
    {"agent": {"image": "perennial:1"}, "runtimes": {name: preset.dump() for name, preset in PRESETS.items()}}
)


def deployment(**spec: Any) -> Raw:
    """Return the Deployment of a first revision, in an installation with the chart's presets."""
    cluster = Cluster(model_deployment(**{"runtime": {"name": "mlserver-sklearn"}, **spec}), config=CONFIG)
    cluster.publish("a")
    cluster.settle()
    (name,) = cluster.names("Deployment")
    return cluster.live("Deployment", name)


def pod(**spec: Any) -> dict[str, Any]:
    found: dict[str, Any] = deployment(**spec)["spec"]["template"]["spec"]
    return found


def fetch_of(found: dict[str, Any]) -> FetchModel:
    env = {item["name"]: item.get("value") for item in found["initContainers"][0]["env"]}
    return FetchModel.model_validate_json(env["PERENNIAL_CONFIG"])


def env_of(found: dict[str, Any]) -> dict[str, Any]:
    return {item["name"]: item.get("value") for item in found["containers"][0]["env"]}


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_makes_a_pod_that_knows_its_model(name: str) -> None:
    found = pod(runtime={"name": name})
    server, fetch = found["containers"][0], fetch_of(found)
    assert fetch.formats == PRESETS[name].formats
    assert fetch.runtime == name
    assert env_of(found)["PERENNIAL_MODEL_DIR"] == fetch.directory
    assert server["readinessProbe"]["httpGet"]["port"] == "http"
    assert "startupProbe" in server, "a slow load is not cut short"
    ports = [port["containerPort"] for port in server["ports"]]
    assert sorted(set(ports)) == sorted(ports)


@pytest.mark.parametrize(
    ("name", "directory"),
    [("mlserver-sklearn", "/mnt/models"), ("triton", "/mnt/models/churn"), ("onnx", "/mnt/models/churn/1")],
)
def test_the_model_lies_where_the_server_looks(name: str, directory: str) -> None:
    found = pod(runtime={"name": name})
    assert fetch_of(found).directory == directory
    assert found["containers"][0]["volumeMounts"][0]["mountPath"] == "/mnt/models"


def test_a_preset_is_adapted_by_arguments_and_probes() -> None:
    probe = {"path": "/mine", "periodSeconds": 20}
    server = pod(runtime={"name": "vllm", "args": ["--tensor-parallel-size=2"], "readiness": probe, "liveness": probe})
    server = server["containers"][0]
    assert server["args"][0] == "--model=$(PERENNIAL_MODEL_DIR)"
    assert server["args"][-1] == "--tensor-parallel-size=2"
    assert server["readinessProbe"]["httpGet"]["path"] == "/mine"
    assert server["livenessProbe"]["periodSeconds"] == 20


def test_a_preset_that_loads_slowly_gets_its_time() -> None:
    slow = deployment(runtime={"name": "vllm"})["spec"]
    assert slow["progressDeadlineSeconds"] == 1800
    probe = slow["template"]["spec"]["containers"][0]["startupProbe"]
    assert probe["failureThreshold"] * probe["periodSeconds"] >= 1800
    slower = deployment(runtime={"name": "vllm"}, rollout={"progressDeadlineSeconds": 3600})["spec"]
    assert slower["progressDeadlineSeconds"] == 3600


def test_trust_in_pickles_is_given_in_the_spec_alone_and_makes_a_new_revision() -> None:
    model = {"trainingJob": "churn"}
    careful = deployment(model=model)
    trusting = deployment(model={**model, "allowPickle": True})
    assert fetch_of(careful["spec"]["template"]["spec"]).allow_pickle is None
    assert fetch_of(trusting["spec"]["template"]["spec"]).allow_pickle is True
    assert careful["metadata"]["name"] != trusting["metadata"]["name"]


MORE = [{"name": "rose", "uri": "s3://models/rose/", "digest": digest("b")}]


@pytest.mark.parametrize(
    ("runtime", "folders"),
    [
        ({"name": "mlserver"}, ["/mnt/models/churn", "/mnt/models/rose"]),
        ({"name": "onnx"}, ["/mnt/models/churn/1", "/mnt/models/rose/1"]),
        (
            {"container": {"image": "own:1", "directory": "all/$(PERENNIAL_MODEL_NAME)"}},
            ["/mnt/models/all/churn", "/mnt/models/all/rose"],
        ),
    ],
)
def test_each_of_several_models_has_its_folder(runtime: dict[str, Any], folders: list[str]) -> None:
    found = deployment(runtime=runtime, models=MORE)
    fetch = fetch_of(found["spec"]["template"]["spec"])
    assert [fetch.directory, *(item.directory for item in fetch.more or ())] == folders
    assert found["metadata"]["name"] != deployment(runtime=runtime)["metadata"]["name"], "they shape the pods"


@pytest.mark.parametrize(
    ("runtime", "named"),
    [
        ({"name": "mlserver-sklearn"}, "runtime mlserver-sklearn has no folder"),
        ({"container": {"image": "own:1"}}, "spec.runtime.container.directory has no folder"),
    ],
)
def test_a_runtime_of_one_model_takes_no_more(runtime: dict[str, Any], named: str) -> None:
    cluster = Cluster(model_deployment(runtime=runtime, models=MORE), config=CONFIG)
    cluster.publish("a")
    cluster.settle()
    stalled = cluster.condition("Stalled") or {}
    assert stalled["reason"] == "RuntimeServesOneModel"
    assert named in stalled["message"]
    assert cluster.names("Deployment") == []


IMAGE = {"reference": f"registry.example/models/churn@sha256:{'e' * 64}", "path": "model"}


def test_a_model_from_an_image_is_mounted_and_looked_at() -> None:
    model = {"image": {**IMAGE, "pullPolicy": "IfNotPresent"}}
    found = deployment(runtime={"name": "onnx"}, model=model)
    assert found["metadata"]["annotations"]["perennial.dev/model-digest"] == digest("e")
    inside = found["spec"]["template"]["spec"]
    (volume,) = inside["volumes"]
    assert volume == {"name": "model", "image": {"reference": IMAGE["reference"], "pullPolicy": "IfNotPresent"}}
    mount = {"name": "model", "mountPath": "/mnt/models/churn/1", "readOnly": True, "subPath": "model"}
    (check,) = inside["initContainers"]
    assert check["volumeMounts"] == inside["containers"][0]["volumeMounts"] == [mount]
    env = {item["name"]: item.get("value") for item in check["env"]}
    config = CheckModel.model_validate_json(env["PERENNIAL_CONFIG"])
    assert (config.directory, config.formats) == ("/mnt/models/churn/1", PRESETS["onnx"].formats)


def test_another_part_of_an_image_is_another_revision() -> None:
    whole = {key: value for key, value in IMAGE.items() if key != "path"}
    names = {deployment(model={"image": image})["metadata"]["name"] for image in (IMAGE, whole)}
    assert len(names) == 2


def shared_memory(spec: dict[str, Any]) -> list[str]:
    return [volume["emptyDir"]["sizeLimit"] for volume in spec["volumes"] if volume["name"] == "shared-memory"]


def test_shared_memory_is_the_presets_unless_the_spec_says_so() -> None:
    assert shared_memory(pod()) == []
    found = pod(runtime={"name": "vllm"})
    assert shared_memory(found) == ["8Gi"]
    assert {"name": "shared-memory", "mountPath": "/dev/shm"} in found["containers"][0]["volumeMounts"]
    assert shared_memory(pod(runtime={"name": "vllm"}, sharedMemory="1Gi")) == ["1Gi"]


def test_the_volume_is_measured_in_bytes() -> None:
    assert fetch_of(pod(workspace={"sizeLimit": "2Gi"})).most_bytes == 2 * 2**30
    assert fetch_of(pod()).most_bytes is None


BATCHING = {"maxSize": 8, "maxDelayMillis": 250}


@pytest.mark.parametrize("name", [name for name in PRESETS if name.startswith("mlserver")])
def test_batching_sets_the_variables_of_the_preset_whatever_env_says(name: str) -> None:
    env = [{"name": "MLSERVER_MODEL_MAX_BATCH_SIZE", "value": "3"}]
    runtime = {"name": name, "batching": BATCHING}
    found = env_of(pod(runtime={**runtime, "env": env}))
    assert found["MLSERVER_MODEL_MAX_BATCH_SIZE"] == "8"
    assert found["MLSERVER_MODEL_MAX_BATCH_TIME"] == "0.25"
    assert "MLSERVER_MODEL_MAX_BATCH_SIZE" not in env_of(pod(runtime={"name": name}))
    assert deployment(runtime=runtime)["metadata"]["name"] != deployment(runtime={"name": name})["metadata"]["name"]


def test_batching_is_refused_for_a_runtime_that_has_no_variables_for_it() -> None:
    cluster = Cluster(model_deployment(runtime={"name": "triton", "batching": BATCHING}), config=CONFIG)
    cluster.publish("a")
    cluster.settle()
    stalled = cluster.condition("Stalled") or {}
    assert stalled["reason"] == "RuntimeDoesNotBatch"
    assert "spec.runtime.batching: runtime triton cannot be told" in stalled["message"]
    assert "mlserver, mlserver-lightgbm" in stalled["message"]
    assert cluster.names("Deployment") == []
