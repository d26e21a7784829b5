"""Health checks and resource actions for Argo CD, as a patch of its ConfigMap `argocd-cm`.

The scripts are the Lua files in `generate/argocd/`, one to a file, so that editors and tests read them as Lua.
"""

from collections.abc import Mapping
from importlib.resources import files

from perennial.api.common.base import GROUP
from perennial.core.kinds import RESOURCES, Kind
from perennial.generate.text import MARK, indented, to_yaml

CONFIG_MAP = "examples/gitops/argocd/argocd-cm.yaml"

ACTIONS: Mapping[str, Mapping[str, str]] = {
    "TrainingJob": {"retrain": "retrain", "suspend": "suspend", "resume": "resume"},
    "ModelDeployment": {
        "pause": "pause",
        "resume": "resume-rollout",
        "abort": "abort",
        "retry": "retry",
        "rollback": "rollback",
    },
    "DriftMonitor": {"suspend": "suspend", "resume": "resume"},
}
"""Name of each action and of its script, by kind. Approval is none of them: Argo CD does not tell who clicks."""


def script(name: str) -> str:
    """Read a script."""
    return (files("perennial.generate") / "argocd" / f"{name}.lua").read_text(encoding="utf-8")


def discovery(kind: str) -> str:
    """Read the script that tells which actions a resource has."""
    return script(f"{kind.lower()}-discovery")


def argocd_config_map() -> str:
    """Render the patch: one health check and one set of actions for each kind."""
    head = to_yaml(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "argocd-cm",
                "namespace": "argocd",
                "labels": {"app.kubernetes.io/name": "argocd-cm", "app.kubernetes.io/part-of": "argocd"},
            },
        }
    )
    entries = "".join(f"{_health(kind)}{_actions(kind)}" for kind in RESOURCES)
    return f"# {MARK}\n{head}data:\n{entries}"


def _health(kind: Kind) -> str:
    return f"  resource.customizations.health.{GROUP}_{kind.kind}: |\n{indented(script('health'), 4)}"


def _actions(kind: Kind) -> str:
    definitions = "".join(
        f"      - name: {name}\n        action.lua: |\n{indented(script(source), 10)}"
        for name, source in ACTIONS[kind.kind].items()
    )
    return (
        f"  resource.customizations.actions.{GROUP}_{kind.kind}: |\n"
        f"    discovery.lua: |\n{indented(discovery(kind.kind), 6)}"
        f"    definitions:\n{definitions}"
    )
