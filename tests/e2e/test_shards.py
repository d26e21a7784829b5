"""A comparison that several pods divide among themselves, on a real node: one verdict, that of a single pod."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np

from perennial.core.kinds import DRIFT_MONITOR, JOB, MODEL_DEPLOYMENT, POD, Raw
from tests.e2e.support.versions import publish, serving
from tests.e2e.support.world import STORAGE_FIELD, World
from tests.support.kube import eventually
from tests.unit.agent.drift.captured import listed
from tests.unit.agent.drift.store import capture_file, capture_uri, parquet, record, tensors

NAMESPACE = "sharded"
CAPTURE = "s3://capture/sharded/"
ROWS, HOURS, SHARDS = 600, 6, 3


def _columns(seed: int, moved: float) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {
        "age": generator.normal(40 + moved, 10, ROWS),
        "visits": generator.poisson(5, ROWS),
        "plan": generator.choice(["basic", "plus"], ROWS),
    }


async def _prepare(world: World) -> None:
    """Serve a model whose requests of the last hours are in the storage: the ages of its callers have moved."""
    digest = publish(world.site, "sharded/model/", {"model": b"the model"})
    client, now, values = world.site.s3(), datetime.now(UTC), _columns(2, moved=10)
    client.put_object(Bucket="data", Key="sharded/train/0.parquet", Body=parquet(_columns(1, moved=0)))
    for hour, rows in enumerate(np.array_split(np.arange(ROWS), HOURS)):
        at = now - timedelta(hours=hour + 1)
        lines = [record(tensors(**listed(values, [row])), at=at, namespace=NAMESPACE, digest=digest) for row in rows]
        key = capture_uri("sharded", at)
        client.put_object(Bucket="capture", Key=key, Body=capture_file(*lines))
    await world.serve(
        "churn", **serving(world.site, "s3://models/sharded/model/", digest), capture={"uri": CAPTURE, "every": "5m"}
    )
    await world.condition(MODEL_DEPLOYMENT, "churn", "Ready", "Serving", seconds=240)


async def _compared(world: World, name: str, **fields: object) -> Raw:
    """Let a monitor compare once, at once; return its verdict."""
    spec = {
        "target": {"modelDeployment": "churn"},
        "schedule": "0 0 1 1 *",
        "reference": {"uri": "s3://data/sharded/train/"},
        "current": {"window": "24h"},
        "report": {"uri": f"s3://reports/sharded/{name}/"},
        "storage": STORAGE_FIELD,
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}},
        **fields,
    }
    await world.kube.create(DRIFT_MONITOR, NAMESPACE, {"metadata": {"name": name}, "spec": spec})
    await world.condition(DRIFT_MONITOR, name, "Ready", "NoVerdictYet")
    world.site.kubectl("create", "job", f"--from=cronjob/{name}", f"{name}-now", namespace=NAMESPACE)
    found = await world.until(
        DRIFT_MONITOR, name, lambda now: now.get("lastVerdict", {}).get("id") == f"{name}-now", "its verdict", 300
    )
    return dict(found["lastVerdict"])


async def _ended(world: World, job: str) -> Raw | None:
    found = await world.kube.get(JOB, NAMESPACE, job) or {}
    return found if found["status"].get("completionTime") else None


async def test_three_pods_give_the_verdict_of_a_single_one(world: World) -> None:
    await _prepare(world)
    single, divided = await asyncio.gather(_compared(world, "single"), _compared(world, "divided", shards=SHARDS))

    apart = ("id", "time", "reportUri")
    assert {key: value for key, value in divided.items() if key not in apart} == {
        key: value for key, value in single.items() if key not in apart
    }
    assert (divided["drifted"], divided["currentRows"]) == (True, ROWS)
    job = await eventually(partial(_ended, world, "divided-now"), "the Job of the shards has ended", 60)
    assert (job["spec"]["completionMode"], job["status"]["succeeded"]) == ("Indexed", SHARDS)
    pods = [pod for pod in await world.kube.list(POD, NAMESPACE) if pod["metadata"]["name"].startswith("divided-now")]
    said = [json.loads(pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"]) for pod in pods]
    assert sorted(message["kind"] for message in said) == ["DriftVerdict", "ShardWritten", "ShardWritten"]
