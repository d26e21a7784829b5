"""Confidence-based performance estimation (CBPE): expected metrics from calibrated probabilities, without labels.

If probabilities are calibrated, the expected numbers of true and false positives and negatives follow from them, and
so do all metrics. The name is NannyML's. Here are two classes; `class_estimation` has more of them.

It accounts for changes of the inputs (covariate shift). It does not detect concept drift, and is unreliable for inputs
outside of the range that the probabilities were calibrated on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf

import numpy as np

from perennial.api.common.measures import EstimatedOfClasses
from perennial.stats.classification import Bools
from perennial.stats.intervals import CONFIDENCE, Estimate, Figure, Undefined, estimate
from perennial.stats.samples import Floats

SMALLEST = float(np.finfo(np.float64).eps)
"""Distance from 0 and 1 to which probabilities are clipped before a logarithm, as in `classification`."""
_FOLDS = 2


@dataclass(frozen=True, eq=False)
class Calibration:
    """Monotonic, piecewise linear map from predicted probabilities to observed frequencies.

    Attributes:
        predicted: predicted probabilities, ascending, shape (k,).
        observed: observed frequency of the class, non-decreasing, shape (k,).
    """

    predicted: Floats
    observed: Floats

    def apply(self, scores: Floats) -> Floats:
        """Return calibrated probabilities: linear between the points, constant beyond them."""
        return np.asarray(np.interp(scores, self.predicted, self.observed))

    def covers(self, scores: Floats) -> float:
        """Return the share of scores within the range of the calibration data, in [0, 1]."""
        return float(np.mean((scores >= self.predicted[0]) & (scores <= self.predicted[-1]))) if scores.size else 0.0


def calibrate(scores: Floats, truth: Bools) -> Calibration:
    """Fit an isotonic regression of the outcome on the score.

    Args:
        scores: predicted probabilities, shape (n,), n >= 2.
        truth: whether each row is of the positive class, shape (n,).

    Raises:
        Undefined: all rows are of one class.
    """
    if truth.all() or not truth.any():
        raise Undefined("all labels of the reference are of one class")
    predicted, place, rows = np.unique(scores, return_inverse=True, return_counts=True)
    shares = np.bincount(place, weights=truth.astype(np.float64)) / rows
    from scipy.optimize import isotonic_regression  # late: it takes longer to load than most comparisons to run

    observed = np.asarray(isotonic_regression(shares, weights=rows.astype(np.float64)).x)
    return Calibration(predicted, np.clip(observed, 0.0, 1.0))


def calibration_helps(scores: Floats, truth: Bools) -> bool:
    """Whether calibration lowers the squared error in two-fold cross-validation."""
    half = np.arange(scores.size) % _FOLDS == 0
    before = after = 0.0
    for fitted, held in ((half, ~half), (~half, half)):
        try:
            learned = calibrate(scores[fitted], truth[fitted])
        except Undefined:
            return False
        before += float(np.sum((scores[held] - truth[held]) ** 2))
        after += float(np.sum((learned.apply(scores[held]) - truth[held]) ** 2))
    return after < before


@dataclass(frozen=True, eq=False)
class Expected:
    """Rows without labels.

    Attributes:
        scores: predicted probabilities, shape (n,); used for ranking and losses.
        chance: calibrated probability of the positive class, shape (n,).
        predicted: whether the positive class is predicted, shape (n,).
    """

    scores: Floats
    chance: Floats
    predicted: Bools


def expected(name: EstimatedOfClasses, rows: Expected, confidence: float = CONFIDENCE) -> Estimate:
    """Estimate a metric, with the confidence interval of the realised one.

    The interval assumes a correct calibration: it does not include its error.

    Raises:
        Undefined: there are no rows, or the metric is undefined on them.
    """
    if not rows.scores.size:
        raise Undefined("there are no rows")
    found = METRICS[name](rows)
    square = rows.chance * found.if_true**2 + (1 - rows.chance) * found.if_false**2
    figure = Figure(found.value, np.sqrt(square), int(rows.scores.size))
    high = inf if name == "logLoss" else 1.0
    return estimate(figure, confidence, low=0.0, high=high, share=name not in ("logLoss", "brier"))


@dataclass(frozen=True, eq=False)
class Uncertain:
    """A figure whose influence values depend on the unknown outcome.

    Attributes:
        value: expected value.
        if_true: influence of each row if it is of the class, shape (n,), in the metric's unit.
        if_false: the same if it is not.
    """

    value: float
    if_true: Floats
    if_false: Floats


def mean_of(rows: Expected, if_true: Floats, if_false: Floats) -> Uncertain:
    """Return the expected mean of what each row contributes if it is of the class, and if it is not."""
    value = float(np.mean(rows.chance * if_true + (1 - rows.chance) * if_false))
    return Uncertain(value, if_true - value, if_false - value)


def _ratio(rows: Expected, parts: tuple[Floats, Floats], wholes: tuple[Floats, Floats]) -> Uncertain:
    whole = float(np.mean(rows.chance * wholes[0] + (1 - rows.chance) * wholes[1]))
    if not whole:
        raise Undefined("the positive class is never predicted")
    value = float(np.mean(rows.chance * parts[0] + (1 - rows.chance) * parts[1])) / whole
    return Uncertain(value, (parts[0] - value * wholes[0]) / whole, (parts[1] - value * wholes[1]) / whole)


def _accuracy(rows: Expected) -> Uncertain:
    predicted = rows.predicted.astype(np.float64)
    return mean_of(rows, predicted, 1 - predicted)


def _precision(rows: Expected) -> Uncertain:
    predicted, none = rows.predicted.astype(np.float64), np.zeros(rows.scores.size)
    return _ratio(rows, (predicted, none), (predicted, predicted))


def _recall(rows: Expected) -> Uncertain:
    predicted, none = rows.predicted.astype(np.float64), np.zeros(rows.scores.size)
    return _ratio(rows, (predicted, none), (np.ones_like(predicted), none))


def _f1(rows: Expected) -> Uncertain:
    predicted, none = rows.predicted.astype(np.float64), np.zeros(rows.scores.size)
    return _ratio(rows, (2 * predicted, none), (1 + predicted, predicted))


def _log_loss(rows: Expected) -> Uncertain:
    scores = np.clip(rows.scores, SMALLEST, 1 - SMALLEST)
    return mean_of(rows, -np.log(scores), -np.log(1 - scores))


def _brier(rows: Expected) -> Uncertain:
    return mean_of(rows, (1 - rows.scores) ** 2, rows.scores**2)


def _roc_auc(rows: Expected) -> Uncertain:
    positive = float(np.mean(rows.chance))
    if not 0 < positive < 1:
        raise Undefined("all rows are expected to be of one class")
    _, place = np.unique(rows.scores, return_inverse=True)
    ones, zeros = (np.bincount(place, weights=weight) for weight in (rows.chance, 1 - rows.chance))
    beaten = ((np.cumsum(zeros) - zeros / 2) / zeros.sum())[place]
    beating = 1 - ((np.cumsum(ones) - ones / 2) / ones.sum())[place]
    value = float(np.sum(rows.chance * beaten) / np.sum(rows.chance))
    return Uncertain(value, (beaten - value) / positive, (beating - value) / (1 - positive))


METRICS: Mapping[EstimatedOfClasses, Callable[[Expected], Uncertain]] = {
    "accuracy": _accuracy,
    "precision": _precision,
    "recall": _recall,
    "f1": _f1,
    "rocAuc": _roc_auc,
    "logLoss": _log_loss,
    "brier": _brier,
}
