"""Comparison of embeddings: power, false alarms, the null by permutation, and independence of order and units."""

import numpy as np
import pytest

from perennial.stats.embedding import LEAST_ROWS, embedding_shift

SCALES = np.arange(1, 49) ** -0.5
"""Standard deviations of 48 numbers: as of embeddings, few directions hold most of the variance."""


def embeddings(random, rows, weights=None, spread=1.0):
    """Return rows of five topics."""
    topics = np.random.default_rng(3).normal(size=(5, SCALES.size)) * SCALES * 2
    return topics[random.choice(5, rows, p=weights)] + spread * random.normal(size=(rows, SCALES.size)) * SCALES


def test_without_a_change_there_is_no_alarm_and_p_values_are_uniform():
    random = np.random.default_rng(1)
    found = [embedding_shift(embeddings(random, 70), embeddings(random, 50), seed) for seed in range(50)]
    below = sum(item.p_value <= 0.2 for item in found)
    assert 2 <= below <= 20  # 10 expected, with a standard deviation of 2.8
    assert not any(item.significant for item in found)


@pytest.mark.parametrize(
    ("change", "least"),
    [({"weights": [0.6, 0.1, 0.1, 0.1, 0.1]}, 0.6), ({"spread": 1.3}, 0.6)],
    ids=["other topics", "wider spread"],
)
def test_a_change_of_topics_or_of_the_spread_is_found(change, least):
    random = np.random.default_rng(2)
    found = embedding_shift(embeddings(random, 400), embeddings(random, 300, **change), 1)
    assert found.significant
    assert found.auc > max(least, found.chance)


def test_the_area_is_that_of_two_normal_distributions():
    random = np.random.default_rng(4)
    shift = np.zeros(8)
    shift[5] = 1.0
    found = embedding_shift(random.normal(size=(1500, 8)), random.normal(size=(1500, 8)) + shift, 1)
    assert found.auc == pytest.approx(0.760, abs=0.03)  # Φ(1/√2)
    assert found.components == 8


def test_neither_order_nor_units_nor_an_outlier_decide():
    random = np.random.default_rng(5)
    before, now = embeddings(random, 200), embeddings(random, 150, weights=[0.5, 0.2, 0.1, 0.1, 0.1])
    plain = embedding_shift(before, now, 1)
    assert embedding_shift(random.permutation(before), random.permutation(now), 1) == plain
    wild = np.vstack([now, np.full(SCALES.size, 1e308)])
    assert embedding_shift(before, wild, 1).auc == pytest.approx(plain.auc, abs=0.1)
    assert embedding_shift(before * 1e-9, now * 1e-9, 1).auc == pytest.approx(plain.auc, abs=0.1)


def test_longer_embeddings_than_rows_are_compared():
    random = np.random.default_rng(6)
    before, now = random.normal(size=(60, 300)), random.normal(size=(60, 300))
    assert not embedding_shift(before, now, 1).significant
    assert embedding_shift(before, now + 0.5, 1).significant


def test_rows_that_are_all_alike_show_nothing_and_too_few_are_refused():
    alike = np.ones((LEAST_ROWS, 4))
    found = embedding_shift(alike, alike, 1)
    assert (found.auc, found.p_value, found.significant) == (0.5, 1.0, False)
    with pytest.raises(ValueError, match="each side needs 10 rows"):
        embedding_shift(alike, alike[1:], 1)


def test_equal_rows_on_both_sides_are_no_difference():
    rows = np.random.default_rng(7).normal(size=(100, 6))
    assert not embedding_shift(rows, np.repeat(rows, 3, axis=0), 1).significant
