"""The real Kueue, from its Go module: its controller as an image, its own chart, and queues with a little quota."""

import time
from typing import Any

import yaml

from tests.e2e.support.site import Site
from tools.cluster import api

SYSTEM = "kueue-system"
FLAVOUR_LABEL = {"perennial.dev/flavour": "small"}
_RELEASE = "kueue"


def install_kueue(site: Site) -> None:
    """Bring Kueue up and wait until its webhooks answer."""
    image, archive = api.program_image("kueue")
    api.load_image(site.cluster.name, archive)
    repository, _, tag = image.rpartition(":")
    image_values = {"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"}
    manager = f"{_RELEASE}-controller-manager"
    text = site.helm(
        "template", _RELEASE, str(api.module_folder("kueue") / "charts" / "kueue"), "--namespace", SYSTEM,
        *(f"--set=controllerManager.manager.image.{key}={value}" for key, value in image_values.items()),
        "--set=controllerManager.manager.resources.requests.cpu=20m",
        "--set=controllerManager.readinessProbe.periodSeconds=1",
    )  # fmt: skip
    documents = [_with_program(item) for item in yaml.safe_load_all(text) if item]
    site.kubectl("create", "namespace", SYSTEM, check=False)
    items = {"apiVersion": "v1", "kind": "List", "items": documents}
    site.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=items)
    site.kubectl("rollout", "status", f"deployment/{manager}", "--timeout=400s", namespace=SYSTEM)


def _with_program(item: dict[str, Any]) -> dict[str, Any]:
    """Start the program by the name that it has in our image."""
    if item["kind"] == "Deployment":
        for container in item["spec"]["template"]["spec"]["containers"]:
            container["command"] = ["/kueue"]
    return item


def make_queue(site: Site, namespace: str, name: str, cpu: str) -> None:
    """Make a LocalQueue with so much CPU, on nodes of one flavour, in which the more urgent evict the less urgent."""
    nodes = site.kubectl("get", "nodes", "-o", "name").split()
    labels = [f"{key}={value}" for key, value in FLAVOUR_LABEL.items()]
    site.kubectl("label", "--overwrite", *nodes, *labels)
    version = {"apiVersion": "kueue.x-k8s.io/v1beta2"}
    quota = [{"name": "cpu", "nominalQuota": cpu}, {"name": "memory", "nominalQuota": "10Gi"}]
    group = {"coveredResources": ["cpu", "memory"], "flavors": [{"name": name, "resources": quota}]}
    objects: list[dict[str, Any]] = [
        {**version, "kind": "ResourceFlavor", "metadata": {"name": name}, "spec": {"nodeLabels": FLAVOUR_LABEL}},
        {
            **version,
            "kind": "ClusterQueue",
            "metadata": {"name": name},
            "spec": {
                "namespaceSelector": {},
                "preemption": {"withinClusterQueue": "LowerPriority"},
                "resourceGroups": [group],
            },
        },
        {
            **version,
            "kind": "LocalQueue",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"clusterQueue": name},
        },
        *(
            {**version, "kind": "WorkloadPriorityClass", "metadata": {"name": priority}, "value": value}
            for priority, value in (("routine", 10), ("urgent", 1000))
        ),
    ]
    _apply_patiently(site, {"apiVersion": "v1", "kind": "List", "items": objects})


def _apply_patiently(site: Site, objects: dict[str, Any]) -> None:
    """Apply; Kueue's webhooks answer a little after its pod is ready."""
    for left in reversed(range(30)):
        said = site.kubectl("apply", "-f", "-", given=objects, check=left == 0)
        if "rror" not in said:
            return
        time.sleep(2)
