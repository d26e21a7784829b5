"""A canary through a real gateway: exact weights between single pods, marked requests, and no failed request."""

import asyncio
from collections import Counter
from http.client import HTTPConnection

import pytest

from perennial.core.kinds import HTTP_ROUTE, MODEL_DEPLOYMENT, Raw
from perennial.core.labels import PAUSE_ANNOTATION, PROMOTE_ANNOTATION
from tests.e2e.support.gateway import GATEWAY, SYSTEM, install_gateway_api, install_traefik, until_accepted
from tests.e2e.support.site import RELEASE, Site
from tests.e2e.support.site import SYSTEM as OPERATOR
from tests.e2e.support.versions import publish, serving
from tests.e2e.support.world import World
from tests.support.kube import eventually

NAMESPACE = "routed"
HOST = "churn.example.com"
SHADOWED = "shadowed.example.com"
COPYING = "copying.example.com"
REQUESTS = 2000
POINTS = 3
WEIGHTS = (5, 25, 50)
HEADER = {"x-group": "testers"}
STEPS = [{"weight": weight, "hold": "1s"} for weight in WEIGHTS]


@pytest.fixture(scope="module")
def gateway(site: Site) -> str:
    """Return the address of the gateway; the operator has found the Gateway API, which came after it."""
    install_gateway_api(site)
    site.kubectl("rollout", "restart", f"deployment/{RELEASE}", namespace=OPERATOR)
    site.kubectl("rollout", "status", f"deployment/{RELEASE}", "--timeout=600s", namespace=OPERATOR)
    address = install_traefik(site)
    until_accepted(site)
    return address


def ask(address: str, number: int, headers: dict[str, str], host: str = HOST) -> Counter[str]:
    """Ask so often on one connection; what fails counts under its words."""
    found: Counter[str] = Counter()
    connection = HTTPConnection(address, timeout=10)
    for _ in range(number):
        try:
            connection.request("GET", "/model", headers={"Host": host, **headers})
            answer = connection.getresponse()
            text = answer.read().decode()
            found[text if answer.status == 200 else f"failed: {answer.status}"] += 1
        except OSError as error:
            found[f"failed: {error}"] += 1
            connection.close()
    connection.close()
    return found


async def asking(address: str, answers: Counter[str]) -> None:
    """Ask again and again, until cancelled."""
    while True:
        answers.update(await asyncio.to_thread(ask, address, 10, {}))
        await asyncio.sleep(0.05)


async def at(world: World, weight: int) -> Raw:
    return await world.until(
        MODEL_DEPLOYMENT,
        "churn",
        lambda now: now.get("candidate", {}).get("reachedWeight") == weight,
        f"the gateway has taken up {weight} %",
        300,
    )


async def answering(world: World, address: str, name: str, host: str) -> None:
    """Wait until the first version answers through the gateway, which learns of pods a moment after they are ready."""
    await world.condition(MODEL_DEPLOYMENT, name, "Ready", "Serving", seconds=300)

    async def check() -> bool:
        return await asyncio.to_thread(ask, address, 10, {}, host) == {"first": 10}

    await eventually(check, f"{name} answers through the gateway", 120)


async def say(world: World, **annotations: str | None) -> None:
    await world.kube.patch(MODEL_DEPLOYMENT, NAMESPACE, "churn", {"metadata": {"annotations": annotations}})


