"""SIGTERM and SIGHUP become what Ctrl-C is, so that all of them clean up."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Within it the first signal raises KeyboardInterrupt; later ones do not cut the cleaning up short."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    previous = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        for number in previous:
            signal.signal(number, interrupt)
    except ValueError:
        # Not the main thread: the caller's own handling of signals stays.
        previous = {}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
