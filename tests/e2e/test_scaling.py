"""Autoscaling on the real node: CPU that real requests burn, read by metrics-server, makes real pods."""

import asyncio
import contextlib
from typing import Any
from urllib import request

import pytest

from perennial.core.kinds import AUTOSCALER, DEPLOYMENT, MODEL_DEPLOYMENT, SERVICE
from tests.e2e.support.versions import publish
from tests.e2e.support.world import World

pytestmark = pytest.mark.exclusive  # the pods that burn CPU must have it

NAMESPACE = "scaling"

BURNING_SERVER = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/burn": sum(number * number for number in range(400_000))
        self.send_response(200); self.end_headers(); self.wfile.write(b"done")
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""


def burn(address: str) -> None:
    """Ask once; a pod that is just being added or taken away may refuse."""
    with contextlib.suppress(OSError), request.urlopen(f"http://{address}/burn", timeout=10) as answer:
        answer.read()


async def keep_busy(address: str) -> None:
    while True:
        await asyncio.gather(*(asyncio.to_thread(burn, address) for _ in range(2)))


async def test_load_makes_pods_and_the_operator_leaves_their_number_alone(world: World) -> None:
    digest = publish(world.site, "scaling/model/", {"model": b"any"})
    container: dict[str, Any] = {"image": world.site.demo.name, "command": ["python3", "-c", BURNING_SERVER]}
    await world.serve(
        "busy",
        model={"uri": "s3://models/scaling/model/", "digest": digest},
        runtime={"container": container},
        replicas={"min": 1, "max": 2},
        autoscaling=[{"cpu": 50}],
        resources={"requests": {"cpu": "100m", "memory": "32Mi"}},
    )
    status = await world.until(MODEL_DEPLOYMENT, "busy", lambda now: now.get("readyReplicas") == 1, "one pod answers")
    name = status["stable"]["name"]
    (scaler,) = await world.kube.list(AUTOSCALER, NAMESPACE)
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (1, 2)
    service = await world.kube.get(SERVICE, NAMESPACE, "busy") or {}

    load = asyncio.create_task(keep_busy(service["spec"]["clusterIP"]))
    try:
        await world.until(
            MODEL_DEPLOYMENT, "busy", lambda now: now.get("readyReplicas") == 2, "a second pod under load", 240
        )
    finally:
        load.cancel()

    # A change that makes no new revision applies the Deployment again: the autoscaler's number must outlive it.
    await world.change(MODEL_DEPLOYMENT, "busy", rollout={"keepPrevious": "31s"})
    await asyncio.sleep(5)
    deployment = await world.kube.get(DEPLOYMENT, NAMESPACE, name) or {}
    assert deployment["spec"]["replicas"] == 2
    assert (await world.status(MODEL_DEPLOYMENT, "busy"))["readyReplicas"] == 2
