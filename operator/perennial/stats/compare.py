"""Compares one column: chooses method and threshold, computes the score, decides on drift."""

from dataclasses import dataclass
from math import inf, isfinite, log

import numpy as np

from perennial.stats import distances
from perennial.stats.methods import DEFAULT_THRESHOLDS, P_VALUES, Choice, Method, is_discrete, measure
from perennial.stats.samples import Categorical, Numeric, Sample, quantiles

LARGE = 1000
"""Rows of the smaller side from which `auto` uses a distance instead of a significance test."""
FEW_VALUES = 10
_HEAVY_TAIL = 10.0


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
    reference: Sample, current: Sample, *, method: Choice = "auto", threshold: float | None = None
) -> Comparison:
    """Compare one column.

    Args:
        reference: reference sample.
        current: current sample, of the same kind.
        method: `auto` chooses by kind, distinct values and size (see `choose`).
        threshold: applies unchanged to a named method. With `auto` it applies to distances only, since p-values have
            another scale, and is raised to the noise level. None: default of the method, for distances raised to the
            noise level (see `noise`).

    Raises:
        ValueError: the sides are of different kinds, or both have no rows.
    """
    if isinstance(reference, Numeric) is not isinstance(current, Numeric):
        raise ValueError("a numeric column cannot be compared with a categorical one")
    if not (reference.rows and current.rows):
        raise ValueError("a comparison needs rows on both sides")
    if _is_sparse(reference) or _is_sparse(current):
        return _compare_missing(reference, current)
    plan = choose(reference, current) if method == "auto" else _named_method(method, reference)
    return _score(plan, reference, current, _limit(method, plan.method, threshold))


def choose(reference: Sample, current: Sample) -> Plan:
    """Choose the method for a column: significance tests for small samples, distances for large ones.

    With many rows, tests find even negligible changes significant. So distances, which measure the effect size, are
    used from 1,000 rows on the smaller side. Columns of few distinct numbers are compared as categories.
    """
    smaller = min(reference.size, current.size)
    size = f"{smaller} values on the smaller side"
    discrete = isinstance(reference, Categorical) or is_discrete(reference, current)
    if discrete and smaller < LARGE:
        return Plan("chi2", f"categories, {size}: a test is most sensitive")
    if discrete:
        return Plan("js", f"categories, {size}: with this many, effect size matters")
    if smaller < LARGE:
        return Plan("ks", f"numbers, {size}: a test is most sensitive")
    if isinstance(reference, Numeric) and not _spread_is_robust(reference):
        return Plan("js", f"numbers, {size}; outliers or a constant reference make the standard deviation unsuitable")
    return Plan("wasserstein", f"numbers, {size}: with this many, effect size matters")


def _named_method(method: Choice, reference: Sample) -> Plan:
    """Return the configured method, or its equivalent for categories if it needs numbers."""
    if method == "auto":
        raise ValueError("auto is not a named method: use choose")
    if isinstance(reference, Categorical) and method in ("ks", "wasserstein"):
        equivalent: Method = "chi2" if method == "ks" else "js"
        return Plan(equivalent, f"{method} needs numbers, but these are categories")
    return Plan(method, "set in checks.drift.method")


def _limit(asked: Choice, used: Method, threshold: float | None) -> Limit:
    """Return the threshold of the method used, given the configured method and threshold."""
    default = Limit(DEFAULT_THRESHOLDS[used], raised=used not in P_VALUES)
    if threshold is None:
        return default
    if asked == "auto":
        return default if used in P_VALUES else Limit(threshold, raised=True)
    same_scale = asked == used or (asked in P_VALUES and used in P_VALUES)
    return Limit(threshold, raised=False) if same_scale else default


def _score(plan: Plan, reference: Sample, current: Sample, limit: Limit) -> Comparison:
    measured = measure(plan.method, reference, current)
    below_noise = limit.raised and measured.chance > limit.value
    threshold = measured.chance if below_noise else limit.value
    why = f"{plan.why}; threshold raised to the noise level at this size" if below_noise else plan.why
    drifted = measured.score < threshold if plan.method in P_VALUES else measured.score >= threshold
    return Comparison(plan.method, measured.score, threshold, drifted, measured.statistic, why)


def _compare_missing(reference: Sample, current: Sample) -> Comparison:
    score = abs(current.missing_share - reference.missing_share)
    limit = DEFAULT_THRESHOLDS["missing"]
    why = "too few values on one side: the shares of missing values are compared"
    return Comparison("missing", score, limit, score >= limit, score, why)


def _is_sparse(sample: Sample) -> bool:
    """Whether a sample has too few values to estimate a distribution."""
    return sample.size == 0 or (sample.size < FEW_VALUES and sample.missing_share > 0.5)  # noqa: PLR2004


def _spread_is_robust(sample: Numeric) -> bool:
    """Whether the standard deviation describes the bulk of the values, not a few outliers."""
    with np.errstate(over="ignore", invalid="ignore"):
        spread = float(np.std(sample.values))
        low, high = quantiles(sample.values, [0.25, 0.75])
        bulk = float(high - low)
    return isfinite(spread) and distances.SPREAD_FLOOR < spread <= _HEAVY_TAIL * bulk
