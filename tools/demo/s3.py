"""A real S3 server in a namespace. It keeps its objects in an emptyDir, so they go when it goes."""

from collections.abc import Sequence
from typing import Any

from tools.cluster.errors import ClusterError, tail
from tools.demo.images import Images
from tools.demo.jobs import S3_SECRET, run_job
from tools.demo.kubectl import Kubectl, Object
from tools.demo.pods import LABELS, container_security, pod_security

PORT = 7070
ENDPOINT = f"http://s3:{PORT}"
BUCKETS = ("data", "models", "capture", "reports", "evaluation")
ACCESS_KEY = "demo"
SECRET_KEY = "demosecret"  # noqa: S105 - made up, for a server that only lives in the demo
USER = 65534
_SELECTOR = {"app.kubernetes.io/name": "s3"}


def objects(image: str) -> list[Object]:
    """Return the Secret that users of the server name, its Deployment and its Service."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": S3_SECRET, "labels": LABELS},
            "stringData": {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "s3", "labels": {**LABELS, **_SELECTOR}},
            "spec": {
                "replicas": 1,
                # The objects live in the pod: two of them would be two servers.
                "strategy": {"type": "Recreate"},
                "selector": {"matchLabels": _SELECTOR},
                "template": {"metadata": {"labels": {**LABELS, **_SELECTOR}}, "spec": _pod(image)},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "s3", "labels": LABELS},
            "spec": {"selector": _SELECTOR, "ports": [{"name": "http", "port": PORT}]},
        },
    ]


def _pod(image: str) -> dict[str, Any]:
    def key(variable: str, name: str) -> dict[str, Any]:
        return {"name": variable, "valueFrom": {"secretKeyRef": {"name": S3_SECRET, "key": name}}}

    container = {
        "name": "s3",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/versitygw", "--port", f":{PORT}", "posix", "/data"],
        "env": [key("ROOT_ACCESS_KEY", "AWS_ACCESS_KEY_ID"), key("ROOT_SECRET_KEY", "AWS_SECRET_ACCESS_KEY")],
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": container_security(),
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # Nothing is worth saving: the objects go with the pod.
        "terminationGracePeriodSeconds": 1,
        "securityContext": pod_security(USER),
        "containers": [container],
        "volumes": [{"name": "data", "emptyDir": {"sizeLimit": "2Gi"}}],
    }


def start_s3(kubectl: Kubectl, namespace: str, images: Images, buckets: Sequence[str] = BUCKETS) -> None:
    """Start the server, wait until it answers, and make the buckets.

    Raises:
        ClusterError: it does not become ready; holds how its pod is.
    """
    kubectl.apply(objects(images.s3.name), namespace)
    done = kubectl.attempt("rollout", "status", "deployment/s3", "-n", namespace, "--timeout=120s", seconds=150)
    if done.returncode != 0:
        found = kubectl.attempt("describe", "pods", "-n", namespace, "-l", "app.kubernetes.io/name=s3").stdout
        raise ClusterError(f"the S3 server did not become ready\n{tail(found, 20)}", where=f"namespace {namespace}")
    make_buckets(kubectl, namespace, images, buckets)


def make_buckets(kubectl: Kubectl, namespace: str, images: Images, buckets: Sequence[str]) -> None:
    """Make the buckets that are not there yet.

    Raises:
        ClusterError: the server refused.
    """
    arguments = ["/app/cancer/data.py", "buckets", *buckets]
    run_job(kubectl, namespace, "make-buckets", images.demo.name, arguments, env={"S3_ENDPOINT": ENDPOINT})
