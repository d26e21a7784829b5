import numpy as np
import pytest

from perennial.stats import distances, noise
from perennial.stats.binning import bin_counts, quantile_edges


def test_psi_noise_is_the_scaled_chi_square():
    assert noise.psi_noise(100, 100, 10, alpha=0.05) == pytest.approx(0.02 * 16.918978, rel=1e-6)
    assert noise.psi_noise(100, 100, 1) == 0


def test_noise_shrinks_as_samples_grow():
    levels = [noise.jensen_shannon_noise(n, n, 10) for n in (20, 100, 1000, 100_000)]
    assert levels == sorted(levels, reverse=True)
    assert all(0 < level <= 1 for level in levels[1:])
    assert noise.jensen_shannon_noise(2, 2, 50) > 1  # more than any distance: so few rows can tell nothing


@pytest.mark.parametrize("alpha", [0.05, 0.01])
@pytest.mark.parametrize("draw", ["normal", "lognormal", "uniform"])
def test_unchanged_samples_exceed_the_wasserstein_noise_about_as_often_as_it_says(alpha, draw):
    generator = np.random.default_rng(11)
    exceeded = 0
    for _ in range(300):
        first, second = (np.sort(getattr(generator, draw)(size=300)) for _ in range(2))
        exceeded += distances.wasserstein(first, second) > noise.wasserstein_noise(first, second, alpha)
    assert exceeded / 300 <= 2 * alpha + 0.01


def test_the_wasserstein_noise_is_not_so_wide_that_it_hides_drift():
    generator = np.random.default_rng(12)
    first, second = np.sort(generator.normal(size=1000)), np.sort(generator.normal(0.3, size=1000))
    assert distances.wasserstein(first, second) > noise.wasserstein_noise(first, second)


def test_equal_values_make_no_noise():
    assert noise.wasserstein_noise(np.full(10, 2.0), np.full(10, 2.0)) == 0
    assert noise.wasserstein_noise(np.array([2.0]), np.array([2.0])) == 0


def test_psi_noise_holds_for_bins_from_the_data():
    generator = np.random.default_rng(13)
    exceeded = 0
    for _ in range(500):
        first, second = np.sort(generator.normal(size=500)), np.sort(generator.normal(size=500))
        edges = quantile_edges(first)
        score = distances.psi(bin_counts(first, edges), bin_counts(second, edges))
        exceeded += score > noise.psi_noise(500, 500, 10, alpha=0.05)
    assert 0.02 <= exceeded / 500 <= 0.1
