"""Takes clusters down, whole or half-made, alive or dead."""

import contextlib
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from tools.cluster import cgroups, host, inside, paths, plan, processes
from tools.cluster.locks import locked, try_locked
from tools.cluster.progress import say
from tools.cluster.status import names

KEPT_LOGS = 5


def down(name: str) -> bool:
    """Removes a cluster or what is left of one; returns whether there was anything.

    Raises:
        ClusterError: not root, or something cannot be removed.
    """
    plan.check_request(name, 0)
    host.check_root()
    with locked(f"cluster-{name}", waiting=f"somebody else is working on cluster {name}; waiting"):
        existed = paths.state_dir(name).exists()
        return remove(name) or existed


def remove(name: str) -> bool:
    """Ends the processes first: mounts, links, routes and firewall tables end with their namespaces."""
    state = paths.state_dir(name)
    known = plan.load(state)
    ended = processes.end(state)
    groups = cgroups.detect_or_none()
    if groups is not None:
        cgroups.remove(groups, f"/perennial/{name}")
    if known is not None:
        _unlink(known.network.link)
    if state.exists():
        _keep_logs(name, state)
        shutil.rmtree(state)
    return ended


def remove_dead() -> int:
    """Removes what is left of clusters that are dead and that nobody is working on; returns how many."""
    count = 0
    for name in names():
        with try_locked(f"cluster-{name}") as mine:
            if mine and not processes.find(paths.state_dir(name)):
                say(f"cluster {name} is dead; removing what is left of it")
                remove(name)
                count += 1
    return count


def _unlink(link: str) -> None:
    """Routes go with it. The kernel would clear it as well, seconds after the last process of its namespace."""
    if Path("/sys/class/net", link).exists():
        with contextlib.suppress(subprocess.CalledProcessError):
            inside.ip("link", "del", link)


def _keep_logs(name: str, state: Path) -> None:
    logs = state / "log"
    if not logs.exists() or not any(logs.iterdir()):
        return
    kept = paths.logs_dir(name)
    kept.mkdir(parents=True, exist_ok=True)
    target = kept / datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    shutil.move(logs, target)
    for old in sorted(entry for entry in kept.iterdir() if entry.is_dir())[:-KEPT_LOGS]:
        shutil.rmtree(old)
