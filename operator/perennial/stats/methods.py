"""Methods of comparing one column: score, statistic, and the score expected by chance."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Literal

import numpy as np

from perennial.stats import binned_methods, distances, noise, significance
from perennial.stats.binned import Binned, Sample
from perennial.stats.binning import Table, binned, merge_rare, pooled_edges, quantile_edges, tabulated
from perennial.stats.samples import Categorical, Numeric, as_categories

Method = Literal["psi", "ks", "js", "wasserstein", "chi2", "hellinger", "linf", "linf-robust", "missing"]
Choice = Literal["auto", "psi", "ks", "js", "wasserstein", "chi2", "hellinger", "linf", "linf-robust"]

P_VALUES: frozenset[Method] = frozenset({"ks", "chi2"})
DEFAULT_THRESHOLDS: dict[Method, float] = {
    "psi": 0.2,
    "js": 0.1,
    "wasserstein": 0.1,
    "hellinger": 0.1,
    "linf": 0.1,
    "linf-robust": 0.1,
    "ks": 0.001,
    "chi2": 0.001,
    "missing": 0.5,
}
FEW_DISTINCT = 10


@dataclass(frozen=True)
class Measured:
    """Result of a method: statistic, score, and the noise level of the score (0 for p-values)."""

    statistic: float
    score: float
    chance: float


def measure(method: Method, reference: Sample, current: Sample, alpha: float = noise.ALPHA) -> Measured:
    """Apply a method to two samples of the same kind; `alpha`: probability of exceeding the noise level by chance."""
    if isinstance(reference, Numeric) and isinstance(current, Numeric) and method in _OF_VALUES:
        return _OF_VALUES[method](reference, current, alpha)
    if isinstance(reference, Binned) and isinstance(current, Binned) and method in _OF_BINNED:
        return _OF_BINNED[method](reference, current, alpha)
    table = as_compared(reference, current, method)
    return _of_test(significance.homogeneity(table)) if method == "chi2" else _of_cells(method, table, alpha)


def _of_cells(method: Method, table: Table, alpha: float) -> Measured:
    n, m = int(table.reference.sum()), int(table.current.sum())
    cells = int(np.count_nonzero(table.reference + table.current))
    match method:
        case "psi":
            score, chance = distances.psi(table.reference, table.current), noise.psi_noise(n, m, cells, alpha)
        case "hellinger":
            score = distances.hellinger(table.reference, table.current)
            chance = noise.hellinger_noise(n, m, cells, alpha)
        case "linf" | "linf-robust":
            gap = distances.l_infinity(table.reference, table.current)
            return _of_robust(gap, n, m) if method == "linf-robust" else _of_gap(gap, n, m, alpha)
        case _:
            score = distances.jensen_shannon(table.reference, table.current)
            chance = noise.jensen_shannon_noise(n, m, cells, alpha)
    return Measured(score, score, chance)


def _of_gap(gap: float, n: int, m: int, alpha: float) -> Measured:
    return Measured(gap, gap, noise.gap_noise(n, m, alpha))


def _of_robust(gap: float, n: int, m: int) -> Measured:
    """Return the largest gap, corrected for the sample sizes as in deequ."""
    return Measured(gap, distances.robust(gap, n, m), 0.0)


def _measure_ks(reference: Numeric, current: Numeric, _alpha: float) -> Measured:
    return _of_test(significance.kolmogorov_smirnov(reference.values, current.values))


def _measure_linf(reference: Numeric, current: Numeric, alpha: float) -> Measured:
    gap = significance.largest_gap(reference.values, current.values)
    return _of_gap(gap, reference.size, current.size, alpha)


def _measure_robust(reference: Numeric, current: Numeric, _alpha: float) -> Measured:
    gap = significance.largest_gap(reference.values, current.values)
    return _of_robust(gap, reference.size, current.size)


def _of_test(result: significance.Significance) -> Measured:
    return Measured(result.statistic, result.p_value, 0.0)


def _measure_wasserstein(reference: Numeric, current: Numeric, alpha: float) -> Measured:
    score = distances.normed_wasserstein(reference.values, current.values)
    spread = max(float(np.std(reference.values)), distances.SPREAD_FLOOR)
    chance = noise.wasserstein_noise(reference.values, current.values, alpha) / spread
    return Measured(score, score, chance if isfinite(chance) else 0.0)


_OF_VALUES: dict[Method, Callable[[Numeric, Numeric, float], Measured]] = {
    "ks": _measure_ks,
    "wasserstein": _measure_wasserstein,
    "linf": _measure_linf,
    "linf-robust": _measure_robust,
}
"""Methods that use numeric values directly; all others use counts in cells."""


def _binned_ks(reference: Binned, current: Binned, _alpha: float) -> Measured:
    return _of_test(binned_methods.kolmogorov_smirnov(reference, current))


def _binned_linf(reference: Binned, current: Binned, alpha: float) -> Measured:
    return _of_gap(binned_methods.largest_gap(reference, current), reference.size, current.size, alpha)


def _binned_robust(reference: Binned, current: Binned, _alpha: float) -> Measured:
    return _of_robust(binned_methods.largest_gap(reference, current), reference.size, current.size)


def _binned_wasserstein(reference: Binned, current: Binned, alpha: float) -> Measured:
    score = binned_methods.normed_wasserstein(reference, current)
    spread = max(reference.spread, distances.SPREAD_FLOOR)
    chance = binned_methods.wasserstein_noise(reference, current, alpha) / spread
    return Measured(score, score, chance if isfinite(chance) else 0.0)


_OF_BINNED: dict[Method, Callable[[Binned, Binned, float], Measured]] = {
    "ks": _binned_ks,
    "wasserstein": _binned_wasserstein,
    "linf": _binned_linf,
    "linf-robust": _binned_robust,
}
"""The same for counts in the cells of a grid."""


def as_compared(reference: Sample, current: Sample, method: Method) -> Table:
    """Return the cells that psi, js and chi2 compare.

    For categories one cell each, rare ones merged. For numbers the deciles of the reference, for chi2 of the pooled
    samples: deciles of a small reference alone would inflate the false positive rate.
    """
    if isinstance(reference, Numeric) and isinstance(current, Numeric):
        if not is_discrete(reference, current):
            values = reference.values, current.values
            edges = pooled_edges(*values) if method == "chi2" else quantile_edges(reference.values)
            return binned(*values, edges)
        reference, current = as_categories(reference), as_categories(current)
    if isinstance(reference, Binned) and isinstance(current, Binned):
        if not is_discrete(reference, current):
            return binned_methods.tabulated(reference, current, pooled=method == "chi2")
        reference, current = binned_methods.as_categories(reference), binned_methods.as_categories(current)
    if isinstance(reference, Categorical) and isinstance(current, Categorical):
        return merge_rare(tabulated(reference, current))
    raise ValueError("a numeric column cannot be compared with a categorical one")


def is_discrete(reference: Sample, current: Sample) -> bool:
    """Whether numbers have so few distinct values, such as 0 and 1, that they are compared as categories."""
    if isinstance(reference, Binned) and isinstance(current, Binned):
        distinct = binned_methods.union_size(reference, current)
        enough = distinct <= FEW_DISTINCT and distinct * 5 <= reference.size + current.size
        return enough and reference.exact and current.exact
    if not (isinstance(reference, Numeric) and isinstance(current, Numeric)):
        return False
    if max(reference.distinct, current.distinct) > FEW_DISTINCT:
        return False
    distinct = np.union1d(np.unique(reference.values), np.unique(current.values)).size
    return bool(distinct <= FEW_DISTINCT and distinct * 5 <= reference.size + current.size)
