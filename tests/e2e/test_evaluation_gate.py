"""Gates by Job on a real node: a worse candidate, an unfair one and one that answers otherwise are refused."""

import asyncio
import gzip
import json
import math
import random
from pathlib import Path
from typing import Any
from urllib import request

from perennial.core.kinds import JOB, MODEL_DEPLOYMENT, POD, SERVICE, Raw
from tests.e2e.support.site import Site
from tests.e2e.support.versions import publish
from tests.e2e.support.world import World, condition, within

NAMESPACE = "gates"
SERVER = Path(__file__).parent / "support" / "linear_server.py"
ROWS = 2000
DATA = {"uri": "s3://models/gates/labelled/", "label": "y", "features": ["x", "noise", "female"]}
QUALITY = {"name": "quality", "evaluation": {"data": DATA, "metric": "rocAuc", "notWorseThanStableBy": "0.02"}}
FAIR = {
    "name": "fair",
    "fairness": {"data": DATA, "attributes": ["sex"], "privileged": "M", "metric": "disparateImpact"},
}
REPLAY = {"name": "replay", "replay": {"requests": 50, "rate": 100, "minAgreement": "0.9", "tolerance": "0.05"}}


def store_labelled_rows(site: Site) -> None:
    """Store rows whose label depends on x alone; women and men are alike."""
    rng = random.Random(1)  # noqa: S311 - data, not security
    lines = ["x,noise,female,sex,y"]
    for _ in range(ROWS):
        x, female = rng.gauss(0, 1), rng.random() < 0.5
        y = rng.random() < 1 / (1 + math.exp(-3 * x))
        lines.append(f"{x:.4f},{rng.gauss(0, 1):.4f},{int(female)},{'F' if female else 'M'},{int(y)}")
    site.s3().put_object(Bucket="models", Key="gates/labelled/rows.csv", Body="\n".join(lines).encode())


def version(site: Site, name: str, **weights: float) -> Raw:
    """Publish a linear model; return the spec.model that serves it."""
    digest = publish(site, f"gates/{name}/", {"model.json": json.dumps(weights).encode()})
    return {"uri": f"s3://models/gates/{name}/", "digest": digest}


async def serve(world: World, name: str, model: Raw, *gates: Raw, **fields: Any) -> None:
    container = {
        "image": world.site.demo.name,
        "command": ["python3", "-c", SERVER.read_text()],
        "port": 8080,
        "readiness": {"path": "/ready", "periodSeconds": 1},
    }
    await world.serve(
        name,
        model=model,
        runtime={"container": container},
        rollout={"gates": [*gates], "keepPrevious": "1s"},
        **fields,
    )
    await serves(world, name, model)


async def serves(world: World, name: str, model: Raw) -> Raw:
    return await world.until(
        MODEL_DEPLOYMENT,
        name,
        lambda now: now.get("stable", {}).get("digest") == model["digest"] and not now.get("candidate"),
        f"{model['uri']} serves",
        240,
    )


async def refused(world: World, name: str, model: Raw) -> str:
    """Roll a model out and return why a gate refused it."""
    await world.change(MODEL_DEPLOYMENT, name, model=model)
    message = await world.condition(MODEL_DEPLOYMENT, name, "RolloutFailed", "GateFailed", seconds=240)
    status = await world.status(MODEL_DEPLOYMENT, name)
    assert condition(status, "Ready", "True", "Serving")
    assert status["candidate"]["digest"] == model["digest"]
    assert status["stable"]["digest"] != model["digest"]
    return message


async def test_a_worse_model_is_refused_and_then_a_good_one_is_promoted(world: World) -> None:
    store_labelled_rows(world.site)
    await serve(world, "churn", version(world.site, "first", x=3), QUALITY)

    message = await refused(world, "churn", version(world.site, "worse", x=1, noise=1))
    assert "gate quality: the gain in rocAuc over the stable revision is -0" in message

    good = version(world.site, "good", x=2.9, noise=0.01)
    await world.change(MODEL_DEPLOYMENT, "churn", model=good)
    status = await serves(world, "churn", good)
    assert [entry["result"] for entry in status["history"]] == ["Promoted", "Failed", "Promoted"]

    async def no_jobs() -> bool:
        return not await world.children(JOB, "churn", "ModelDeployment")

    await within(no_jobs, "the Jobs are gone with their candidates")


async def test_an_unfair_model_is_refused(world: World) -> None:
    store_labelled_rows(world.site)
    await serve(world, "loan", version(world.site, "even", x=3), FAIR)

    message = await refused(world, "loan", version(world.site, "unfair", x=3, female=-3))

    assert "gate fair: disparateImpact of sex: F vs M is 0" in message


async def test_a_model_that_answers_otherwise_is_refused_and_what_gates_ask_is_not_captured(world: World) -> None:
    await serve(
        world, "shop", version(world.site, "shop-first", x=3), REPLAY,
        capture={"uri": "s3://models/gates/captured/", "every": "1s"},
    )  # fmt: skip
    service = await world.kube.get(SERVICE, NAMESPACE, "shop") or {}
    address = str(service["spec"]["clusterIP"])
    await asyncio.to_thread(ask, address, 60)

    async def captured() -> bool:
        return captured_records(world.site) >= 60

    await within(captured, "60 requests are captured")
    message = await refused(world, "shop", version(world.site, "shop-second", x=-3))
    assert "gate replay: agreement is 0" in message
    assert captured_records(world.site) == 60
    assert all("gate" not in pod["metadata"]["name"] for pod in await world.children(POD, "shop", "ModelDeployment"))


def ask(address: str, times: int) -> None:
    for index in range(times):
        columns = {"x": (index - times / 2) / 10, "noise": 0.0, "female": 0.0}
        tensors = [{"name": name, "shape": [1, 1], "datatype": "FP64", "data": [v]} for name, v in columns.items()]
        asked = request.Request(
            f"http://{address}/v2/models/shop/infer",
            json.dumps({"inputs": tensors}).encode(),
            {"content-type": "application/json"},
        )
        with request.urlopen(asked, timeout=20) as answer:
            assert answer.status == 200


def captured_records(site: Site) -> int:
    client = site.s3()
    found = client.list_objects_v2(Bucket="models", Prefix="gates/captured/").get("Contents", [])
    bodies = (client.get_object(Bucket="models", Key=item["Key"])["Body"].read() for item in found)
    return sum(gzip.decompress(body).count(b"\n") for body in bodies)
