"""Rollouts on a real node, under load: `python3 tools/dev.py python -m bench.rollout`.

One embedded cluster with the installed chart, pods of a small server, and a client of the bench's own that opens a
connection for each request, as a Service spreads connections. It measures, in one run: the time from a new
ModelDeployment to its first answer and from a new version to its first answer; a canary of 5, 25, 50 and 100 percent
by numbers of pods with `RATE` requests a second, what share of them the candidate got at each step, and how many
failed; and a candidate with 5 % errors: how long until it got no more requests, and how many met it.
"""

import asyncio
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.figures import Figure, table, write
from bench.signals import end_on_sigterm
from perennial.core.kinds import MODEL_DEPLOYMENT, SERVICE, Raw
from tests.e2e.support.site import Site, bring_up
from tests.e2e.support.versions import publish
from tests.e2e.support.world import World
from tests.support.kube import Kube, eventually
from tools.cluster import api

RESULT = Path("build/rollout.json")
NAMESPACE = "bench-rollout"
RATE = 300.0
"""Requests a second."""
REQUESTS = 20_000
PODS = 20
HOLD = 20
"""Seconds of each step: at 300 requests a second more than 2,000 after the split has settled."""
SETTLED = 3.0
"""Seconds after which a step's weight counts: kube-proxy has its rules by then."""
SERVER = """
import asyncio, pathlib, random
from prometheus_client import Counter, start_http_server

name, errors = pathlib.Path("/mnt/models/model").read_text().split()
answered = Counter("predictions", "Predictions.", ["code"])
chance = random.Random(1)

async def serve(reader, writer):
    try:
        await reader.readuntil(b"\\r\\n\\r\\n")
        code = 500 if chance.random() < float(errors) else 200
        answered.labels(code).inc()
        head = f"HTTP/1.1 {code} x\\r\\ncontent-length: {len(name)}\\r\\nconnection: close\\r\\n\\r\\n"
        writer.write(head.encode() + name.encode())
        await writer.drain()
    except (OSError, EOFError):
        pass
    finally:
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "", 8080, backlog=512)
    await server.serve_forever()

start_http_server(9100)
asyncio.run(main())
"""
METRICS: Raw = {
    "port": 9100,
    "requests": [{"metric": "predictions_total"}],
    "errors": [{"metric": "predictions_total", "labels": {"code": "5*"}}],
}
STEPS = [{"weight": weight, "hold": f"{HOLD}s"} for weight in (5, 25, 50)]


@dataclass
class Asked:
    """What a client that asks all the time has been answered.

    Attributes:
        answers: moment of the monotonic clock at which a request was sent, and what came: the name of a version with
            its status code, or what went wrong.
    """

    address: str
    answers: list[tuple[float, str]] = field(default_factory=list)

    async def ask(self) -> str:
        """Send one request over a connection of its own; return the version and the status code."""
        sent = time.monotonic()
        try:
            async with asyncio.timeout(10):
                reader, writer = await asyncio.open_connection(self.address, 80)
                try:
                    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                    head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
                    found = f"{body.decode()} {head.split()[1].decode()}" if body else "failed: an empty answer"
                finally:
                    writer.close()
        except (OSError, TimeoutError) as error:
            found = f"failed: {type(error).__name__} {error}"
        self.answers.append((sent, found))
        return found

    async def go_on(self, rate: float) -> None:
        """Send so many requests a second, whether or not earlier ones are answered, until cancelled."""
        start, number = time.monotonic(), 0
        under_way: set[asyncio.Task[str]] = set()
        try:
            while True:
                number += 1
                await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
                task = asyncio.create_task(self.ask())
                under_way.add(task)
                task.add_done_callback(under_way.discard)
        finally:
            await asyncio.gather(*under_way)

    @property
    def failed(self) -> int:
        """Return how many requests got no answer."""
        return sum(words.startswith("failed") for _, words in self.answers)

    def share(self, name: str, since: float, until: float) -> tuple[float, int]:
        """Return the share in percent that a version answered in a span of time, and of how many requests."""
        heard = Counter(words.split()[0] for sent, words in self.answers if since <= sent < until)
        total = sum(heard.values())
        return (100 * heard[name] / total if total else 0.0), total


def spec_of(site: Site, name: str, *, errors: float = 0.0, **rollout: object) -> Raw:
    """Return a deployment of a version that answers with its own name, a share of them with status 500."""
    digest = publish(site, f"bench/{name}/", {"model": f"{name} {errors}".encode()})
    container = {"image": site.demo.name, "command": ["python3", "-c", SERVER], "metrics": METRICS}
    return {
        "model": {"uri": f"s3://models/bench/{name}/", "digest": digest},
        "runtime": {"container": {**container, "readiness": {"path": "/", "periodSeconds": 1}}},
        "resources": {"requests": {"cpu": "5m", "memory": "32Mi"}},
        "rollout": {"keepPrevious": "1s", "progressDeadlineSeconds": 600, **rollout},
    }


async def address_of(world: World, name: str) -> str:
    """Return the address of its Service, once there is one."""
    service = await eventually(lambda: world.kube.get(SERVICE, NAMESPACE, name), f"Service {name}", 60, 0.02)
    return str(service["spec"]["clusterIP"])


