"""Distances between two distributions: effect sizes that do not grow with the sample size."""

import numpy as np
from scipy.special import rel_entr

from perennial.stats.samples import Counts, Floats, merged

SPREAD_FLOOR = 0.001
_HUGE = 1e100


def psi(reference: Counts, current: Counts) -> float:
    """Population stability index of two rows of counts.

    PSI = sum over cells of (c - r) * ln(c / r), r and c the shares of the cell. Symmetric, no unit, in [0, inf). Cells
    that are empty on both sides are ignored. If a cell is empty on one side, half a row is added to every cell of both
    sides (Jeffreys' prior), which keeps the index finite; otherwise it is the textbook value. Source: Siddiqi, Credit
    Risk Scorecards (2006); it equals the Jeffreys divergence.

    Args:
        reference: counts, shape (cells,), with at least one row.
        current: counts of the same cells, with at least one row.

    Raises:
        ValueError: the shapes differ, or a side has no rows.
    """
    first, second = _occupied(reference, current)
    if not (first.all() and second.all()):
        first, second = first + 0.5, second + 0.5
    r, c = first / first.sum(), second / second.sum()
    return float(max(0.0, np.sum((c - r) * np.log(c / r))))


def jensen_shannon(reference: Counts, current: Counts) -> float:
    """Jensen-Shannon distance, base 2, of two rows of counts.

    sqrt((KL(r || a) + KL(c || a)) / 2) with a = (r + c) / 2 and KL in bits. A metric, no unit, in [0, 1]: 1 when
    the sides share no cell. Defined for empty cells without smoothing. Source: Endres and Schindelin, IEEE Trans.
    Inf. Theory 49 (2003); the same as scipy.spatial.distance.jensenshannon(r, c, base=2).

    Args:
        reference: counts, shape (cells,), with at least one row.
        current: counts of the same cells, with at least one row.

    Raises:
        ValueError: the shapes differ, or a side has no rows.
    """
    first, second = _occupied(reference, current)
    r, c = first / first.sum(), second / second.sum()
    middle = (r + c) / 2
    nats = float(np.sum(rel_entr(r, middle)) + np.sum(rel_entr(c, middle))) / 2
    return float(np.sqrt(min(1.0, max(0.0, nats / np.log(2)))))


def hellinger(reference: Counts, current: Counts) -> float:
    """Hellinger distance of two rows of counts.

    sqrt(1 - sum over cells of sqrt(r * c)), the root of half the squared distance of the shares' roots. A metric, no
    unit, in [0, 1]: 1 when the sides share no cell.

    Args:
        reference: counts, shape (cells,), with at least one row.
        current: counts of the same cells, with at least one row.

    Raises:
        ValueError: the shapes differ, or a side has no rows.
    """
    first, second = _occupied(reference, current)
    roots = np.sqrt(first / first.sum()) - np.sqrt(second / second.sum())
    return float(np.sqrt(min(1.0, float(roots @ roots) / 2)))


def l_infinity(reference: Counts, current: Counts) -> float:
    """Largest difference of a cell's shares, max |r - c|; no unit, in [0, 1].

    For numbers the same name means the largest gap of the distribution functions (`significance.largest_gap`), as in
    deequ and SageMaker.

    Args:
        reference: counts, shape (cells,), with at least one row.
        current: counts of the same cells, with at least one row.

    Raises:
        ValueError: the shapes differ, or a side has no rows.
    """
    first, second = _occupied(reference, current)
    return float(np.max(np.abs(first / first.sum() - second / second.sum())))


def robust(gap: float, n: int, m: int) -> float:
    """Return max(0, gap - 1.8 * sqrt((n + m) / (n * m))): a largest gap corrected for the sample sizes.

    1.8 is about the 0.997 quantile of the Kolmogorov distribution. Source: deequ, Distance.scala, and SageMaker Model
    Monitor's comparison_method Robust.
    """
    return max(0.0, gap - 1.8 * float(np.sqrt(1 / n + 1 / m)))


def wasserstein(reference: Floats, current: Floats) -> float:
    """Wasserstein-1 distance of two sorted samples, in the unit of the values.

    W1 = integral of |F_reference(x) - F_current(x)| dx: the mean distance that values have to move. Symmetric, in
    [0, inf). The same as scipy.stats.wasserstein_distance.

    Args:
        reference: sorted finite values, shape (n,), n >= 1.
        current: sorted finite values, shape (m,), m >= 1.

    Raises:
        ValueError: a side has no values.
    """
    _require_values(reference, current)
    both, upto = merged(reference, current)
    leads = upto[:-1] / reference.size
    leads -= (np.arange(1, both.size) - upto[:-1]) / current.size
    return float(np.abs(leads) @ np.diff(both))


def normed_wasserstein(reference: Floats, current: Floats) -> float:
    """Wasserstein-1 distance in standard deviations of the reference.

    W1 / max(s, 0.001), s the reference's standard deviation over n (not n - 1). No unit, in [0, inf); moving a
    sample by one standard deviation gives 1. The floor avoids division by zero for a constant reference; its value
    is Evidently's, so that results agree.

    Args:
        reference: sorted finite values, shape (n,), n >= 1.
        current: sorted finite values, shape (m,), m >= 1.

    Raises:
        ValueError: a side has no values.
    """
    _require_values(reference, current)
    peak = max(abs(float(edge)) for edge in (reference[0], reference[-1], current[0], current[-1]))
    if peak > _HUGE:  # squares would overflow: scale by the largest value
        reference, current = reference / peak, current / peak
        return wasserstein(reference, current) / max(float(np.std(reference)), SPREAD_FLOOR / peak)
    return wasserstein(reference, current) / max(float(np.std(reference)), SPREAD_FLOOR)


def _occupied(reference: Counts, current: Counts) -> tuple[Floats, Floats]:
    """Return both sides as floats, without the cells that are empty on both."""
    if reference.shape != current.shape:
        raise ValueError(f"counts of different cells: shapes {reference.shape} and {current.shape}")
    if not (reference.sum() and current.sum()):
        raise ValueError("counts of no rows")
    kept = (reference > 0) | (current > 0)
    return reference[kept].astype(np.float64), current[kept].astype(np.float64)


def _require_values(reference: Floats, current: Floats) -> None:
    if not (reference.size and current.size):
        raise ValueError("a distance needs a value on both sides")
