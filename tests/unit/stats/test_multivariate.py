"""A domain classifier and the reconstruction error: power, false alarms, and definitions."""

import numpy as np
import pytest

from perennial.stats.multivariate import LEVEL, domain_auc, reconstruction


def sides(n, m):
    return np.arange(n + m) >= n


def normals(random, correlation, rows):
    return random.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], rows)


def test_without_a_change_p_values_are_uniform_for_any_distribution():
    random = np.random.default_rng(1)
    found = []
    for _ in range(100):
        rows = random.lognormal(sigma=2, size=(100, 4))
        auc = domain_auc(rows / rows.std(axis=0), sides(60, 40), random)
        error = reconstruction(rows[:60], rows[60:], random)
        found.append((auc.p_value, error.p_value))
    below = (np.array(found) <= 0.2).sum(axis=0)
    assert (below >= 8).all()  # 20 expected of 100, with a standard deviation of 4
    assert (below <= 34).all()


def test_the_area_is_that_of_the_rows_and_needs_rows_on_both_sides():
    random = np.random.default_rng(2)
    shifted = random.normal(size=(800, 1)) + np.repeat([0.0, 1.0], 400)[:, np.newaxis]
    found = domain_auc(shifted / shifted.std(), sides(400, 400), random)
    assert found.value == pytest.approx(0.76, abs=0.03)  # of two normal distributions one apart: 0.7602
    assert found.p_value <= LEVEL
    with pytest.raises(ValueError, match="fewer rows"):
        domain_auc(shifted[:20], sides(17, 3), random)


def test_ties_count_half():
    found = domain_auc(np.zeros((100, 1)), sides(50, 50), np.random.default_rng(3))
    assert (found.value, found.p_value) == (0.5, 1.0)


def test_the_error_is_the_distance_from_the_components_that_keep_65_percent():
    random = np.random.default_rng(4)
    before, now = normals(random, 0.8, 4000), normals(random, -0.8, 4000)
    found = reconstruction(before, now, random)
    # One component keeps 90 %. The other has variance 0.2, now 1.8; its mean absolute value is √(2/π) times the root.
    assert found.components == 1
    assert found.reference == pytest.approx(np.sqrt(0.2 * 2 / np.pi), rel=0.05)
    assert found.current == pytest.approx(np.sqrt(1.8 * 2 / np.pi), rel=0.05)
    assert found.change == pytest.approx(2, rel=0.1)
    assert found.p_value <= LEVEL


def test_missing_values_count_as_the_mean_and_constant_columns_as_nothing():
    random = np.random.default_rng(5)
    before, now = normals(random, 0.8, 400), normals(random, 0.8, 400)
    plain = reconstruction(before, now, np.random.default_rng(6))
    wider = [np.column_stack([side, np.ones(400), np.full(400, np.nan)]) for side in (before, now)]
    assert reconstruction(*wider, np.random.default_rng(6)) == plain
    before[:200, 0] = np.nan
    assert np.isfinite(reconstruction(before, now, random).reference)
    assert reconstruction(np.ones((40, 2)), np.ones((40, 2)), random) is None
