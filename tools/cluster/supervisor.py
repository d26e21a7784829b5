"""Keeps programs running as process 1 must: starts them, reaps every orphan, restarts what died."""

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.cluster.daemons import Daemon

RESTART_SECONDS = 1.0
POLL_SECONDS = 0.05


class StartError(Exception):
    """A program ended, or was not ready in time, during the start; the text names it."""


@dataclass
class _Running:
    daemon: Daemon
    process: subprocess.Popen[bytes]


class Supervisor:
    """The programs of one namespace."""

    def __init__(self, log_folder: Path, env: dict[str, str]) -> None:
        self._logs = log_folder
        self._env = env
        self._running: dict[int, _Running] = {}
        self._forked: dict[int, str] = {}
        self._dead: list[tuple[float, Daemon]] = []

    def start(self, daemon: Daemon) -> None:
        """Starts one program in a session of its own, its output appended to `<name>.log`."""
        with (self._logs / f"{daemon.name}.log").open("ab") as log:
            process = subprocess.Popen(
                daemon.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**self._env, **daemon.env},
                start_new_session=True,
            )
        self._running[process.pid] = _Running(daemon, process)

    def watch(self, pid: int, name: str) -> None:
        """Counts a forked child among the programs whose end during the start is a failure; never restarts it."""
        self._forked[pid] = name

    def reap(self) -> list[str]:
        """Collects what has ended; returns the names of our programs among it."""
        ended: list[str] = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return ended
            if pid == 0:
                return ended
            if pid in self._forked:
                ended.append(self._forked.pop(pid))
            found = self._running.pop(pid, None)
            if found is not None:
                found.process.returncode = os.waitstatus_to_exitcode(status)
                ended.append(found.daemon.name)
                self._dead.append((time.monotonic() + RESTART_SECONDS, found.daemon))

    def wait_until(self, ready: Callable[[], bool], what: str, seconds: float) -> None:
        """Waits for a condition while all programs live.

        Raises:
            StartError: one ended, or the time is over.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            ended = self.reap()
            if ended:
                raise StartError(f"{ended[0]} ended while {what}")
            if time.monotonic() > deadline:
                raise StartError(f"timeout of {seconds:.0f} s while {what}")
            time.sleep(POLL_SECONDS)

    def run_forever(self, each: Callable[[], None]) -> None:
        """Restarts what ends, a second later, and calls `each` about twice a second. Never returns."""
        while True:
            self.reap()
            now = time.monotonic()
            due = [daemon for when, daemon in self._dead if when <= now]
            self._dead = [(when, daemon) for when, daemon in self._dead if when > now]
            for daemon in due:
                self.start(daemon)
            each()
            time.sleep(0.5)
