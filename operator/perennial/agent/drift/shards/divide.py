"""Divides the capture files of a window among shards, evenly by size."""

from collections.abc import Sequence

from perennial.agent.drift.data.hours import by_hour
from perennial.agent.tables.files import Download

_FILE_BYTES = 64 * 2**10
"""What a file costs beside its bytes, as bytes: a request to the storage, and a decoder that starts."""


def divide(root: str, files: Sequence[Download], shards: int) -> tuple[tuple[Download, ...], ...]:
    """Return the files of each shard, in order of their names. Each file is in exactly one; the order has no influence.

    The files of an hour stay together, so that its profile can be used and kept, unless the hour is more than half of
    what a shard should read. The largest piece goes to the shard with the least so far, and so on (Graham, "Bounds on
    multiprocessing timing anomalies", 1969): no shard gets more than one piece beyond the mean.

    Args:
        root: location of the capture.
        files: capture files of the window.
        shards: number of shards, at least 1.
    """
    most = sum(map(_cost, files)) / shards / 2
    pieces: list[tuple[Download, ...]] = []
    for hour in by_hour(root, sorted(files, key=lambda item: item.uri)).values():
        if sum(map(_cost, hour)) <= most:
            pieces.append(hour)
        else:
            pieces.extend((item,) for item in hour)
    loads = [0] * shards
    found: list[list[Download]] = [[] for _ in range(shards)]
    for piece in sorted(pieces, key=lambda piece: (-sum(map(_cost, piece)), piece[0].uri)):
        chosen = loads.index(min(loads))
        loads[chosen] += sum(map(_cost, piece))
        found[chosen].extend(piece)
    return tuple(tuple(sorted(part, key=lambda item: item.uri)) for part in found)


def _cost(item: Download) -> int:
    return item.size + _FILE_BYTES
