"""What a person sees while waiting: the step, how long it may take, how long it took."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

HEARTBEAT_SECONDS = 10.0


def say(text: str) -> None:
    """One line on standard error, so that standard output stays for results."""
    print(text, file=sys.stderr, flush=True)


_running: ContextVar["_Step | None"] = ContextVar("perennial_running_step", default=None)
"""The innermost step under way: it alone reports, so that two nested steps never print over each other."""


@dataclass
class _Step:
    """A step under way; `quiet` while a step within it reports instead."""

    title: str
    started: float
    quiet: bool = False


@contextmanager
def step(title: str, expected_seconds: float | None = None) -> Iterator[None]:
    """Announce a step, report every ten seconds that it is still running, and say how long it took.

    Args:
        title: what is done, as a phrase.
        expected_seconds: how long it takes the first time; the reports then say how much of that is left.
    """
    about = f" (about {duration(expected_seconds)} the first time)" if expected_seconds else ""
    say(f"{title}{about} …")
    this, outer = _Step(title, time.monotonic()), _running.get()
    if outer is not None:
        outer.quiet = True
    token = _running.set(this)
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            if not this.quiet:
                say(f"{title}: {progress(time.monotonic() - this.started, expected_seconds)}")

    threading.Thread(target=beat, daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        _running.reset(token)
        if outer is not None:
            outer.quiet = False
    say(f"{title}: done in {duration(time.monotonic() - this.started)}")


def progress(passed: float, expected: float | None) -> str:
    """Time passed, and the time left where it is known: `20 s so far, about 40 s left`."""
    left = expected - passed if expected is not None else 0.0
    rest = f", about {duration(left)} left" if left > 0 else ""
    return f"{duration(passed)} so far{rest}"


def duration(seconds: float) -> str:
    """`9 s`, `4 min 31 s`."""
    whole = round(seconds)
    return f"{whole} s" if whole < 100 else f"{whole // 60} min {whole % 60:02d} s"
