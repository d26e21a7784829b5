"""The three images of the demo: the operator, the example's own, and an S3 server."""

import os
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tools import image
from tools.cluster import api
from tools.cluster.errors import ClusterError, tail
from tools.cluster.progress import step
from tools.image import Image


@dataclass(frozen=True)
class Images:
    """Names that pods use, and the archives that hold them."""

    operator: Image
    demo: Image
    s3: Image

    def all(self) -> tuple[Image, ...]:
        """Return each of them, the small ones first."""
        return (self.s3, self.operator, self.demo)


def prepare_images() -> Images:
    """Build the images, or find them built.

    Raises:
        ClusterError: a build failed; says which, and where its log is.
    """
    return Images(image.build("operator"), image.build("demo"), Image(*api.program_image("versitygw")))


def load(cluster: str, images: Images) -> None:
    """Put the images into the nodes of an embedded cluster.

    Raises:
        ClusterError: the cluster is not up, or refuses.
    """

    def put(one: Image) -> None:
        api.load_image(cluster, one.archive)

    load_each(images, put)


def load_each(images: Images, put: Callable[[Image], None]) -> None:
    """Hand each image to `put`, and say so."""
    for one in images.all():
        with step(f"load {one.name} ({one.archive.stat().st_size / 1e6:.0f} MB) into the cluster", 15):
            put(one)


def load_by(command: str, images: Images) -> None:
    """Run the user's own command once for each archive.

    Args:
        command: words as in a shell, of which `{archive}` and `{name}` are replaced.
        images: what to load.

    Raises:
        ClusterError: the command failed; holds what it said.
    """
    load_each(images, lambda one: _run([_filled(word, one) for word in shlex.split(command)]))


def _filled(word: str, one: Image) -> str:
    return word.replace("{archive}", str(one.archive)).replace("{name}", one.name)


def push(registry: str, images: Images, copier: str) -> Images:
    """Push the images to a registry, and return them by their names there.

    Args:
        registry: host and path, such as registry.example/team.
        images: what to push.
        copier: `docker`, or `skopeo`, whichever is there.

    Raises:
        ClusterError: the registry refused.
    """
    moved = {
        one: replace(one, name=f"{registry.rstrip('/')}/{one.name.removeprefix('localhost/')}") for one in images.all()
    }
    load_each(images, lambda one: _push(one, moved[one].name, copier))
    return Images(moved[images.operator], moved[images.demo], moved[images.s3])


def _push(one: Image, name: str, copier: str) -> None:
    if Path(copier).name == "skopeo":
        _run([copier, "copy", f"docker-archive:{one.archive}", f"docker://{name}"])
        return
    _run([copier, "load", "--input", str(one.archive)])
    _run([copier, "tag", one.name, name])
    _run([copier, "push", name])


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    except OSError as error:
        raise ClusterError(f"{command[0]} cannot be run: {error.strerror}", where=shlex.join(command)) from error
    if done.returncode != 0:
        raise ClusterError(f"{command[0]} failed\n{tail(done.stderr or done.stdout)}", where=shlex.join(command))
