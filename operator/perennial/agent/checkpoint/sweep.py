"""Removes checkpoints that nothing can resume from any more."""

import logging
import time
from collections.abc import Callable, Iterator
from itertools import islice
from threading import Event

from perennial.agent.storage.client import ObjectStore, join_uri
from perennial.agent.storage.errors import AgentError
from perennial.agent.storage.parallel import FILE_THREADS, in_parallel
from perennial.api.contract.checkpoint import CheckpointPlace

log = logging.getLogger(__name__)

MOST_DELETED = 4096
"""Objects at a time: the code waits for it."""
_LONGEST_SECONDS = 30.0
_AT_ONCE = 8 * FILE_THREADS


def remove_outdated(
    place: CheckpointPlace, resumed: int | None, store: ObjectStore, clock: Callable[[], float] = time.monotonic
) -> int:
    """Delete checkpoints of earlier runs, and of attempts before the resumed one; return how many objects.

    Runs of a TrainingJob follow each other, so those with a lower number have ended. A failure costs storage only.

    Args:
        place: of the attempt that is about to start.
        resumed: the attempt whose checkpoint was restored; None: there was none.
        store: storage of the checkpoints.
        clock: seconds, for the limit of time.
    """
    deleted, end = 0, clock() + _LONGEST_SECONDS
    try:
        uris = list(islice(_outdated(place, resumed, store), MOST_DELETED))
        for at in range(0, len(uris), _AT_ONCE):
            if clock() >= end:
                break
            deleted += sum(1 for _ in in_parallel(store.delete, uris[at : at + _AT_ONCE], FILE_THREADS, Event()))
    except AgentError as error:
        log.warning("checkpoints of earlier runs stay in the storage: %s", error.message)
    if deleted:
        log.info("deleted %d objects of earlier checkpoints", deleted)
    return deleted


def _outdated(place: CheckpointPlace, resumed: int | None, store: ObjectStore) -> Iterator[str]:
    """Yield the URIs of outdated objects: only such as have the names that checkpoints have."""
    for item in store.list(join_uri(place.uri, "")):
        parts = item.relative.split("/")
        numbers = [_number(part) for part in (parts[0], *parts[2:4])]
        if len(parts) < len(("number", "run", "attempt", "worker", "file")) or None in numbers:
            continue
        number, attempt = numbers[0] or 0, numbers[1] or 0
        before = resumed is not None and (number, parts[1]) == (place.number, place.run) and attempt < resumed
        if number < place.number or before:
            yield join_uri(place.uri, item.relative)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < len(str(2**31)) else None
