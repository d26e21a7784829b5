"""Many ModelDeployments at once, until all serve: `python3 tools/dev.py python -m bench.serve_scale`.

Pods are scheduled for real and pretended by KWOK, as in `bench.scale`. The same number of bare Deployments with the
same pods, each with a Service, made by the same client, is the ceiling that Kubernetes itself sets on this machine.
"""

import sys
import time
from functools import partial
from pathlib import Path

from bench.field import Field, at_once, delete_all
from bench.figures import Figure, quantile
from bench.scale import ON_PRETENDED_NODES, Moments, run
from perennial.core.kinds import DEPLOYMENT, MODEL_DEPLOYMENT, SERVICE
from tests.support.kube import Raw

RESULT = Path("build/serve-scale.json")
SPEC: Raw = {
    "model": {"uri": "s3://models/shop/", "digest": "sha256:" + "a" * 64},
    "storage": {"endpoint": "http://s3:7070", "secretName": "s3"},
    "runtime": {"container": {"image": "server:1"}},
    **ON_PRETENDED_NODES,
}


async def _template(field: Field) -> Raw:
    """Return the pods of a Deployment as the operator makes it."""
    namespace = await field.kube.namespace("serve-model")
    async with Moments.of(field.kube, MODEL_DEPLOYMENT, namespace, b'"phase":"Stable"') as served:
        await field.kube.create(MODEL_DEPLOYMENT, namespace, {"metadata": {"name": "model"}, "spec": SPEC})
        await served.until_ended(1)
    (made,) = await field.kube.list(DEPLOYMENT, namespace)
    await delete_all(field.kube, MODEL_DEPLOYMENT, namespace)
    return dict(made["spec"]["template"])


async def bare(field: Field, number: int) -> float:
    """Return the seconds in which so many Deployments like ours have an available pod, without an operator's work."""
    template = await _template(field)
    namespace = await field.kube.namespace("serve-bare")

    async def make(name: str) -> None:
        labels = {"bench": name}
        pods = {**template, "metadata": {"labels": labels}}
        spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": pods}
        await field.kube.create(DEPLOYMENT, namespace, {"metadata": {"name": name}, "spec": spec})
        ports = {"selector": labels, "ports": [{"port": 80}]}
        await field.kube.create(SERVICE, namespace, {"metadata": {"name": name}, "spec": ports})

    async with Moments.of(field.kube, DEPLOYMENT, namespace, b'"availableReplicas":1') as made:
        started = time.monotonic()
        await at_once([partial(make, f"bare-{item}") for item in range(number)])
        last = await made.until_ended(number)
    await delete_all(field.kube, DEPLOYMENT, namespace)
    return last - started


async def ours(field: Field, number: int, ceiling: float) -> list[Figure]:
    """Create so many at once, and wait until each is stable."""
    namespace = await field.kube.namespace("serve-ours")
    writes, sent = await field.writes(), {}

    async def serve(name: str) -> None:
        sent[name] = time.monotonic()
        await field.kube.create(MODEL_DEPLOYMENT, namespace, {"metadata": {"name": name}, "spec": SPEC})

    async with (
        Moments.of(field.kube, DEPLOYMENT, namespace, b'"availableReplicas":1') as pods,
        Moments.of(field.kube, MODEL_DEPLOYMENT, namespace, b'"phase":"Stable"') as served,
    ):
        started = time.monotonic()
        await at_once([partial(serve, f"serve-{item}") for item in range(number)])
        last = await served.until_ended(number)
        await pods.until_ended(number)
    whole = last - started
    ready = [moment - sent[name] for name, moment in served.ended.items()]
    await field.until_settled()
    made = await field.writes() - writes
    return [
        Figure(f"{number} ModelDeployments at once, until the last is stable", whole, "s"),
        Figure(f"{number} bare Deployments and Services, until the last is available", ceiling, "s"),
        Figure("bare Deployments' time, as a share of ours", ceiling / whole, ""),
        Figure("create to Stable in status, p50", quantile(ready, 0.5), "s"),
        Figure("create to Stable in status, p99", quantile(ready, 0.99), "s"),
        Figure("writes of the operator for each ModelDeployment", made / number, ""),
        Figure("memory of the operator", await field.rss() / 2**20, "MiB"),
    ]


async def _both(field: Field, number: int) -> list[Figure]:
    return await ours(field, number, await bare(field, number))


if __name__ == "__main__":
    sys.exit(run("serve_scale", "Many ModelDeployments at once.", 500, _both, RESULT))
