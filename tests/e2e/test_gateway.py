"""Rollouts through two real gateways: exact weights, marked requests, copies for a shadow, and no failed request."""

import asyncio
from collections import Counter
from http.client import HTTPConnection, HTTPException

import pytest

from perennial.core.kinds import HTTP_ROUTE, MODEL_DEPLOYMENT, POD, Raw
from perennial.core.labels import PROMOTE_ANNOTATION
from tests.e2e.support.contour import install_contour, name_features
from tests.e2e.support.gateway import Entrance, install_gateway_api
from tests.e2e.support.site import RELEASE, Site
from tests.e2e.support.site import SYSTEM as OPERATOR
from tests.e2e.support.traefik import install_traefik
from tests.e2e.support.versions import publish, serving
from tests.e2e.support.world import World
from tests.support.kube import eventually

pytestmark = pytest.mark.exclusive  # no request may fail, so gateways and models must have CPU at once

NAMESPACE = "routed"
REQUESTS = 2000
POINTS = 3
WEIGHTS = (5, 25, 50)
HEADER = {"x-group": "testers"}
STEPS = [{"weight": weight, "hold": "1s"} for weight in WEIGHTS]
MIRRORED = 300
LEAST_COPIED = 285
"""Copies are sent without a retry, and nobody waits for them: a gateway may lose some."""
MIRROR = "HTTPRouteRequestMirror"
FAILING = """
import http.server, sys
from itertools import cycle
turns = cycle(("error", "nothing", "broken"))
class Failing(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass
    def do_GET(self):
        sys.stderr.write(f"GET {self.path}\\n")
        turn = next(turns)
        if turn == "error":
            self.send_error(500)
        elif turn == "broken":
            self.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 100\\r\\n\\r\\nhalf")
http.server.ThreadingHTTPServer(("", 8080), Failing).serve_forever()
"""
"""Answers with 500, ends the connection without an answer, and breaks an answer off, in turn."""


@pytest.fixture(scope="module")
def gateway_api(site: Site) -> Site:
    """The cluster with the Gateway API, which came after the operator and which that has found."""
    install_gateway_api(site)
    site.kubectl("rollout", "restart", f"deployment/{RELEASE}", namespace=OPERATOR)
    site.kubectl("rollout", "status", f"deployment/{RELEASE}", "--timeout=600s", namespace=OPERATOR)
    return site


@pytest.fixture(scope="module")
def traefik(gateway_api: Site) -> Entrance:
    return install_traefik(gateway_api)


@pytest.fixture(scope="module")
def contour(gateway_api: Site) -> Entrance:
    return install_contour(gateway_api)


@pytest.fixture(params=["traefik", "contour"])
def entrance(request: pytest.FixtureRequest) -> Entrance:
    """Each of the gateways in turn."""
    found: Entrance = request.getfixturevalue(request.param)
    return found


def ask(entrance: Entrance, name: str, number: int, headers: dict[str, str] | None = None) -> Counter[str]:
    """Ask a model so often on one connection; what fails counts under its words."""
    found: Counter[str] = Counter()
    connection = HTTPConnection(entrance.address, timeout=30)
    for _ in range(number):
        try:
            connection.request("GET", "/model", headers={"Host": entrance.host(name), **(headers or {})})
            answer = connection.getresponse()
            text = answer.read().decode()
            found[text if answer.status == 200 else f"failed: {answer.status}"] += 1
        except (OSError, HTTPException) as error:
            found[f"failed: {error!r}"] += 1
            connection.close()
    connection.close()
    return found


async def asking(entrance: Entrance, name: str, answers: Counter[str]) -> None:
    """Ask again and again, until cancelled."""
    while True:
        answers.update(await asyncio.to_thread(ask, entrance, name, 10))
        await asyncio.sleep(0.05)


async def at(world: World, name: str, weight: int) -> Raw:
    return await world.until(
        MODEL_DEPLOYMENT,
        name,
        lambda now: now.get("candidate", {}).get("reachedWeight") == weight,
        f"the gateway has taken up {weight} %",
        300,
    )


async def answering(world: World, entrance: Entrance, name: str) -> None:
    """Wait until the first version answers through the gateway, which learns of pods a moment after they are ready."""
    await world.condition(MODEL_DEPLOYMENT, name, "Ready", "Serving", seconds=300)

    async def check() -> bool:
        return await asyncio.to_thread(ask, entrance, name, 10) == {"first": 10}

    await eventually(check, f"{name} answers through {entrance.kind}", 120)


def routed(entrance: Entrance, name: str) -> Raw:
    return {"gateway": entrance.reference, "hostnames": [entrance.host(name)]}


