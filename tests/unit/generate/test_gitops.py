"""The scripts for Argo CD, run by the Lua that agrees with Argo CD's own suite, on every status of the golden cases."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from lupa import lua51

from perennial.generate.gitops import ACTIONS, argocd_config_map, discovery, script
from tests.support.kstatus import compute
from tests.support.scripts import decided, resource_for, run

AGREES = {"Current": {"Healthy", "Suspended"}, "InProgress": {"Progressing", "Suspended"}, "Failed": {"Degraded"}}
"""What Argo CD may say for each verdict of kstatus. Only Argo CD knows suspension."""


@pytest.mark.parametrize("resource", decided())
def test_argo_cd_and_flux_agree_on_every_decided_status(resource: dict[str, Any]) -> None:
    health = run(script("health"), resource)
    assert health["status"] in AGREES[compute(resource)], health
    assert health["message"]


def test_there_are_cases_of_every_health() -> None:
    seen = {run(script("health"), item.values[0])["status"] for item in decided()}
    assert seen >= {"Healthy", "Progressing", "Degraded", "Suspended"}


@pytest.mark.parametrize(
    "resource",
    [
        {"metadata": {"generation": 1}},
        {"metadata": {"generation": 1}, "status": {"observedGeneration": -1}},
        {"metadata": {"generation": 2}, "status": {"observedGeneration": 1, "conditions": []}},
    ],
    ids=["no status", "new", "changed"],
)
def test_what_the_operator_has_not_observed_is_in_progress(resource: dict[str, Any]) -> None:
    assert run(script("health"), resource)["status"] == "Progressing"


def test_the_scripts_need_no_library_that_argo_cd_turns_off() -> None:
    resource = {"metadata": {"generation": 1}, "status": {"observedGeneration": 1, "conditions": []}}
    lua = lua51.LuaRuntime(register_eval=False)
    lua.execute("string, io, debug, package, require, dofile, load, loadstring = nil")
    lua.globals().obj = lua.table_from(resource, recursive=True)
    assert lua.execute(script("health")).status == "Progressing"


@pytest.mark.parametrize("kind", ACTIONS)
def test_every_action_is_discovered(kind: str) -> None:
    assert set(run(discovery(kind), resource_for(kind))) == set(ACTIONS[kind])


def test_actions_that_make_no_sense_are_disabled() -> None:
    def disabled(resource: dict[str, Any]) -> set[str]:
        return {name for name, found in run(discovery(resource["kind"]), resource).items() if found["disabled"]}

    assert disabled(resource_for("ModelDeployment")) == {"resume", "retry"}
    assert disabled(resource_for("ModelDeployment", phase="Failed")) == {"resume", "abort"}
    assert disabled(resource_for("ModelDeployment", status={})) == {"resume", "abort", "retry", "rollback"}
    assert disabled(resource_for("TrainingJob", spec={"suspend": True})) == {"retrain", "suspend"}
    assert disabled(resource_for("DriftMonitor")) == {"resume"}


@pytest.mark.parametrize(
    ("kind", "action", "path", "value"),
    [
        ("TrainingJob", "suspend", ("spec", "suspend"), True),
        ("TrainingJob", "resume", ("spec", "suspend"), False),
        ("ModelDeployment", "pause", ("metadata", "annotations", "perennial.dev/pause"), "true"),
        ("ModelDeployment", "abort", ("metadata", "annotations", "perennial.dev/abort"), "churn-b"),
        ("ModelDeployment", "rollback", ("metadata", "annotations", "perennial.dev/abort"), "churn-a"),
    ],
)
def test_an_action_changes_one_thing(kind: str, action: str, path: tuple[str, ...], value: Any) -> None:
    before = resource_for(kind)
    after = run(script(ACTIONS[kind][action]), before)
    found = after
    for key in path:
        found = found[key]
    assert found == value
    assert {key: after[key] for key in ("kind", "status")} == {key: before[key] for key in ("kind", "status")}


def test_retry_and_retrain_name_a_time_so_that_they_work_twice() -> None:
    retried = run(script("retry"), resource_for("ModelDeployment"))["metadata"]["annotations"]["perennial.dev/retry"]
    assert retried.startswith("churn-b/20")
    asked = run(script("retrain"), resource_for("TrainingJob"))["metadata"]["annotations"]["perennial.dev/run-now"]
    assert asked.endswith(" by Argo CD")


def test_the_config_map_holds_the_scripts_unchanged() -> None:
    data = yaml.safe_load(argocd_config_map())["data"]
    assert len(data) == 6
    for kind, actions in ACTIONS.items():
        assert data[f"resource.customizations.health.perennial.dev_{kind}"] == script("health")
        known = yaml.safe_load(data[f"resource.customizations.actions.perennial.dev_{kind}"])
        assert known["discovery.lua"] == discovery(kind)
        assert {item["name"]: item["action.lua"] for item in known["definitions"]} == {
            name: script(source) for name, source in actions.items()
        }
