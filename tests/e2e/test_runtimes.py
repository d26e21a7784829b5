"""Real MLServers from their presets: pickles only when allowed, foreign clients, batches, and what capture keeps."""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib import error, request

from perennial.agent.records.parquet import parquet_lines
from perennial.core.kinds import AUTOSCALER, MODEL_DEPLOYMENT, NETWORK_POLICY, POD, SERVICE, Raw
from tests.e2e.support.versions import publish, serving
from tests.e2e.support.world import World, condition, within
from tests.support.kube import eventually

NAMESPACE = "runtimes"
SUPPORT = Path(__file__).parent / "support"
PRESETS = {"xgboost": "xgboost", "lightgbm": "lightgbm", "onnx": "mlflow", "mlflow": "mlflow"}
"""The preset by which each model of support/plants.py is served; the last one batches."""
SMALL = {"requests": {"cpu": "100m", "memory": "128Mi"}}
TRAIN = """
import joblib, os
from sklearn.linear_model import LogisticRegression
model = LogisticRegression().fit([[0.0, 0.0], [1.0, 1.0]], [0, 1])
joblib.dump(model, os.environ["PERENNIAL_OUTPUT"] + "/model.joblib")
"""
SETTINGS = """
import json
sklearn = "mlserver_sklearn.SKLearnModel"
settings = {{"name": "{name}", "implementation": sklearn, "parameters": {{"uri": "./model.joblib"}}}}
open(os.environ["PERENNIAL_OUTPUT"] + "/model-settings.json", "w").write(json.dumps(settings))
"""


