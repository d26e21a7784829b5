"""`kubectl perennial` through kubectl itself, against a real API server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from perennial.core.kinds import TRAINING_JOB
from tests.contract.server import ROOT, Server
from tests.support.builders import training_job
from tools.cluster import api

Plugin = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def plugin(server: Server, namespace: str, tmp_path: Path) -> Plugin:
    """Run `kubectl perennial` in the test's namespace."""
    script = tmp_path / "kubectl-perennial"
    script.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'from perennial.cli.main import main; main()' \"$@\"\n")
    script.chmod(0o755)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "operator"),
            "KUBECONFIG": str(server.kubeconfig),
        }
        command = [str(api.binary("kubectl")), "perennial", "--namespace", namespace, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    return run


def path_of(namespace: str) -> str:
    return f"/apis/{TRAINING_JOB.api_version}/namespaces/{namespace}/trainingjobs"


def test_the_plugin_reads_and_annotates_as_the_user_of_the_kubeconfig(
    server: Server, namespace: str, plugin: Plugin
) -> None:
    made = training_job()
    made["metadata"] = {"name": "churn", "namespace": namespace}
    server.must("POST", path_of(namespace), made)

    (tree,) = json.loads(plugin("status", "-o", "json").stdout)
    assert (tree["name"], tree["state"]) == ("churn", "unknown")
    assert "has not looked" in plugin("why", "tj/churn").stdout

    done = plugin("retrain", "churn")
    assert done.returncode == 0, done.stderr
    annotations = server.must("GET", f"{path_of(namespace)}/churn")["metadata"]["annotations"]
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    me = server.must("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
    user = me["status"]["userInfo"]["username"]
    assert annotations["perennial.dev/run-now"].endswith(f" {user}")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("why", "tj/gone"), "has no tj/gone"),
        (("approve", "gone"), "not found"),
        (("--context", "nowhere", "status"), "kubeconfig cannot be used"),
    ],
)
def test_a_mistake_is_one_line_without_a_traceback(plugin: Plugin, arguments: tuple[str, ...], told: str) -> None:
    done = plugin(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cluster_that_cannot_be_reached_is_named(plugin: Plugin, tmp_path: Path) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:9"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
    file = tmp_path / "config"
    file.write_text(json.dumps(config))
    done = plugin("--kubeconfig", str(file), "status")
    assert done.returncode == 1
    assert "https://127.0.0.1:9 cannot be reached" in done.stderr
