"""Reads embeddings: which rows have one that can be compared, and a sample of these."""

from dataclasses import dataclass

import numpy as np

from perennial.agent.tables.table import Table
from perennial.agent.tables.vectors import Place, Vectors, vectors
from perennial.stats.samples import Counts, Floats
from perennial.stats.vectors import Hashes, row_hashes, sample, taken


@dataclass(frozen=True, eq=False)
class Survey:
    """The embeddings of one side, by hash and length.

    Attributes:
        rows: number of rows.
        broken: rows whose list has a number that is missing or infinite.
        hashes: of the other rows with a list, shape (n,).
        lengths: of these, shape (n,).
    """

    rows: int
    broken: int
    hashes: Hashes
    lengths: Counts

    def of(self, width: int) -> Hashes:
        """Return the hashes of the embeddings with this many numbers."""
        return np.asarray(self.hashes[self.lengths == width])

    @property
    def width(self) -> int:
        """The most frequent length, the larger of equally frequent ones; 0 without any."""
        return _most_frequent(self.lengths)

    def other_than(self, width: int) -> int:
        """Return the most frequent of the other lengths, 0 without any."""
        return _most_frequent(self.lengths[self.lengths != width])


def _most_frequent(lengths: Counts) -> int:
    found, amounts = np.unique(lengths, return_counts=True)
    return int(found[amounts == amounts.max()].max()) if found.size else 0


def survey(place: Place, table: Table) -> Survey:
    """Look at all embeddings of one side once.

    Raises:
        AgentError: DataInvalid, if a file cannot be read.
    """
    broken = 0
    hashes: list[Hashes] = [np.empty(0, dtype=np.uint64)]
    lengths: list[Counts] = [np.empty(0, dtype=np.int64)]
    for part in vectors(place, table):
        whole = _finite(part)
        usable = part.where(whole)
        broken += int(np.count_nonzero(part.lengths)) - usable.lengths.size
        hashes.append(row_hashes(usable.values, usable.lengths))
        lengths.append(usable.lengths)
    return Survey(table.rows, broken, np.concatenate(hashes), np.concatenate(lengths))


def _finite(part: Vectors) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which rows have a list of finite numbers, shape (n,)."""
    kept = part.lengths > 0
    starts = np.cumsum(part.lengths) - part.lengths
    if kept.any():
        kept[kept] = np.logical_and.reduceat(np.isfinite(part.values), starts[kept])
    return np.asarray(kept)


def sampled_rows(place: Place, table: Table, width: int, hashes: Hashes, most: int) -> Floats:
    """Return a sample of the usable embeddings, shape (n, width), in any order.

    Args:
        place: where they are.
        table: rows of one side.
        width: numbers of each.
        hashes: of all usable ones.
        most: maximum number of rows.

    Raises:
        AgentError: DataInvalid, if a file cannot be read.
    """
    wanted, left = sample(hashes, most)
    found = [np.empty((0, width))]
    for part in vectors(place, table):
        usable = part.where(_finite(part) & (part.lengths == width))
        kept = taken(row_hashes(usable.values, usable.lengths), wanted, left)
        found.append(usable.values.reshape(-1, width)[kept])
    return np.concatenate(found)
