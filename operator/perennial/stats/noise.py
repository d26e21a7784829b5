"""Noise level of distances: the value that two samples of one distribution exceed with probability alpha only.

The distance between two samples is positive even without drift, and larger for smaller samples. With a fixed threshold
small windows would cause false alarms: PSI with ten bins exceeds 0.1 in 85 of 100 windows of 100 rows without drift.
So default thresholds are raised to the noise level.
"""

from collections.abc import Callable

import numpy as np
from scipy import special

from perennial.stats.samples import Floats, merged, quantiles

ALPHA = 0.001
_GRID = 256


def psi_noise(n: int, m: int, cells: int, alpha: float = ALPHA) -> float:
    """Return the PSI that two samples of n and m rows in `cells` cells exceed with probability alpha.

    Without drift PSI is about (1/n + 1/m) * chi-square with cells - 1 degrees of freedom: both divergences
    in it are, to second order, half a chi-square statistic. Source: Yurdakul and Naranjo, J. Risk Model
    Validation 14 (2020). No unit, in [0, inf); 0 for a single cell.
    """
    return (1 / n + 1 / m) * _chi_square_quantile(cells, alpha)


def jensen_shannon_noise(n: int, m: int, cells: int, alpha: float = ALPHA) -> float:
    """Return the Jensen-Shannon distance (base 2) that samples without drift exceed with probability alpha.

    The divergence in nats is, to second order, an eighth of the same chi-square as for PSI; the distance is its
    root in bits. No unit, in [0, inf): above 1, the largest distance, samples of this size can tell nothing.
    0 for a single cell.
    """
    return float(np.sqrt(psi_noise(n, m, cells, alpha) / (8 * np.log(2))))


def hellinger_noise(n: int, m: int, cells: int, alpha: float = ALPHA) -> float:
    """Return the Hellinger distance that samples without drift exceed with probability alpha.

    Its square is, to second order, an eighth of the same chi-square as for PSI. No unit, in [0, inf): above 1, the
    largest distance, samples of this size can tell nothing.
    """
    return float(np.sqrt(psi_noise(n, m, cells, alpha) / 8))


def gap_noise(n: int, m: int, alpha: float = ALPHA) -> float:
    """Return the largest gap that samples without drift exceed with a probability of at most alpha.

    sqrt(1/n + 1/m) times the quantile of the Kolmogorov distribution: exact in the limit for distribution functions.
    A single cell's share is the difference of two such gaps and varies less than the widest of them does. In
    [0, inf): above 1, the largest gap, samples of this size can tell nothing.
    """
    return float(np.sqrt(1 / n + 1 / m) * special.kolmogi(alpha))


def wasserstein_noise(reference: Floats, current: Floats, alpha: float = ALPHA) -> float:
    """Return the Wasserstein-1 distance that samples like these exceed with probability alpha without drift.

    Without drift, sqrt(n * m / (n + m)) * W1 tends to the integral of |B(F(x))| dx, B a Brownian bridge (del Barrio,
    Gine and Matran, Ann. Probab. 27 (1999)). Mean and variance of that integral follow from the covariance of |B| in
    closed form; a lognormal distribution with the same two gives the quantile (slightly too large for small alpha,
    which is conservative), bounded by its maximum, that of a fully correlated bridge. F is estimated from the pooled
    samples, on a grid that is finest in the tails.

    Args:
        reference: sorted finite values, shape (n,), n >= 1.
        current: sorted finite values, shape (m,), m >= 1.
        alpha: probability of exceeding the result, in (0, 1).

    Returns:
        A distance in the unit of the values, in [0, inf); 0 when all values are equal.
    """
    pooled, _ = merged(reference, current)
    return wasserstein_noise_of(lambda levels: quantiles(pooled, levels), reference.size, current.size, alpha)


def wasserstein_noise_of(pooled: Callable[[Floats], Floats], n: int, m: int, alpha: float = ALPHA) -> float:
    """Return `wasserstein_noise` of samples of n and m values, given the quantiles of both together.

    Args:
        pooled: returns quantiles for levels in [0, 1], of the same shape.
        n: values of one side, at least 1.
        m: values of the other, at least 1.
        alpha: probability of exceeding the result, in (0, 1).
    """
    levels = _levels(n + m)
    steps = np.diff(pooled(levels))
    middles = (levels[1:] + levels[:-1]) / 2
    weighted = np.sqrt(middles * (1 - middles)) * steps
    total = float(np.sum(weighted))
    if total == 0:
        return 0.0
    relative = weighted / total
    mean = np.sqrt(2 / np.pi)
    second = float(relative @ _absolute_products(middles) @ relative)
    width = np.log(max(second / mean**2, 1.0))
    likely = mean * np.exp(np.sqrt(width) * -special.ndtri(alpha) - width / 2)
    quantile = total * min(float(likely), float(-special.ndtri(alpha / 2)))
    return float(np.sqrt(1 / n + 1 / m) * quantile)


def _levels(size: int) -> Floats:
    """Return ascending probabilities, dense near 0 and 1, up to 1 / size from them."""
    reach = np.log(max(size, 2))
    return np.asarray(1 / (1 + np.exp(-np.linspace(-reach, reach, _GRID))))


def _absolute_products(levels: Floats) -> Floats:
    """Return E|X Y| for a Brownian bridge at two levels, each scaled to variance 1, shape (k, k).

    For correlation r it is (2 / pi) * (sqrt(1 - r^2) + r * arcsin(r)).
    """
    low, high = np.minimum.outer(levels, levels), np.maximum.outer(levels, levels)
    r = np.clip(np.sqrt(low * (1 - high) / (high * (1 - low))), 0, 1)
    return np.asarray(2 / np.pi * (np.sqrt(1 - r**2) + r * np.arcsin(r)))


def _chi_square_quantile(cells: int, alpha: float) -> float:
    return float(special.chdtri(cells - 1, alpha)) if cells > 1 else 0.0
