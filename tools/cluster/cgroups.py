"""The cluster's own corner of the control groups: made before the kubelet starts, removed after the end.

Works on version 1 (a hierarchy for each controller) and on version 2 (one for all), whichever the machine has.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from tools.cluster.errors import ClusterError

NEEDED = frozenset({"cpu", "memory"})
CONTROLLERS = ("cpuset", "cpu", "io", "memory", "pids", "hugetlb")


@dataclass(frozen=True)
class Cgroups:
    """Where the control groups are mounted: one folder for version 2, several for version 1."""

    version: int
    roots: tuple[Path, ...]


def parse_mounts(mounts: str) -> Cgroups:
    """Reads /proc/mounts.

    Raises:
        ClusterError: no hierarchy has both a cpu and a memory controller, or two of version 1 that have.
    """
    rows = [line.split() for line in mounts.splitlines() if len(line.split()) >= 4]
    first = {fields[1]: fields for fields in rows if fields[2] == "cgroup"}
    second = [fields[1] for fields in rows if fields[2] == "cgroup2"]
    # A hybrid host mounts version 2 as well, without controllers; runc follows every hierarchy there is.
    options = {option for fields in first.values() for option in fields[3].split(",")}
    if options >= NEEDED:
        return Cgroups(1, tuple(sorted(Path(path) for path in (*first, *second))))
    if second:
        return Cgroups(2, (Path(second[0]),))
    raise ClusterError(
        "no control groups: the kubelet needs the cpu and memory controllers",
        where="/proc/mounts",
        fix="mount them (`mount -t cgroup2 none /sys/fs/cgroup`), or, in a container, start it with "
        "`--privileged --cgroupns=host`; or use a cluster you have (KUBECONFIG)",
    )


def detect() -> Cgroups:
    """What this machine has.

    Raises:
        ClusterError: no usable control groups.
    """
    return parse_mounts(Path("/proc/mounts").read_text())


def make(groups: Cgroups, path: str) -> None:
    """Makes `path` (absolute within the hierarchies) everywhere, ready to have children with limits.

    Raises:
        ClusterError: it is not allowed to.
    """
    try:
        for root in groups.roots:
            if groups.version == 2:
                _make_v2(root, path)
            else:
                _make_v1(root, path)
    except OSError as error:
        raise ClusterError(
            f"cannot make control groups: {error.strerror}",
            where=str(error.filename),
            fix="in a container, start it with `--privileged` (and on cgroup v2 with a writable /sys/fs/cgroup)",
        ) from error


def _steps(root: Path, path: str) -> list[Path]:
    parts = [part for part in path.split("/") if part]
    return [root.joinpath(*parts[: length + 1]) for length in range(len(parts))]


def _make_v1(root: Path, path: str) -> None:
    for folder in _steps(root, path):
        folder.mkdir(exist_ok=True)
        # A new cpuset is empty and refuses every process until it is given what its parent has.
        for name in ("cpuset.cpus", "cpuset.mems"):
            parent, mine = folder.parent / name, folder / name
            if mine.exists() and not mine.read_text().strip():
                mine.write_text(parent.read_text())


def _make_v2(root: Path, path: str) -> None:
    available = (root / "cgroup.controllers").read_text().split()
    lacking = NEEDED - set(available)
    if lacking:
        raise ClusterError(
            f"control groups without {' and '.join(sorted(lacking))}",
            where=str(root / "cgroup.controllers"),
            fix="delegate these controllers to the container, or run on the machine itself",
        )
    wanted = [name for name in CONTROLLERS if name in available]
    _delegate(root, wanted)
    for folder in _steps(root, path):
        folder.mkdir(exist_ok=True)
        _delegate(folder, wanted)


def _delegate(folder: Path, controllers: list[str]) -> None:
    control = folder / "cgroup.subtree_control"
    given = set(control.read_text().split())
    new = " ".join(f"+{name}" for name in controllers if name not in given)
    if not new:
        return
    try:
        control.write_text(new)
    except OSError:
        # In a container's own hierarchy the root holds processes and may not delegate: move them to a leaf,
        # as a container's init usually does.
        leaf = folder / "init"
        leaf.mkdir(exist_ok=True)
        for pid in (folder / "cgroup.procs").read_text().split():
            try:
                (leaf / "cgroup.procs").write_text(pid)
            except ProcessLookupError:
                continue
        control.write_text(new)


def remove(groups: Cgroups, path: str, seconds: float = 10) -> None:
    """Removes `path` and all below it; also its parent `perennial` when this was the last cluster.

    Raises:
        ClusterError: processes are still in it after `seconds`.
    """
    for root in groups.roots:
        top = root / path.strip("/")
        deadline = time.monotonic() + seconds
        while top.exists() and not _remove_tree(top):
            if time.monotonic() > deadline:
                raise ClusterError(
                    "processes of the cluster are still alive",
                    where=f"{top}: {', '.join(_processes(top)) or 'none listed'}",
                    fix="look at them with `ps`, end them, and run `down` again",
                )
            time.sleep(0.05)
        if top.parent != root:
            _remove_one(top.parent)


def _remove_tree(top: Path) -> bool:
    for folder, _, _ in os.walk(top, topdown=False):
        _remove_one(Path(folder))
    return not top.exists()


def _remove_one(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return


def _processes(top: Path) -> list[str]:
    found: list[str] = []
    for folder, _, _ in os.walk(top):
        procs = Path(folder) / "cgroup.procs"
        if procs.exists():
            found += procs.read_text().split()
    return found


def leftovers(groups: Cgroups, path: str) -> list[Path]:
    """Folders of that name that still exist."""
    return [root / path.strip("/") for root in groups.roots if (root / path.strip("/")).exists()]


def detect_or_none() -> Cgroups | None:
    """What this machine has, if it has usable control groups at all."""
    try:
        return detect()
    except ClusterError:
        return None
