"""Removes checkpoints that nothing can resume from any more."""

import time
from collections.abc import Callable, Iterator

from perennial.agent.checkpoint.place import NAMES
from perennial.agent.storage.client import ObjectStore, join_uri
from perennial.agent.storage.removal import remove
from perennial.api.contract.checkpoint import CheckpointPlace

MOST_DELETED = 4096
"""Objects at a time: the code waits for it."""
_WHAT = "what earlier runs and attempts have kept"


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
    return remove(store.delete, _outdated(place, resumed, store), MOST_DELETED, _WHAT, clock)


def _outdated(place: CheckpointPlace, resumed: int | None, store: ObjectStore) -> Iterator[str]:
    """Yield the URIs of outdated objects: only such as have the names that checkpoints have."""
    for item in store.list(join_uri(place.uri, "")):
        named = NAMES.match(item.relative)
        if named is None:
            continue
        number, attempt = int(named["number"]), int(named["attempt"])
        before = resumed is not None and (number, named["run"]) == (place.number, place.run) and attempt < resumed
        if number < place.number or before:
            yield join_uri(place.uri, item.relative)
