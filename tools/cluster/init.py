"""Process 1 of a cluster, in network, mount and pid namespaces of its own: when it ends, everything ends.

Run by `lifecycle` as `unshare … python3 -m tools.cluster.init <state folder>`. It writes how far it is into the
file `stage`: a word, or `failed: ` and the reason.
"""

import os
import ssl
import subprocess
import sys
import traceback
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tools.cluster import daemons, paths
from tools.cluster.inside import Folders, environment, has_link, make_node, own_folders, own_network
from tools.cluster.plan import INSIDE, INSIDE_BIN, Plan, load
from tools.cluster.supervisor import StartError, Supervisor
from tools.cluster.syscalls import CLONE_NEWNET, CLONE_NEWNS, own_mounts, share_mounts, unshare

LINK_SECONDS = 30
API_SECONDS = 120


def main() -> int:
    """Starts everything, then supervises; returns only on failure."""
    state = Path(sys.argv[1])
    stage = os.open(state / "stage", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    def report(text: str) -> None:
        os.ftruncate(stage, 0)
        os.pwrite(stage, text.encode(), 0)

    plan = load(state)
    if plan is None:
        report("failed: cluster.json is missing or broken")
        return 1
    try:
        _run(plan, report)
    except StartError as error:
        report(f"failed: {error}")
    except OSError as error:
        report(f"failed: {error}")
    except subprocess.CalledProcessError as error:
        report(f"failed: {' '.join(error.cmd)}: {error.stderr.strip()}")
    return 1


def _run(plan: Plan, report: Callable[[str], None]) -> None:
    folders = Folders.open(plan.state, paths.bin_dir())
    share_mounts()
    own_folders(folders, 1)
    supervisor = Supervisor(Path(INSIDE, "log"), environment(1))
    report("network")
    supervisor.wait_until(lambda: has_link("eth0"), "waiting for the network link", LINK_SECONDS)
    own_network(plan, 1, "eth0")
    report("control plane")
    supervisor.start(daemons.etcd())
    supervisor.start(daemons.api_server(plan))
    if not plan.control_plane_only:
        supervisor.start(daemons.containerd(1))
    for node in range(2, plan.nodes + 1):
        _fork_node(plan, node, supervisor)
    supervisor.wait_until(api_ready, "waiting for the API server", API_SECONDS)
    supervisor.start(daemons.controller_manager())
    supervisor.start(daemons.scheduler())
    if not plan.control_plane_only:
        report("node")
        start_node(plan, 1, supervisor)
        sockets = [Path(INSIDE, f"node{node}", "containerd.sock") for node in range(2, plan.nodes + 1)]
        supervisor.wait_until(lambda: all(socket.exists() for socket in sockets), "waiting for nodes", 60)
    report("started")
    supervisor.run_forever(_kwok_on_demand(supervisor))


def _kwok_on_demand(supervisor: Supervisor) -> Callable[[], None]:
    # `up --kwok-nodes` may come later than the cluster; the wish is a file in the state folder.
    wanted = Path(INSIDE, "conf", "kwok.yaml")
    started: list[bool] = []

    def check() -> None:
        if not started and wanted.exists():
            started.append(True)
            supervisor.start(daemons.kwok())

    return check


def api_ready() -> bool:
    """Whether the API server answers /readyz to the administrator."""
    context = ssl.create_default_context(cafile=f"{daemons.PKI}/ca.crt")
    context.load_cert_chain(f"{daemons.PKI}/admin.crt", f"{daemons.PKI}/admin.key")
    try:
        with urllib.request.urlopen("https://127.0.0.1:6443/readyz", context=context, timeout=5) as reply:
            return bool(reply.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def start_node(plan: Plan, node: int, supervisor: Supervisor) -> None:
    """Starts what makes a node, containerd being started already.

    Raises:
        StartError: containerd does not come up.
    """
    socket = Path(INSIDE, f"node{node}", "containerd.sock")
    supervisor.wait_until(socket.exists, "waiting for containerd", 60)
    supervisor.start(daemons.kubelet(plan, node))
    supervisor.start(daemons.kube_proxy(node))


def _fork_node(plan: Plan, node: int, supervisor: Supervisor) -> None:
    """A further node is a child process with network and mounts of its own; the pid namespace stays the same."""
    unshared_read, unshared_write = os.pipe()
    linked_read, linked_write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            unshare(CLONE_NEWNET | CLONE_NEWNS)
            os.write(unshared_write, b"1")
            os.read(linked_read, 1)
            own_mounts()
            share_mounts()
            own_folders(Folders.open(Path(INSIDE), Path(INSIDE_BIN)), node)
            own_network(plan, node, "eth0")
            own = Supervisor(Path(INSIDE, "log", f"node{node}"), environment(node))
            own.start(daemons.containerd(node))
            start_node(plan, node, own)
            own.run_forever(lambda: None)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    supervisor.watch(child, f"node{node}")
    os.read(unshared_read, 1)
    make_node(plan, node, child)
    os.write(linked_write, b"1")
    for descriptor in (unshared_read, unshared_write, linked_read, linked_write):
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
