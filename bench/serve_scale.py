"""Many ModelDeployments at once, until all serve: `python3 tools/dev.py python -m bench.serve_scale`.

Pods are scheduled for real and pretended by KWOK, as in `bench.scale`. The same number of bare Deployments with the
same pods, each with a Service, made by the same client, is the ceiling that Kubernetes itself sets on this machine.
"""

import argparse
import asyncio
import os
import platform
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from bench.field import Field, at_once, delete_all
from bench.figures import Figure, quantile, table, write
from bench.run import CONFIG
from bench.scale import NODES, ON_PRETENDED_NODES, Moments
from perennial.core.kinds import DEPLOYMENT, MODEL_DEPLOYMENT, SERVICE
from tests.support.cluster import install_crds
from tests.support.kube import Kube, Raw
from tests.support.operator import OperatorProcess
from tools.cluster import api

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


async def _measure(cluster: api.Cluster, folder: Path, number: int) -> list[Figure]:
    async with Kube.connected(cluster.kubeconfig) as kube:
        await install_crds(kube)
        operator = OperatorProcess("", folder, CONFIG, kubeconfig=cluster.kubeconfig)
        await operator.start()
        try:
            field = Field(kube, operator, cluster, folder)
            return await ours(field, number, await bare(field, number))
        except (AssertionError, TimeoutError) as error:
            error.add_note(operator.tail())
            raise
        finally:
            await operator.kill()


def main() -> int:
    """Measure and show."""
    parser = argparse.ArgumentParser(prog="python -m bench.serve_scale", description="Many ModelDeployments at once.")
    parser.add_argument("--number", type=int, default=500, help="how many (default 500)")
    number = parser.parse_args().number
    name = f"serve-scale-{os.getpid()}"
    try:
        cluster = api.up(name, control_plane_only=True, kwok_nodes=NODES)
        with tempfile.TemporaryDirectory() as folder:
            figures = asyncio.run(_measure(cluster, Path(folder), number))
    finally:
        api.down(name)
    circumstances: dict[str, object] = {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[1], 2),
    }
    write(figures, circumstances, RESULT)
    print(table(figures))
    print(f"{circumstances}; all of it: {RESULT}")
    return 0 if all(figure.passed for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
