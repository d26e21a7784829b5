"""The three kinds of cluster behind one face: bring it up, put images into it, take it away."""

import json
import os
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.cluster import api, host, paths
from tools.cluster.errors import ClusterError, tail
from tools.cluster.progress import say, step
from tools.demo import images as demo_images
from tools.demo.choice import Kind, Wish
from tools.demo.images import Images
from tools.demo.kubectl import Kubectl
from tools.image import Image

EMBEDDED = "demo"
KIND_CLUSTER = "perennial-demo"
KIND_MODULE = "sigs.k8s.io/kind@v0.31.0"
KIND_CONFIG = Path(__file__).resolve().parents[2] / "kind-config.yaml"


@dataclass(frozen=True)
class Place:
    """Where a demo runs or ran; kept in a file, so that `down` finds it without being told."""

    kind: Kind
    kubeconfig: str | None
    context: str | None
    made: bool
    """Whether the cluster itself is the demo's, to be taken away with it."""

    def kubectl(self) -> Kubectl:
        """Return kubectl for it."""
        kubeconfig = Path(self.kubeconfig) if self.kubeconfig else None
        return Kubectl.of(kubeconfig, self.context, ours=self.kind == "embedded")


def remember(place: Place) -> None:
    """Write down where the demo runs."""
    file = _file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(asdict(place)))


def recall() -> Place | None:
    """Return where the last demo ran, when that is known."""
    try:
        return Place(**json.loads(_file().read_text()))
    except (OSError, ValueError, TypeError):
        return None


def forget() -> None:
    """Forget where the last demo ran."""
    _file().unlink(missing_ok=True)


def _file() -> Path:
    return paths.cache() / "demo" / "place.json"


def bring_up(kind: Kind, wish: Wish) -> Place:
    """Make the cluster, or find it.

    Raises:
        ClusterError: it cannot be made or does not answer.
    """
    match kind:
        case "embedded":
            cluster = api.up(EMBEDDED)
            place = Place("embedded", str(cluster.kubeconfig), None, made=True)
        case "kind":
            place = _kind_up()
        case "own":
            place = Place("own", str(wish.kubeconfig) if wish.kubeconfig else None, wish.context, made=False)
    remember(place)
    place.kubectl().run("get", "--raw", "/readyz", seconds=30)
    return place


def put_images(place: Place, wish: Wish, images: Images) -> Images:
    """Put the images where the nodes find them, and return them by the names that they have there.

    Raises:
        ClusterError: a node, a registry or the user's command refused.
    """
    if place.kind == "own" and wish.push:
        copier = shutil.which("skopeo") or shutil.which("docker")
        if copier is None:
            raise ClusterError("--push needs `skopeo` or `docker`, and neither is there", fix="install one of them")
        return demo_images.push(wish.push, images, copier)
    if place.kind == "own":
        demo_images.load_by(wish.load_command or "", images)
    elif place.kind == "kind":
        kind = _kind_program()
        demo_images.load_each(images, lambda one: _kind_load(kind, one))
    else:
        demo_images.load(EMBEDDED, images)
    return images


def take_down(place: Place) -> None:
    """Take away a cluster that the demo made.

    Raises:
        ClusterError: something cannot be removed.
    """
    if place.kind == "embedded":
        api.down(EMBEDDED)
    elif place.kind == "kind":
        _run([_kind_program(), "delete", "cluster", "--name", KIND_CLUSTER])
        if place.kubeconfig:
            Path(place.kubeconfig).unlink(missing_ok=True)


def _kind_up() -> Place:
    kind = _kind_program()
    # A file of its own: the user's kubeconfig and current context stay as they are.
    kubeconfig = paths.cache() / "demo" / "kind.kubeconfig"
    kubeconfig.parent.mkdir(parents=True, exist_ok=True)
    if KIND_CLUSTER in _run([kind, "get", "clusters"]).split():
        say(f"kind cluster {KIND_CLUSTER} is up")
        _run([kind, "export", "kubeconfig", "--name", KIND_CLUSTER, "--kubeconfig", str(kubeconfig)])
    else:
        with step(f"make kind cluster {KIND_CLUSTER}", 180):
            _run(
                [kind, "create", "cluster", "--name", KIND_CLUSTER, "--config", str(KIND_CONFIG), "--wait", "120s",
                 "--kubeconfig", str(kubeconfig)]
            )  # fmt: skip
    return Place("kind", str(kubeconfig), f"kind-{KIND_CLUSTER}", made=True)


def _kind_load(kind: str, one: Image) -> None:
    _run([kind, "load", "image-archive", str(one.archive), "--name", KIND_CLUSTER])


def _kind_program() -> str:
    found = shutil.which("kind") or shutil.which("kind", path=str(paths.bin_dir()))
    if found:
        return found
    with step("build kind from its Go module", 60):
        _run([host.find_go(), "install", KIND_MODULE], {"GOBIN": str(paths.bin_dir())})
    return str(paths.bin_dir() / "kind")


def _run(command: list[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})}
    )
    if done.returncode != 0:
        raise ClusterError(f"{Path(command[0]).name} failed\n{tail(done.stderr)}", where=" ".join(command))
    return done.stdout
