"""Work on many items by several threads."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

FILE_THREADS = 12
"""Files that are read or written at the same time."""


def in_parallel(
    work: Callable[[_Item], _Result], items: Iterable[_Item], threads: int, stop: Event | None = None
) -> Iterator[_Result]:
    """Yield the results in the order of the items. After the first error nothing new is begun.

    What runs at that moment is waited for only when there is a way to stop it: the event, which is set then. Else it
    may be an hour of transfer, while the agent is about to end.
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
