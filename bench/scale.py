"""A thousand TrainingJobs at once, to the end of their runs: `python3 tools/dev.py python -m bench.scale`.

Pods are scheduled for real and pretended by KWOK, which ends each as soon as it runs: what is measured is the control
plane, from the creation of the resources to `Succeeded` in the status of the last one. The same number of bare Jobs
with the same pods, made by the same client, is the ceiling that Kubernetes itself sets on this machine.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from bench.field import Field, at_once, delete_all
from bench.figures import Figure, quantile, table, write
from bench.run import CONFIG
from bench.signals import end_on_sigterm
from perennial.core.kinds import JOB, TRAINING_JOB, Kind
from tests.support.cluster import install_crds
from tests.support.kube import Kube, Raw, path_of
from tests.support.operator import OperatorProcess
from tools.cluster import api, kwok

RESULT = Path("build/scale.json")
NODES = 20
_SECONDS = 900

Measure = Callable[[Field, int], Awaitable[list[Figure]]]
"""Makes so many objects, and returns what was measured."""

ON_PRETENDED_NODES: Raw = {
    "nodeSelector": {kwok.MARK: "fake"},
    "tolerations": [{"key": kwok.MARK, "operator": "Exists"}],
}
SPEC: Raw = {"image": "train:1", "command": ["train"], "parameters": {"depth": "6"}, **ON_PRETENDED_NODES}


class Moments:
    """When objects of one kind first appeared, and when they first bore a mark; times are of the monotonic clock."""

    def __init__(self, mark: bytes) -> None:
        """Look for a text in the JSON of the object."""
        self.seen: dict[str, float] = {}
        self.ended: dict[str, float] = {}
        self.closed = 0
        self._mark = mark
        self._news = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def of(cls, kube: Kube, kind: Kind, namespace: str, mark: bytes) -> AsyncIterator["Moments"]:
        """Watch until the context ends."""
        found, started = cls(mark), asyncio.Event()
        task = asyncio.create_task(found._watch(kube, kind, namespace, started))
        await started.wait()
        try:
            yield found
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until_ended(self, number: int) -> float:
        """Wait for so many marks, and return when the last of them came."""
        async with asyncio.timeout(_SECONDS):
            while len(self.ended) < number:
                self._news.clear()
                await self._news.wait()
        return max(self.ended.values())

    async def _watch(self, kube: Kube, kind: Kind, namespace: str, started: asyncio.Event) -> None:
        while True:  # the server closes a watch that does not keep up; the next one begins with all that is there
            async with kube.stream(path_of(kind, namespace) + "?watch=1&resourceVersion=0") as answer:
                started.set()
                async for line in answer.content:
                    new, marked = line.startswith(b'{"type":"ADDED"'), self._mark in line
                    # Decoding whole objects would steal time from what is measured.
                    if new or marked:
                        self._note(json.loads(line)["object"]["metadata"]["name"], marked=marked)
            self.closed += 1

    def _note(self, name: str, *, marked: bool) -> None:
        moment = time.monotonic()
        self.seen.setdefault(name, moment)
        if marked and name not in self.ended:
            self.ended[name] = moment
            self._news.set()


async def bare_jobs(field: Field, number: int) -> float:
    """Return the seconds in which so many Jobs like ours are created and end, without an operator's work."""
    template = await _template(field)
    namespace = await field.kube.namespace("scale-bare")
    async with Moments.of(field.kube, JOB, namespace, b'"completionTime"') as jobs:
        started = time.monotonic()
        bodies = [{"metadata": {"name": f"bare-{item}"}, "spec": template} for item in range(number)]
        await at_once([partial(field.kube.create, JOB, namespace, body) for body in bodies])
        last = await jobs.until_ended(number)
    await delete_all(field.kube, JOB, namespace)
    return last - started


async def _template(field: Field) -> Raw:
    """Return the spec of a Job as the operator makes it, without what belongs to that one."""
    namespace = await field.kube.namespace("scale-model")
    async with Moments.of(field.kube, JOB, namespace, b'"completionTime"') as jobs:
        await field.kube.create(TRAINING_JOB, namespace, {"metadata": {"name": "model"}, "spec": SPEC})
        await jobs.until_ended(1)
    (made,) = await field.kube.list(JOB, namespace)
    template = made["spec"]["template"]
    template["metadata"]["labels"] = {"bench": "bare"}
    kept = ("backoffLimit", "completionMode", "completions", "parallelism", "podFailurePolicy")
    await delete_all(field.kube, TRAINING_JOB, namespace)
    return {name: made["spec"][name] for name in kept} | {"template": template}


