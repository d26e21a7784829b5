"""Compares one column: chooses method and threshold, computes the score, decides on drift."""

from dataclasses import dataclass
from math import inf, isfinite, log

import numpy as np

from perennial.stats import binned_methods, distances
from perennial.stats.binned import Binned, Numbers, Sample
from perennial.stats.methods import DEFAULT_THRESHOLDS, P_VALUES, Choice, Method, is_discrete, measure
from perennial.stats.noise import ALPHA
from perennial.stats.samples import Categorical, quantiles

AUTO_THRESHOLDS: dict[Method, float] = {"js": 0.05, "linf": 0.05}
"""Smallest change that `auto` reports at any number of rows: 5 % of the rows of a numeric column moved, or about 6 of
100 rows moved between two equally frequent categories."""
FEW_VALUES = 10
_HEAVY_TAIL = 1.75
"""Standard deviations per interquartile range from which outliers determine the standard deviation. A normal
distribution has 0.74, an exponential one 0.91, a log-normal one 1.5."""


@dataclass(frozen=True)
class Comparison:
    """Result of comparing one column.

    Attributes:
        method: method used.
        score: a p-value for ks and chi2 (the lower, the more drift), else a distance (the higher, the more).
        threshold: threshold of the score.
        drifted: whether the p-value is below the threshold, or the distance at or above it.
        statistic: D for ks, chi-square for chi2, otherwise equal to the score.
        why: reason for method and threshold, as text.
    """

    method: Method
    score: float
    threshold: float
    drifted: bool
    statistic: float
    why: str

    @property
    def badness(self) -> float:
        """Score relative to the threshold, comparable across methods: 1 is at the threshold.

        Ratio of the distances, or of the logarithms of the p-values; in [0, inf].
        """
        if self.method not in P_VALUES:
            return self.score / self.threshold if self.threshold > 0 else inf
        return p_value_badness(self.score, self.threshold)


def p_value_badness(p_value: float, threshold: float) -> float:
    """Return ln p / ln threshold, in [0, inf]; above 1 the p-value is below the threshold."""
    if p_value <= 0:
        return inf if threshold > 0 else 0.0
    if not 0 < threshold < 1:
        return float(p_value < threshold)
    return log(p_value) / log(threshold)


@dataclass(frozen=True)
class Plan:
    """A method, and the reason for choosing it."""

    method: Method
    why: str


@dataclass(frozen=True)
class Limit:
    """A threshold, and whether it is raised to the distance expected by chance."""

    value: float
    raised: bool


def compare(
    reference: Sample,
    current: Sample,
    *,
    method: Choice = "auto",
    threshold: float | None = None,
    comparisons: int = 1,
) -> Comparison:
    """Compare one column.

    Args:
        reference: reference sample.
        current: current sample, of the same kind.
        method: `auto` chooses by kind and distinct values (see `choose`).
        threshold: applies unchanged to a named method. With `auto` it is the smallest change to report, raised to the
            noise level. None: default of the method, for distances raised to the noise level (see `noise`).
        comparisons: number of comparisons of the same column of which none should be false, such as one for each
            segment: the probability of a false alarm by chance and the threshold of p-values are divided by it.

    Raises:
        ValueError: the sides are of different kinds, or both have no rows.
    """
    if type(reference) is not type(current):
        raise ValueError("a numeric column cannot be compared with a categorical one, nor sorted values with counts")
    if not (reference.rows and current.rows):
        raise ValueError("a comparison needs rows on both sides")
    if _is_sparse(reference) or _is_sparse(current):
        return _compare_missing(reference, current)
    plan = choose(reference, current) if method == "auto" else _named_method(method, reference, current)
    limit = _limit(method, plan.method, threshold)
    if plan.method in P_VALUES:
        limit = Limit(limit.value / comparisons, raised=False)
    return _score(plan, reference, current, limit, ALPHA / comparisons)


