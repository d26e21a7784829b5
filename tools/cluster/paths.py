"""Where everything lives: one cache folder outside the repository."""

import os
from pathlib import Path

from tools.cluster import pins
from tools.cluster.errors import ClusterError

PACKAGE = Path(__file__).resolve().parent
REPOSITORY = PACKAGE.parent.parent


def cache() -> Path:
    """`${XDG_CACHE_HOME:-~/.cache}/perennial`; not created here."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "perennial"


def bin_dir() -> Path:
    """Folder of the built binaries."""
    return cache() / "bin"


def state_dir(name: str) -> Path:
    """Everything a cluster needs while it runs."""
    return cache() / "clusters" / name


def logs_dir(name: str) -> Path:
    """Logs of clusters that are gone: one folder per life, named by its end."""
    return cache() / "logs" / name


def lock_file(name: str) -> Path:
    """The file whose lock serialises work on one thing."""
    return cache() / "locks" / f"{name}.lock"


def binary_file(binary: pins.Binary, component: pins.Component) -> Path:
    """Where one binary of a component is, or will be."""
    return bin_dir() / f"{binary.name}-{component.version}"


def binary(name: str) -> Path:
    """Path of a built binary.

    Raises:
        ClusterError: the name is not pinned, or it is not built yet.
    """
    component, found = pins.find(name)
    path = binary_file(found, component)
    if not path.exists():
        raise ClusterError(
            f"{name} {component.version} is not built",
            where=str(path),
            fix=f"run `python3 -m tools.cluster build {component.name}`",
        )
    return path
