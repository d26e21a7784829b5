import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.stats.samples import Categorical, as_categories, merged, numeric, quantiles
from perennial.stats.text import number_text


def test_values_are_sorted_and_what_cannot_be_compared_is_counted():
    sample = numeric([3.0, np.nan, -np.inf, 1.0, np.inf, 2.0])
    assert sample.values.tolist() == [1.0, 2.0, 3.0]
    assert (sample.missing, sample.infinite, sample.size, sample.rows) == (1, 2, 3, 6)
    assert sample.missing_share == 0.5


def test_a_column_of_nothing_but_missing_values_is_a_sample_of_size_zero():
    sample = numeric([np.nan, np.nan])
    assert (sample.size, sample.rows, sample.missing_share, sample.distinct) == (0, 2, 1.0, 0)
    assert numeric([]).missing_share == 0.0


def test_distinct_values_are_counted():
    assert numeric([1, 1, 2, 2, 3]).distinct == 3
    assert numeric([7.5]).distinct == 1


def test_text_is_no_number():
    with pytest.raises(ValueError, match="could not convert"):
        numeric(np.array(["a"]))


def test_numbers_become_categories_in_ascending_order():
    sample = as_categories(numeric([10.0, 2.0, 2.0, np.nan, 0.5]))
    assert list(sample.counts.items()) == [("0.5", 1), ("2", 2), ("10", 1)]
    assert (sample.missing, sample.size, sample.rows, sample.distinct) == (1, 4, 5, 3)


@pytest.mark.parametrize(("value", "text"), [(1.0, "1"), (-0.0, "0"), (0.1, "0.1"), (1e300, "1e+300"), (-3.0, "-3")])
def test_whole_numbers_are_named_without_a_point(value, text):
    assert number_text(value) == text


def test_missing_share_of_categories():
    assert Categorical({"a": 3}, missing=1).missing_share == 0.25
    assert Categorical({}).missing_share == 0.0


floats = st.lists(st.integers(-5, 5).map(float) | st.floats(-1e9, 1e9), min_size=1, max_size=60)


@given(floats, floats)
def test_merging_is_sorting_and_counts_the_first(first, second):
    values, upto = merged(np.sort(np.array(first)), np.sort(np.array(second)))
    assert values.tolist() == sorted([*first, *second])
    assert upto[-1] == len(first)
    last = np.r_[np.diff(values) > 0, True]
    assert upto[last].tolist() == [sum(item <= value for item in first) for value in values[last]]


@given(floats, st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_quantiles_are_numpys(sample, levels):
    values = np.sort(np.array(sample))
    assert quantiles(values, levels) == pytest.approx(np.quantile(values, levels), rel=1e-9, abs=1e-6)