def choose(reference: Sample, current: Sample) -> Plan:
    """Choose the method for a column: a distance whose noise level is known for every distribution.

    Categories, and columns of few distinct numbers, use the Jensen-Shannon distance; other numbers the largest gap
    between the distribution functions. Both are compared with the larger of a practical size and the noise level, so
    the power for a change beyond the practical size grows with the number of rows, and a smaller change is never
    reported. Why no test and no Wasserstein distance: docs/adr/0011-auto-compares-by-distance-at-every-size.md.
    """
    if isinstance(reference, Categorical) or is_discrete(reference, current):
        return Plan("js", "categories: effect size")
    return Plan("linf", "numbers: largest gap between the distribution functions")


def _named_method(method: Choice, reference: Sample, current: Sample) -> Plan:
    """Return the configured method, or its equivalent for categories if it needs numbers."""
    if method == "auto":
        raise ValueError("auto is not a named method: use choose")
    if isinstance(reference, Categorical) and method in ("ks", "wasserstein"):
        equivalent: Method = "chi2" if method == "ks" else "js"
        return Plan(equivalent, f"{method} needs numbers, but these are categories")
    sides = [side for side in (reference, current) if not isinstance(side, Categorical)]
    if method == "wasserstein" and not all(_spread_is_robust(side) for side in sides):
        return Plan("linf", "outliers or constant values make the standard deviation unsuitable for wasserstein")
    return Plan(method, "set in checks.drift.method")


def _limit(asked: Choice, used: Method, threshold: float | None) -> Limit:
    """Return the threshold of the method used, given the configured method and threshold."""
    if asked == "auto":
        return Limit(AUTO_THRESHOLDS[used] if threshold is None else threshold, raised=True)
    default = Limit(DEFAULT_THRESHOLDS[used], raised=used not in P_VALUES)
    if threshold is None:
        return default
    same_scale = asked == used or (asked in P_VALUES and used in P_VALUES)
    return Limit(threshold, raised=False) if same_scale else default


def _score(plan: Plan, reference: Sample, current: Sample, limit: Limit, alpha: float) -> Comparison:
    measured = measure(plan.method, reference, current, alpha)
    below_noise = limit.raised and measured.chance > limit.value
    threshold = measured.chance if below_noise else limit.value
    reasons = [plan.why, *_precision(plan.method, reference, current)]
    if below_noise:
        reasons.append("threshold raised to the noise level at this size")
    why = "; ".join(reasons)
    drifted = measured.score < threshold if plan.method in P_VALUES else measured.score >= threshold
    return Comparison(plan.method, measured.score, threshold, drifted, measured.statistic, why)


def _precision(method: Method, reference: Sample, current: Sample) -> list[str]:
    """Say how exact a score is that comes from counts in cells."""
    if method not in ("linf", "linf-robust", "ks") or not (
        isinstance(reference, Binned) and isinstance(current, Binned)
    ):
        return []
    error = binned_methods.error(reference, current)
    return [f"counted in cells, so that the gap may be up to {error:.2g} larger"] if error else []


def _compare_missing(reference: Sample, current: Sample) -> Comparison:
    score = abs(current.missing_share - reference.missing_share)
    limit = DEFAULT_THRESHOLDS["missing"]
    why = "too few values on one side: the shares of missing values are compared"
    return Comparison("missing", score, limit, score >= limit, score, why)


def _is_sparse(sample: Sample) -> bool:
    """Whether a sample has too few values to estimate a distribution."""
    return sample.size == 0 or (sample.size < FEW_VALUES and sample.missing_share > 0.5)  # noqa: PLR2004


def _spread_is_robust(sample: Numbers) -> bool:
    """Whether the standard deviation describes the bulk of the values, not a few outliers."""
    with np.errstate(over="ignore", invalid="ignore"):
        if isinstance(sample, Binned):
            spread, (low, high) = sample.spread, sample.quantiles([0.25, 0.75])
        else:
            spread, (low, high) = float(np.std(sample.values)), quantiles(sample.values, [0.25, 0.75])
        bulk = float(high - low)
    return isfinite(spread) and distances.SPREAD_FLOOR < spread <= _HEAVY_TAIL * bulk
