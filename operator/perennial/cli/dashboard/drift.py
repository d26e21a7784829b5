"""What the last verdict of a monitor says of each column, on one scale."""

import math
from dataclasses import dataclass

from perennial.api.driftmonitor.checks import CheckScore
from perennial.api.driftmonitor.status import FeatureScore, p_value_text
from perennial.cli.nodes import State

_MOST = 2.0
"""Largest share of the threshold that a bar shows: the threshold lies in its middle."""
_LEAST_P = 1e-300
_AUC, _CHANCE = "auc", 0.5
"""Method of embeddings, and its value without a difference."""


@dataclass(frozen=True)
class Bar:
    """One column: `share` is 1 at the threshold, from 0 to 2."""

    name: str
    method: str
    figure: str
    limit: str
    share: float
    drifted: bool


def bar(feature: FeatureScore) -> Bar:
    """Return a distance as a share of its threshold, a p-value by its logarithm, since small ones are drift."""
    threshold, p = float(feature.threshold), feature.p
    if feature.method == _AUC and threshold > _CHANCE:
        share = (float(feature.score) - _CHANCE) / (threshold - _CHANCE)
        return _bar(feature, feature.score, f"drift from {feature.threshold}", share)
    if p is None:
        share = float(feature.score) / threshold if threshold > 0 else _MOST * feature.drifted
        return _bar(feature, feature.score, f"drift from {feature.threshold}", share)
    known = 0.0 < threshold < 1.0
    share = math.log(max(p, _LEAST_P)) / math.log(threshold) if known else _MOST * feature.drifted
    return _bar(feature, p_value_text(p), f"drift if p < {feature.threshold}", share)


def _bar(feature: FeatureScore, figure: str, limit: str, share: float) -> Bar:
    return Bar(feature.name, feature.method, figure, limit, min(max(share, 0.0), _MOST), feature.drifted)


def score_word(score: CheckScore) -> tuple[State, str]:
    """What a check of performance or fairness found. Without a value it was not judged, which is not `fine`."""
    if score.failed:
        return "failed", "Beyond the limit"
    return ("waiting", "Not judged") if score.value is None else ("ok", "No finding")


def score_text(score: CheckScore) -> str:
    """Value with its 95 % confidence interval, or why there is none."""
    if score.value is None:
        return score.why or "no value"
    interval = f" ({score.low or '−∞'} to {score.high or '∞'})" if score.low or score.high else ""
    return f"{score.value}{interval}"
