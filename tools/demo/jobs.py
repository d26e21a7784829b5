"""A Job that is run to its end: uploads, traffic, and whatever else happens inside the cluster."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from tools.cluster.errors import ClusterError, tail
from tools.demo.kubectl import Kubectl, Object
from tools.demo.pods import LABELS, container_security, pod_security

USER = 65532
POLL_SECONDS = 0.5
S3_SECRET = "s3"  # noqa: S105 - the name of a Secret


def job(name: str, image: str, args: Sequence[str], env: Mapping[str, str]) -> Object:
    """Return a Job that runs once, with the S3 credentials of its namespace in its environment."""
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": list(args),
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "envFrom": [{"secretRef": {"name": S3_SECRET, "optional": True}}],
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": container_security(),
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - a volume of its own
    }
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": pod_security(USER),
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": LABELS},
        "spec": {"backoffLimit": 0, "template": {"metadata": {"labels": LABELS}, "spec": pod}},
    }


def run_job(
    kubectl: Kubectl,
    namespace: str,
    name: str,
    image: str,
    args: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    seconds: float = 600,
) -> str:
    """Run a Job to its end, in place of an earlier one of that name, and return what it wrote.

    Raises:
        ClusterError: it failed or took longer than `seconds`; holds its log, or its pod's events.
    """
    kubectl.run("delete", "job", name, "-n", namespace, "--ignore-not-found", "--cascade=foreground", seconds=90)
    kubectl.apply([job(name, image, args, env or {})], namespace)
    deadline = time.monotonic() + seconds
    while (ended := outcome(kubectl.get("job", name, "-n", namespace))) is None:
        if time.monotonic() > deadline:
            raise ClusterError(
                f"Job {name} did not end within {seconds:.0f} s\n{_evidence(kubectl, namespace, name)}",
                where=f"namespace {namespace}",
            )
        time.sleep(POLL_SECONDS)
    logs = kubectl.attempt("logs", f"job/{name}", "-n", namespace).stdout
    if not ended:
        raise ClusterError(
            f"Job {name} failed\n{tail(logs) or _evidence(kubectl, namespace, name)}",
            where=f"kubectl logs job/{name} -n {namespace}",
        )
    return logs


def outcome(found: Any) -> bool | None:
    """Return whether a Job succeeded; None while that is open.

    Raises:
        ClusterError: somebody deleted it.
    """
    if found is None:
        raise ClusterError("the Job was deleted while it was waited for")
    for condition in found.get("status", {}).get("conditions", []):
        if condition["status"] == "True" and condition["type"] in {"Complete", "Failed"}:
            return bool(condition["type"] == "Complete")
    return None


def _evidence(kubectl: Kubectl, namespace: str, name: str) -> str:
    pods = kubectl.attempt("get", "pods", "-n", namespace, "-l", f"job-name={name}").stdout
    events = kubectl.attempt("get", "events", "-n", namespace, "--sort-by=.lastTimestamp").stdout
    mine = "\n".join(line for line in events.splitlines() if name in line)
    return "\n".join(filter(None, (tail(pods), tail(mine))))
