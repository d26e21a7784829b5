import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from perennial.stats.binning import Table, merge_rare, tabulated
from perennial.stats.samples import Categorical
from perennial.stats.significance import chi_square, homogeneity, kolmogorov_smirnov

CLOSE = {"rel": 1e-9, "abs": 1e-9}
few_values = st.integers(-5, 5).map(float)
values = st.lists(st.one_of(few_values, st.floats(-1e6, 1e6)), min_size=1, max_size=60).map(
    lambda items: np.sort(np.array(items))
)
cells = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=15).filter(
    lambda pairs: all(a + b > 0 for a, b in pairs) and sum(a for a, _ in pairs) > 0 and sum(b for _, b in pairs) > 0
)


@pytest.mark.filterwarnings("ignore:ks_2samp. Exact calculation:RuntimeWarning")
@given(values, values)
def test_kolmogorov_smirnov_of_small_samples_is_scipys_exact_one_ties_included(first, second):
    ours = kolmogorov_smirnov(first, second)
    theirs = stats.ks_2samp(first, second, method="exact")
    assert ours.statistic == pytest.approx(theirs.statistic, **CLOSE)
    assert ours.p_value == pytest.approx(theirs.pvalue, **CLOSE)
    assert ours == kolmogorov_smirnov(second, first)


@given(st.integers(0, 2**32 - 1), st.integers(101, 400), st.integers(101, 400), st.floats(0, 1), st.booleans())
def test_kolmogorov_smirnov_of_larger_samples_is_scipys_asymptotic_one(seed, n, m, shift, ties):
    generator = np.random.default_rng(seed)
    first, second = np.sort(generator.normal(size=n)), np.sort(generator.normal(shift, 1, m))
    if ties:
        first, second = np.round(first, 1), np.round(second, 1)
    ours = kolmogorov_smirnov(first, second)
    theirs = stats.ks_2samp(first, second, method="asymp")
    assert ours.statistic == pytest.approx(theirs.statistic, **CLOSE)
    assert ours.p_value == pytest.approx(theirs.pvalue, **CLOSE)


def test_identical_samples_are_never_suspicious():
    sample = np.arange(100.0)
    assert kolmogorov_smirnov(sample, sample).p_value == 1
    assert kolmogorov_smirnov(np.full(7, 3.0), np.full(9000, 3.0)).p_value == 1


def test_a_larger_shift_is_never_less_significant():
    sample = np.sort(np.random.default_rng(2).normal(size=300))
    results = [kolmogorov_smirnov(sample, sample + shift) for shift in (0, 0.1, 0.3, 1.0, 10.0)]
    distances = [result.statistic for result in results]
    assert distances == sorted(distances)
    assert distances[-1] == 1
    assert [result.p_value for result in results] == sorted((result.p_value for result in results), reverse=True)


def test_huge_samples_keep_a_valid_p_value():
    generator = np.random.default_rng(3)
    same = kolmogorov_smirnov(np.sort(generator.random(1_000_000)), np.sort(generator.random(1_000_000)))
    assert 0.001 < same.p_value <= 1
    assert kolmogorov_smirnov(np.sort(generator.random(10**6)), np.sort(generator.random(10**6) + 0.05)).p_value == 0


def test_a_handful_of_values_proves_nothing():
    assert kolmogorov_smirnov(np.array([1.0]), np.array([1.0])).p_value == 1
    assert kolmogorov_smirnov(np.array([1.0]), np.array([2.0])).p_value == 1
    assert kolmogorov_smirnov(np.arange(3.0), np.arange(3.0) + 9).p_value == pytest.approx(0.1)


@given(cells)
def test_chi_square_is_scipys(pairs):
    table = np.array(pairs, dtype=np.int64)
    ours = chi_square(table[:, 0], table[:, 1])
    theirs = stats.chi2_contingency(table.T, correction=False)
    assert ours.statistic == pytest.approx(theirs.statistic, **CLOSE)
    assert ours.p_value == pytest.approx(theirs.pvalue, **CLOSE)


def test_chi_square_takes_new_and_vanished_categories():
    result = chi_square(np.array([50, 50, 0]), np.array([50, 0, 50]))
    assert np.isfinite(result.statistic)
    assert result.p_value < 1e-10


def test_a_single_category_cannot_change():
    assert chi_square(np.array([5, 0]), np.array([9, 0])).p_value == 1


@pytest.mark.parametrize("call", [lambda: kolmogorov_smirnov(np.array([]), np.array([1.0]))])
def test_a_test_needs_values(call):
    with pytest.raises(ValueError, match="both sides"):
        call()


def test_counts_must_match_and_hold_rows():
    with pytest.raises(ValueError, match="different cells"):
        chi_square(np.array([1, 2]), np.array([1, 2, 3]))
    with pytest.raises(ValueError, match="no rows"):
        chi_square(np.array([1, 2]), np.array([0, 0]))


def test_one_stray_row_beside_a_huge_reference_is_no_proof():
    table = merge_rare(tabulated(Categorical({"a": 10_000, "typo": 100}), Categorical({"a": 59, "tpyo": 1})))
    result = homogeneity(table)
    fisher = stats.fisher_exact([[100, 10_000], [1, 59]]).pvalue
    assert result.p_value == pytest.approx(min(1.0, 2 * fisher))
    assert result.p_value > 0.5


def test_a_new_category_stays_visible_though_gathered():
    table = merge_rare(tabulated(Categorical({"a": 999_999, "b": 1}), Categorical({"a": 55, "new": 5})))
    assert table.rare
    assert homogeneity(table).p_value < 1e-9


def test_gathered_cells_alone_on_a_side_are_tested_exactly():
    table = Table(("a", "(rare)"), np.array([10, 0]), np.array([0, 4]), rare=True)
    assert homogeneity(table).p_value == pytest.approx(stats.fisher_exact([[0, 10], [4, 0]]).pvalue)
