"""Removes what earlier comparisons of a monitor by shards have left in the storage."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice

from perennial.agent.drift.history.store import ReportStore
from perennial.agent.drift.shards.agree import FILES, Shard
from perennial.agent.storage.client import join_uri
from perennial.agent.storage.removal import remove
from perennial.agent.tables.files import StoredObject, uri_of

AGE = timedelta(days=1)
"""Time for which nothing was written to a folder before it is removed: its Job has ended, or given up."""
MOST_LISTED = 20_000
"""Objects that are looked at, the oldest Jobs first, since their names hold the time."""
MOST_DELETED = 512
"""Objects deleted at a time: several times what a Job writes, so that a backlog shrinks with each comparison."""
_WHAT = "what earlier comparisons by shards have left"


def remove_earlier(store: ReportStore, shard: Shard, clock: Callable[[], float] = time.monotonic) -> int:
    """Delete the folders of earlier Jobs of this monitor, a bounded number of objects; return how many were deleted.

    The folder of this Job stays until a later one removes it, so that a repeated pod still finds what was agreed on.
    Ages are compared by the clock of the storage. A failure costs storage, never a verdict: it is logged, and the next
    comparison tries again.

    Args:
        store: storage of the reports.
        shard: this Job's place.
        clock: seconds, for the limit of time.
    """
    return remove(store.delete, _outdated(store, shard), MOST_DELETED, _WHAT, clock)


def _outdated(store: ReportStore, shard: Shard) -> Iterator[str]:
    """Yield the URIs of objects of folders, of `<job>/<uid of the Job>`, to which nothing was written for long."""
    agreed = next(iter(store.list(join_uri(shard.folder, FILES))), None)
    if agreed is None:
        return
    listed = list(islice(store.list(f"{shard.home}/"), MOST_LISTED))
    folders: dict[str, list[StoredObject]] = {}
    for item in listed:
        folder, _, name = item.relative.rpartition("/")
        if folder.count("/") == 1 and name:
            folders.setdefault(folder, []).append(item)
    if len(listed) == MOST_LISTED and folders:
        folders.popitem()  # the last one may have newer objects that were not listed
    for items in folders.values():
        if max(item.last_modified for item in items) < agreed.last_modified - AGE:
            yield from (uri_of(shard.home, item.key) for item in items)
