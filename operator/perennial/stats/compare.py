"""The judgement of one column: which method, which score, which threshold, and why."""

from dataclasses import dataclass
from math import inf, isfinite, log

import numpy as np

from perennial.stats import distances
from perennial.stats.methods import DEFAULT_THRESHOLDS, P_VALUES, Choice, Method, is_discrete, measure
from perennial.stats.samples import Categorical, Numeric, Sample, quantiles

LARGE = 1000
"""Rows of the smaller side from which `auto` asks how large a change is, no longer whether there is one."""
FEW_VALUES = 10
_HEAVY_TAIL = 10.0


@dataclass(frozen=True)
class Comparison:
    """What the comparison of one column gave.

    Attributes:
        method: the method used.
        score: a p-value for ks and chi2 (the lower, the more drift), else a distance (the higher, the more).
        threshold: what the score was held against.
        drifted: p-value below the threshold, or distance at or above it.
        statistic: D of ks, chi-square of chi2, else the score again.
        why: why this method and this threshold, as a sentence.
    """

    method: Method
    score: float
    threshold: float
    drifted: bool
    statistic: float
    why: str

    @property
    def badness(self) -> float:
        """How far beyond its threshold the score is, comparable across methods: 1 is at the threshold.

        The ratio of distances, or of the logarithms of p-values; in [0, inf].
        """
        if self.method not in P_VALUES:
            return self.score / self.threshold if self.threshold > 0 else inf
        return p_value_badness(self.score, self.threshold)


def p_value_badness(p_value: float, threshold: float) -> float:
    """Return ln p / ln threshold: how far beyond its threshold a p-value is; 1 is at it, in [0, inf]."""
    if p_value <= 0:
        return inf if threshold > 0 else 0.0
    if not 0 < threshold < 1:
        return float(p_value < threshold)
    return log(p_value) / log(threshold)


@dataclass(frozen=True)
class Plan:
    """A method, and why it was picked."""

    method: Method
    why: str


@dataclass(frozen=True)
class Limit:
    """A threshold, and whether it rises to what chance alone makes."""

    value: float
    rises: bool


def compare(
    reference: Sample, current: Sample, *, method: Choice = "auto", threshold: float | None = None
) -> Comparison:
    """Judge one column.

    Args:
        reference: what the model learned from.
        current: what it sees; of the same kind as the reference.
        method: `auto` picks by kind, distinct values and size (see `choose`).
        threshold: with a named method it is used as it is. With `auto` it holds for distances only, since a
            p-value and a distance cannot share one, and rises with the noise. None: the default of the method,
            which for distances is never below what chance alone makes (see `noise`).

    Raises:
        ValueError: the sides are of different kinds, or both have no rows.
    """
    if isinstance(reference, Numeric) is not isinstance(current, Numeric):
        raise ValueError("a numeric column cannot be compared with a categorical one")
    if not (reference.rows and current.rows):
        raise ValueError("a comparison needs rows on both sides")
    if _hollow(reference) or _hollow(current):
        return _compare_missing(reference, current)
    plan = choose(reference, current) if method == "auto" else _honour(method, reference)
    return _score(plan, reference, current, _limit(method, plan.method, threshold))


def choose(reference: Sample, current: Sample) -> Plan:
    """Pick the method for a column: tests for small samples, sizes of the effect for large ones.

    A p-value says whether there is a change; with many rows even a harmless one is certain. So from 1,000 rows on
    the smaller side on, distances are used. Columns of few distinct numbers are compared as categories.
    """
    smaller = min(reference.size, current.size)
    size = f"{smaller} values on the smaller side"
    discrete = isinstance(reference, Categorical) or is_discrete(reference, current)
    if discrete and smaller < LARGE:
        return Plan("chi2", f"categories, {size}: a test is most sensitive")
    if discrete:
        return Plan("js", f"categories, {size}: with this many the size of the change counts")
    if smaller < LARGE:
        return Plan("ks", f"numbers, {size}: a test is most sensitive")
    if isinstance(reference, Numeric) and not _spread_is_a_yardstick(reference):
        return Plan("js", f"numbers, {size}; a few far values (or none that differ) make the spread no yardstick")
    return Plan("wasserstein", f"numbers, {size}: with this many the size of the change counts")


def _honour(method: Choice, reference: Sample) -> Plan:
    """Return the method asked for, or its nearest relative where it asks for numbers and there are none."""
    if method == "auto":
        raise ValueError("auto is picked, not honoured")
    if isinstance(reference, Categorical) and method in ("ks", "wasserstein"):
        relative: Method = "chi2" if method == "ks" else "js"
        return Plan(relative, f"{method} compares numbers; these are categories")
    return Plan(method, "as the check asks")


def _limit(asked: Choice, used: Method, threshold: float | None) -> Limit:
    """Return the threshold of the method used, given the one set for the method asked for."""
    default = Limit(DEFAULT_THRESHOLDS[used], rises=used not in P_VALUES)
    if threshold is None:
        return default
    if asked == "auto":
        return default if used in P_VALUES else Limit(threshold, rises=True)
    same_scale = asked == used or (asked in P_VALUES and used in P_VALUES)
    return Limit(threshold, rises=False) if same_scale else default


def _score(plan: Plan, reference: Sample, current: Sample, limit: Limit) -> Comparison:
    measured = measure(plan.method, reference, current)
    raised = limit.rises and measured.chance > limit.value
    threshold = measured.chance if raised else limit.value
    why = f"{plan.why}; threshold raised to what chance alone makes at this size" if raised else plan.why
    drifted = measured.score < threshold if plan.method in P_VALUES else measured.score >= threshold
    return Comparison(plan.method, measured.score, threshold, drifted, measured.statistic, why)


def _compare_missing(reference: Sample, current: Sample) -> Comparison:
    score = abs(current.missing_share - reference.missing_share)
    limit = DEFAULT_THRESHOLDS["missing"]
    why = "hardly any values on one side: the shares of missing values are compared"
    return Comparison("missing", score, limit, score >= limit, score, why)


def _hollow(sample: Sample) -> bool:
    """Tell whether a side is too empty to speak of a distribution."""
    return sample.size == 0 or (sample.size < FEW_VALUES and sample.missing_share > 0.5)  # noqa: PLR2004


def _spread_is_a_yardstick(sample: Numeric) -> bool:
    """Tell whether the standard deviation describes the bulk of the values, not a few far ones."""
    with np.errstate(over="ignore", invalid="ignore"):
        spread = float(np.std(sample.values))
        low, high = quantiles(sample.values, [0.25, 0.75])
        bulk = float(high - low)
    return isfinite(spread) and distances.SPREAD_FLOOR < spread <= _HEAVY_TAIL * bulk
