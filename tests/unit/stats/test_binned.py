from functools import reduce
from random import Random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from perennial.stats import binned_methods, distances, noise, significance
from perennial.stats.binned import Binned, count, empty, finite_part, merge
from perennial.stats.compare import compare
from perennial.stats.display import histogram, summarise
from perennial.stats.grid import CELLS, Grid, extent, grid_of, merged_extent
from perennial.stats.methods import measure
from perennial.stats.samples import Categorical, numeric

ROWS = 40_000
SHAPES = {
    "normal": lambda g, n: g.normal(3, 2, n),
    "far from zero": lambda g, n: g.normal(1.7e9, 1e3, n),
    "uniform": lambda g, n: g.uniform(-1, 1, n),
    "exponential": lambda g, n: g.exponential(2, n),
    "log-normal": lambda g, n: g.lognormal(8, 1.5, n),
    "Student's t": lambda g, n: g.standard_t(2, n),
    "Cauchy": lambda g, n: g.standard_cauchy(n),
    "Pareto": lambda g, n: g.pareto(1.1, n),
    "two modes": lambda g, n: np.where(g.random(n) < 0.5, g.normal(-4, 1, n), g.normal(4, 1, n)),
    "counts": lambda g, n: g.poisson(20, n).astype(float),
    "years": lambda g, n: g.integers(1950, 2026, n).astype(float),
    "tiny": lambda g, n: g.normal(0, 1e-200, n),
    "huge": lambda g, n: g.normal(0, 1e200, n),
}
METHODS = ("auto", "psi", "js", "hellinger", "chi2", "linf", "linf-robust", "ks", "wasserstein")


def grid_for(values, rows=ROWS):
    kept, _, _ = finite_part(np.asarray(values, dtype=float))
    return grid_of(extent(kept, rows))


def both(reference, current):
    grid = grid_for(reference, len(reference))
    return count(reference, grid), count(current, grid)


def same(first: Binned, second: Binned) -> bool:
    # A sum of 1e150, 1 and -1e150 is 0 or 1 by the order: a mean is as exact as the largest value allows.
    largest = max((abs(value) for value in (first.low, first.high) if np.isfinite(value)), default=1.0)
    rough = np.isclose(first.mean, second.mean, rtol=1e-9, atol=1e-9 * max(1.0, largest))
    rough = rough and np.isclose(first.squares, second.squares, rtol=1e-9, atol=1e-9)
    exact = ("grid", "low", "high", "missing", "infinite", "fractional", "less", "greater")
    equal = all(getattr(first, name) == getattr(second, name) for name in exact)
    return bool(rough and equal and (first.counts == second.counts).all())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("moved", [0.0, 0.1])
def test_every_statistic_is_within_its_bound_of_the_sorted_samples(shape, moved):
    generator = np.random.default_rng(5)
    reference, current = SHAPES[shape](generator, ROWS), SHAPES[shape](generator, ROWS)
    low, high = np.quantile(reference, [0.25, 0.75])
    step = (high - low) * moved
    current = current + (np.ceil(step) if float(reference[0]).is_integer() else step)
    before, now = both(reference, current)
    first, second = numeric(reference), numeric(current)
    exact = significance.largest_gap(first.values, second.values)
    gap, error = binned_methods.largest_gap(before, now), binned_methods.error(before, now)
    assert gap - 1e-12 <= exact <= gap + error + 1e-12
    assert error <= 0.002
    for name in ("psi", "js", "hellinger"):
        score = measure(name, before, now)
        wanted = measure(name, first, second)
        assert score.score == pytest.approx(wanted.score, rel=0.02, abs=0.002), name
        assert score.chance == pytest.approx(wanted.chance, rel=0.01), name
    for name in METHODS:
        assert compare(before, now, method=name).drifted == compare(first, second, method=name).drifted, name


@pytest.mark.parametrize("shape", ["normal", "far from zero", "exponential", "counts", "two modes"])
def test_distance_quantiles_and_spread_are_those_of_the_sample_within_a_cell(shape):
    generator = np.random.default_rng(6)
    reference, current = SHAPES[shape](generator, ROWS), SHAPES[shape](generator, ROWS) + 1
    before, now = both(reference, current)
    wanted = distances.normed_wasserstein(np.sort(reference), np.sort(current))
    assert binned_methods.normed_wasserstein(before, now) == pytest.approx(wanted, rel=0.02, abs=0.002)
    chance = noise.wasserstein_noise(np.sort(reference), np.sort(current))
    assert binned_methods.wasserstein_noise(before, now) == pytest.approx(chance, rel=0.05)
    levels = [0.005, 0.25, 0.5, 0.75, 0.995]
    assert now.quantiles(levels) == pytest.approx(np.quantile(current, levels), abs=0.02 * np.std(current))
    summary = summarise(now)
    assert summary is not None
    assert (summary.low, summary.high) == (current.min(), current.max())
    assert (summary.mean, summary.spread) == pytest.approx((np.mean(current), np.std(current)), rel=1e-9)
    assert float(stats.kstwo.sf(0.5, 10)) == pytest.approx(significance.gap_significance(0.5, 20, 20).p_value)


def test_whole_numbers_are_counted_exactly():
    generator = np.random.default_rng(7)
    reference, current = generator.integers(0, 900, ROWS).astype(float), generator.integers(5, 990, ROWS).astype(float)
    before, now = both(reference, current)
    assert before.grid.whole
    assert binned_methods.error(before, now) == 0
    assert binned_methods.largest_gap(before, now) == pytest.approx(
        significance.largest_gap(np.sort(reference), np.sort(current)), abs=1e-12
    )
    assert before.distinct == np.unique(reference).size
    assert binned_methods.as_categories(before).counts == {
        str(int(value)): int(amount) for value, amount in zip(*np.unique(reference, return_counts=True), strict=True)
    }


