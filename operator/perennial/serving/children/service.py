"""The Service and the PodDisruptionBudget of the revision that serves."""

from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.core.kinds import DISRUPTION_BUDGET, SERVICE, Raw
from perennial.serving.children.metadata import metadata_of
from perennial.serving.children.server import HTTP_PORT

SERVICE_PORT = 80
SECURE_PORT = 443


def service(resource: ModelDeployment, selector: dict[str, str], port: int) -> Raw:
    """Build the Service: port 80, and 443 as well for a server that speaks TLS."""
    options, secure = resource.spec.service, resource.spec.tls is not None
    numbers = {HTTP_PORT: SERVICE_PORT, **({"https": SECURE_PORT} if secure else {})}
    return {
        "apiVersion": SERVICE.api_version,
        "kind": SERVICE.kind,
        "metadata": metadata_of(
            resource, resource.metadata.name, annotations=options.annotations if options is not None else None
        ),
        "spec": {
            "type": "ClusterIP",
            "selector": selector,
            "ports": [
                {"name": name, "port": number, "targetPort": port, "protocol": "TCP"}
                for name, number in numbers.items()
            ],
        },
    }


def disruption_budget(resource: ModelDeployment, selector: dict[str, str]) -> Raw:
    """Build the PodDisruptionBudget: pods are drained one at a time."""
    return {
        "apiVersion": DISRUPTION_BUDGET.api_version,
        "kind": DISRUPTION_BUDGET.kind,
        "metadata": metadata_of(resource, resource.metadata.name),
        "spec": {
            "selector": {"matchLabels": selector},
            # Not minAvailable: with a single replica that would block the drain of its node for ever.
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
