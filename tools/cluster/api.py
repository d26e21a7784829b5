"""What tests, the demo and benches use of this package.

>>> from tools.cluster import api
>>> cluster = api.up("test")                 # doctest: +SKIP
>>> api.load_image("test", archive)          # doctest: +SKIP
>>> api.down("test")                         # doctest: +SKIP
"""

from dataclasses import dataclass
from pathlib import Path

from tools.cluster import bringup, gobuild, load, ociarchive, paths, pins, teardown
from tools.cluster.errors import ClusterError
from tools.cluster.images import base_image, build_image
from tools.cluster.plan import Plan
from tools.cluster.status import status

__all__ = [
    "Cluster",
    "ClusterError",
    "base_image",
    "binary",
    "build_image",
    "down",
    "get",
    "load_image",
    "module_folder",
    "program_image",
    "up",
]


@dataclass(frozen=True)
class Cluster:
    """A running cluster, as others need to know it."""

    name: str
    kubeconfig: Path
    server: str
    host_address: str
    """This machine, as pods of the cluster see it: what a test listens on here, they reach there."""
    pods: str
    services: str
    dns: str
    logs: Path

    @staticmethod
    def of(plan: Plan) -> "Cluster":
        """The public part of a plan."""
        net = plan.network
        return Cluster(
            name=plan.name,
            kubeconfig=plan.state / "admin.kubeconfig",
            server=f"https://{net.api}:6443",
            host_address=str(net.host),
            pods=str(net.pods),
            services=str(net.services),
            dns=str(net.dns),
            logs=plan.state / "log",
        )


def up(
    name: str = "dev", *, nodes: int = 1, kwok_nodes: int = 0, control_plane_only: bool = False, install: bool = True
) -> Cluster:
    """Brings a cluster up, or finds it up; builds what is missing first.

    Raises:
        ClusterError: what is wrong and what to do.
    """
    count = 0 if control_plane_only else nodes
    return Cluster.of(bringup.up(name, nodes=count, kwok_nodes=kwok_nodes, install=install))


def get(name: str = "dev") -> Cluster | None:
    """The cluster of that name, when it is up and healthy."""
    now = status(name)
    return Cluster.of(now.plan) if now.state == "running" and now.plan is not None else None


def down(name: str = "dev") -> bool:
    """Removes a cluster or its remains; returns whether there was anything.

    Raises:
        ClusterError: something cannot be removed.
    """
    return teardown.down(name)


def load_image(name: str, archive: Path) -> list[str]:
    """Loads an OCI or Docker archive into every node; returns the names of its images there.

    Raises:
        ClusterError: not an archive, or the cluster is not up.
    """
    now = status(name)
    if now.plan is None:
        raise ClusterError(f"cluster {name}: {now.detail}", fix=f"`python3 -m tools.cluster up --name {name}`")
    return load.load(now.plan, archive)


def binary(name: str) -> Path:
    """Path of a pinned program (`helm`, `kubectl`, `kubeconform`, …), built now if it is not yet.

    Raises:
        ClusterError: unknown, or the build failed.
    """
    try:
        component, found = pins.find(name)
    except KeyError as error:
        known = sorted(each.name for one in pins.COMPONENTS for each in one.binaries)
        raise ClusterError(f"unknown program {name}", fix=f"choose from {', '.join(known)}") from error
    if not paths.binary_file(found, component).exists():
        gobuild.build([component.name])
    return paths.binary_file(found, component)


def module_folder(component: str) -> Path:
    """Folder of a pinned component's Go module: charts, CRDs and examples that come with its programs.

    Raises:
        ClusterError: the module could not be had.
    """
    return gobuild.module_folder(component)


def program_image(name: str) -> tuple[str, Path]:
    """Name and archive of an image that holds one pinned program at `/<name>`, for `load_image`.

    Raises:
        ClusterError: unknown, or the build failed.
    """
    binary(name)
    return ociarchive.program_image(name), ociarchive.program_archive(name)
