"""Chance must hardly ever call a column of one of many segments drifted."""

import numpy as np
import pytest

from perennial.stats.compare import compare
from perennial.stats.missing import missing_change
from perennial.stats.samples import Categorical, numeric

SEGMENTS, REPEATS = 20, 15


def categories(values):
    names, counts = np.unique(values, return_counts=True)
    return Categorical({str(name): int(amount) for name, amount in zip(names, counts, strict=True)})


@pytest.mark.parametrize("method", ["auto", "psi", "hellinger", "wasserstein", "ks", "chi2"])
def test_unchanged_segments_hardly_ever_have_a_drifted_column(method):
    generator = np.random.default_rng(11)
    drifted = 0
    for _ in range(REPEATS * SEGMENTS):
        numbers = (numeric(generator.normal(size=size)) for size in (400, 200))
        groups = (categories(generator.choice(5, size, p=[0.4, 0.3, 0.15, 0.1, 0.05])) for size in (400, 200))
        drifted += sum(compare(*pair, method=method, comparisons=SEGMENTS).drifted for pair in (numbers, groups))
    assert drifted <= 1  # 0.03 are expected of 600


def test_the_more_segments_the_larger_the_change_that_counts():
    generator = np.random.default_rng(3)
    sides = numeric(generator.normal(size=200)), numeric(generator.normal(0.5, size=200))
    alone, among = compare(*sides), compare(*sides, comparisons=20)
    assert (alone.score, alone.drifted) == (among.score, True)
    assert among.threshold > alone.threshold


def test_missing_values_are_held_to_the_same_rule():
    before = Categorical({"a": 200}, missing=0)
    now = Categorical({"a": 188}, missing=12)
    assert missing_change(before, now) is not None
    assert missing_change(before, now, comparisons=100) is None
