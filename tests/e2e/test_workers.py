"""Several workers on a real node: they find each other by the variables that frameworks read, and end together.

The frameworks' own libraries are not in the image; what they need of a platform is held here: that each variable says
what it should, and that the address in it resolves and is reached over TCP from every other pod.
"""

import asyncio

import pytest

from perennial.core.kinds import JOB, POD, SERVICE, TRAINING_JOB
from tests.e2e.support.site import Site
from tests.e2e.support.world import World
from tests.support.kube import Kube

NAMESPACE = "workers"

REDUCE = """
import json, os, socket, time
def patiently(call):
    for _ in range(240):
        try: return call()
        except OSError: time.sleep(0.5)
    raise SystemExit("the other worker cannot be reached")
def reduce(me, count, host, port):
    if me:
        with patiently(lambda: socket.create_connection((host, port), 5)) as peer:
            peer.sendall(bytes([me + 1]))
            return peer.recv(1)[0]
    with socket.create_server(("", port)) as server:
        peers = [server.accept()[0] for _ in range(count - 1)]
        total = 1 + sum(peer.recv(1)[0] for peer in peers)
        for peer in peers: peer.sendall(bytes([total]))
        return total
env = os.environ
"""
FINISH = """
assert total == sum(range(1, count + 1)), total
open("/perennial/output/model", "w").write(f"worker {me} of {count}")
json.dump({"total": total, "worker": me}, open("/perennial/output/metrics.json", "w"))
"""
ADDRESSES = {
    "none": 'me, count, host, port = int(env["PERENNIAL_WORKER_INDEX"]), int(env["PERENNIAL_WORKERS"]), '
    'env["PERENNIAL_LEADER"], 29500',
    "torch": 'me, count, host, port = int(env["PET_NODE_RANK"]), int(env["PET_NNODES"]), env["PET_MASTER_ADDR"], '
    'int(env["PET_MASTER_PORT"])',
    "jax": 'host, port = env["JAX_COORDINATOR_ADDRESS"].split(":"); me, count, port = int(env["JAX_PROCESS_ID"]), '
    'int(env["JAX_NUM_PROCESSES"]), int(port)',
    "xgboost": 'me, count, host, port = int(env["DMLC_TASK_ID"]), int(env["DMLC_NUM_WORKER"]), '
    'env["DMLC_TRACKER_URI"], int(env["DMLC_TRACKER_PORT"])',
    "tensorflow": 'tf = json.loads(env["TF_CONFIG"]); me, hosts = tf["task"]["index"], tf["cluster"]["worker"]; '
    'count = len(hosts); host, port = hosts[0].split(":"); port = int(port)',
}
TOGETHER = "total = reduce(me, count, host, port)"
DIES_ONCE = f"""
{ADDRESSES["none"]}
{TOGETHER}
import signal, subprocess, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
if env["PERENNIAL_ATTEMPT"] == "0":
    if me == 1: sys.exit(128 - subprocess.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]).returncode)
    time.sleep(600)
"""
WAITS_ONCE = f"""
{ADDRESSES["none"]}
{TOGETHER}
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
if env["PERENNIAL_ATTEMPT"] == "0": time.sleep(600)
"""


async def start_all(site: Site) -> None:
    async with Kube.connected(site.kubeconfig) as kube:
        world = await World(site, kube, NAMESPACE).prepare()
        await asyncio.gather(
            *(
                world.train(f"by-{name}", f"{REDUCE}\n{read}\n{TOGETHER}\n{FINISH}", framework=name, workers=2)
                for name, read in ADDRESSES.items()
            ),
            world.train("dies", f"{REDUCE}\n{DIES_ONCE}\n{FINISH}", workers=3, retry={"limit": 1}),
            world.train("evicted", f"{REDUCE}\n{WAITS_ONCE}\n{FINISH}", workers=2),
        )


@pytest.fixture(scope="module", autouse=True)
def _started(site: Site) -> None:
    asyncio.run(start_all(site))


@pytest.mark.parametrize("framework", ADDRESSES)
async def test_workers_meet_where_their_variables_say(world: World, framework: str) -> None:
    status = await world.succeeded(f"by-{framework}", seconds=240)

    assert status["runs"][0]["metrics"] == {"total": "3", "worker": "0"}, "the first worker's output is published"
    assert status["runs"][0]["attempts"] == 1
    (service,) = await world.children(SERVICE, f"by-{framework}")
    assert service["spec"]["clusterIP"] == "None"
    assert len(await world.children(POD, f"by-{framework}")) == 2


async def test_a_worker_that_is_killed_ends_the_attempt_of_all(world: World) -> None:
    status = await world.succeeded("dies", seconds=240)

    assert status["runs"][0]["attempts"] == 2
    jobs = {item["metadata"]["name"]: item for item in await world.children(JOB, "dies")}
    assert jobs["dies-1-1"]["status"]["succeeded"] == 3  # the first attempt's Job goes when the run has ended


async def test_an_evicted_worker_costs_no_retry(world: World) -> None:
    await world.condition(TRAINING_JOB, "evicted", "Reconciling", "Running", seconds=240)
    pod = (await world.children(POD, "evicted"))[-1]["metadata"]["name"]
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction"
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": NAMESPACE}}
    await world.kube.request("POST", path, eviction)

    status = await world.succeeded("evicted", seconds=300)

    assert status["runs"][0]["attempts"] == 2, "spec.retry.limit is 0: a disruption does not count"
    assert "Disrupted" in await world.events("evicted")