async def alone(world: World, name: str, digest: str) -> None:
    """Wait until a version serves alone."""
    await world.until(
        MODEL_DEPLOYMENT,
        name,
        lambda now: now.get("stable", {}).get("digest") == digest and "previous" not in now,
        "the second version serves alone",
        300,
    )


async def test_a_canary_is_divided_exactly_and_promoted_without_a_failed_request(
    world: World, entrance: Entrance
) -> None:
    name, folder = f"churn-{entrance.kind}", f"routed/{entrance.kind}"
    first = publish(world.site, f"{folder}/first/", {"model": b"first"})
    second = publish(world.site, f"{folder}/second/", {"model": b"second"})
    spec = serving(world.site, f"s3://models/{folder}/first/", first)
    headers = [{"name": key, "value": value} for key, value in HEADER.items()]
    rollout = {"strategy": "Canary", "steps": STEPS, "headers": headers, "keepPrevious": "5s"}
    await world.serve(name, **spec, rollout=rollout, route=routed(entrance, name))
    await world.condition(MODEL_DEPLOYMENT, name, "RouteAccepted", "Routed")
    await world.until(MODEL_DEPLOYMENT, name, lambda now: now.get("url") == f"http://{entrance.host(name)}", "its url")
    await answering(world, entrance, name)

    answers: Counter[str] = Counter()
    busy = asyncio.create_task(asking(entrance, name, answers))
    longer = [{**step, "hold": "1h"} for step in STEPS]
    await world.change(MODEL_DEPLOYMENT, name, rollout={**rollout, "steps": longer})
    await world.change(MODEL_DEPLOYMENT, name, model={"uri": f"s3://models/{folder}/second/", "digest": second})
    shares = {}
    for index, weight in enumerate(WEIGHTS):
        candidate = (await at(world, name, weight))["candidate"]
        counted = await asyncio.to_thread(ask, entrance, name, REQUESTS)
        assert set(counted) == {"first", "second"}
        shares[weight] = counted["second"] * 100 / REQUESTS
        assert await asyncio.to_thread(ask, entrance, name, 50, HEADER) == {"second": 50}
        held = [{**step, "hold": "1s" if place <= index else "1h"} for place, step in enumerate(STEPS)]
        if weight != WEIGHTS[-1]:
            await world.change(MODEL_DEPLOYMENT, name, rollout={**rollout, "steps": held})
    print(f"{entrance.kind}, of {REQUESTS} requests: {shares} %")  # noqa: T201 - the figures of docs/performance.md
    assert shares == {weight: pytest.approx(weight, abs=POINTS) for weight in WEIGHTS}

    promote = {"metadata": {"annotations": {PROMOTE_ANNOTATION: candidate["name"]}}}
    await world.kube.patch(MODEL_DEPLOYMENT, NAMESPACE, name, promote)
    await alone(world, name, second)
    await asyncio.sleep(1)
    busy.cancel()
    assert set(answers) == {"first", "second"}, f"no request failed of {sum(answers.values())}"
    assert await asyncio.to_thread(ask, entrance, name, 100) == {"second": 100}
    route_now = await world.kube.get(HTTP_ROUTE, NAMESPACE, name) or {}
    assert len(route_now["spec"]["rules"]) == 1


async def copies(world: World, revision: str) -> int:
    """Count the requests in the logs of a revision's pods."""
    pods = await world.kube.list(POD, NAMESPACE, f"perennial.dev/revision={revision.rpartition('-')[2]}")
    logs = [await world.log(pod["metadata"]["name"], "server") for pod in pods]
    return sum(log.count("/model") for log in logs)


async def shadowed(world: World, entrance: Entrance, name: str, other: str = "") -> str:
    """Wait until another revision than that one gets copies; return its name.

    Envoy learns of a route a moment after the status of the route says so, hence the questions.
    """

    def holding(now: Raw) -> bool:
        candidate = now.get("candidate", {})
        return candidate.get("reason") == "Holding" and candidate.get("name") != other

    now = await world.until(MODEL_DEPLOYMENT, name, holding, "the gateway copies requests", 300)
    revision = str(now["candidate"]["name"])

    async def copied() -> bool:
        assert await asyncio.to_thread(ask, entrance, name, 10) == {"first": 10}
        return await copies(world, revision) > 0

    await eventually(copied, f"a copy has reached {revision}", 120)
    return revision


async def settled(world: World, revision: str) -> int:
    """Count the copies once no more arrive: nobody waits for their answers."""
    last = -1

    async def check() -> bool:
        nonlocal last
        before, last = last, await copies(world, revision)
        return last == before

    await eventually(check, "no more copies arrive", 60, 2)
    return last


