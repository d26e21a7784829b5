"""The Service and the PodDisruptionBudget of the revision that serves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from perennial.api.modeldeployment.access import ServiceOptions
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.modeldeployment.revisions import Revision
from perennial.core.kinds import DISRUPTION_BUDGET, SERVICE, Raw
from perennial.core.labels import REVISION_LABEL, ROLLOUT_ANNOTATION
from perennial.serving.children.metadata import metadata_of
from perennial.serving.revision import HTTP_PORT

SERVICE_PORT = 80
SECURE_PORT = 443
GRPC_PORT = 8081
DIRECT_PORT = 8080
"""Of the Service of one revision: leads to the server itself, past the capture sidecar."""


@dataclass(frozen=True)
class Traffic:
    """The pods that take requests."""

    selector: dict[str, str]
    port: int | str
    """Number, or name where the pods of two revisions have different numbers."""
    secure: bool
    """Whether their server terminates TLS."""
    grpc_port: int | None = None
    """Number of the port of gRPC; None: these pods have none, or not the same one."""
    record: Mapping[str, str] = field(default_factory=dict)
    """Annotation with the rollout record; empty before the first promotion."""


def service(resource: ModelDeployment, traffic: Traffic) -> Raw:
    """Build the Service: port 80, 443 as well for a server that speaks TLS, and 8081 where it has a port of gRPC."""
    options = resource.spec.service
    spec = _spec(traffic)
    return {
        "apiVersion": SERVICE.api_version,
        "kind": SERVICE.kind,
        "metadata": metadata_of(
            resource,
            resource.metadata.name,
            annotations={**_asked(options), **traffic.record},
        ),
        "spec": {**spec, "ports": [*spec["ports"], *_grpc(traffic)]},
    }


def revision_service(resource: ModelDeployment, revision: Revision, traffic: Traffic, *, direct: bool = False) -> Raw:
    """Build the Service of one revision, by which gates and a gateway reach its pods and no others.

    Args:
        resource: owner.
        revision: whose pods.
        traffic: its pods and port.
        direct: add DIRECT_PORT, for the Jobs of gates.
    """
    spec = _spec(traffic)
    further = {"name": "direct", "port": DIRECT_PORT, "targetPort": HTTP_PORT, "protocol": "TCP"}
    return {
        "apiVersion": SERVICE.api_version,
        "kind": SERVICE.kind,
        "metadata": metadata_of(resource, revision.name, labels={REVISION_LABEL: revision.hash}),
        "spec": {**spec, "ports": [*spec["ports"], *([further] if direct else [])]},
    }


def _spec(traffic: Traffic) -> dict[str, Any]:
    numbers = {HTTP_PORT: SERVICE_PORT, **({"https": SECURE_PORT} if traffic.secure else {})}
    return {
        "type": "ClusterIP",
        "selector": traffic.selector,
        "ports": [
            {"name": name, "port": number, "targetPort": traffic.port, "protocol": "TCP"}
            for name, number in numbers.items()
        ],
    }


def _grpc(traffic: Traffic) -> list[dict[str, Any]]:
    if traffic.grpc_port is None:
        return []
    # Tells meshes and gateways that HTTP/2 is spoken without TLS; a server that has a certificate speaks it with TLS.
    protocol = {} if traffic.secure else {"appProtocol": "kubernetes.io/h2c"}
    return [{"name": "grpc", "port": GRPC_PORT, "targetPort": traffic.grpc_port, "protocol": "TCP", **protocol}]


def _asked(options: ServiceOptions | None) -> dict[str, str]:
    """Annotations of the spec; the rollout record is the operator's own."""
    asked = (options.annotations if options is not None else None) or {}
    return {key: value for key, value in asked.items() if key != ROLLOUT_ANNOTATION}


def disruption_budget(resource: ModelDeployment, traffic: Traffic) -> Raw:
    """Build the PodDisruptionBudget: pods are drained one at a time.

    It has a copy of the rollout record, for when the Service is deleted by hand.
    """
    return {
        "apiVersion": DISRUPTION_BUDGET.api_version,
        "kind": DISRUPTION_BUDGET.kind,
        "metadata": metadata_of(resource, resource.metadata.name, annotations=dict(traffic.record)),
        "spec": {
            "selector": {"matchLabels": traffic.selector},
            # Not minAvailable: with a single replica that would block the drain of its node for ever.
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
