"""Lists all generated files, compares them with those on disk, and writes them."""

from dataclasses import dataclass
from pathlib import Path

from perennial.api.common.base import GROUP
from perennial.generate.alerts import RULES, rules
from perennial.generate.chart import CRD_TEMPLATES, chart_files
from perennial.generate.crd import DEFINITIONS, definition
from perennial.generate.dashboards import FOLDER as DASHBOARDS
from perennial.generate.dashboards import dashboard_files
from perennial.generate.gitops import CONFIG_MAP, argocd_config_map
from perennial.generate.reference import FOLDER, reference_files
from perennial.generate.schemas import schema_files
from perennial.generate.text import MARK, to_yaml

CRDS = "crds"
FOLDERS = (CRDS, CRD_TEMPLATES, DASHBOARDS, FOLDER)
"""Folders that contain generated files only: any other file in them is stale."""


@dataclass(frozen=True)
class Stale:
    """A file on disk that differs from the generated one, and how."""

    path: str
    fault: str


def generated() -> dict[str, str]:
    """Generate the text of every file, by its path in the repository."""
    crds = {f"{CRDS}/{item.kind.plural}.{GROUP}.yaml": f"# {MARK}\n{to_yaml(definition(item))}" for item in DEFINITIONS}
    return {
        **crds,
        RULES: rules(),
        CONFIG_MAP: argocd_config_map(),
        **chart_files(),
        **dashboard_files(),
        **reference_files(),
        **schema_files(),
    }


def stale(root: Path, files: dict[str, str]) -> list[Stale]:
    """List the files below `root` that are missing, out of date or surplus, sorted by path."""
    wrong = [Stale(path, fault) for path, text in files.items() if (fault := _fault(root / path, text))]
    surplus = [
        Stale(path, "is not generated any more")
        for folder in FOLDERS
        for found in sorted((root / folder).glob("*"))
        if (path := found.relative_to(root).as_posix()) not in files
    ]
    return sorted([*wrong, *surplus], key=lambda item: item.path)


def write(root: Path, files: dict[str, str]) -> list[Stale]:
    """Write changed files and delete surplus ones below `root`; return what was changed."""
    changed = stale(root, files)
    for item in changed:
        path = root / item.path
        if item.path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[item.path], encoding="utf-8")
        else:
            path.unlink()
    return changed


def _fault(path: Path, text: str) -> str | None:
    if not path.is_file():
        return "is missing"
    return None if path.read_bytes() == text.encode() else "is out of date"