async def training_jobs(field: Field, number: int, bare: float) -> list[Figure]:
    """Create so many at once, and follow them to their ends."""
    namespace = await field.kube.namespace("scale-ours")
    writes, sent = await field.writes(), {}

    async def train(name: str) -> None:
        sent[name] = time.monotonic()
        await field.kube.create(TRAINING_JOB, namespace, {"metadata": {"name": name}, "spec": SPEC})

    async with (
        Moments.of(field.kube, JOB, namespace, b'"completionTime"') as jobs,
        Moments.of(field.kube, TRAINING_JOB, namespace, b'"phase":"Succeeded"') as resources,
    ):
        started = time.monotonic()
        await at_once([partial(train, f"scale-{item}") for item in range(number)])
        created = time.monotonic() - started
        last = await resources.until_ended(number)
    to_job = [jobs.seen[f"{name}-1-0"] - moment for name, moment in sent.items()]
    to_status = [resources.ended[name] - jobs.ended[f"{name}-1-0"] for name in sent]
    whole = last - started
    await field.until_settled()
    made = await field.writes() - writes
    return [
        Figure(f"{number} TrainingJobs accepted by the API server", created, "s"),
        Figure(f"{number} TrainingJobs at once, until the last has succeeded", whole, "s"),
        Figure(f"{number} bare Jobs with the same pods, until the last is complete", bare, "s"),
        Figure("bare Jobs' time, as a share of ours", bare / whole, ""),
        Figure("create to Job, p50", quantile(to_job, 0.5), "s"),
        Figure("create to Job, p99", quantile(to_job, 0.99), "s"),
        Figure("Job complete to Succeeded in status, p50", quantile(to_status, 0.5), "s"),
        Figure("Job complete to Succeeded in status, p99", quantile(to_status, 0.99), "s"),
        Figure("writes of the operator for each TrainingJob", made / number, "", 4),
        Figure("memory of the operator", await field.rss() / 2**20, "MiB"),
        Figure("watches of the bench that the server closed", jobs.closed + resources.closed, ""),
    ]


async def _both(field: Field, number: int) -> list[Figure]:
    return await training_jobs(field, number, await bare_jobs(field, number))


async def _measure(cluster: api.Cluster, measure: Measure, number: int) -> list[Figure]:
    async with Kube.connected(cluster.kubeconfig) as kube:
        await install_crds(kube)
        with tempfile.TemporaryDirectory() as text:
            folder = Path(text)
            operator = OperatorProcess("", folder, CONFIG, kubeconfig=cluster.kubeconfig)
            await operator.start()
            try:
                return await measure(Field(kube, operator, cluster, folder), number)
            except (AssertionError, TimeoutError) as error:
                error.add_note(operator.tail())
                raise
            finally:
                await operator.kill()


def run(purpose: str, description: str, default: int, measure: Measure, result: Path) -> int:
    """Measure many objects on a control plane with pretended nodes, and show the figures; return the exit status.

    Args:
        purpose: the module's name, also of the cluster.
        description: what is measured, for `--help`.
        default: how many objects without `--number`.
        measure: makes the objects and returns the figures.
        result: where the figures go as JSON.
    """
    parser = argparse.ArgumentParser(prog=f"python -m bench.{purpose}", description=description)
    parser.add_argument("--number", type=int, default=default, help=f"how many (default {default})")
    number = parser.parse_args().number
    name = f"{purpose.replace('_', '-')}-{os.getpid()}"
    end_on_sigterm()
    try:
        cluster = api.up(name, control_plane_only=True, kwok_nodes=NODES)
        figures = asyncio.run(_measure(cluster, measure, number))
    finally:
        api.down(name)
    circumstances: dict[str, object] = {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "load": os.getloadavg()[1],
    }
    write(figures, circumstances, result)
    print(table(figures))
    print(f"{circumstances}; all of it: {result}")
    return 0 if all(figure.passed for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(run("scale", "Many TrainingJobs to their ends.", 1000, _both, RESULT))
