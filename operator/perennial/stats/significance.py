"""Significance tests of whether two samples come from one distribution."""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import special

from perennial.stats.binning import Table
from perennial.stats.samples import Counts, Floats

_MIN_EXPECTED = 5.0
_EXACT = 10_000


@dataclass(frozen=True)
class Significance:
    """A test's statistic and its p-value.

    Attributes:
        statistic: D in [0, 1] for Kolmogorov-Smirnov, chi-square in [0, inf).
        p_value: probability of a statistic at least this large without drift, in [0, 1].
    """

    statistic: float
    p_value: float


def kolmogorov_smirnov(reference: Floats, current: Floats) -> Significance:
    """Two-sample, two-sided Kolmogorov-Smirnov test.

    D = max |F_reference(x) - F_current(x)|. p is asymptotic, as of scipy.stats.ks_2samp(method="asymp"): from the
    distribution of the one-sample statistic at the effective size n * m / (n + m). Up to n * m = 10,000 it is exact,
    as of method="exact", since the asymptotic one is far too small there: it is 0 for two samples of two
    values. With many ties p is conservative.

    Args:
        reference: sorted finite values, shape (n,), n >= 1.
        current: sorted finite values, shape (m,), m >= 1.

    Raises:
        ValueError: a side has no values.
    """
    if not (reference.size and current.size):
        raise ValueError("a test needs a value on both sides")
    small, large = sorted((reference, current), key=lambda side: side.size)
    distance = _largest_gap(small, large)
    if small.size * large.size <= _EXACT:
        from scipy import stats  # late: it takes longer to load than most comparisons to run, and few need it

        with warnings.catch_warnings():  # scipy falls back to the asymptotic p if the exact sum loses precision
            warnings.simplefilter("ignore", RuntimeWarning)
            exact = stats.ks_2samp(reference, current, method="exact")
        return Significance(distance, float(exact.pvalue))
    return gap_significance(distance, small.size, large.size)


def gap_significance(gap: float, n: int, m: int) -> Significance:
    """Return the asymptotic significance of a largest gap between the distribution functions of n and m values."""
    from scipy import stats  # late, as above

    effective = float(n) * float(m) / (float(n) + float(m))
    p_value = float(stats.kstwo.sf(gap, float(np.round(effective))))
    return Significance(gap, min(1.0, max(0.0, p_value)))


def chi_square(reference: Counts, current: Counts) -> Significance:
    """Pearson's chi-square test of homogeneity of two rows of counts, without continuity correction.

    Sum over sides and cells of (observed - expected)^2 / expected, expected from the pooled shares; cells - 1 degrees
    of freedom. Both sides are treated as samples, so a new category causes no division by zero. The same as
    scipy.stats.chi2_contingency([reference, current], correction=False).

    Args:
        reference: counts, shape (cells,), with at least one row.
        current: counts of the same cells, with at least one row.

    Raises:
        ValueError: the shapes differ, or a side has no rows.
    """
    if reference.shape != current.shape:
        raise ValueError(f"counts of different cells: shapes {reference.shape} and {current.shape}")
    n, m = float(reference.sum()), float(current.sum())
    if not (n and m):
        raise ValueError("counts of no rows")
    kept = (reference + current) > 0
    pooled = (reference[kept] + current[kept]) / (n + m)
    if pooled.size == 1:
        return Significance(0.0, 1.0)
    expected_reference, expected_current = n * pooled, m * pooled
    statistic = float(
        np.sum((reference[kept] - expected_reference) ** 2 / expected_reference)
        + np.sum((current[kept] - expected_current) ** 2 / expected_current)
    )
    return Significance(statistic, float(special.chdtrc(pooled.size - 1, statistic)))


def homogeneity(table: Table) -> Significance:
    """Chi-square test of a table with merged rare categories, valid for small counts in the merged cell.

    If the merged cell has an expected count below five on the smaller side, chi-square overstates single rows in it.
    Then that cell is tested against all others by Fisher's exact test, the others by chi-square, and the smaller of
    the two p-values is doubled (Bonferroni).

    Raises:
        ValueError: a side has no rows.
    """
    plain = chi_square(table.reference, table.current)
    n, m = int(table.reference.sum()), int(table.current.sum())
    gathered = int(table.reference[-1] + table.current[-1])
    if not table.rare or gathered * min(n, m) / (n + m) >= _MIN_EXPECTED:
        return plain
    rest = table.reference[:-1], table.current[:-1]
    exact = _fisher(int(table.reference[-1]), n, int(table.current[-1]), m)
    if not (rest[0].sum() and rest[1].sum()):
        return Significance(plain.statistic, exact)
    return Significance(plain.statistic, min(1.0, 2 * min(exact, chi_square(*rest).p_value)))


def _fisher(hits: int, rows: int, other_hits: int, other_rows: int) -> float:
    from scipy import stats  # late, as above

    table = np.array([[hits, rows - hits], [other_hits, other_rows - other_hits]])
    return float(stats.fisher_exact(table).pvalue)


def largest_gap(reference: Floats, current: Floats) -> float:
    """Return D = max |F_reference(x) - F_current(x)| of two sorted samples, both with values; in [0, 1]."""
    small, large = sorted((reference, current), key=lambda side: side.size)
    return _largest_gap(small, large)


def _largest_gap(small: Floats, large: Floats) -> float:
    """Return the largest gap of two distribution functions, evaluated at the jumps of the first.

    If the first is above, the gap is largest right after one of its jumps; if below, right before one.
    """
    after = np.searchsorted(small, small, side="right") / small.size
    after -= np.searchsorted(large, small, side="right") / large.size
    before = np.searchsorted(large, small, side="left") / large.size
    before -= np.searchsorted(small, small, side="left") / small.size
    return float(max(0.0, after.max(), before.max()))
