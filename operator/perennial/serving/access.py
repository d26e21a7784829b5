"""Who may call a model, and which annotations its users may add."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

from perennial.api.contract.settings import PodRules
from perennial.api.modeldeployment.access import Access, Peer
from perennial.api.modeldeployment.resource import ModelDeployment, ModelDeploymentSpec
from perennial.core.kinds import MODEL_DEPLOYMENT, NETWORK_POLICY, Raw
from perennial.core.labels import KIND_LABEL, NAME_LABEL
from perennial.core.pod_options import refusal
from perennial.core.problem import Problem
from perennial.serving import reasons
from perennial.serving.build import metadata_of


def refused_annotations(spec: ModelDeploymentSpec, allowed: Iterable[str]) -> Problem | None:
    """Return what is wrong with the spec's annotations, by the installation's list of keys."""
    patterns = tuple(allowed)
    asked = {
        "spec.podAnnotations": spec.pod_annotations or {},
        "spec.service.annotations": (spec.service.annotations if spec.service else None) or {},
    }
    refused = [
        f"{field}: {key}"
        for field, annotations in asked.items()
        for key in sorted(annotations)
        if not any(fnmatchcase(key, pattern) for pattern in patterns)
    ]
    if not refused:
        return None
    known = ", ".join(patterns) or "none"
    return Problem(
        reasons.ANNOTATION_NOT_ALLOWED,
        f"{'; '.join(refused)[:1000]}: this installation allows {known[:300]}. Remove it, or have the administrator "
        "add it to config.allowedAnnotations in the chart's values",
        fatal=True,
    )


def refused_pods(spec: ModelDeploymentSpec, rules: PodRules) -> Problem | None:
    """Return what the installation's rules forbid of the spec's pods."""
    said = refusal(spec, rules)
    return Problem(reasons.PODS_NOT_ALLOWED, said, fatal=True) if said is not None else None


def without_refused(resource: ModelDeployment, allowed: Iterable[str]) -> ModelDeployment:
    """Return the resource without annotations that the installation does not allow."""
    spec, patterns = resource.spec, tuple(allowed)
    service = spec.service
    if service is not None:
        service = service.model_copy(update={"annotations": _allowed(service.annotations, patterns)})
    kept = {"pod_annotations": _allowed(spec.pod_annotations, patterns), "service": service}
    return resource.model_copy(update={"spec": spec.model_copy(update=kept)})


def _allowed(annotations: dict[str, str] | None, patterns: tuple[str, ...]) -> dict[str, str] | None:
    """Return those that are allowed; none at all is the same as unset, and must hash like it."""
    kept = (annotations or {}).items()
    return {key: value for key, value in kept if any(fnmatchcase(key, item) for item in patterns)} or None


def network_policy(resource: ModelDeployment, access: Access, ports: Iterable[int], open_ports: Iterable[int]) -> Raw:
    """Return the NetworkPolicy over all pods of a ModelDeployment.

    Args:
        resource: whose pods.
        access: who may call.
        ports: what takes requests, in each revision that there is.
        open_ports: what anyone may reach, such as metrics and the sidecar's health.
    """
    meta = resource.metadata
    calls = _ports(ports)
    peers = [_peer(peer) for peer in access.allow]
    free = _ports(set(open_ports) - set(ports))
    rules = [
        *([{"from": peers, "ports": calls}] if peers and calls else []),
        *([{"ports": free}] if free else []),
    ]
    return {
        "apiVersion": NETWORK_POLICY.api_version,
        "kind": NETWORK_POLICY.kind,
        "metadata": metadata_of(resource, meta.name),
        "spec": {
            "podSelector": {"matchLabels": {KIND_LABEL: MODEL_DEPLOYMENT.kind, NAME_LABEL: meta.name}},
            "policyTypes": ["Ingress"],
            # The API server leaves an empty list out, and the two would never look equal.
            **({"ingress": rules} if rules else {}),
        },
    }


def _ports(numbers: Iterable[int]) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": number} for number in sorted(set(numbers))]


def _peer(peer: Peer) -> dict[str, Any]:
    namespaces = {"namespaceSelector": {"matchLabels": peer.namespace_labels}} if peer.namespace_labels else {}
    pods = {"podSelector": {"matchLabels": peer.pod_labels}} if peer.pod_labels else {}
    return {**namespaces, **pods}
