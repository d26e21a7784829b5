"""Pods go where the hardware is: nodes that advertise devices, and the real scheduler. No kubelet runs these pods."""

import pytest

from perennial.core.kinds import POD, TRAINING_JOB, Kind
from tests.e2e.support.world import World
from tests.support.kube import eventually, path_of

NAMESPACE = "hardware"
NODE = Kind("", "v1", "Node", "nodes", namespaced=False)
DEVICES = {
    "gpu-node": {"nvidia.com/gpu": "8"},
    "mig-node": {"nvidia.com/mig-1g.5gb": "7"},
    "huge-node": {"hugepages-2Mi": "1Gi"},
}
TAINT = {"key": "perennial.test/hardware", "effect": "NoSchedule"}
TOLERATIONS = [
    {"key": TAINT["key"], "operator": "Exists"},
    {"key": "node.kubernetes.io/not-ready", "operator": "Exists"},
]


async def add_node(world: World, name: str, kind: str = "any") -> None:
    """Make a node that nobody runs, with devices; it is Ready for as long as the node controller believes it."""
    amounts = {"cpu": "64", "memory": "256Gi", "pods": "100", **DEVICES[name]}
    node = {"metadata": {"name": name, "labels": {"zone": name, "hardware": kind}}, "spec": {"taints": [TAINT]}}
    await world.kube.create(NODE, None, node)
    ready = {"type": "Ready", "status": "True", "reason": "Test", "message": ""}
    status = {"capacity": amounts, "allocatable": amounts, "conditions": [ready]}
    path = path_of(NODE, None, name, "status")
    await world.kube.request("PATCH", path, {"status": status}, "application/merge-patch+json")


async def node_of(world: World, name: str) -> str:
    async def bound() -> str | None:
        pods = await world.children(POD, name)
        return next((pod["spec"]["nodeName"] for pod in pods if pod["spec"].get("nodeName")), None)

    return str(await eventually(bound, f"the pod of {name} is bound", 60, 0.3))


@pytest.mark.parametrize("node", DEVICES)
async def test_a_pod_lands_on_the_node_that_has_its_device(world: World, node: str) -> None:
    await add_node(world, node)
    (device,) = DEVICES[node]
    limits = {"memory": "64Mi", "cpu": "10m", device: "2Mi" if device.startswith("hugepages") else "1"}

    await world.train(node, output=None, storage=None, resources={"limits": limits}, tolerations=TOLERATIONS)

    assert await node_of(world, node) == node
    await world.change(TRAINING_JOB, node, suspend=True)


async def test_a_device_that_no_node_has_is_named(world: World) -> None:
    limits = {"memory": "64Mi", "example.com/tpu": "1"}
    await world.train("wants", output=None, storage=None, resources={"limits": limits}, tolerations=TOLERATIONS)

    message = await world.condition(TRAINING_JOB, "wants", "Reconciling", "Unschedulable")

    assert "example.com/tpu" in message


async def test_workers_are_spread_over_domains(world: World) -> None:
    for node in ("zone-a", "zone-b"):
        DEVICES[node] = {"example.com/fpga": "4"}
        await add_node(world, node, "fpga")
    spread = [{"topologyKey": "zone", "required": True}]
    limits = {"cpu": "10m", "memory": "64Mi", "example.com/fpga": "1"}
    await world.train(
        "spread",
        output=None,
        storage=None,
        workers=4,
        spread=spread,
        nodeSelector={"hardware": "fpga"},
        resources={"limits": limits},
        tolerations=TOLERATIONS,
    )

    async def places() -> list[str] | None:
        found = [pod["spec"].get("nodeName") for pod in await world.children(POD, "spread")]
        return sorted(found) if len(found) == 4 and all(found) else None

    found = await eventually(places, "four workers are bound", 60, 0.3)
    assert found == ["zone-a", "zone-a", "zone-b", "zone-b"]
