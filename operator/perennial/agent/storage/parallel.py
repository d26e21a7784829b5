"""Parallel work on many items with threads."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

FILE_THREADS = 12
"""Number of files transferred concurrently."""


def in_parallel(
    work: Callable[[_Item], _Result], items: Iterable[_Item], threads: int, stop: Event | None = None
) -> Iterator[_Result]:
    """Yield the results in the order of the items. After the first error no further item is started.

    With `stop`, the event is set on error and running items are awaited. Without it they are not awaited: a transfer
    may take an hour, while the agent is about to exit.
    """
    pool = ThreadPoolExecutor(threads)
    try:
        futures = [pool.submit(work, item) for item in items]
        for future in futures:
            yield future.result()
    finally:
        if stop is not None:
            stop.set()
        pool.shutdown(wait=stop is not None, cancel_futures=True)
