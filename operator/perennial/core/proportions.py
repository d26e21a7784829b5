"""Exact tests of shares, without numpy: the operator loads no numerics.

A share is k of n independent trials, such as errors of requests. Tails and bounds are those of Clopper and Pearson
(1934), "The use of confidence or fiducial limits illustrated in the case of the binomial", Biometrika 26.
"""

from collections.abc import Callable
from math import ceil, exp, inf, lgamma, log, log1p

_STEPS = 300
_TINY = 1e-300
_PRECISION = 1e-15
_HALVINGS = 40


def at_least(successes: float, trials: float, share: float) -> float:
    """Probability of `successes` or more in `trials`, if each succeeds with probability `share`."""
    if successes <= 0:
        return 1.0
    if successes > trials or share <= 0:
        return 0.0
    return 1.0 if share >= 1 else _beta_share(successes, trials - successes + 1, share)


def at_most(successes: float, trials: float, share: float) -> float:
    """Probability of `successes` or fewer in `trials`, if each succeeds with probability `share`."""
    if successes < 0:
        return 0.0
    if successes >= trials or share <= 0:
        return 1.0
    if share >= 1:
        return 0.0
    return _beta_share(trials - successes, successes + 1, 1 - share)


def lower_bound(successes: float, trials: float, risk: float) -> float:
    """Share that the true one falls below with at most this risk (one-sided)."""
    if successes <= 0:
        return 0.0
    return _bisect(lambda share: at_least(successes, trials, share) > risk)


def upper_bound(successes: float, trials: float, risk: float) -> float:
    """Share that the true one exceeds with at most this risk (one-sided)."""
    if successes >= trials:
        return 1.0
    return _bisect(lambda share: at_most(successes, trials, share) < risk)


def trials_for(share: float, gap: float, quantile: float, noise: float = 0.0) -> float:
    """Trials after which an estimated share is within `gap` of the true one; infinite if never.

    Args:
        share: the true share.
        gap: difference that must be told apart.
        quantile: of the standard normal distribution, for the wanted certainty.
        noise: variance of what the estimate is compared with.
    """
    left = (gap / quantile) ** 2 - noise
    return ceil(share * (1 - share) / left) if left > 0 else inf


def _bisect(is_above: Callable[[float], bool]) -> float:
    """Smallest share for which the test holds."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if is_above(middle) else (middle, high)
    return (low + high) / 2


def _beta_share(a: float, b: float, x: float) -> float:
    """Regularized incomplete beta function I_x(a, b), for 0 < x <= 1."""
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_share(b, a, 1 - x)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    return min(1.0, front * _fraction(a, b, x))


def _fraction(a: float, b: float, x: float) -> float:
    """Continued fraction of I_x(a, b), NIST Digital Library of Mathematical Functions 8.17.22, by Lentz's method."""
    c, d = 1.0, _nonzero(1 - (a + b) * x / (a + 1))
    d = 1 / d
    value = d
    for m in range(1, _STEPS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _nonzero(1 + term * d)
            c = _nonzero(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < _PRECISION:
            break
    return value


def _nonzero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
