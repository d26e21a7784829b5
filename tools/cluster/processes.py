"""Finds and ends the processes of a cluster, whatever is left of its records."""

import os
import signal
import time
from pathlib import Path

from tools.cluster.errors import ClusterError

MODULE = "tools.cluster.init"


def parse_cmdline(raw: bytes) -> list[str]:
    """The arguments in /proc/<pid>/cmdline."""
    return [part.decode(errors="replace") for part in raw.split(b"\0") if part]


def is_init_of(arguments: list[str], state: Path) -> bool:
    """Whether these arguments are those of a cluster's process 1, or of the `unshare` around it."""
    return MODULE in arguments and arguments[-1] == str(state)


def find(state: Path, proc: Path = Path("/proc")) -> list[int]:
    """Pids, as this namespace sees them, of `unshare` and process 1 of the cluster with that state folder.

    Children of process 1 that have not become another program yet look the same; they end with it.
    """
    found = []
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            arguments = parse_cmdline((entry / "cmdline").read_bytes())
        except OSError:
            continue
        if is_init_of(arguments, state) and not is_elsewhere(entry, state):
            found.append(int(entry.name))
    return sorted(found)


def is_elsewhere(process: Path, state: Path) -> bool:
    """Whether that path is another folder for the process: it lives in a container or a changed root of its own."""
    try:
        theirs = Path(f"{process}/root{state}").stat()
        ours = state.stat()
    except OSError:
        return False
    return (theirs.st_dev, theirs.st_ino) != (ours.st_dev, ours.st_ino)


def inner_pid(status: str) -> int:
    """The pid in the innermost namespace, from the text of /proc/<pid>/status; 0 when it does not say."""
    for line in status.splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    return 0


def process_one(state: Path) -> int | None:
    """The host's pid of the cluster's process 1."""
    for pid in find(state):
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        if inner_pid(status) == 1 and len(_ns_pids(status)) > len(_ns_pids(Path("/proc/self/status").read_text())):
            return pid
    return None


def _ns_pids(status: str) -> list[str]:
    lines = [line for line in status.splitlines() if line.startswith("NSpid:")]
    return lines[0].split()[1:] if lines else []


def end(state: Path, seconds: float = 20) -> bool:
    """Kills them and waits until they are gone; with process 1 the kernel ends all others first.

    Returns whether there was anything to end.

    Raises:
        ClusterError: something outlives the kill.
    """
    deadline = time.monotonic() + seconds
    any_found = False
    while pids := find(state):
        any_found = True
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            raise ClusterError(
                "processes of the cluster do not end",
                where=", ".join(str(pid) for pid in pids),
                fix="a process in disk wait ends when the disk answers; run `down` again then",
            )
        time.sleep(0.05)
    return any_found