def test_flags_are_compared_and_shown_as_categories():
    before, now = both(np.repeat([0.0, 1.0], 500), np.repeat([0.0, 1.0], [300, 700]))
    result = compare(before, now)
    assert (result.method, result.drifted) == ("js", True)
    shown = histogram(before, now)
    assert shown is not None
    assert (shown.labels, shown.current) == (("0", "1"), (0.3, 0.7))


def test_values_between_whole_numbers_or_far_beyond_them_are_no_categories():
    before, now = both(np.repeat([0.0, 1.0], 500), np.repeat([0.5, 1e6], 500))
    assert (now.fractional, now.exact) == (500, False)
    assert binned_methods.error(before, now) > 0
    with pytest.raises(ValueError, match="several values"):
        binned_methods.as_categories(now)


def test_any_change_of_a_constant_is_seen():
    before, now = both(np.full(1000, 7.25), np.full(1000, 7.2500001))
    assert compare(before, now).score == 1
    assert not compare(before, before).drifted


def test_the_histogram_of_ranges_is_that_of_the_sample():
    generator = np.random.default_rng(8)
    reference, current = generator.normal(0, 1, ROWS), generator.normal(0.5, 1, ROWS)
    before, now = both(reference, current)
    drawn, wanted = histogram(before, now), histogram(numeric(reference), numeric(current))
    assert drawn is not None
    assert wanted is not None
    assert drawn.edges == pytest.approx(wanted.edges, abs=0.01)
    assert drawn.current == pytest.approx(wanted.current, abs=0.002)


def test_unusable_values_are_counted_and_limits_exactly():
    values = np.array([1.5, np.nan, np.inf, -np.inf, -2.0, 4.0, np.nan])
    sample = count(values, grid_for(values), limits=(0.0, 4.0))
    assert (sample.size, sample.missing, sample.infinite, sample.rows) == (3, 2, 2, 7)
    assert (sample.less, sample.greater) == ({0.0: 1, 4.0: 2}, {0.0: 2, 4.0: 0})
    assert sample.missing_share == pytest.approx(4 / 7)


def test_a_column_without_values_has_a_summary_of_none():
    grid = grid_for([])
    nothing = count(np.array([np.nan, np.inf]), grid)
    assert (nothing.size, nothing.rows, nothing.distinct, summarise(nothing)) == (0, 2, 0, None)
    assert same(merge(nothing, empty(grid)), nothing)


def test_counts_of_different_grids_are_not_added():
    with pytest.raises(ValueError, match="different grids"):
        merge(empty(Grid(0, 1)), empty(Grid(1, 1)))


VALUES = st.lists(
    st.one_of(
        # Squares of larger numbers overflow: such columns are compared value by value.
        st.floats(-1e150, 1e150),
        st.sampled_from([float("nan"), float("inf"), float("-inf")]),
        st.integers(-50, 50).map(float),
        st.floats(-3, 3),
    ),
    min_size=0,
    max_size=300,
)


@settings(deadline=None)
@given(VALUES, st.randoms(use_true_random=False), st.integers(1, 40))
@example([1e150, -1e150, 1.0], Random(1), 1)  # noqa: S311 - a shuffle
def test_neither_row_order_nor_chunks_nor_merge_order_change_a_result(values, random, size):
    rows = np.array(values, dtype=float)
    shuffled = rows.copy()
    random.shuffle(shuffled)
    chunks = [shuffled[at : at + size] for at in range(0, max(1, shuffled.size), size)]
    found = [extent(finite_part(chunk)[0], rows.size) for chunk in chunks]
    random.shuffle(found)
    grid = grid_of(reduce(merged_extent, found))
    assert grid == grid_for(rows, rows.size)
    parts = [count(chunk, grid, (0.0, 1.5)) for chunk in chunks]
    random.shuffle(parts)
    assert same(reduce(merge, parts), count(rows, grid, (0.0, 1.5)))


@settings(deadline=None)
@given(VALUES.filter(len), st.floats(-100, 100), st.floats(1e-6, 1e6), st.booleans())
def test_cells_ascend_and_edges_separate_them(values, center, width, whole):
    kept = np.sort(finite_part(np.array(values, dtype=float))[0])
    grid = Grid(float(round(center)) if whole else center, 1.0 if whole else width, whole=whole)
    cells = grid.cells_of(kept)
    assert (np.diff(cells) >= 0).all()
    assert ((cells >= 0) & (cells < CELLS)).all()
    edges = grid.edges()
    assert edges.size == CELLS - 1
    assert (np.diff(edges) > 0).all()
    middles = (edges[1:] + edges[:-1]) / 2
    assert (grid.cells_of(middles) == np.arange(1, CELLS - 1)).all()


def test_a_sample_by_hash_is_of_about_the_wanted_size_and_keeps_the_shape():
    values = np.random.default_rng(9).normal(100, 5, 500_000)
    sampled = extent(values, values.size).sampled
    assert 20_000 < sampled.size < 80_000
    assert np.quantile(sampled, [0.25, 0.5, 0.75]) == pytest.approx(np.quantile(values, [0.25, 0.5, 0.75]), abs=0.2)


def test_counts_and_categories_are_not_compared():
    before, _ = both(np.arange(100.0), np.arange(100.0))
    with pytest.raises(ValueError, match="categorical"):
        compare(before, Categorical({"a": 1}))
