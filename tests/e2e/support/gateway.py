"""What the gateways of the tests have in common: the kinds of the Gateway API, and one Gateway for all namespaces."""

import time
from dataclasses import dataclass
from typing import Any

import yaml

from tests.e2e.support.site import Site
from tools.cluster import api

GATEWAY = "public"
_VERSION = "gateway.networking.k8s.io/v1"


@dataclass(frozen=True)
class Entrance:
    """A Gateway that runs."""

    kind: str
    """Which implementation; also the name of its GatewayClass."""
    namespace: str
    address: str

    @property
    def reference(self) -> dict[str, str]:
        """The value of `spec.route.gateway`."""
        return {"name": GATEWAY, "namespace": self.namespace}

    def host(self, name: str) -> str:
        """A host name that belongs to this gateway alone."""
        return f"{name}.{self.kind}.example.com"


def install_gateway_api(site: Site) -> None:
    """Give the cluster the kinds of the Gateway API."""
    crds = api.module_folder("gateway-api") / "config" / "crd" / "standard"
    site.kubectl("apply", "--server-side", "-f", str(crds))
    site.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")


def until_accepted(site: Site, namespace: str, seconds: float = 300) -> None:
    """Wait until the controller of a Gateway has taken it up."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        text = site.kubectl("get", "gateway", GATEWAY, "-o", "yaml", namespace=namespace)
        conditions = yaml.safe_load(text).get("status", {}).get("conditions", ())
        if any(item["type"] == "Programmed" and item["status"] == "True" for item in conditions):
            return
        time.sleep(0.5)
    raise AssertionError(f"Gateway {namespace}/{GATEWAY} is not programmed after {seconds:.0f} s: {conditions}")


def account(name: str, namespace: str) -> list[dict[str, Any]]:
    """A service account that may do everything: what a gateway needs is not the point of these tests."""
    metadata = {"name": name, "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": role,
            "subjects": [{"kind": "ServiceAccount", **metadata}],
        },
    ]


PATIENT = {"periodSeconds": 1, "timeoutSeconds": 10, "failureThreshold": 60}
"""A probe that a busy node does not fail: the one pod of a gateway that is not ready refuses all requests."""


def deployment(name: str, namespace: str, *containers: dict[str, Any], **pod: Any) -> dict[str, Any]:
    """A Deployment of one pod, under the account of its name."""
    labels = {"app": name}
    spec = {"serviceAccountName": name, "containers": list(containers), **pod}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }


def service(name: str, namespace: str, port: int) -> dict[str, Any]:
    """A Service of such a Deployment, whose container listens at that port."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": port}]},
    }


def gateway(kind: str, namespace: str, controller: str, port: int) -> list[dict[str, Any]]:
    """A GatewayClass, and a Gateway of it with one listener for routes of all namespaces."""
    everyone = {"namespaces": {"from": "All"}}
    listener = {"name": "web", "port": port, "protocol": "HTTP", "allowedRoutes": everyone}
    return [
        {
            "apiVersion": _VERSION,
            "kind": "GatewayClass",
            "metadata": {"name": kind},
            "spec": {"controllerName": controller},
        },
        {
            "apiVersion": _VERSION,
            "kind": "Gateway",
            "metadata": {"name": GATEWAY, "namespace": namespace},
            "spec": {"gatewayClassName": kind, "listeners": [listener]},
        },
    ]


def apply(site: Site, *objects: dict[str, Any]) -> None:
    """Apply objects in their order."""
    items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    site.kubectl("apply", "--server-side", "-f", "-", given=items)


def address(site: Site, name: str, namespace: str) -> str:
    """Return the address of a Service."""
    return site.kubectl("get", "service", name, "-o", "jsonpath={.spec.clusterIP}", namespace=namespace)
