"""The scripts for Argo CD, run by gopher-lua, as Argo CD itself does: they say there what they say in our Lua."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from perennial.generate.gitops import ACTIONS, discovery, script
from tests.support.scripts import decided, python_of, resource_for, run
from tools.cluster import api

DRIVER = Path(__file__).parent / "data" / "argocd-driver.lua"


def lua(value: Any) -> str:
    """Write a value as a Lua expression; JSON's escapes of text are Lua's too, but for those of Unicode."""
    if isinstance(value, dict):
        return "{" + ",".join(f"[{lua(key)}]={lua(item)}" for key, item in value.items() if item is not None) + "}"
    if isinstance(value, list | tuple):
        return "{" + ",".join(lua(item) for item in value) + "}"
    if isinstance(value, str):
        return '"' + "".join(f"\\{byte:03}" for byte in value.encode()) + '"'
    return json.dumps(value)


def in_argo_cd(text: str, resources: list[dict[str, Any]], folder: Path) -> list[Any]:
    (folder / "script.lua").write_text(text)
    (folder / "resources.lua").write_text(f"return {lua(resources)}\n")
    command = [str(api.binary("glua")), str(DRIVER), str(folder / "script.lua"), str(folder / "resources.lua")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def as_printed(value: Any) -> Any:
    """What the driver prints of a result: keys are text."""
    return {str(key): as_printed(item) for key, item in value.items()} if isinstance(value, dict) else value


def test_the_health_of_every_decided_status_is_the_same(tmp_path: Path) -> None:
    resources = [case.values[0] for case in decided()]
    found = in_argo_cd(script("health"), resources, tmp_path)
    assert found == [as_printed(python_of(run(script("health"), resource))) for resource in resources]
    assert {item["status"] for item in found} == {"Healthy", "Progressing", "Degraded", "Suspended"}


@pytest.mark.parametrize("kind", ACTIONS)
def test_the_actions_are_discovered_as_in_ours(kind: str, tmp_path: Path) -> None:
    resources = [resource_for(kind), resource_for(kind, phase="Failed"), resource_for(kind, status={})]
    found = in_argo_cd(discovery(kind), resources, tmp_path)
    assert found == [as_printed(run(discovery(kind), resource)) for resource in resources]


@pytest.mark.parametrize(("kind", "action"), [(kind, name) for kind, found in ACTIONS.items() for name in found])
def test_each_action_returns_the_whole_resource(kind: str, action: str, tmp_path: Path) -> None:
    paused = {"metadata": {"name": "churn", "annotations": {"perennial.dev/pause": "true"}}}
    resource = resource_for(kind, **(paused if action == "resume" else {}))
    (changed,) = in_argo_cd(script(ACTIONS[kind][action]), [resource], tmp_path)
    assert changed["kind"] == kind
    assert changed["metadata"]["name"] == "churn"
    assert (changed["spec"], changed["metadata"]) != (as_printed(resource["spec"]), as_printed(resource["metadata"]))
