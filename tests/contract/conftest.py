"""One API server for all contract tests, and the chart rendered once for each set of values."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.server import ROOT, Server, documents, dump
from tests.support.waiting import until
from tools.cluster import api, pins

CHART = ROOT / "charts" / "perennial"
RELEASE_NAMESPACE = "perennial-system"


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A control plane without nodes that holds our CRDs."""
    if os.geteuid() != 0:
        pytest.skip("NOT RUN: the embedded API server needs root")
    name = f"contract-{os.getpid()}"
    cluster = api.up(name, control_plane_only=True)
    try:
        kubectl(cluster.kubeconfig, "apply", "--server-side", "-f", str(ROOT / "crds"))
        until_established(cluster.kubeconfig, "--all")
        yield Server(cluster.kubeconfig)
    finally:
        api.down(name)


@pytest.fixture
def namespace(server: Server, request: pytest.FixtureRequest) -> str:
    """A namespace of the test's own."""
    made = server.must("POST", "/api/v1/namespaces", {"metadata": {"generateName": "contract-"}})
    return str(made["metadata"]["name"])


def kubectl(kubeconfig: Path, *arguments: str, text: str | None = None) -> str:
    """Run kubectl; return what it printed, errors included when it fails."""
    command = [str(api.binary("kubectl")), f"--kubeconfig={kubeconfig}", *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done.stdout + done.stderr


def until_established(kubeconfig: Path, which: str) -> None:
    """Wait until CRDs are served; `kubectl wait` fails on one whose conditions are still null, so it is asked again."""

    def established() -> bool | None:
        try:
            kubectl(kubeconfig, "wait", "--for=condition=Established", "crd", which, "--timeout=60s")
        except AssertionError as error:
            if "accessor error" in str(error) or "timed out" in str(error):
                return None
            raise
        return True

    until(established, f"CRD {which} is established")


def helm(*arguments: str, text: str | None = None, program: str = "helm") -> subprocess.CompletedProcess[str]:
    """Run Helm 4, or the named program, whatever comes of it."""
    command = [str(api.binary(program)), *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=240, check=False)


def render(values: Any, program: str = "helm") -> subprocess.CompletedProcess[str]:
    """Render the chart with values."""
    # Helm without a cluster assumes a version of its own: the 3 that is built here one that is too old.
    where = ("--namespace", RELEASE_NAMESPACE, "--kube-version", pins.KUBERNETES)
    arguments = ("template", "perennial", str(CHART), *where, "--values", "-")
    return helm(*arguments, text=dump([values]), program=program)


Rendered = list[dict[str, Any]]


@pytest.fixture(scope="session")
def chart() -> Callable[[Any], Rendered]:
    """Return the objects that the chart makes of values, without its test hook."""
    known: dict[str, Rendered] = {}

    def objects(values: Any) -> Rendered:
        key = json.dumps(values, sort_keys=True)
        if key not in known:
            done = render(values)
            assert done.returncode == 0, done.stderr
            known[key] = documents(done.stdout)
        return known[key]

    return objects
