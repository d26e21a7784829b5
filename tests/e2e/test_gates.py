"""Gates of live traffic on real pods: a candidate that answers with errors or slowly is rolled back by its metrics."""

import asyncio
from collections import Counter
from typing import Any
from urllib import request
from urllib.error import HTTPError

from perennial.core.kinds import MODEL_DEPLOYMENT, SERVICE, Raw
from tests.e2e.support.versions import publish
from tests.e2e.support.world import World

NAMESPACE = "live-gates"
SERVER = """
import pathlib, random, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from prometheus_client import Counter, Histogram, start_http_server

name, errors, seconds = pathlib.Path("/mnt/models/model").read_text().split()
answered = Counter("predictions", "Predictions.", ["code"])
durations = Histogram("prediction_seconds", "Durations.", buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2))
chance = random.Random(1)

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        with durations.time():
            time.sleep(float(seconds))
        code = 500 if chance.random() < float(errors) else 200
        answered.labels(code).inc()
        body = name.encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass

class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

start_http_server(9100)
Server(("", 8080), Handler).serve_forever()
"""
METRICS = {
    "port": 9100,
    "requests": [{"metric": "predictions_total"}],
    "errors": [{"metric": "predictions_total", "labels": {"code": "5*"}}],
    "latency": [{"metric": "prediction_seconds"}],
}
GATES = [
    {"initialDelay": "2m", "errorRate": {"max": "0.01", "notWorseThanStableBy": "0.01", "minRequests": 200}},
    {"initialDelay": "2m", "latency": {"quantile": "0.9", "maxRatioToStable": "2", "minRequests": 200}},
]


def spec_of(world: World, name: str, errors: float = 0.0, seconds: float = 0.02) -> Raw:
    """A deployment of a model whose content tells how it answers."""
    digest = publish(world.site, f"live-gates/{name}/", {"model": f"{name} {errors} {seconds}".encode()})
    server = {"image": world.site.demo.name, "command": ["python3", "-c", SERVER], "metrics": METRICS}
    return {
        "model": {"uri": f"s3://models/live-gates/{name}/", "digest": digest},
        "runtime": {"container": server},
        "replicas": {"min": 2, "max": 2},
        "rollout": {
            "strategy": "Canary",
            "steps": [{"weight": 50, "hold": "10s"}],
            "gates": GATES,
            "keepPrevious": "1s",
        },
    }


def ask(address: str, answers: Counter[str]) -> None:
    try:
        with request.urlopen(f"http://{address}/", timeout=10) as found:
            answers[found.read().decode()] += 1
    except HTTPError as error:
        answers[f"{error.read().decode()} {error.code}"] += 1
    except OSError as error:
        answers[f"failed: {error}"] += 1


def failed(status: Raw, digest: str) -> bool:
    """Tell whether the rollout of a version has failed."""
    candidate = status.get("candidate") or {}
    return candidate.get("digest") == digest and candidate.get("phase") == "Failed"


async def ask_on(address: str, answers: Counter[str]) -> None:
    while True:
        await asyncio.to_thread(ask, address, answers)
        await asyncio.sleep(0.02)


async def test_gates_roll_back_errors_and_slowness_and_let_a_good_model_pass(world: World) -> None:
    await world.serve("shop", **spec_of(world, "first"))
    await world.until(MODEL_DEPLOYMENT, "shop", lambda now: now.get("stable") and not now.get("candidate"), "it serves")
    service: Any = await world.kube.get(SERVICE, NAMESPACE, "shop")
    address = service["spec"]["clusterIP"]
    answers: Counter[str] = Counter()
    asking = [asyncio.create_task(ask_on(address, answers)) for _ in range(8)]

    for name, bad, gate in (("broken", {"errors": 0.05}, "errorRate"), ("slow", {"seconds": 0.6}, "latency")):
        model = spec_of(world, name, **bad)["model"]
        await world.change(MODEL_DEPLOYMENT, "shop", model=model)
        wanted = model["digest"]
        status = await world.until(
            MODEL_DEPLOYMENT, "shop", lambda now, wanted=wanted: failed(now, wanted), f"{name} has failed", 240
        )
        assert status["candidate"]["message"].startswith(f"gate {gate}: "), status["candidate"]
        verdicts = {item["name"]: item["verdict"] for item in status["candidate"]["gates"]}
        assert verdicts[gate] == "Failed", status["candidate"]["gates"]
        assert status["stable"]["digest"] != model["digest"]
        assert answers[name] > 0, "it has met live traffic"

    good = spec_of(world, "second")["model"]
    await world.change(MODEL_DEPLOYMENT, "shop", model=good)
    await world.until(
        MODEL_DEPLOYMENT, "shop", lambda now: now["stable"]["digest"] == good["digest"], "the good one serves", 240
    )
    for task in asking:
        task.cancel()
    # That no request is lost is shown by test_canary.py; here eight clients never rest, also where the node is busy.
    lost = sum(number for words, number in answers.items() if words.startswith("failed"))
    assert lost <= sum(answers.values()) / 100, answers
