"""Hashes of rows, and samples that depend on the content of the rows only."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perennial.stats.vectors import row_hashes, sample, taken

ROWS = st.lists(st.lists(st.sampled_from([-1.5, -0.0, 0.0, 1.0, 3e300]), min_size=1, max_size=4), max_size=40)


def hashes(rows):
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    return row_hashes(np.array([value for row in rows for value in row]), lengths)


@given(ROWS)
def test_rows_have_equal_hashes_exactly_if_they_are_equal(rows):
    found = hashes(rows).tolist()
    assert len(set(found)) == len({tuple(row) for row in rows})
    assert found == [hashes([row]).item() for row in rows]  # wherever the row stands


@settings(max_examples=50)
@given(ROWS, st.integers(1, 50), st.randoms(use_true_random=False), st.integers(1, 7))
def test_neither_order_nor_chunks_change_the_sample(rows, most, random, size):
    def picked(given):
        wanted, left = sample(hashes(given), most)
        chunks = [given[at : at + size] for at in range(0, len(given), size)]
        kept = [row for chunk in chunks for row, keep in zip(chunk, taken(hashes(chunk), wanted, left), strict=True)
                if keep]  # fmt: skip
        assert not left.any()
        return sorted(kept)

    shuffled = random.sample(rows, len(rows))
    assert picked(rows) == picked(shuffled)
    assert len(picked(rows)) == min(most, len(rows))


def test_a_frequent_row_is_sampled_as_often_as_its_share():
    rows = np.concatenate([np.full(3000, 7.0), np.random.default_rng(1).normal(size=7000)])
    found = row_hashes(rows, np.ones(10_000, dtype=np.int64))
    wanted, counts = sample(found, 1000)
    assert counts[wanted == found[0]].sum() == pytest.approx(300, abs=60)  # standard deviation 14
    assert counts.sum() == 1000
