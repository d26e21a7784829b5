import numpy as np
import pytest

from perennial.stats.samples import Categorical, as_categories, number_text, numeric


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
