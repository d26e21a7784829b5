"""The scripts for Argo CD, run by the Lua that agrees with Argo CD's own suite, and what they are run on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa import luajit21

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = sorted(path for folder in ("training", "serving", "drift") for path in (GOLDEN / folder).glob("*.yaml"))


def python_of(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return {key: python_of(item) for key, item in value.items()}


def run(text: str, resource: dict[str, Any], runtime: Any = luajit21) -> Any:
    lua = runtime.LuaRuntime(unpack_returned_tuples=True, register_eval=False)
    lua.globals().obj = lua.table_from(resource, recursive=True)
    return python_of(lua.execute(text))


def decided() -> list[Any]:
    """Resource and decided status of each golden case."""
    found = []
    for path in CASES:
        case = yaml.safe_load(path.read_text())
        status = (case.get("expect") or {}).get("status")
        if status:
            resource = {**case["resource"], "status": status}
            found.append(pytest.param(resource, id=f"{path.parent.name}-{path.stem}"))
    return found


def resource_for(kind: str, **changes: Any) -> dict[str, Any]:
    status = {
        "candidate": {"name": "churn-b", "phase": changes.pop("phase", "Progressing")},
        "stable": {"name": "churn-a"},
        "previous": {"name": "churn-0"},
    }
    return {"kind": kind, "metadata": {"name": "churn"}, "spec": {}, "status": status, **changes}
