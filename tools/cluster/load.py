"""Puts image archives into the container runtimes of a cluster's nodes."""

import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from tools.cluster import config, paths, processes
from tools.cluster.errors import ClusterError, tail
from tools.cluster.plan import Plan

IMAGE_NAME = "io.containerd.image.name"
REF_NAME = "org.opencontainers.image.ref.name"


def load(plan: Plan, archive: Path) -> list[str]:
    """Imports an OCI or Docker archive into every node; returns the names the images have there.

    Raises:
        ClusterError: no such archive, no name in it, the cluster is not up, or containerd refuses.
    """
    names = image_names(archive)
    pid = processes.process_one(plan.state)
    if pid is None or plan.control_plane_only:
        why = "has no nodes" if plan.control_plane_only else "is not up"
        raise ClusterError(f"cluster {plan.name} {why}", fix=f"`python3 -m tools.cluster up --name {plan.name}`")
    for node in range(1, plan.nodes + 1):
        socket = f"/proc/{pid}/root{config.socket(node)}"
        _ctr(socket, "import", "--all-platforms", str(archive), what=str(archive))
    return names


def _ctr(socket: str, *arguments: str, what: str) -> None:
    command = [str(paths.binary("ctr")), "--address", socket, "--namespace", "k8s.io", "images", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LANG": "C"})
    if done.returncode != 0:
        raise ClusterError(f"loading an image failed\n{tail(done.stderr)}", where=what)


def image_names(archive: Path) -> list[str]:
    """The image names inside an OCI or Docker archive.

    Raises:
        ClusterError: the file is missing, is neither, or names no image.
    """
    if not archive.is_file():
        raise ClusterError("there is no such image archive", where=str(archive))
    try:
        with tarfile.open(archive) as tar:
            names = _names(tar)
    except (tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise ClusterError(
            f"not an image archive: {error}",
            where=str(archive),
            fix="make one by `buildah push IMAGE docker-archive:FILE:NAME` or `docker save IMAGE -o FILE`",
        ) from error
    if not names:
        raise ClusterError(
            "the archive gives its image no name, so no pod could use it",
            where=str(archive),
            fix="name it: `buildah push IMAGE oci-archive:FILE:localhost/NAME:TAG`",
        )
    return names


def _names(tar: tarfile.TarFile) -> list[str]:
    members = {member.removeprefix("./") for member in tar.getnames()}
    if "manifest.json" in members:
        return [name for image in _read(tar, "manifest.json") for name in image["RepoTags"] or []]
    annotations = [entry.get("annotations", {}) for entry in _read(tar, "index.json")["manifests"]]
    found = [each.get(IMAGE_NAME) or each.get(REF_NAME) for each in annotations]
    return [name for name in found if name]


def _read(tar: tarfile.TarFile, name: str) -> Any:
    for candidate in (name, f"./{name}"):
        try:
            handle = tar.extractfile(candidate)
        except KeyError:
            continue
        if handle is not None:
            return json.load(handle)
    raise KeyError(f"{name} is missing")
