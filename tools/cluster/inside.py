"""How a node's namespaces are furnished: folders that hide the host's, and one link."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tools.cluster import host, pins, syscalls
from tools.cluster.plan import INSIDE, INSIDE_BIN, PROGRAMS, Plan

# The kubelet sets these kernel-wide values at its start. It finds them set as it wishes, and writes nothing.
KERNEL_VALUES = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


@dataclass(frozen=True)
class Folders:
    """The two folders of the host that are seen inside, held open: hiding /run or /var/lib may hide their paths."""

    state: int
    programs: int

    @staticmethod
    def open(state: Path, programs: Path) -> "Folders":
        """Opens both."""
        return Folders(*(os.open(path, os.O_PATH | os.O_DIRECTORY) for path in (state, programs)))


def own_folders(folders: Folders, node: int) -> None:
    """Gives the namespace its own /run, /var/lib and /var/log, so that the host's stay as they are.

    Raises:
        OSError: a mount is refused.
    """
    syscalls.mount("tmpfs", "/run", "tmpfs", data="mode=755")
    # Debian's /var/run is a link to /run; where it is not, shims and network namespaces go through it all the same.
    for descriptor, folder in ((folders.state, INSIDE), (folders.programs, INSIDE_BIN)):
        Path(folder).mkdir()
        syscalls.bind(f"/proc/self/fd/{descriptor}", folder)
    mine = Path(INSIDE, f"node{node}")
    logs = Path(INSIDE, "log") if node == 1 else Path(INSIDE, "log", f"node{node}")
    for needed in (mine / "tmp", mine / "var-lib", logs):
        needed.mkdir(parents=True, exist_ok=True)
    syscalls.bind(mine / "var-lib", "/var/lib")
    syscalls.bind(logs, "/var/log")
    # The kubelet's own metrics look for containerd at its usual place, whatever it is configured to.
    Path("/run/containerd").mkdir()
    Path("/run/containerd/containerd.sock").symlink_to(mine / "containerd.sock")
    _link_programs(Path(PROGRAMS))
    values = Path("/run/kernel-values")
    for name, value in KERNEL_VALUES.items():
        file, target = values / name, Path("/proc/sys", name)
        if target.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(value + "\n")
            syscalls.bind(file, str(target))


def _link_programs(folder: Path) -> None:
    """Plain names in one folder, since containerd looks for its shim by name."""
    folder.mkdir()
    for component in pins.COMPONENTS:
        for binary in component.binaries:
            (folder / binary.name).symlink_to(f"{INSIDE_BIN}/{binary.name}-{component.version}")


def environment(node: int) -> dict[str, str]:
    """What daemons find in their environment: the programs, and a folder for temporary files that goes with them."""
    mine = Path(INSIDE, f"node{node}")
    path = f"{PROGRAMS}:{host.search_path()}"
    return {"PATH": path, "TMPDIR": str(mine / "tmp"), "HOME": str(mine), "LANG": "C.UTF-8"}


def has_link(name: str) -> bool:
    """Whether a network link exists in this namespace."""
    return subprocess.run(["ip", "link", "show", name], capture_output=True, check=False).returncode == 0


def own_network(plan: Plan, node: int, link: str) -> None:
    """Addresses, the way out, and forwarding.

    Raises:
        subprocess.CalledProcessError: `ip` refuses.
    """
    net = plan.network
    ip("link", "set", "lo", "up")
    ip("addr", "add", f"{net.node(node)}/30", "dev", link)
    ip("link", "set", link, "up")
    ip("route", "add", "default", "via", str(net.upper_end(node)))
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def make_node(plan: Plan, node: int, pid: int) -> None:
    """The control plane's end of the link to a further node, and the way to its pods.

    Raises:
        subprocess.CalledProcessError: `ip` refuses.
    """
    net = plan.network
    link = f"node{node}"
    ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
    ip("addr", "add", f"{net.upper_end(node)}/30", "dev", link)
    ip("link", "set", link, "up")
    ip("route", "add", str(net.pods_of(node)), "via", str(net.node(node)))


def ip(*arguments: str) -> None:
    """The `ip` program.

    Raises:
        subprocess.CalledProcessError: it refuses; `stderr` says why.
    """
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, env=host.environment())
