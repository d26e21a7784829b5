import numpy as np
import pytest

from perennial.stats.display import BARS, BUCKETS, CATEGORIES, OTHERS, Bucket, buckets, histogram, summarise
from perennial.stats.samples import Categorical, numeric


def test_summary_by_hand():
    summary = summarise(numeric([1, 2, 3, 4, 5, np.nan]))
    assert summary is not None
    assert (summary.mean, summary.low, summary.high, summary.quartiles) == (3, 1, 5, (2, 3, 4))
    assert summary.spread == pytest.approx(np.sqrt(2))


def test_no_values_and_too_large_ones_have_no_summary():
    assert summarise(numeric([])) is None
    assert summarise(numeric([1e308, 1e308, -1e308])) is None


def test_ranges_hold_every_value_even_far_ones():
    reference = numeric(np.r_[np.random.default_rng(0).normal(size=1000), 1e9])
    bars = histogram(reference, numeric(np.random.default_rng(1).normal(1, 1, 1000)))
    assert bars is not None
    assert len(bars.reference) == len(bars.current) == BARS == len(bars.edges) - 1
    assert sum(bars.reference) == pytest.approx(1)
    assert sum(bars.current) == pytest.approx(1)
    assert bars.edges[-1] < 10


def test_few_distinct_numbers_have_a_bar_each_in_their_order():
    bars = histogram(numeric([10, 2, 2]), numeric([3, 10]))
    assert bars is not None
    assert bars.labels == ("2", "3", "10")
    assert bars.reference == pytest.approx((2 / 3, 0, 1 / 3))


def test_the_largest_categories_are_shown_and_rare_ones_stay_unnamed():
    many = {f"c{i:02}": 100 - i for i in range(20)}
    bars = histogram(Categorical({**many, "only me": 1}), Categorical(many))
    assert bars is not None
    assert len(bars.labels) == CATEGORIES + 1
    assert bars.labels[0] == "c00"
    assert bars.labels[-1] == OTHERS
    assert "only me" not in bars.labels
    assert sum(bars.reference) == pytest.approx(1)


def test_rare_categories_are_gathered_even_when_few():
    bars = histogram(Categorical({"a": 50, "only me": 1}), Categorical({"a": 50}))
    assert bars is not None
    assert bars.labels == ("a", OTHERS)


def test_what_cannot_be_drawn_is_none():
    assert histogram(numeric([]), numeric([1.0])) is None
    wide = numeric(np.arange(-20, 20) * 8e306)
    assert histogram(wide, wide) is None


def test_buckets_divide_the_range_evenly_and_hold_every_value():
    found = buckets(numeric([-5, 1, 2, 3, 9, 10, 40]), 0, 10)
    assert len(found) == BUCKETS
    assert [(bucket.low, bucket.high) for bucket in found] == [(edge, edge + 1) for edge in range(10)]
    assert [bucket.count for bucket in found] == [2, 1, 1, 0, 0, 0, 0, 0, 1, 2]


def test_a_bucket_with_too_few_values_is_joined_with_its_neighbour():
    found = buckets(numeric([*[0.5] * 5, 1.5, *[2.5] * 7, *[9.5] * 3]), 0, 10, least=5)
    assert [bucket.count for bucket in found if bucket.count] == [5, 11]
    assert (found[0], found[-1]) == (Bucket(0, 1, 5), Bucket(1, 10, 11))


@pytest.mark.parametrize(("low", "high"), [(3, 3), (-1e308, 1e308)])
def test_a_range_that_cannot_be_divided_is_one_bucket(low, high):
    assert buckets(numeric([3, 3, 3]), low, high) == (Bucket(low, high, 3),)
