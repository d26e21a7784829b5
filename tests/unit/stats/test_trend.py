import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from perennial.stats.trend import concordance, p_value, trend_of


@pytest.mark.parametrize(
    ("values", "trend"),
    [
        ([0.0, 0.1, 0.2, 0.3, 0.4], "Rising"),
        ([0.4, 0.3, 0.2, 0.1, 0.0], "Falling"),
        ([0.0, 0.0, 0.0, 0.0, 0.9], "Steady"),
        ([0.2] * 14, "Steady"),
        ([0.1, 0.3, 0.1, 0.3, 0.1, 0.3, 0.1], "Steady"),
        ([0.0] * 7 + [0.5] * 7, "Rising"),
        ([], "Steady"),
    ],
)
def test_the_direction_of_a_series(values, trend):
    assert trend_of(values) == trend


@given(st.lists(st.integers(0, 4).map(float), min_size=2, max_size=14))
def test_a_reversed_series_has_the_opposite_direction(values):
    opposite = {"Rising": "Falling", "Falling": "Rising", "Steady": "Steady"}
    assert trend_of(values[::-1]) == opposite[trend_of(values)]
    assert 0 <= p_value(values) <= 1


@given(st.lists(st.integers(0, 5).map(float), min_size=5, max_size=14).filter(lambda values: len(set(values)) > 1))
def test_the_sign_is_that_of_kendalls_tau(values):
    tau = kendalltau(range(len(values)), values).statistic
    assert (tau > 0) == (concordance(values) > 0)
    assert (tau < 0) == (concordance(values) < 0)


def test_the_p_value_is_that_of_a_published_table():
    """N = 8 without ties, S = 16: 2 * 0.031 in the exact table of Kendall (1975); the normal value is near it."""
    values = [1.0, 2.0, 3.0, 4.0, 8.0, 7.0, 6.0, 5.0]
    assert concordance(values) == 16
    assert p_value(values) == pytest.approx(0.062, abs=0.006)


@pytest.mark.parametrize("length", [5, 8, 14])
def test_a_series_without_a_trend_is_rarely_given_one(length):
    draw = np.random.default_rng(length)
    found = sum(trend_of((draw.integers(0, 7, length) / 20).tolist()) != "Steady" for _ in range(2000))
    assert found / 2000 <= 0.06
