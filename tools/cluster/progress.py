"""What a person sees while waiting: the step, how long it may take, how long it took."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

HEARTBEAT_SECONDS = 10.0


def say(text: str) -> None:
    """One line on standard error, so that standard output stays for results."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def step(title: str, expected_seconds: float | None = None) -> Iterator[None]:
    """Announces a step, reports that it is still running, and says how long it took."""
    about = f" (about {duration(expected_seconds)} the first time)" if expected_seconds else ""
    say(f"{title}{about} …")
    started = time.monotonic()
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            say(f"{title}: {duration(time.monotonic() - started)} so far")

    beater = threading.Thread(target=beat, daemon=True)
    beater.start()
    try:
        yield
    except BaseException:
        ended.set()
        raise
    ended.set()
    took = time.monotonic() - started
    if took >= 2:
        say(f"{title}: done in {duration(took)}")


def duration(seconds: float) -> str:
    """`9 s`, `4 min 31 s`."""
    whole = round(seconds)
    return f"{whole} s" if whole < 100 else f"{whole // 60} min {whole % 60:02d} s"