async def test_a_canary_is_divided_exactly_and_promoted_without_a_failed_request(world: World, gateway: str) -> None:
    first = publish(world.site, "routed/first/", {"model": b"first"})
    second = publish(world.site, "routed/second/", {"model": b"second"})
    spec = serving(world.site, "s3://models/routed/first/", first)
    headers = [{"name": name, "value": value} for name, value in HEADER.items()]
    rollout = {"strategy": "Canary", "steps": STEPS, "headers": headers, "keepPrevious": "5s"}
    route = {"gateway": {"name": GATEWAY, "namespace": SYSTEM}, "hostnames": [HOST]}
    await world.serve("churn", **spec, rollout=rollout, route=route)
    await world.condition(MODEL_DEPLOYMENT, "churn", "RouteAccepted", "Routed")
    await world.until(MODEL_DEPLOYMENT, "churn", lambda now: now.get("url") == f"http://{HOST}", "the address")
    await answering(world, gateway, "churn", HOST)

    answers: Counter[str] = Counter()
    busy = asyncio.create_task(asking(gateway, answers))
    longer = [{**step, "hold": "1h"} for step in STEPS]
    await world.change(MODEL_DEPLOYMENT, "churn", rollout={**rollout, "steps": longer})
    await world.change(MODEL_DEPLOYMENT, "churn", model={"uri": "s3://models/routed/second/", "digest": second})
    shares = {}
    for index, weight in enumerate(WEIGHTS):
        candidate = (await at(world, weight))["candidate"]
        counted = await asyncio.to_thread(ask, gateway, REQUESTS, {})
        assert set(counted) == {"first", "second"}
        shares[weight] = counted["second"] * 100 / REQUESTS
        assert await asyncio.to_thread(ask, gateway, 50, HEADER) == {"second": 50}
        held = [{**step, "hold": "1s" if place <= index else "1h"} for place, step in enumerate(STEPS)]
        if weight != WEIGHTS[-1]:
            await world.change(MODEL_DEPLOYMENT, "churn", rollout={**rollout, "steps": held})
    print(f"of {REQUESTS} requests: {shares} % at {WEIGHTS}")  # noqa: T201 - the figures of docs/performance.md
    assert shares == {weight: pytest.approx(weight, abs=POINTS) for weight in WEIGHTS}

    await say(world, **{PAUSE_ANNOTATION: None, PROMOTE_ANNOTATION: candidate["name"]})
    await world.until(
        MODEL_DEPLOYMENT,
        "churn",
        lambda now: now.get("stable", {}).get("digest") == second and "previous" not in now,
        "the second version serves alone",
        300,
    )
    await asyncio.sleep(1)
    busy.cancel()
    assert set(answers) == {"first", "second"}, f"no request failed of {sum(answers.values())}"
    assert await asyncio.to_thread(ask, gateway, 100, {}) == {"second": 100}
    route_now = await world.kube.get(HTTP_ROUTE, NAMESPACE, "churn") or {}
    assert len(route_now["spec"]["rules"]) == 1


async def test_a_gateway_that_cannot_copy_requests_is_never_asked_to(world: World, gateway: str) -> None:
    """Traefik would answer every request of such a route with an error, as the second half shows."""
    first = publish(world.site, "routed/shadowed/", {"model": b"first"})
    second = publish(world.site, "routed/shadow/", {"model": b"second"})
    spec = serving(world.site, "s3://models/routed/shadowed/", first)
    route = {"gateway": {"name": GATEWAY, "namespace": SYSTEM}, "hostnames": [SHADOWED]}
    await world.serve("shadowed", **spec, rollout={"strategy": "Shadow"}, route=route)
    await answering(world, gateway, "shadowed", SHADOWED)
    await world.change(MODEL_DEPLOYMENT, "shadowed", model={"uri": "s3://models/routed/shadow/", "digest": second})
    said = await world.condition(MODEL_DEPLOYMENT, "shadowed", "Progressing", "MirrorNotSupported")
    assert "does not list HTTPRouteRequestMirror" in str(said)
    assert await asyncio.to_thread(ask, gateway, 20, {}, SHADOWED) == {"first": 20}

    raw = await world.kube.get(HTTP_ROUTE, NAMESPACE, "shadowed") or {}
    target = {"group": "", "kind": "Service", "name": "shadowed", "port": 80}
    copying = {"type": "RequestMirror", "requestMirror": {"backendRef": target}}
    rules = [{**rule, "filters": [copying]} for rule in raw["spec"]["rules"]]
    other = {
        **{key: raw[key] for key in ("apiVersion", "kind")},
        "metadata": {"name": "copying", "namespace": NAMESPACE},
        "spec": {**raw["spec"], "hostnames": [COPYING], "rules": rules},
    }
    world.site.kubectl("apply", "--server-side", "-f", "-", given=other)
    failing: Counter[str] = Counter()
    for _ in range(60):
        failing = await asyncio.to_thread(ask, gateway, 5, {}, COPYING)
        if failing == {"failed: 500": 5}:
            break
        await asyncio.sleep(1)
    assert failing == {"failed: 500": 5}
