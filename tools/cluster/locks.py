"""File locks: they end with the process that holds them, however it ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from tools.cluster import paths
from tools.cluster.progress import say


@contextmanager
def locked(name: str, *, waiting: str = "") -> Iterator[None]:
    """Holds the lock `name`; says `waiting` when somebody else has it, and waits."""
    path = paths.lock_file(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                say(f"{waiting} …")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def try_locked(name: str) -> Iterator[bool]:
    """Holds the lock `name` if it is free, and says whether it was."""
    path = paths.lock_file(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
