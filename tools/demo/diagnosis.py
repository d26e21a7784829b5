"""What the cluster knows about a failure: conditions, Events, and the ends of the logs that matter. Held to one screen."""

import json
from typing import Any

from tools.demo.kubectl import Kubectl

_LINES = 12
_PODS = 4


def report(kubectl: Kubectl, namespace: str) -> str:
    """Return what a person would look at first; never raises, since it is called when something has failed already."""
    parts = (_conditions(kubectl, namespace), _events(kubectl, namespace), *_logs(kubectl, namespace))
    return "\n".join(part for part in parts if part)


def _conditions(kubectl: Kubectl, namespace: str) -> str:
    found = _items(kubectl, "trainingjobs,modeldeployments,driftmonitors", namespace)
    lines = [
        f"    {item['kind']} {item['metadata']['name']}: {condition['type']}={condition['status']} "
        f"{condition['reason']}: {condition.get('message', '')[:300]}"
        for item in found
        for condition in item.get("status", {}).get("conditions", [])
    ]
    return "\n".join(["  conditions:", *lines]) if lines else ""


def _events(kubectl: Kubectl, namespace: str) -> str:
    warnings = [item for item in _items(kubectl, "events", namespace) if item.get("type") == "Warning"]
    lines = [
        f"    {item['involvedObject']['kind']} {item['involvedObject']['name']}: {item.get('reason')}: "
        f"{item.get('message', '')[:200]}"
        for item in warnings[-_LINES:]
    ]
    return "\n".join(["  warnings:", *lines]) if lines else ""


def _logs(kubectl: Kubectl, namespace: str) -> list[str]:
    """Return the ends of the logs of pods that do not do well."""
    troubled = [item for item in _items(kubectl, "pods", namespace) if not _well(item)]
    return [_log(kubectl, namespace, item["metadata"]["name"]) for item in troubled[:_PODS]]


def _log(kubectl: Kubectl, namespace: str, pod: str) -> str:
    done = kubectl.attempt("logs", pod, "-n", namespace, "--all-containers", "--prefix", f"--tail={_LINES}")
    lines = [f"    {line[:250]}" for line in done.stdout.splitlines()[-_LINES:]]
    return "\n".join([f"  log of pod {pod}:", *lines]) if lines else ""


def _well(pod: dict[str, Any]) -> bool:
    status = pod.get("status", {})
    ready = all(item.get("ready") for item in status.get("containerStatuses", []))
    return status.get("phase") == "Succeeded" or (status.get("phase") == "Running" and ready)


def _items(kubectl: Kubectl, kinds: str, namespace: str) -> list[dict[str, Any]]:
    done = kubectl.attempt("get", kinds, "-n", namespace, "-o", "json")
    try:
        items: list[dict[str, Any]] = json.loads(done.stdout)["items"]
    except (ValueError, KeyError):
        return []
    return items
