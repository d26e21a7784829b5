"""A real gateway: Traefik from its Go module as an image, with the standard CRDs of the Gateway API."""

import time
from typing import Any

import yaml

from tests.e2e.support.site import Site
from tools.cluster import api

SYSTEM = "gateways"
GATEWAY = "public"
_NAME = {"name": "traefik", "namespace": SYSTEM}
_PORT = 8000
_CONTROLLER = "traefik.io/gateway-controller"


def install_gateway_api(site: Site) -> None:
    """Give the cluster the kinds of the Gateway API."""
    crds = api.module_folder("gateway-api") / "config" / "crd" / "standard"
    site.kubectl("apply", "--server-side", "-f", str(crds))
    site.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")


def install_traefik(site: Site) -> str:
    """Bring Traefik up with one Gateway for routes of all namespaces; return the address that it listens at."""
    image, archive = api.program_image("traefik")
    api.load_image(site.cluster.name, archive)
    site.kubectl("create", "namespace", SYSTEM, check=False)
    items = {"apiVersion": "v1", "kind": "List", "items": _objects(image)}
    site.kubectl("apply", "--server-side", "-f", "-", given=items)
    site.kubectl("rollout", "status", "deployment/traefik", "--timeout=600s", namespace=SYSTEM)
    return site.kubectl("get", "service", "traefik", "-o", "jsonpath={.spec.clusterIP}", namespace=SYSTEM)


def until_accepted(site: Site, seconds: float = 300) -> None:
    """Wait until Traefik has taken up the Gateway."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        text = site.kubectl("get", "gateway", GATEWAY, "-o", "yaml", namespace=SYSTEM)
        conditions = yaml.safe_load(text).get("status", {}).get("conditions", ())
        if any(item["type"] == "Programmed" and item["status"] == "True" for item in conditions):
            return
        time.sleep(0.5)
    raise AssertionError(f"Gateway {GATEWAY} is not programmed after {seconds:.0f} s: {conditions}")


def _objects(image: str) -> list[dict[str, Any]]:
    labels = {"app": "traefik"}
    admin = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    container = {
        "name": "traefik",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": [
            "/traefik",
            f"--entrypoints.web.address=:{_PORT}",
            "--providers.kubernetesgateway",
            "--log.level=INFO",
        ],
        "ports": [{"containerPort": _PORT}],
        "readinessProbe": {"tcpSocket": {"port": _PORT}, "periodSeconds": 1},
    }
    listener = {
        "name": "web",
        "port": _PORT,
        "protocol": "HTTP",
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _NAME},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "traefik"},
            "roleRef": admin,
            "subjects": [{"kind": "ServiceAccount", **_NAME}],
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": _NAME,
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"serviceAccountName": "traefik", "containers": [container]},
                },
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _NAME,
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": _PORT}]},
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": "traefik"},
            "spec": {"controllerName": _CONTROLLER},
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": GATEWAY, "namespace": SYSTEM},
            "spec": {"gatewayClassName": "traefik", "listeners": [listener]},
        },
    ]