async def first_answer(world: World, name: str, version: str) -> float:
    """Return the moment at which a version answers for the first time."""
    asked = Asked(await address_of(world, name))

    async def answers() -> bool:
        return (await asked.ask()).startswith(version)

    await eventually(answers, f"{version} answers", 300, 0.02)
    return time.monotonic()


async def starts(world: World) -> list[Figure]:
    """From nothing to the first answer, and from a new version to its first answer; one pod, its image on the node."""
    sent = time.monotonic()
    await world.serve("starts", **spec_of(world.site, "one"))
    cold = await first_answer(world, "starts", "one") - sent
    await world.until(MODEL_DEPLOYMENT, "starts", lambda now: now.get("phase") == "Stable", "it is stable")
    model = spec_of(world.site, "two")["model"]
    sent = time.monotonic()
    await world.change(MODEL_DEPLOYMENT, "starts", model=model)
    warm = await first_answer(world, "starts", "two") - sent
    await world.kube.delete(MODEL_DEPLOYMENT, NAMESPACE, "starts")
    return [
        Figure("from a new ModelDeployment to its first answer", cold, "s"),
        Figure("from a new version to its first answer", warm, "s"),
    ]


async def canary(world: World) -> list[Figure]:
    """A canary under load, step by step."""
    wish = spec_of(world.site, "stable", strategy="Canary", steps=STEPS)
    await world.serve("canary", **wish, replicas={"min": PODS})
    await world.until(MODEL_DEPLOYMENT, "canary", lambda now: now.get("readyReplicas") == PODS, "its pods serve", 300)
    asked = Asked(await address_of(world, "canary"))
    asking = asyncio.create_task(asked.go_on(RATE))
    begun = time.monotonic()
    await world.change(MODEL_DEPLOYMENT, "canary", model=spec_of(world.site, "next")["model"])
    spans: dict[int, tuple[float, float]] = {}
    reached = 0
    while reached < 100:
        now = await world.status(MODEL_DEPLOYMENT, "canary")
        candidate, moment = now.get("candidate"), time.monotonic()
        weight = candidate.get("reachedWeight") if candidate else None
        if weight:
            reached = weight
            spans[weight] = (spans.get(weight, (moment, moment))[0], moment)
        elif not candidate and spans:
            reached = 100
        await asyncio.sleep(0.2)
    promoted = time.monotonic()
    await asyncio.sleep(max(SETTLED + 5, (REQUESTS - len(asked.answers)) / RATE))
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    shares = [
        (f"{weight} %", *asked.share("next", since + SETTLED, until))
        for weight, (since, until) in sorted(spans.items())
    ]
    shares.append(("100 %", *asked.share("next", promoted + SETTLED, time.monotonic())))
    return [
        # A weight that was passed within seconds, as the candidate grew, has no requests to take a share of.
        *(
            Figure(f"canary at {weight}: share of {number} requests", share, "%")
            for weight, share, number in shares
            if number
        ),
        Figure("requests of the canary", len(asked.answers), ""),
        Figure("of them without an answer", asked.failed, "", 0),
        Figure("requests a second", len(asked.answers) / (time.monotonic() - begun), "/s"),
        Figure(f"whole canary, with {len(STEPS)} holds of {HOLD} s", promoted - begun, "s"),
    ]


async def bad(world: World) -> list[Figure]:
    """A candidate whose answers are errors at 5 %, against a limit of 1 %."""
    gates = [{"initialDelay": "2m", "errorRate": {"max": "0.01"}}]
    model = spec_of(world.site, "broken", errors=0.05)["model"]
    asked = Asked(await address_of(world, "canary"))
    asking = asyncio.create_task(asked.go_on(RATE))
    steps = [{"weight": 5, "hold": "10m"}]
    rollout = {"gates": gates, "steps": steps}
    await world.change(MODEL_DEPLOYMENT, "canary", model=model, rollout=rollout)

    def failed(now: Raw) -> bool:
        candidate = now.get("candidate") or {}
        return candidate.get("digest") == model["digest"] and candidate.get("phase") == "Failed"

    await world.until(MODEL_DEPLOYMENT, "canary", failed, "the bad version has failed", 300)
    await asyncio.sleep(5)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    met = [sent for sent, words in asked.answers if words.startswith("broken")]
    return [
        Figure("5 % errors at a weight of 5 %: from its first request to its last", met[-1] - met[0], "s"),
        Figure("requests that met it", len(met), ""),
        Figure("of them answered with an error", sum(words == "broken 500" for _, words in asked.answers), ""),
        Figure("requests without an answer meanwhile", asked.failed, "", 0),
    ]


async def _measure(site: Site) -> list[Figure]:
    async with Kube.connected(site.kubeconfig) as kube:
        world = await World(site, kube, NAMESPACE).prepare()
        found = await starts(world)
        found += await canary(world)
        return found + await bad(world)


@contextmanager
def _cluster() -> Iterator[Site]:
    name = f"rollout-{os.getpid()}"
    try:
        yield bring_up(name)
    finally:
        api.down(name)


def main() -> int:
    """Measure and show."""
    end_on_sigterm()
    with _cluster() as site:
        figures = asyncio.run(_measure(site))
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
