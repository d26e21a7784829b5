"""Confidence-based performance estimation (CBPE) for more than two classes.

As NannyML defines it: each class is calibrated against the rest, the calibrated probabilities of a row are divided by
their sum, and metrics are macro averages over classes, each of them estimated as of two classes (`estimation`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from perennial.api.common.measures import EstimatedOfClasses
from perennial.stats.classification import Bools
from perennial.stats.estimation import (
    METRICS,
    SMALLEST,
    Calibration,
    Expected,
    Uncertain,
    calibrate,
    calibration_helps,
    mean_of,
)
from perennial.stats.intervals import CONFIDENCE, Estimate, Figure, Undefined, estimate
from perennial.stats.samples import Counts, Floats

LEAST_OF_CLASS = 20
"""Rows of each class that the reference must have for a calibration: of fewer, isotonic regression learns noise."""


@dataclass(frozen=True, eq=False)
class ExpectedClasses:
    """Rows without labels, of more than two classes.

    Attributes:
        scores: predicted probability of each class, shape (n, k); used for ranking and losses.
        chance: calibrated probability of each class, shape (n, k); each row sums to 1.
        predicted: index of the predicted class, shape (n,).
    """

    scores: Floats
    chance: Floats
    predicted: Counts

    def of_class(self, kind: int) -> Expected:
        """Return one class against the rest."""
        return Expected(self.scores[:, kind], self.chance[:, kind], np.asarray(self.predicted == kind))


@dataclass(frozen=True, eq=False)
class ClassCalibration:
    """Calibration of each class against the rest; None for a class whose probabilities it does not improve."""

    classes: tuple[Calibration | None, ...]

    @property
    def changes(self) -> bool:
        """Whether any class is calibrated."""
        return any(item is not None for item in self.classes)

    def apply(self, scores: Floats) -> Floats:
        """Return calibrated probabilities that sum to 1 in each row, shape (n, k).

        A row whose calibrated probabilities are all 0 keeps the model's own.
        """
        columns = [scores[:, at] if item is None else item.apply(scores[:, at]) for at, item in enumerate(self.classes)]
        return normalised(np.column_stack(columns), scores)

    def covers(self, scores: Floats) -> float:
        """Return the smallest share, over classes, of scores within the range of the calibration data, in [0, 1]."""
        shares = [item.covers(scores[:, at]) for at, item in enumerate(self.classes) if item is not None]
        return min(shares, default=1.0)


def normalised(chance: Floats, otherwise: Floats) -> Floats:
    """Return rows divided by their sums, shape (n, k); those of `otherwise` where a sum is 0."""
    kept = np.where(chance.sum(axis=1, keepdims=True) > 0, chance, otherwise)
    return np.asarray(kept / kept.sum(axis=1, keepdims=True))


def calibrate_classes(scores: Floats, truth: Counts) -> ClassCalibration:
    """Fit an isotonic regression for each class against the rest, where that lowers the error on held-out rows.

    Args:
        scores: predicted probabilities, shape (n, k).
        truth: index of the true class, shape (n,).
    """
    return ClassCalibration(
        tuple(_calibrated(scores[:, kind], np.asarray(truth == kind)) for kind in range(scores.shape[1]))
    )


def expected_of_classes(name: EstimatedOfClasses, rows: ExpectedClasses, confidence: float = CONFIDENCE) -> Estimate:
    """Estimate a metric, with the confidence interval of the realised one.

    Precision, recall, F1 and the area under the ROC curve are macro averages over classes that are predicted or
    expected to occur; a class that is never predicted has the precision 0. The interval assumes a correct calibration:
    it does not include its error.

    Raises:
        Undefined: there are no rows, or the metric is undefined on them.
    """
    if not rows.scores.size:
        raise Undefined("there are no rows")
    share, high = True, 1.0
    match name:
        case "accuracy":
            figure = _accuracy(rows)
        case "logLoss":
            figure, share, high = _sum(rows, [_log_loss(rows.of_class(kind)) for kind in _all(rows)]), False, inf
        case "brier":
            figure, share, high = _sum(rows, [METRICS[name](rows.of_class(kind)) for kind in _all(rows)]), False, 2.0
        case _:
            figure = _macro(name, rows)
    return estimate(figure, confidence, low=0.0, high=high, share=share)


def _calibrated(scores: Floats, truth: Bools) -> Calibration | None:
    return calibrate(scores, truth) if calibration_helps(scores, truth) else None


def _all(rows: ExpectedClasses) -> range:
    return range(rows.chance.shape[1])


def _accuracy(rows: ExpectedClasses) -> Figure:
    chance = np.take_along_axis(rows.chance, rows.predicted[:, None], axis=1)[:, 0]
    value = float(np.mean(chance))
    square = chance * (1 - value) ** 2 + (1 - chance) * value**2
    return Figure(value, np.sqrt(square), int(chance.size))


def _log_loss(rows: Expected) -> Uncertain:
    """Return the part of one class: the loss of a row is that of its true class alone."""
    scores = np.clip(rows.scores, SMALLEST, 1 - SMALLEST)
    return mean_of(rows, -np.log(scores), np.zeros_like(scores))


def _macro(name: EstimatedOfClasses, rows: ExpectedClasses) -> Figure:
    predicted = np.bincount(rows.predicted, minlength=rows.chance.shape[1]) > 0
    occurring = rows.chance.sum(axis=0) > 0
    kinds = np.flatnonzero(occurring if name == "rocAuc" else occurring | predicted)
    nothing = np.zeros(rows.predicted.size)
    parts: list[Uncertain] = []
    for kind in kinds:
        try:
            parts.append(METRICS[name](rows.of_class(int(kind))))
        except Undefined:
            if name == "rocAuc":
                raise
            parts.append(Uncertain(0.0, nothing, nothing))
    summed = _sum(rows, parts, kinds)
    return Figure(summed.value / kinds.size, summed.influence / kinds.size, summed.rows)


def _sum(rows: ExpectedClasses, parts: Sequence[Uncertain], kinds: Counts | None = None) -> Figure:
    """Return the sum of figures of single classes; its influence is the root mean square over the unknown class.

    A row of class t has the influence b + d_t, with b the sum of all `if_false` and d_t the difference of `if_true` and
    `if_false` of class t; so only sums over classes of p d and p d^2 are kept.
    """
    size = rows.predicted.size
    base, first, second = np.zeros(size), np.zeros(size), np.zeros(size)
    for kind, part in zip(_all(rows) if kinds is None else kinds, parts, strict=True):
        gap, chance = part.if_true - part.if_false, rows.chance[:, kind]
        base += part.if_false
        first += chance * gap
        second += chance * gap**2
    square = np.maximum(base**2 + 2 * base * first + second, 0.0)
    return Figure(sum(part.value for part in parts), np.sqrt(square), int(size))
