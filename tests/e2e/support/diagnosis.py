"""What a failed test shows: statuses, events and logs of its namespace and of the operator, held to a few pages."""

import json

from tests.e2e.support.site import SYSTEM, Site

_PAGE = 12_000
_TAIL = "25"


def diagnose(site: Site, namespace: str) -> str:
    """Return the state of a namespace as text."""
    parts = [
        _resources(site, namespace),
        _say(site, namespace, "get", "jobs,cronjobs,deployments,pods,horizontalpodautoscalers", "-o", "wide"),
        _say(site, namespace, "get", "events", "--sort-by=.metadata.creationTimestamp")[-_PAGE:],
        *(_logs(site, namespace, pod) for pod in _troubled(site, namespace)),
        _say(site, SYSTEM, "get", "pods", "-o", "wide"),
        _say(site, SYSTEM, "logs", "-l", "app.kubernetes.io/name=perennial", "--tail=60", "--prefix")[-_PAGE:],
    ]
    return "\n\n".join(parts)


def _say(site: Site, namespace: str, *arguments: str) -> str:
    said = site.kubectl(*arguments, namespace=namespace, check=False)
    return f"$ kubectl -n {namespace} {' '.join(arguments)}\n{said}"


def _resources(site: Site, namespace: str) -> str:
    said = site.kubectl(
        "get", "trainingjobs,modeldeployments,driftmonitors", "-o", "json", namespace=namespace, check=False
    )
    try:
        items = json.loads(said)["items"]
    except (ValueError, KeyError):
        return said[:_PAGE]
    lines = [
        f"{item['kind']} {item['metadata']['name']}: {json.dumps(item.get('status', {}))[:1500]}" for item in items
    ]
    return "\n".join(lines)[:_PAGE]


def _troubled(site: Site, namespace: str) -> list[str]:
    said = site.kubectl("get", "pods", "-o", "json", namespace=namespace, check=False)
    try:
        items = json.loads(said)["items"]
    except (ValueError, KeyError):
        return []
    return [item["metadata"]["name"] for item in items if item["status"].get("phase") != "Succeeded"][:6]


def _logs(site: Site, namespace: str, pod: str) -> str:
    return _say(site, namespace, "logs", pod, "--all-containers", "--prefix", f"--tail={_TAIL}")[-_PAGE // 3 :]
