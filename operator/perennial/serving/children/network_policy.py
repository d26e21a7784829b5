"""The NetworkPolicy that limits who may call a model."""

from collections.abc import Iterable
from typing import Any

from perennial.api.modeldeployment.access import Access, Peer
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.core.kinds import MODEL_DEPLOYMENT, NETWORK_POLICY, Raw
from perennial.core.labels import COMPONENT_LABEL, GATE_COMPONENT, KIND_LABEL, NAME_LABEL
from perennial.serving.children.metadata import metadata_of
from perennial.serving.revision import HTTP_PORT


def network_policy(
    resource: ModelDeployment, access: Access, ports: Iterable[int], open_ports: Iterable[int], *, gates: bool = False
) -> Raw:
    """Build the NetworkPolicy over all pods of a ModelDeployment.

    Args:
        resource: owner of the pods.
        access: who may call.
        ports: ports that take requests, of every revision that has pods.
        open_ports: ports that anyone may reach, such as metrics and the sidecar's health.
        gates: the pods of gates may call the servers.
    """
    meta = resource.metadata
    calls = _ports(ports)
    peers = [_peer(peer) for peer in access.allow]
    free = _ports(set(open_ports) - set(ports))
    rules = [
        *([{"from": peers, "ports": calls}] if peers and calls else []),
        *([{"ports": free}] if free else []),
        *([_gate_rule(meta.name)] if gates else []),
    ]
    return {
        "apiVersion": NETWORK_POLICY.api_version,
        "kind": NETWORK_POLICY.kind,
        "metadata": metadata_of(resource, meta.name),
        "spec": {
            "podSelector": {"matchLabels": {KIND_LABEL: MODEL_DEPLOYMENT.kind, NAME_LABEL: meta.name}},
            "policyTypes": ["Ingress"],
            # The API server drops an empty list, so an apply that sends one never matches the live object.
            **({"ingress": rules} if rules else {}),
        },
    }


def _gate_rule(name: str) -> dict[str, Any]:
    """Allow the Jobs of gates to reach the server itself, by the name of its port: revisions may differ in number."""
    labels = {COMPONENT_LABEL: GATE_COMPONENT, KIND_LABEL: MODEL_DEPLOYMENT.kind, NAME_LABEL: name}
    return {"from": [{"podSelector": {"matchLabels": labels}}], "ports": [{"protocol": "TCP", "port": HTTP_PORT}]}


def _ports(numbers: Iterable[int]) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": number} for number in sorted(set(numbers))]


def _peer(peer: Peer) -> dict[str, Any]:
    namespaces = {"namespaceSelector": {"matchLabels": peer.namespace_labels}} if peer.namespace_labels else {}
    pods = {"podSelector": {"matchLabels": peer.pod_labels}} if peer.pod_labels else {}
    return {**namespaces, **pods}
