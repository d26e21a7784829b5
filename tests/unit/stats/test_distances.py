import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from perennial.stats.distances import (
    hellinger,
    jensen_shannon,
    l_infinity,
    normed_wasserstein,
    psi,
    robust,
    wasserstein,
)

CLOSE = {"rel": 1e-9, "abs": 1e-9}
values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60).map(lambda items: np.sort(np.array(items)))
cells = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=1, max_size=20).filter(
    lambda pairs: sum(first for first, _ in pairs) > 0 and sum(second for _, second in pairs) > 0
)


def sides(pairs):
    table = np.array(pairs, dtype=np.int64)
    return table[:, 0], table[:, 1]


def test_psi_by_hand():
    expected = (0.25 - 0.5) * np.log(0.25 / 0.5) + (0.75 - 0.5) * np.log(0.75 / 0.5)
    assert psi(np.array([50, 50]), np.array([5, 15])) == pytest.approx(expected, **CLOSE)


def test_psi_adds_half_a_row_to_each_cell_when_one_is_empty():
    r, c = np.array([10.5, 0.5]) / 11, np.array([5.5, 5.5]) / 11
    expected = float(np.sum((c - r) * np.log(c / r)))
    assert psi(np.array([10, 0, 0]), np.array([5, 5, 0])) == pytest.approx(expected, **CLOSE)


@given(cells)
def test_psi_is_symmetric_finite_and_never_negative(pairs):
    reference, current = sides(pairs)
    score = psi(reference, current)
    assert 0 <= score < np.inf
    assert score == pytest.approx(psi(current, reference), **CLOSE)


@given(cells)
def test_jensen_shannon_is_scipys_and_a_bounded_symmetric_distance(pairs):
    reference, current = sides(pairs)
    score = jensen_shannon(reference, current)
    assert 0 <= score <= 1
    assert score == pytest.approx(jensen_shannon(current, reference), **CLOSE)
    with np.errstate(invalid="ignore"):
        theirs = jensenshannon(reference, current, base=2)
    # scipy takes the root of a rounding error where the sides are equal, and gives nan when it is negative
    assert score**2 == pytest.approx(0.0 if np.isnan(theirs) else theirs**2, **CLOSE)


@given(cells, st.integers(2, 5))
def test_both_are_zero_for_the_same_shares(pairs, factor):
    reference, _ = sides(pairs)
    assert psi(reference, reference * factor) == pytest.approx(0, abs=1e-2 if (reference == 0).any() else 1e-12)
    assert jensen_shannon(reference, reference * factor) == pytest.approx(0, abs=1e-7)


def test_cells_that_both_leave_empty_change_nothing():
    assert psi(np.array([3, 0, 7]), np.array([30, 0, 70])) == pytest.approx(0, abs=1e-15)
    assert psi(np.array([0, 9]), np.array([0, 4])) == 0


def test_disjoint_sides_are_one_bit_apart():
    assert jensen_shannon(np.array([5, 0]), np.array([0, 9])) == pytest.approx(1)


@pytest.mark.parametrize("measure", [psi, jensen_shannon])
def test_counts_must_match_and_hold_rows(measure):
    with pytest.raises(ValueError, match="different cells"):
        measure(np.array([1, 2]), np.array([1, 2, 3]))
    with pytest.raises(ValueError, match="no rows"):
        measure(np.array([1, 2]), np.array([0, 0]))


@given(values, values)
def test_wasserstein_is_scipys_and_symmetric(first, second):
    score = wasserstein(first, second)
    assert score == pytest.approx(stats.wasserstein_distance(first, second), **CLOSE)
    assert score == pytest.approx(wasserstein(second, first), **CLOSE)
    assert wasserstein(first, first) == 0


@given(values, st.floats(0, 1e3))
def test_wasserstein_of_a_shift_is_the_shift(sample, shift):
    assert wasserstein(sample, sample + shift) == pytest.approx(shift, rel=1e-6, abs=1e-6)


def test_normed_wasserstein_counts_in_reference_standard_deviations():
    sample = np.sort(np.random.default_rng(1).normal(3, 2, 500))
    score = normed_wasserstein(sample, sample + np.std(sample))
    assert score == pytest.approx(1, rel=1e-9)


def test_a_constant_reference_meets_the_floor():
    assert normed_wasserstein(np.full(9, 5.0), np.full(3, 5.0)) == 0
    assert normed_wasserstein(np.full(9, 5.0), np.full(3, 6.0)) == pytest.approx(1000)


def test_values_near_the_largest_float_do_not_overflow():
    sample = np.array([-1e300, 0.0, 1e300])
    assert normed_wasserstein(sample, sample) == 0
    assert 0 < normed_wasserstein(sample, sample / 2) < 1


@pytest.mark.parametrize("measure", [wasserstein, normed_wasserstein])
def test_a_distance_needs_values(measure):
    with pytest.raises(ValueError, match="both sides"):
        measure(np.array([]), np.array([1.0]))


@given(cells)
def test_hellinger_and_the_largest_gap_are_their_formulas(pairs):
    reference, current = sides(pairs)
    r, c = reference / reference.sum(), current / current.sum()
    overlap = float(np.sum(np.sqrt(r * c)))
    assert hellinger(reference, current) ** 2 == pytest.approx(1 - overlap, **CLOSE)
    assert l_infinity(reference, current) == pytest.approx(np.abs(r - c).max(), **CLOSE)
    # total variation lies between the squared Hellinger distance and sqrt(2) times it
    variation = np.abs(r - c).sum() / 2
    assert hellinger(reference, current) ** 2 <= variation + 1e-9 <= np.sqrt(2) * hellinger(reference, current) + 2e-9


def test_sides_that_share_no_cell_are_as_far_apart_as_can_be():
    assert hellinger(np.array([5, 0]), np.array([0, 9])) == 1
    assert l_infinity(np.array([5, 0]), np.array([0, 9])) == 1


def test_the_robust_gap_forgives_what_chance_makes():
    assert robust(0.2, 100, 100) == 0
    assert robust(0.2, 10_000, 10_000) == pytest.approx(0.2 - 1.8 * np.sqrt(2e-4), **CLOSE)
