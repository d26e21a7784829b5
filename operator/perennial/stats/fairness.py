"""Fairness metrics: differences and ratios of group rates, with confidence intervals.

*Signed* metrics compare each group with the privileged one (unprivileged - privileged, or unprivileged / privileged)
and keep the direction; *unsigned* ones are the largest difference between any two groups.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from perennial.api.common.measures import FairnessName
from perennial.stats.groups import MIN_GROUP, Judged, Rate, large_groups, rate_of
from perennial.stats.intervals import (
    CONFIDENCE,
    Estimate,
    Undefined,
    average,
    difference,
    estimate,
    ratio_estimate,
)


@dataclass(frozen=True)
class Disparity:
    """Value of one fairness metric.

    Attributes:
        name: the metric.
        estimate: its value and interval.
        group: the group compared; for unsigned metrics one of the two extremes.
        versus: the group it is compared with.
    """

    name: FairnessName
    estimate: Estimate
    group: str
    versus: str


def disparity(
    name: FairnessName,
    rows: Judged,
    privileged: str | None = None,
    *,
    least: int = MIN_GROUP,
    confidence: float = CONFIDENCE,
) -> Disparity:
    """Compute a fairness metric.

    Args:
        name: a signed figure needs the privileged group; with several others, the one that deviates most is taken.
        rows: decisions, and the truth where the figure needs it.
        privileged: the group that the others are compared with.
        least: smallest number of rows of a group.
        confidence: of the interval. Where the worst of several groups or pairs is taken, it is widened for their
            number (Bonferroni), since the worst of many is bad by chance.

    Raises:
        Undefined: there are too few groups, no truth, or a rate has no rows; the message says which.
    """
    groups = large_groups(rows, least)
    if is_signed(name):
        return _worst_signed(name, rows, groups, privileged, confidence)
    if len(groups) < 2:  # noqa: PLR2004
        raise Undefined(f"fewer than two groups have {least} rows")
    return _widest(name, rows, groups, confidence)


def is_signed(name: FairnessName) -> bool:
    """Whether a metric compares with a privileged group and keeps the direction."""
    return name in _SIGNED


def _gap(rate: Rate) -> Callable[[Judged, str, str, float], Estimate]:
    def gap(rows: Judged, group: str, versus: str, confidence: float) -> Estimate:
        figure = difference(rate_of(rows, group, rate), rate_of(rows, versus, rate))
        return estimate(figure, confidence, low=-1, high=1)

    return gap


def _selection_ratio(rows: Judged, group: str, versus: str, confidence: float) -> Estimate:
    return ratio_estimate(rate_of(rows, group, "selection"), rate_of(rows, versus, "selection"), confidence)


def _average_odds(rows: Judged, group: str, versus: str, confidence: float) -> Estimate:
    parts = [
        difference(rate_of(rows, group, rate), rate_of(rows, versus, rate))
        for rate in ("truePositive", "falsePositive")
    ]
    return estimate(average(parts), confidence, low=-1, high=1)


Pairwise = Callable[[Judged, str, str, float], Estimate]
_SIGNED: dict[FairnessName, Pairwise] = {
    "statisticalParityDifference": _gap("selection"),
    "disparateImpact": _selection_ratio,
    "equalOpportunityDifference": _gap("truePositive"),
    "averageOddsDifference": _average_odds,
    "predictiveParityDifference": _gap("precision"),
}
_UNSIGNED: dict[FairnessName, tuple[Rate, ...]] = {
    "demographicParityGap": ("selection",),
    "demographicParityRatio": ("selection",),
    "equalOpportunityGap": ("truePositive",),
    "equalizedOddsGap": ("truePositive", "falsePositive"),
    "predictiveParityGap": ("precision",),
}


def _worst_signed(
    name: FairnessName, rows: Judged, groups: tuple[str, ...], privileged: str | None, confidence: float
) -> Disparity:
    if privileged is None:
        raise Undefined(f"{name} needs a privileged group")
    others = [group for group in groups if group != privileged]
    if privileged not in groups or not others:
        raise Undefined(f"it needs {privileged} and another group, but only these have enough rows: {_some(groups)}")
    stricter = 1 - (1 - confidence) / len(others)
    pairwise = _SIGNED[name]
    found = [Disparity(name, pairwise(rows, group, privileged, stricter), group, privileged) for group in others]
    return max(found, key=lambda item: _deviation(name, item.estimate.value))


def _widest(name: FairnessName, rows: Judged, groups: tuple[str, ...], confidence: float) -> Disparity:
    rates = _UNSIGNED[name]
    pairs = len(groups) * (len(groups) - 1) / 2 * len(rates)
    stricter = 1 - (1 - confidence) / pairs
    found = [_extremes(name, rows, groups, rate, stricter) for rate in rates]
    return max(found, key=lambda item: _deviation(name, item.estimate.value))


def _extremes(name: FairnessName, rows: Judged, groups: tuple[str, ...], rate: Rate, confidence: float) -> Disparity:
    values = {group: rate_of(rows, group, rate).value for group in groups}
    least, most = min(groups, key=values.__getitem__), max(groups, key=values.__getitem__)
    if least == most:  # all rates are equal: any pair will do
        least, most = groups[:2]
    if name == "demographicParityRatio":
        return Disparity(name, _selection_ratio(rows, least, most, confidence), least, most)
    gap = _gap(rate)(rows, most, least, confidence)
    return Disparity(name, Estimate(gap.value, max(0.0, gap.low), gap.high), least, most)


def _some(groups: tuple[str, ...]) -> str:
    return ", ".join(groups[:8]) or "none"


def _deviation(name: FairnessName, value: float) -> float:
    """Return the deviation from equality, the same for a ratio and its inverse."""
    if name in ("disparateImpact", "demographicParityRatio"):
        return inf if value <= 0 else max(value, 1 / value)
    return abs(value)