@dataclass(frozen=True)
class Client:
    """Speaks version 2 of the Open Inference Protocol over HTTP, with nothing but the standard library."""

    address: str

    def get(self, path: str) -> tuple[int, Any]:
        """Return status and body of a GET."""
        return self._ask(request.Request(f"http://{self.address}/v2{path}"))

    def infer(self, model: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Return status and body of a prediction."""
        data = json.dumps(body).encode()
        url = f"http://{self.address}/v2/models/{model}/infer?ssn=123-45"
        return self._ask(request.Request(url, data, {"content-type": "application/json"}))

    def _ask(self, wanted: request.Request) -> tuple[int, Any]:
        try:
            with request.urlopen(wanted, timeout=10) as found:
                return found.status, json.loads(found.read() or b"null")
        except error.HTTPError as refused:
            return refused.code, json.loads(refused.read() or b"null")


def tensor(*rows: list[float]) -> dict[str, Any]:
    return {"name": "x", "shape": [len(rows), 2], "datatype": "FP64", "data": [value for row in rows for value in row]}


async def test_mlserver_by_its_preset(world: World, tmp_path: Path) -> None:
    await world.train("flower", TRAIN)
    trained = (await world.succeeded("flower"))["artifact"]
    await world.serve(
        "flower",
        model={"uri": trained["uri"], "digest": trained["digest"]},
        runtime={"name": "mlserver-sklearn", "readiness": {"path": "/v2/models/flower/ready", "periodSeconds": 1}},
        replicas={"min": 1, "max": 2},
        autoscaling=[{"cpu": 80}],
        scalingBehavior={"scaleDown": {"stabilizationWindowSeconds": 30}},
        resources={"requests": {"cpu": "50m", "memory": "256Mi"}},
        networkPolicy={"allow": [{"namespaceLabels": {"team": "web"}, "podLabels": {"app": "front"}}]},
        capture={"uri": "s3://capture/flower/", "every": "1s", "format": "Parquet", "redact": ["ssn"]},
    )
    said = await world.condition(MODEL_DEPLOYMENT, "flower", "RolloutFailed", "PickleRefused")
    assert "model.joblib" in said
    assert "spec.model.allowPickle" in said

    await world.change(MODEL_DEPLOYMENT, "flower", model={"allowPickle": True})
    status = await world.until(MODEL_DEPLOYMENT, "flower", lambda now: now.get("stable"), "MLServer serves", 240)
    assert condition(status, "Ready", "True", "Serving")
    (scaler,) = await world.children(AUTOSCALER, "flower", "ModelDeployment")
    assert scaler["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 30
    (policy,) = await world.children(NETWORK_POLICY, "flower", "ModelDeployment")
    assert [port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]] == [9080, 8082, 9081]

    service = await world.kube.get(SERVICE, NAMESPACE, "flower") or {}
    await asyncio.to_thread(speak, Client(service["spec"]["clusterIP"]))
    await within(lambda: asyncio.to_thread(captured, world, tmp_path), "the predictions are captured", 60)


async def test_several_models_in_one_server(world: World) -> None:
    for name in ("rose", "lily"):
        await world.train(name, TRAIN + SETTINGS.format(name=name))
    lily = (await world.succeeded("lily"))["artifact"]
    await world.succeeded("rose")
    await world.serve(
        "rose",
        model={"trainingJob": "rose", "allowPickle": True},
        models=[{"name": "lily", "uri": lily["uri"], "digest": lily["digest"]}],
        runtime={"name": "mlserver"},
        resources={"requests": {"cpu": "50m", "memory": "256Mi"}},
    )
    await world.until(MODEL_DEPLOYMENT, "rose", lambda now: now.get("stable"), "MLServer serves", 240)
    service = await world.kube.get(SERVICE, NAMESPACE, "rose") or {}
    client = Client(service["spec"]["clusterIP"])
    for name in ("rose", "lily"):
        status, answer = await asyncio.to_thread(client.infer, name, {"inputs": [tensor([1.0, 1.0])]})
        assert (status, answer["model_name"], answer["outputs"][0]["data"]) == (200, name, [1])


async def test_each_library_answers_a_foreign_client_by_rest_and_grpc(world: World) -> None:
    code = (SUPPORT / "plants.py").read_text()
    await world.train("plants", code, resources={**SMALL, "limits": {"memory": "2Gi"}})
    trained = (await world.succeeded("plants", seconds=300))["artifact"]
    for name, files in by_folder(world, trained["uri"]).items():
        digest = publish(world.site, f"runtimes/{name}/", files)
        batching = {"batching": {"maxSize": 4, "maxDelayMillis": 2000}} if name == "mlflow" else {}
        await world.serve(
            name,
            model={"uri": f"s3://models/runtimes/{name}/", "digest": digest, "allowPickle": PRESETS[name] == "mlflow"},
            runtime={"name": f"mlserver-{PRESETS[name]}", **batching},
            resources=SMALL,
        )
    for name in PRESETS:
        await world.until(MODEL_DEPLOYMENT, name, lambda now: now.get("stable"), "MLServer serves", 600)

    (pod, *_) = await pods_of(world, "xgboost")
    client = (SUPPORT / "stranger.py").read_text()
    said = await asyncio.to_thread(
        world.site.kubectl, "exec", pod["name"], "-c", "server", "--", "python3", "-c", client, *PRESETS,
        namespace=NAMESPACE,
    )  # fmt: skip
    answers = json.loads(said.splitlines()[-1])
    for name, found in answers["models"].items():
        assert found["rest"] == found["grpc"], name
        assert (found["rest"]["ready"], found["rest"]["id"]) == (True, "order-7"), name
    values = {name: found["rest"]["values"] for name, found in answers["models"].items()}
    assert values["xgboost"][0] < 0.5 < values["xgboost"][1]
    assert values["lightgbm"][0] < 0.5 < values["lightgbm"][1]
    assert [round(value, 3) for value in values["onnx"]] == [0.5, 0.881]
    assert values["mlflow"] == [2.0, 2.0]
    assert answers["together"] == [[4.0]] * 4, "requests of four clients were predicted together"


def by_folder(world: World, uri: str) -> dict[str, dict[str, bytes]]:
    """Return the files of a version by the folder that they are in."""
    client, prefix = world.site.s3(), uri.removeprefix("s3://models/")
    found: dict[str, dict[str, bytes]] = {name: {} for name in PRESETS}
    for item in client.list_objects_v2(Bucket="models", Prefix=prefix)["Contents"]:
        name, _, file = item["Key"].removeprefix(prefix).partition("/")
        if name in found:
            found[name][file] = client.get_object(Bucket="models", Key=item["Key"])["Body"].read()
    return found


async def test_a_long_stream_ends_before_its_pod_does(world: World) -> None:
    old, new = (publish(world.site, f"runtimes/{name}/", {"model": name.encode()}) for name in ("old", "new"))
    server = {"image": world.site.demo.name, "command": ["python3", "-c", (SUPPORT / "streamer.py").read_text()]}
    await world.serve(
        "stream",
        **{**serving(world.site, "s3://models/runtimes/old/", old), "runtime": {"container": server}},
        rollout={"keepPrevious": "1s"},
        capture={"uri": "s3://capture/stream/"},
        terminationGracePeriodSeconds=120,
    )
    await world.until(MODEL_DEPLOYMENT, "stream", lambda now: now.get("stable"), "it serves")
    service = await world.kube.get(SERVICE, NAMESPACE, "stream") or {}
    address = service["spec"]["clusterIP"]
    (pod,) = await pods_of(world, "stream")

    with ThreadPoolExecutor(100) as pool:
        first = pool.submit(streamed, address)
        await world.change(MODEL_DEPLOYMENT, "stream", model={"uri": "s3://models/runtimes/new/", "digest": new})
        streams = [first]

        async def stopped() -> float:
            streams.append(pool.submit(streamed, address))
            left = [found for found in await pods_of(world, "stream") if found["name"] == pod["name"]]
            return time.monotonic() if "deletionTimestamp" in left[0] else 0.0

        told = await eventually(stopped, "the old pod is told to stop", seconds=120, pause=1)
        ends = [await asyncio.wrap_future(stream) for stream in streams]
    numbers = [str(number) for number in range(15)]
    assert all(words[1:] == numbers for _, words in ends), "every stream came to its end"
    assert ends[0][1][0] == "old"
    assert any(words[0] == "old" and end > told for end, words in ends), "the pod was told to stop while it answered"


async def pods_of(world: World, name: str) -> list[Raw]:
    """Return the metadata of the pods of a ModelDeployment."""
    found = await world.kube.list(POD, NAMESPACE, f"perennial.dev/kind=ModelDeployment,perennial.dev/name={name}")
    return [item["metadata"] for item in found]


def streamed(address: str) -> tuple[float, list[str]]:
    """Return when a stream ended and its words."""
    with request.urlopen(f"http://{address}/", timeout=60) as found:
        words = found.read().decode().split()
    return time.monotonic(), words


def speak(client: Client) -> None:
    """Hold the server to the protocol."""
    for path in ("/health/live", "/health/ready", "/models/flower/ready"):
        assert client.get(path)[0] == 200, path
    _, server = client.get("")
    assert server["name"] == "mlserver"
    _, model = client.get("/models/flower")
    assert model["name"] == "flower"

    status, answer = client.infer("flower", {"id": "order-7", "inputs": [tensor([0.0, 0.0], [1.0, 1.0])]})
    assert (status, answer["id"], answer["model_name"]) == (200, "order-7", "flower")
    (output,) = answer["outputs"]
    assert output["data"] == [0, 1]
    assert output["shape"][0] == 2

    for name, body in (("flower", {"inputs": "none"}), ("rose", {"inputs": [tensor([1.0, 1.0])]})):
        status, answer = client.infer(name, body)
        assert 400 <= status < 500, (name, answer)
        assert answer.get("error") or answer.get("detail"), "an error says what is wrong"
    assert client.get("/models/rose")[0] == 404


def captured(world: World, folder: Path) -> bool:
    """Tell whether the good prediction is in a Parquet file, without what is redacted."""
    client = world.site.s3()
    keys = [item["Key"] for item in client.list_objects_v2(Bucket="capture", Prefix="flower/").get("Contents", ())]
    records = []
    for key in keys:
        client.download_file("capture", key, str(folder / "found"))
        records += [json.loads(line) for line in parquet_lines(folder / "found")]
    assert not any("123-45" in json.dumps(record) for record in records)
    found = [record for record in records if record["id"] == "order-7"]
    return bool(found) and found[0]["response"]["outputs"][0]["data"] == [0, 1] and found[0]["status"] == 200
