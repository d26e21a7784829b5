"""Perennial in a cluster: the chart, by Helm, as a user would install it."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tools.cluster import api
from tools.cluster.errors import ClusterError, tail
from tools.cluster.progress import step
from tools.demo.images import Images
from tools.demo.kubectl import Kubectl

CHART = Path(__file__).resolve().parents[2] / "charts" / "perennial"
RELEASE = "perennial"
SYSTEM = "perennial-system"
CRDS = ("trainingjobs", "modeldeployments", "driftmonitors")
_PARAMETERS = {
    "MLSERVER_MODEL_NAME": "$(PERENNIAL_MODEL_NAME)",
    "MLSERVER_MODEL_IMPLEMENTATION": "mlserver_sklearn.SKLearnModel",
    "MLSERVER_MODEL_URI": "$(PERENNIAL_MODEL_DIR)",
    "MLSERVER_HTTP_PORT": "8080",
    "MLSERVER_GRPC_PORT": "8081",
    "MLSERVER_METRICS_PORT": "8082",
    # The server itself predicts: worker processes cost memory, and this model answers in a millisecond.
    "MLSERVER_PARALLEL_WORKERS": "0",
}


def chart_values(images: Images) -> dict[str, Any]:
    """Return the chart's values: our images, and a preset that starts MLServer from the example's own."""
    repository, _, tag = images.operator.name.rpartition(":")
    return {
        "image": {"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"},
        "config": {
            "runtimes": {
                "mlserver-sklearn": {
                    "image": images.demo.name,
                    "command": ["python3", "-c", "from mlserver.cli import main; main()"],
                    "args": ["start", "$(PERENNIAL_MODEL_DIR)"],
                    "env": [{"name": name, "value": value} for name, value in _PARAMETERS.items()],
                }
            }
        },
    }


def install_chart(
    kubectl: Kubectl,
    images: Images,
    values: dict[str, Any] | None = None,
    *,
    namespace: str = SYSTEM,
    seconds: int = 180,
) -> None:
    """Install or upgrade the chart, and wait until the operator is ready.

    Args:
        kubectl: the cluster.
        images: what to run.
        values: laid over `chart_values(images)`, level by level.
        namespace: of the release; made when it is not there.
        seconds: how long to wait for the pods.

    Raises:
        ClusterError: Helm failed; holds what it said and how the operator's pods are.
    """
    merged = merge(chart_values(images), values or {})
    arguments = [
        "upgrade", "--install", RELEASE, str(CHART), "--namespace", namespace, "--create-namespace",
        "--values", "-", "--wait", "--timeout", f"{seconds}s",
    ]  # fmt: skip
    with step("install the chart by Helm, and wait for two replicas of the operator", 30):
        done = helm(kubectl, arguments, stdin=json.dumps(merged), seconds=seconds + 60)
    if done.returncode != 0:
        pods = kubectl.attempt("get", "pods,events", "--namespace", namespace).stdout
        logs = kubectl.attempt("logs", "--namespace", namespace, "deployment/perennial", "--tail=20").stdout
        raise ClusterError(
            f"Helm could not install the chart\n{tail(done.stderr)}\n{tail(pods, 20)}\n{tail(logs)}",
            where=f"{CHART}, namespace {namespace}",
        )


def uninstall_chart(kubectl: Kubectl, *, namespace: str = SYSTEM, crds: bool = False) -> None:
    """Uninstall the release if it is there, and delete its namespace; the CRDs, too, when asked to.

    Raises:
        ClusterError: something cannot be deleted.
    """
    done = helm(kubectl, ["uninstall", RELEASE, "--namespace", namespace, "--ignore-not-found", "--wait"], seconds=180)
    if done.returncode != 0:
        raise ClusterError(f"Helm could not uninstall the chart\n{tail(done.stderr)}", where=f"namespace {namespace}")
    kubectl.run("delete", "namespace", namespace, "--ignore-not-found", "--timeout=120s", seconds=150)
    if crds:
        names = [f"customresourcedefinition/{plural}.perennial.dev" for plural in CRDS]
        kubectl.run("delete", *names, "--ignore-not-found", "--timeout=60s", seconds=90)


def helm(
    kubectl: Kubectl, arguments: list[str], *, stdin: str | None = None, seconds: float
) -> "subprocess.CompletedProcess[str]":
    """Run Helm on the same cluster: the user's own, or one built from its Go modules.

    Raises:
        ClusterError: there is none and it cannot be built, or it did not end in time.
    """
    program = shutil.which("helm") or str(api.binary("helm"))
    command = [program, *(["--kube-context", kubectl.context] if kubectl.context else []), *arguments]
    try:
        return subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            env=kubectl.environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"Helm did not end within {seconds:.0f} s", where=" ".join(command)) from error


def merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `under` with `over` laid on it, as Helm lays values."""
    both = dict(under)
    for key, value in over.items():
        old = both.get(key)
        both[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return both
