"""Deletes what nobody needs any more, without holding up what matters."""

import logging
import time
from collections.abc import Callable, Iterable
from itertools import islice
from threading import Event

from perennial.agent.storage.errors import AgentError
from perennial.agent.storage.parallel import FILE_THREADS, in_parallel

log = logging.getLogger(__name__)

AT_ONCE = 4 * FILE_THREADS
"""Objects between two looks at the clock."""
_LONGEST_SECONDS = 30.0


def remove(
    delete: Callable[[str], None],
    uris: Iterable[str],
    most: int,
    what: str,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Delete objects, a bounded number in a bounded time; return how many were deleted.

    A failure costs storage and nothing else: it is logged, and the next cleaning tries again.

    Args:
        delete: deletes one object.
        uris: the objects, which may be listed while they are read.
        most: number of objects at most.
        what: what they are, in the singular, for the log.
        clock: seconds, for the limit of time.
    """
    deleted, end = 0, clock() + _LONGEST_SECONDS
    try:
        found = list(islice(uris, most))
        for at in range(0, len(found), AT_ONCE):
            if clock() >= end:
                log.warning("deletion is slow, the next one goes on with %s", what)
                break
            deleted += sum(1 for _ in in_parallel(delete, found[at : at + AT_ONCE], FILE_THREADS, Event()))
    except AgentError as error:
        log.warning("%s stays in the storage: %s", what, error.message)
    if deleted:
        log.info("deleted %d objects of %s", deleted, what)
    return deleted
