"""Exact tests of shares agree with scipy, which the operator does not load."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from perennial.core.proportions import at_least, at_most, lower_bound, trials_for, upper_bound

CASES = [(0, 1), (1, 1), (0, 300), (3, 300), (5, 5), (17, 1000), (900, 1000), (120, 1_000_000), (400_000, 1_000_000)]
SHARES = [1e-6, 0.001, 0.01, 0.1, 0.5, 0.99]


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(("successes", "trials"), CASES)
def test_tails_are_those_of_the_binomial_distribution(successes: int, trials: int, share: float) -> None:
    wanted = stats.binom(trials, share)
    assert at_least(successes, trials, share) == pytest.approx(wanted.sf(successes - 1), rel=1e-8, abs=1e-14)
    assert at_most(successes, trials, share) == pytest.approx(wanted.cdf(successes), rel=1e-8, abs=1e-14)


@pytest.mark.parametrize("risk", [0.05, 0.0005])
@pytest.mark.parametrize(("successes", "trials"), CASES)
def test_bounds_are_those_of_clopper_and_pearson(successes: int, trials: int, risk: float) -> None:
    wanted = stats.binomtest(successes, trials).proportion_ci(1 - 2 * risk, method="exact")
    assert lower_bound(successes, trials, risk) == pytest.approx(wanted.low, rel=1e-7, abs=1e-12)
    assert upper_bound(successes, trials, risk) == pytest.approx(wanted.high, rel=1e-7, abs=1e-12)


@given(st.integers(0, 200), st.integers(0, 200), st.floats(0, 1))
def test_tails_are_probabilities_that_complete_each_other(successes: int, more: int, share: float) -> None:
    trials = successes + more
    upper, lower = at_least(successes, trials, share), at_most(successes - 1, trials, share)
    assert 0 <= upper <= 1
    assert upper + lower == pytest.approx(1, abs=1e-9)


def test_trials_follow_from_the_gap_that_must_be_seen() -> None:
    assert trials_for(0.02, 0.01, 1.645) == 531
    assert trials_for(0.02, 0.01, 1.645, noise=1e-5) == 728
    assert trials_for(0.02, 0.01, 1.645, noise=1e-4) == inf
