"""Waiting for something to become so, where there is no event loop."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def until(check: Callable[[], Found | None], what: str, seconds: float = 180, pause: float = 0.2) -> Found:
    """Return what a check finds once it finds something.

    The default is for a loaded machine: a wait ends as soon as the check finds something.

    Raises:
        AssertionError: it found nothing in time.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = check()
        if found is not None:
            return found
        time.sleep(pause)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")
