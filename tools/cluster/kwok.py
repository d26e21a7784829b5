"""Nodes that only pretend, for tests of scale: KWOK answers for them, their pods run at once and Jobs complete.

They carry the label and annotation `kwok.x-k8s.io/node=fake` and a taint of the same name, so that a real pod never
lands on one: pods meant for them select the label and tolerate the taint.
"""

import shutil
from pathlib import Path

from tools.cluster import paths, processes
from tools.cluster.kube import Api, Patience
from tools.cluster.plan import Plan
from tools.cluster.progress import step

MARK = "kwok.x-k8s.io/node"


def node_name(number: int) -> str:
    """Name of a pretended node, counted from 0."""
    return f"kwok-{number:04d}"


def node(number: int) -> dict[str, object]:
    """One pretended node."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": node_name(number),
            "annotations": {MARK: "fake"},
            "labels": {MARK: "fake", "kubernetes.io/hostname": node_name(number), "kubernetes.io/os": "linux"},
        },
        "spec": {"taints": [{"key": MARK, "value": "fake", "effect": "NoSchedule"}]},
    }


def ensure_nodes(api: Api, plan: Plan, number: int) -> None:
    """Starts the KWOK controller if it is not running, and adds nodes until there are `number`.

    Raises:
        ClusterError: the nodes do not become ready.
        ApiError: the API server refused one.
    """
    wish = plan.state / "conf" / "kwok.yaml"
    with step(f"cluster {plan.name}: {number} pretended nodes"):
        if not wish.exists():
            partial = wish.with_suffix(".partial")
            shutil.copyfile(paths.PACKAGE / "addons" / "kwok.yaml", partial)
            # Process 1 starts the controller when this file appears.
            partial.rename(wish)
        wanted = {node_name(each) for each in range(number)}
        for each in range(number):
            api.apply(f"/api/v1/nodes/{node_name(each)}", node(each))
        log = Path(plan.state, "log", "kwok.log")
        wait = Patience(api, lambda: processes.process_one(plan.state) is not None, log)
        wait.until(lambda: wanted <= set(api.ready_nodes()), "pretended nodes", 60)
