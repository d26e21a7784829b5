"""mount(2) and unshare(2), which the standard library of Python 3.11 does not have."""

import ctypes
import os
from pathlib import Path

MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SHARED = 0x100000
CLONE_NEWNS = 0x20000
CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mounts a file system or a folder.

    Raises:
        OSError: as the system call says.
    """
    arguments = (source.encode(), target.encode(), kind.encode() or None, flags, data.encode() or None)
    _check(_libc.mount(*arguments), f"mount {source} on {target}")


def bind(source: Path | str, target: str) -> None:
    """Makes `source` appear at `target`, too."""
    mount(str(source), target, flags=MS_BIND | MS_REC)


def share_mounts() -> None:
    """Containers must see what the kubelet mounts for them, so mounts propagate within the namespace."""
    mount("none", "/", flags=MS_REC | MS_SHARED)


def own_mounts() -> None:
    """Cuts this namespace's mounts off from the one it was copied from."""
    mount("none", "/", flags=MS_REC | MS_PRIVATE)


def unshare(flags: int) -> None:
    """Moves this process into new namespaces.

    Raises:
        OSError: as the system call says.
    """
    _check(_libc.unshare(flags), "unshare")
