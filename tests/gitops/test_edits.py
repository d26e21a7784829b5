"""Every field edited in Git: a real Argo CD applies it, and then sees no difference, whatever the operator does.

The specs are those that the API server's tests accept, which set every field, and those of the tests of edits. Each
resource is edited into the next one of its kind: fields are set, changed and taken out.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from perennial.core.kinds import RESOURCES, Kind, Raw
from tests.e2e.support.site import Site
from tests.e2e.support.world import World
from tests.gitops.support.argocd import ArgoCD, brief, differing, in_sync
from tests.gitops.support.repository import Repository
from tests.support.kube import Kube, eventually

MODES = {"client": ("gitops-client", False), "server": ("gitops-server", True)}
"""Ways in which Argo CD applies and compares, with the namespace of each; see `ArgoCD.create`.

Server-side apply without a comparison in the server is not among them: Argo CD then shows differences that are none.
"""
FOLDER = "apps/edits"
TURNS = 3
"""Every spec is made new in the first, and edited into its next one in the others."""
TESTS = Path(__file__).parents[1]
IMMUTABLE = ("target",)
"""Fields that the API server lets nobody change."""
QUOTA = Kind("", "v1", "ResourceQuota", "resourcequotas")
NO_PODS = {"metadata": {"name": "no-pods"}, "spec": {"hard": {"pods": "0"}}}
"""What the resources are made into has images that are nowhere; none of that is looked at here."""


def specs(kind: Kind) -> list[Raw]:
    """Return specs of a kind that together set every field, as documentation says to write them in Git."""
    name = kind.kind.lower()
    accepted = sorted((TESTS / "contract" / "data" / "accepted").glob(f"{name}-*.yaml"))
    found = [yaml.safe_load(path.read_text(encoding="utf-8"))["spec"] for path in accepted]
    edits = TESTS / "reconcile" / "data" / f"{name}-edits.yaml"
    found += yaml.safe_load(edits.read_text(encoding="utf-8")) if edits.exists() else []
    # Server-side apply makes a null of an object whose last field is taken out (structured-merge-diff, issue 305).
    return [
        {**spec, "networkPolicy": spec["networkPolicy"] or {"allow": []}} if "networkPolicy" in spec else spec
        for spec in found
    ]


def files(turn: int) -> dict[str, Any]:
    """Return the resources of the folder, each with the spec of that turn."""
    found: dict[str, Any] = {}
    for kind in RESOURCES:
        its = specs(kind)
        for number in range(len(its)):
            name = f"{kind.kind.lower()}-{number}"
            fixed = {field: its[number][field] for field in IMMUTABLE if field in its[number]}
            found[f"{FOLDER}/{name}.yaml"] = {
                "apiVersion": kind.api_version,
                "kind": kind.kind,
                "metadata": {"name": name},
                "spec": {**its[(number + turn) % len(its)], **fixed},
            }
    return found


def lacking(wanted: Any, live: Any, path: str = "spec") -> list[str]:
    """Return the places of a manifest that the live object lacks or has otherwise; what it has beyond is fine."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        return [place for key, item in wanted.items() for place in lacking(item, live.get(key), f"{path}.{key}")]
    if isinstance(wanted, list) and isinstance(live, list) and len(wanted) == len(live):
        pairs = enumerate(zip(wanted, live, strict=True))
        return [place for number, (item, its) in pairs for place in lacking(item, its, f"{path}[{number}]")]
    return [] if wanted == live else [f"{path}: {live!r} instead of {wanted!r}"]


@pytest.fixture(scope="module", autouse=True)
def _prepared(site: Site) -> None:
    async def prepare() -> None:
        async with Kube.connected(site.kubeconfig) as kube:
            for namespace, _ in MODES.values():
                await World(site, kube, namespace).prepare()
                await kube.create(QUOTA, namespace, NO_PODS)

    asyncio.run(prepare())


async def observed(kube: Kube, namespace: str) -> bool:
    """Tell whether the operator has seen the newest generation of every resource."""
    found = [item for kind in RESOURCES for item in await kube.list(kind, namespace)]
    return all(item.get("status", {}).get("observedGeneration") == item["metadata"]["generation"] for item in found)


async def settle(argocd: ArgoCD, mode: str, revision: str, wanted: dict[str, Any]) -> None:
    """Let a commit be synced and acted on, and see that nothing differs then."""
    namespace = MODES[mode][0]
    synced = await argocd.synced(mode, revision, 120)
    await eventually(lambda: observed(argocd.kube, namespace), f"{mode}: all are observed", 120, 0.5)
    for path, document in wanted.items():
        kind = next(kind for kind in RESOURCES if kind.kind == document["kind"])
        live = await argocd.kube.get(kind, namespace, document["metadata"]["name"])
        assert live is not None, path
        assert lacking(document["spec"], live["spec"]) == [], path
    again = await argocd.refresh(mode)
    assert in_sync(again, revision), (mode, differing(again), brief(again))
    assert len(again["history"]) == len(synced["history"]), f"{mode}: synced again"


async def test_every_field_edited_in_git(argocd: ArgoCD, repository: Repository) -> None:
    revision = repository.commit(files(0))
    for mode, (namespace, server_side) in MODES.items():
        await argocd.create(mode, FOLDER, namespace, server_side=server_side)
    for turn in range(TURNS):
        if turn:
            revision = repository.commit(files(turn))
        await asyncio.gather(*(settle(argocd, mode, revision, files(turn)) for mode in MODES))