async def copied_of(world: World, entrance: Entrance, name: str, revision: str, number: int) -> int:
    """Ask so often; the first version must answer each time. Return how many of the requests were copied."""
    before = await settled(world, revision)
    assert await asyncio.to_thread(ask, entrance, name, number) == {"first": number}
    return await settled(world, revision) - before


async def test_a_shadow_gets_copies_and_its_failures_reach_nobody(world: World, contour: Entrance) -> None:
    name = "shadowed-contour"
    first = publish(world.site, "routed/copied/", {"model": b"first"})
    second = publish(world.site, "routed/copies/", {"model": b"second"})
    spec = serving(world.site, "s3://models/routed/copied/", first)
    rollout = {"strategy": "Shadow", "mirror": {"hold": "1h"}, "keepPrevious": "1s"}
    await world.serve(name, **spec, rollout=rollout, route=routed(contour, name))
    await answering(world, contour, name)
    failing = {"image": world.site.demo.name, "command": ["python3", "-c", FAILING]}
    bad = {"model": {"uri": "s3://models/routed/copies/", "digest": second}, "runtime": {"container": failing}}
    await world.change(MODEL_DEPLOYMENT, name, **bad)
    said = await world.condition(MODEL_DEPLOYMENT, name, "Progressing", "MirrorNotSupported")
    assert MIRROR in said
    assert "annotation perennial.dev/supported-features" in said

    name_features(world.site, MIRROR)
    failing_one = await shadowed(world, contour, name)
    assert LEAST_COPIED <= await copied_of(world, contour, name, failing_one, MIRRORED) <= MIRRORED

    # A newer revision starts from nothing. Contour would copy all requests where a share is asked for.
    share = {**rollout, "mirror": {"percent": 20, "hold": "1h"}}
    await world.change(MODEL_DEPLOYMENT, name, rollout=share, runtime=spec["runtime"])
    await world.until(
        MODEL_DEPLOYMENT,
        name,
        lambda now: "HTTPRouteRequestPercentageMirror" in now.get("candidate", {}).get("message", ""),
        "no share is asked for",
    )
    await world.change(MODEL_DEPLOYMENT, name, rollout={**rollout, "mirror": {"percent": 100, "hold": "1h"}})
    good = await shadowed(world, contour, name, other=failing_one)
    assert LEAST_COPIED <= await copied_of(world, contour, name, good, MIRRORED) <= MIRRORED
    await world.change(MODEL_DEPLOYMENT, name, rollout={**rollout, "mirror": {"percent": 100, "hold": "1s"}})
    await alone(world, name, second)
    assert await asyncio.to_thread(ask, contour, name, 100) == {"second": 100}


async def test_a_gateway_that_cannot_copy_requests_is_never_asked_to(world: World, traefik: Entrance) -> None:
    """Traefik would answer every request of such a route with an error, as the second half shows."""
    first = publish(world.site, "routed/shadowed/", {"model": b"first"})
    second = publish(world.site, "routed/shadow/", {"model": b"second"})
    spec = serving(world.site, "s3://models/routed/shadowed/", first)
    await world.serve("shadowed", **spec, rollout={"strategy": "Shadow"}, route=routed(traefik, "shadowed"))
    await answering(world, traefik, "shadowed")
    await world.change(MODEL_DEPLOYMENT, "shadowed", model={"uri": "s3://models/routed/shadow/", "digest": second})
    said = await world.condition(MODEL_DEPLOYMENT, "shadowed", "Progressing", "MirrorNotSupported")
    assert "does not list HTTPRouteRequestMirror" in str(said)
    assert await asyncio.to_thread(ask, traefik, "shadowed", 20) == {"first": 20}

    raw = await world.kube.get(HTTP_ROUTE, NAMESPACE, "shadowed") or {}
    target = {"group": "", "kind": "Service", "name": "shadowed", "port": 80}
    copying = {"type": "RequestMirror", "requestMirror": {"backendRef": target}}
    rules = [{**rule, "filters": [copying]} for rule in raw["spec"]["rules"]]
    other = {
        **{key: raw[key] for key in ("apiVersion", "kind")},
        "metadata": {"name": "copying", "namespace": NAMESPACE},
        "spec": {**raw["spec"], "hostnames": [traefik.host("copying")], "rules": rules},
    }
    world.site.kubectl("apply", "--server-side", "-f", "-", given=other)

    async def refused() -> bool:
        return await asyncio.to_thread(ask, traefik, "copying", 5) == {"failed: 500": 5}

    await eventually(refused, "Traefik answers 500 where it is asked to copy", 60)
