"""Hashes of rows of numbers, by which rows are sampled and ordered without regard to where they were found."""

import numpy as np
from numpy.typing import NDArray

from perennial.stats.samples import Counts, Floats

Hashes = NDArray[np.uint64]

_SEED = 20_017
_SHIFT, _GOLDEN = np.uint64(29), np.uint64(0x9E3779B97F4A7C15)
_MIXES = ((np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)), (np.uint64(27), np.uint64(0x94D049BB133111EB)))
_LAST = np.uint64(31)


def row_hashes(values: Floats, lengths: Counts) -> Hashes:
    """Return a hash of each row, shape (n,): equal rows have equal ones, others differ but once in 2^64 pairs.

    Args:
        values: the numbers of all rows, one row after the other, shape (sum of lengths,).
        lengths: numbers of each row, at least 1, shape (n,).
    """
    if not lengths.size:
        return np.empty(0, dtype=np.uint64)
    starts = np.cumsum(lengths) - lengths
    places = np.arange(values.size) - np.repeat(starts, lengths)
    weights = np.random.default_rng(_SEED).integers(2**64, size=int(lengths.max()), dtype=np.uint64) | np.uint64(1)
    bits = (values + 0.0).view(np.uint64)  # minus zero becomes zero
    # The sum of weighted words is a universal hash; numbers that were float32 have zeros in their lower half.
    terms = (bits ^ (bits >> _SHIFT)) * weights[places]
    return _mixed(np.add.reduceat(terms, starts) + lengths.astype(np.uint64) * _GOLDEN)


def sample(hashes: Hashes, most: int) -> tuple[Hashes, Counts]:
    """Choose at most `most` rows by their content: return the different hashes, ascending, and how often each is taken.

    The k-th of equal rows has a random number of its own, so that a frequent row is neither always nor never chosen:
    every row has the same chance. The order of the rows makes no difference.

    Args:
        hashes: of all rows, shape (n,).
        most: maximum number of rows.
    """
    ordered = np.sort(hashes)
    if ordered.size > most:
        first = np.searchsorted(ordered, ordered, "left")
        occurrence = (np.arange(ordered.size) - first + 1).astype(np.uint64)
        keys = _mixed(ordered ^ _mixed(occurrence * _GOLDEN))
        ordered = np.sort(ordered[np.argsort(keys, kind="stable")[:most]])
    found, counts = np.unique(ordered, return_counts=True)
    return found, counts.astype(np.int64)


def taken(hashes: Hashes, wanted: Hashes, left: Counts) -> NDArray[np.bool_]:
    """Return which rows to take, shape (n,): of each wanted hash as many as are left, which are then counted off.

    Args:
        hashes: of some rows, shape (n,).
        wanted: hashes to take, ascending.
        left: how many rows of each are still to be taken; reduced by those that are.
    """
    if not (wanted.size and hashes.size):
        return np.zeros(hashes.size, dtype=np.bool_)
    places = np.minimum(np.searchsorted(wanted, hashes), wanted.size - 1)
    kept = np.asarray(wanted[places] == hashes)
    rows = np.flatnonzero(kept)
    order = rows[np.argsort(places[rows], kind="stable")]
    sorted_places = places[order]
    occurrence = np.arange(order.size) - np.searchsorted(sorted_places, sorted_places, "left")
    kept[order[occurrence >= left[sorted_places]]] = False
    np.subtract.at(left, places[kept], 1)
    return kept


def _mixed(words: Hashes) -> Hashes:
    """Mix the bits of each word (the last step of SplitMix64)."""
    for shift, factor in _MIXES:
        words = (words ^ (words >> shift)) * factor
    return words ^ (words >> _LAST)
