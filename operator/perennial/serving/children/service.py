"""The Service and the PodDisruptionBudget of the revision that serves."""

from dataclasses import dataclass

from perennial.api.modeldeployment.access import ServiceOptions
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.core.kinds import DISRUPTION_BUDGET, SERVICE, Raw
from perennial.core.labels import ROLLOUT_ANNOTATION
from perennial.serving.children.metadata import metadata_of
from perennial.serving.children.server import HTTP_PORT

SERVICE_PORT = 80
SECURE_PORT = 443


@dataclass(frozen=True)
class Traffic:
    """The pods that take requests."""

    selector: dict[str, str]
    port: int
    secure: bool
    """Whether their server terminates TLS."""
    record: dict[str, str]
    """Annotation with the rollout record; empty before the first promotion."""


def service(resource: ModelDeployment, traffic: Traffic) -> Raw:
    """Build the Service: port 80, and 443 as well for a server that speaks TLS."""
    options = resource.spec.service
    numbers = {HTTP_PORT: SERVICE_PORT, **({"https": SECURE_PORT} if traffic.secure else {})}
    return {
        "apiVersion": SERVICE.api_version,
        "kind": SERVICE.kind,
        "metadata": metadata_of(
            resource,
            resource.metadata.name,
            annotations={**_asked(options), **traffic.record},
        ),
        "spec": {
            "type": "ClusterIP",
            "selector": traffic.selector,
            "ports": [
                {"name": name, "port": number, "targetPort": traffic.port, "protocol": "TCP"}
                for name, number in numbers.items()
            ],
        },
    }


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
        "metadata": metadata_of(resource, resource.metadata.name, annotations=traffic.record),
        "spec": {
            "selector": {"matchLabels": traffic.selector},
            # Not minAvailable: with a single replica that would block the drain of its node for ever.
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
