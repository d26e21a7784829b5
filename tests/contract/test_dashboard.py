"""`kubectl perennial dashboard` as a process of its own, against a real API server, as a user who may only read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

import pytest

from perennial.api.common.base import GROUP
from perennial.core.kinds import DRIFT_MONITOR, MODEL_DEPLOYMENT, TRAINING_JOB, Raw
from tests.contract.server import ROOT, Server, dump, load
from tests.support.browser import CHROMIUM, browser
from tests.unit.cli import scene

RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces"
_PATIENCE = 120


@dataclass(frozen=True)
class Stage:
    """A namespace with a rollout, and the dashboard that shows it."""

    server: Server
    namespace: str
    address: str
    opener: OpenerDirector

    def set_status(self, raw: Raw) -> None:
        """Write a status as the operator would."""
        kind = next(item for item in (TRAINING_JOB, MODEL_DEPLOYMENT, DRIFT_MONITOR) if item.kind == raw["kind"])
        done = self.server.merge(kind, self.namespace, "churn", {"status": raw["status"]}, "status")
        assert done.ok, done.message

    def page(self) -> str:
        """What the page's script gets now: all sections of the model's page."""
        base = self.address.partition("?")[0]
        with self.opener.open(f"{base}live/model/md/churn", timeout=_PATIENCE) as answer:
            return "".join(json.load(answer)["parts"].values())

    def until(self, words: str) -> str:
        """Wait until the page contains words."""
        end = time.monotonic() + _PATIENCE
        while words not in (shown := self.page()):
            assert time.monotonic() < end, f"never shown: {words}; but: {shown}"
            time.sleep(0.5)
        return shown


def reader(server: Server, namespace: str, folder: Path) -> Path:
    """Write a kubeconfig of a user who may only list what the dashboard shows."""
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    server.must("POST", account, {"metadata": {"name": "reader"}})
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = server.must("POST", f"{account}/reader/token", request)["status"]["token"]
    rules = [
        {"apiGroups": [GROUP], "resources": ["*"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["list"]},
        {"apiGroups": ["apps", "batch"], "resources": ["deployments", "jobs"], "verbs": ["list"]},
    ]
    server.must("POST", f"{RBAC}/{namespace}/roles", {"metadata": {"name": "reader"}, "rules": rules})
    server.must("POST", f"{RBAC}/{namespace}/rolebindings", binding(namespace))
    document = load(server.kubeconfig)
    document["users"][0]["user"] = {"token": token}
    file = folder / "kubeconfig"
    file.write_text(dump([document]))
    return file


def binding(namespace: str) -> Any:
    return {
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": namespace}],
    }


@pytest.fixture
def stage(server: Server, namespace: str, tmp_path: Path) -> Iterator[Stage]:
    for raw in scene.cluster(10, 1).objects:
        meta = {"name": "churn", "namespace": namespace}
        made = server.create({**{key: raw[key] for key in raw if key != "status"}, "metadata": meta}, namespace)
        assert made.ok, made.message
    command = [sys.executable, "-c", "from perennial.cli.main import main; main()", "--namespace", namespace]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "operator"),
        "KUBECONFIG": str(reader(server, namespace, tmp_path)),
    }
    with subprocess.Popen([*command, "dashboard", "--no-open"], env=environment, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().decode().strip()
            assert address.startswith("http://127.0.0.1:"), address
            opener = build_opener(HTTPCookieProcessor(CookieJar()))
            opener.open(address, timeout=_PATIENCE).close()
            found = Stage(server, namespace, address, opener)
            for raw in scene.cluster(10, 1).objects:
                found.set_status(raw)
            yield found
        finally:
            # Not SIGINT: the processes of a background job ignore it.
            process.terminate()
            try:
                process.communicate(timeout=_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
    assert process.returncode == 0


def advance(stage: Stage, weight: int, step: int) -> None:
    stage.set_status(scene.deployment(scene.candidate(weight, step, *scene.GATES)))


def test_a_rollout_advances_on_the_page_and_a_lost_permission_is_told_and_recovers(stage: Stage) -> None:
    assert "errorRate" in stage.until("The candidate gets 10 % of the requests")
    advance(stage, 50, 3)
    stage.until("The candidate gets 50 % of the requests")

    bindings = f"{RBAC}/{stage.namespace}/rolebindings"
    stage.server.must("DELETE", f"{bindings}/reader")
    shown = stage.until("not allowed: ")
    assert "What follows was read" in shown
    assert "The candidate gets 50 % of the requests" in shown
    stage.server.must("POST", bindings, binding(stage.namespace))
    end = time.monotonic() + _PATIENCE
    while "not allowed: " in stage.page():
        assert time.monotonic() < end, "the page has not recovered"
        time.sleep(0.5)

    stage.server.must(
        "DELETE", f"/apis/{MODEL_DEPLOYMENT.api_version}/namespaces/{stage.namespace}/modeldeployments/churn"
    )
    stage.until("has no md/churn")


@pytest.mark.skipif(CHROMIUM is None, reason="NOT RUN: no Chromium is installed, so no browser has shown the page")
async def test_a_browser_follows_a_rollout_in_the_cluster(stage: Stage) -> None:
    shown = "document.getElementById('parts')?.innerText.includes('The candidate gets {} % of the requests')"
    async with browser() as tab:
        await tab.open(stage.address)
        await tab.until("document.getElementById('to-md-churn')?.click() || location.pathname.includes('/model/')")
        await tab.until(shown.format(10))
        for weight, step in ((25, 2), (50, 3)):
            advance(stage, weight, step)
            await tab.until(shown.format(weight))
        assert tab.problems == []
