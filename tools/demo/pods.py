"""What all objects of the demo share: a label, and pods that pass the restricted Pod Security Standard."""

from typing import Any

from tools.demo.kubectl import Object

LABELS = {"app.kubernetes.io/part-of": "perennial-demo"}


def pod_security(user: int) -> dict[str, Any]:
    """Return a pod's security context for a process of this user."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> dict[str, Any]:
    """Return a container's security context: nothing but its own files, and those read-only."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def namespace(name: str) -> Object:
    """Return a namespace of the demo's own, by its label.

    It enforces the baseline standard: Perennial leaves it to the user's image by which user it runs, and the
    restricted standard wants that in the pod's spec.
    """
    labels = {**LABELS, "pod-security.kubernetes.io/enforce": "baseline"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
