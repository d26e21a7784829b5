import numpy as np
import pytest
from scipy import stats

from perennial.stats.compare import AUTO_THRESHOLDS, DEFAULT_THRESHOLDS, Comparison, choose, compare
from perennial.stats.distances import normed_wasserstein
from perennial.stats.noise import psi_noise
from perennial.stats.samples import Categorical, numeric


def normal(size, mean=0.0, seed=0):
    return numeric(np.random.default_rng(seed).normal(mean, 1, size))


@pytest.mark.parametrize("rows", [200, 999, 1000, 5000])
@pytest.mark.parametrize(
    ("draw", "method"),
    [
        (normal, "linf"),
        (lambda rows: Categorical({"a": rows // 2, "b": rows // 3}), "js"),
        (lambda rows: numeric([0, 1] * rows), "js"),
        (lambda rows: numeric(np.r_[normal(rows).values, -1e308, 1e308]), "linf"),
    ],
)
def test_auto_picks_by_kind_alone_so_that_no_number_of_rows_is_a_cliff(draw, method, rows):
    plan = choose(draw(rows), draw(5000))
    assert plan.method == method
    assert plan.why
    assert compare(draw(rows), draw(5000)).method == method


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("rows", [5000, 10_000, 100_000, 1_000_000])
def test_ten_points_between_two_categories_are_found_at_every_size(rows, seed):
    """With the former choice: 86 % found at 999 rows, 20 % at 1,000 and none at 100,000."""
    generator = np.random.default_rng(seed)
    before, after = generator.binomial(rows, 0.5), generator.binomial(rows, 0.6)
    result = compare(
        Categorical({"yes": int(before), "no": int(rows - before)}),
        Categorical({"yes": int(after), "no": int(rows - after)}),
    )
    assert result.drifted


@pytest.mark.parametrize("shape", ["standard_cauchy", "standard_t", "pareto", "lognormal"])
@pytest.mark.parametrize("method", ["auto", "wasserstein"])
def test_heavy_tails_raise_no_more_false_alarms_than_other_shapes(shape, method):
    generator = np.random.default_rng(11)
    parameters = {"standard_t": (2,), "pareto": (1.1,), "lognormal": (0, 1.5)}.get(shape, ())

    def draw():
        return numeric(getattr(generator, shape)(*parameters, size=1000))

    assert sum(compare(draw(), draw(), method=method).drifted for _ in range(300)) <= 3


def test_wasserstein_gives_way_where_far_values_make_the_deviation():
    far = numeric(np.r_[normal(2000).values, 1e12])
    for reference, current in ((far, normal(2000)), (normal(2000), far), (numeric(np.zeros(2000)), normal(2000))):
        result = compare(reference, current, method="wasserstein")
        assert result.method == "linf"
        assert "standard deviation" in result.why


@pytest.mark.parametrize("method", ["auto", "psi", "ks", "js", "wasserstein", "chi2"])
@pytest.mark.parametrize("size", [1, 2, 60, 3000])
def test_a_sample_has_not_drifted_from_itself(method, size):
    sample = normal(size)
    result = compare(sample, sample, method=method)
    assert not result.drifted
    assert np.isfinite(result.score)


@pytest.mark.parametrize("method", ["auto", "psi", "ks", "js", "wasserstein", "chi2"])
@pytest.mark.parametrize("size", [60, 3000])
def test_a_shift_of_three_standard_deviations_is_found_by_all(method, size):
    result = compare(normal(size), normal(size, mean=3, seed=1), method=method)
    assert result.drifted
    assert result.badness >= 1


@pytest.mark.parametrize("method", ["auto", "psi", "js", "chi2", "ks", "wasserstein"])
@pytest.mark.parametrize("rows", [80, 5000])
def test_changed_shares_of_categories_are_found_by_all(method, rows):
    before, after = Categorical({"a": rows, "b": rows}), Categorical({"a": rows // 4, "b": rows, "new": rows})
    assert compare(before, after, method=method).drifted


def test_with_many_rows_a_harmless_change_is_no_drift():
    first, second = normal(20_000), normal(20_000, mean=0.05, seed=4)
    assert compare(first, second, method="ks", threshold=0.05).drifted
    assert not compare(first, second).drifted


def test_scores_are_those_of_the_measures():
    first, second = normal(2000), normal(2000, mean=0.5, seed=5)
    by_distance = compare(first, second, method="wasserstein")
    assert by_distance.score == normed_wasserstein(first.values, second.values)
    theirs = stats.ks_2samp(first.values, second.values, method="asymp")
    ours = compare(first, second, method="ks")
    assert ours.score == pytest.approx(theirs.pvalue, abs=1e-12)
    assert ours.statistic == pytest.approx(theirs.statistic, abs=1e-12)


def test_a_default_threshold_rises_with_the_noise_of_small_samples():
    small = compare(normal(60), normal(60, seed=1), method="psi")
    assert small.threshold == psi_noise(60, 60, 10) > DEFAULT_THRESHOLDS["psi"]
    assert "noise level" in small.why
    assert compare(normal(9000), normal(9000, seed=1), method="psi").threshold == DEFAULT_THRESHOLDS["psi"]


def test_a_threshold_with_a_named_method_is_used_as_it_is():
    assert compare(normal(60), normal(60, seed=1), method="psi", threshold=0.01).threshold == 0.01
    assert compare(normal(60), normal(60, seed=1), method="ks", threshold=0.9999).drifted


def test_a_threshold_with_auto_is_the_smallest_change_and_rises_with_the_noise():
    assert compare(normal(9000), normal(9000, seed=1), threshold=0.3).threshold == 0.3
    assert compare(normal(1000), normal(1000, seed=1), threshold=0.0).threshold > 0.05
    assert compare(normal(1_000_000), normal(1_000_000, seed=1)).threshold == AUTO_THRESHOLDS["linf"]


@pytest.mark.parametrize("method", ["auto", "js", "hellinger", "linf"])
def test_a_handful_of_rows_can_tell_nothing(method):
    assert not compare(Categorical({"a": 1}), Categorical({"b": 1}), method=method).drifted
    assert not compare(numeric([1.0]), numeric([900.0]), method=method).drifted


def test_a_method_for_numbers_gives_way_on_categories():
    before, after = Categorical({"a": 50, "b": 50}), Categorical({"a": 60, "b": 40})
    by_test = compare(before, after, method="ks", threshold=0.05)
    assert (by_test.method, by_test.threshold) == ("chi2", 0.05)
    by_distance = compare(before, after, method="wasserstein", threshold=5)
    assert by_distance.method == "js"
    assert by_distance.threshold < 1


def test_distances_drift_at_the_threshold_and_p_values_below_it():
    same = Categorical({"a": 5000})
    assert compare(same, same, method="js", threshold=0.0).drifted
    assert not compare(same, same, method="chi2", threshold=1.0).drifted


def test_a_column_that_lost_its_values_has_drifted():
    result = compare(normal(100), numeric(np.full(100, np.nan)))
    assert (result.method, result.score, result.drifted) == ("missing", 1.0, True)
    assert compare(numeric(np.full(100, np.inf)), normal(100)).drifted
    assert compare(Categorical({"a": 9}), Categorical({}, missing=9)).drifted


def test_a_column_that_never_had_values_has_not_drifted():
    nothing = numeric(np.full(100, np.nan))
    assert not compare(nothing, nothing).drifted
    assert not compare(nothing, numeric(np.r_[np.full(999, np.nan), 1.0])).drifted


def test_infinities_and_gaps_do_not_disturb_the_rest():
    clean = normal(500)
    dirty = numeric(np.r_[np.random.default_rng(0).normal(size=500), np.inf, -np.inf, np.nan])
    assert compare(clean, dirty).score == compare(clean, clean).score


def test_identifiers_do_not_drift():
    first = Categorical({f"r{i}": 1 for i in range(3000)})
    second = Categorical({f"c{i}": 1 for i in range(3000)})
    for method in ("auto", "psi", "chi2"):
        assert not compare(first, second, method=method).drifted


def test_badness_compares_distances_with_p_values():
    def judged(method, score, threshold, drifted):
        return Comparison(method, score, threshold, drifted, score, "").badness

    assert judged("psi", 0.4, 0.2, True) == 2
    assert judged("ks", 1e-6, 0.001, True) == pytest.approx(2)
    assert judged("ks", 0.0, 0.001, True) == np.inf
    assert judged("ks", 0.0, 0.0, False) == 0
    assert judged("ks", 0.5, 1.0, True) == 1
    assert judged("js", 0.1, 0.0, True) == np.inf


def test_sides_of_different_kinds_and_sides_without_rows_are_refused():
    with pytest.raises(ValueError, match="categorical"):
        compare(normal(5), Categorical({"a": 5}))
    with pytest.raises(ValueError, match="rows on both sides"):
        compare(normal(5), numeric([]))


@pytest.mark.parametrize("method", ["psi", "js", "hellinger", "linf", "linf-robust", "wasserstein"])
@pytest.mark.parametrize("size", [60, 400, 5000])
def test_no_distance_is_fooled_by_chance_and_none_misses_a_large_move(method, size):
    alarms = sum(
        compare(normal(size, seed=2 * i), normal(size, seed=2 * i + 1), method=method).drifted for i in range(60)
    )
    assert alarms == 0
    assert compare(normal(size), normal(size, 1.5, seed=1), method=method).drifted


@pytest.mark.parametrize("method", ["hellinger", "linf", "linf-robust"])
def test_categories_have_these_distances_too(method):
    before = Categorical({"a": 500, "b": 500})
    assert not compare(before, Categorical({"a": 510, "b": 490}), method=method).drifted
    assert compare(before, Categorical({"a": 900, "b": 100}), method=method).drifted


def test_the_largest_gap_of_numbers_is_the_statistic_of_kolmogorov_and_smirnov():
    first, second = normal(300), normal(200, 0.5, seed=1)
    result = compare(first, second, method="linf")
    assert result.score == pytest.approx(stats.ks_2samp(first.values, second.values).statistic, abs=1e-9)
