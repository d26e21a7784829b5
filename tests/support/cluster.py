"""A control plane of its own for one session of tests: etcd, API server and controllers, no nodes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from perennial.core.kinds import Kind
from tests.support.kube import Kube, eventually
from tools.cluster import api

CRDS = Path(__file__).resolve().parents[2] / "crds"
CRD = Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)


@contextmanager
def control_plane(purpose: str) -> Iterator[api.Cluster]:
    """Bring a control plane up, and take it away at the end."""
    name = f"{purpose}-{os.getpid()}"
    try:
        yield api.up(name, control_plane_only=True)
    finally:
        api.down(name)


async def install_crds(kube: Kube) -> None:
    """Install the generated CRDs, and wait until they are served."""
    for path in sorted(CRDS.glob("*.yaml")):
        await kube.create(CRD, None, yaml.safe_load(path.read_text()))

    async def established() -> bool:
        found = await kube.list(CRD)
        return bool(found) and all(
            any(
                item["type"] == "Established" and item["status"] == "True" for item in crd["status"]["conditions"] or ()
            )
            for crd in found
        )

    await eventually(established, "the CRDs are established")
