"""Classification metrics, each with the influence values of its rows (see `intervals`)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perennial.stats.intervals import Figure, Undefined, average, of_mean, of_ratio
from perennial.stats.samples import Counts, Floats

Bools = NDArray[np.bool_]
CALIBRATION_BINS = 10
_SMALLEST = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Classified:
    """Rows with a known and a predicted class.

    Attributes:
        truth: index of the true class, shape (n,).
        predicted: index of the predicted class, shape (n,).
        scores: probability of each class, shape (n, k), k >= 2; None if only classes are known.
        positive: index of the positive class; None for more than two classes.
    """

    truth: Counts
    predicted: Counts
    scores: Floats | None = None
    positive: int | None = None

    @property
    def size(self) -> int:
        """Number of rows."""
        return int(self.truth.size)

    @property
    def present(self) -> tuple[int, ...]:
        """Classes that occur in labels or predictions, ascending."""
        return tuple(int(item) for item in np.union1d(self.truth, self.predicted))

    def probabilities(self) -> Floats:
        """Return the probabilities.

        Raises:
            Undefined: only classes are known.
        """
        if self.scores is None:
            raise Undefined("it needs probabilities, but predictions are classes")
        return self.scores


def binary(truth: Counts, scores: Floats, threshold: float = 0.5) -> Classified:
    """Return rows of two classes: class 1 is predicted if its probability is at least the threshold.

    Args:
        truth: 0 or 1, shape (n,).
        scores: probability of class 1, shape (n,).
        threshold: in [0, 1].
    """
    predicted = (scores >= threshold).astype(np.int64)
    return Classified(truth, predicted, np.column_stack([1 - scores, scores]), positive=1)


def accuracy(rows: Classified) -> Figure:
    """Share of rows with the correct class, in [0, 1]."""
    return of_mean((rows.truth == rows.predicted).astype(np.float64))


def precision(rows: Classified) -> Figure:
    """TP / (TP + FP); the macro average for more than two classes.

    0 for a class that is never predicted, as in scikit-learn with zero_division=0.
    """
    return _per_class(rows, lambda true, predicted: (true & predicted, predicted))


def recall(rows: Classified) -> Figure:
    """TP / (TP + FN); the macro average for more than two classes."""
    return _per_class(rows, lambda true, predicted: (true & predicted, true))


def f1(rows: Classified) -> Figure:
    """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN); the macro average for more than two classes."""
    return _per_class(rows, lambda true, predicted: (2 * (true & predicted), true.astype(np.int64) + predicted))


def log_loss(rows: Classified) -> Figure:
    """Mean of -ln p of the true class, in nats, [0, inf). Probabilities are clipped to 2.2e-16 from 0 and 1."""
    scores = rows.probabilities()
    clipped = np.clip(scores, _SMALLEST, 1 - _SMALLEST)
    return of_mean(-np.log(clipped[np.arange(rows.size), rows.truth]))


def brier(rows: Classified) -> Figure:
    """Mean squared difference of probability and truth, in [0, 1]; for more than two classes summed over them, [0, 2].

    Source: Brier, Monthly Weather Review 78 (1950); for two classes the positive class only, as is usual.
    """
    scores = rows.probabilities()
    if rows.positive is not None:
        return of_mean((scores[:, rows.positive] - (rows.truth == rows.positive)) ** 2)
    hits = rows.truth[:, None] == np.arange(scores.shape[1])
    return of_mean(np.sum((scores - hits) ** 2, axis=1))


def calibration_error(rows: Classified) -> Figure:
    """Expected calibration error: mean difference of predicted probability and observed frequency, in [0, 1].

    Ten bins of equal width over the positive class's probability (for more than two classes: over the
    predicted class's): sum over bins of |sum(probability - hit)| / n. Source: Naeini, Cooper and
    Hauskrecht, AAAI (2015). It is biased upward for small samples.
    """
    scores = rows.probabilities()
    if rows.positive is not None:
        predicted, hit = scores[:, rows.positive], rows.truth == rows.positive
    else:
        predicted, hit = scores[np.arange(rows.size), rows.predicted], rows.truth == rows.predicted
    bins = np.clip(np.ceil(predicted * CALIBRATION_BINS).astype(np.int64) - 1, 0, CALIBRATION_BINS - 1)
    gaps = predicted - hit
    signs = np.sign(np.bincount(bins, weights=gaps, minlength=CALIBRATION_BINS))
    return of_mean(signs[bins] * gaps)


def roc_auc(rows: Classified) -> Figure:
    """Probability that a row of the class has a higher score than one of another, ties half; [0, 1].

    The Mann-Whitney statistic; for more than two classes the macro average of one against the rest. The interval is
    DeLong's (Biometrics 44 (1988)).
    """
    return _ranked(rows, _roc_auc)


def pr_auc(rows: Classified) -> Figure:
    """Average precision: the precision at the score of every row of the class, averaged; [0, 1].

    The area under the precision-recall curve without interpolation, as scikit-learn's average_precision_score. For more
    than two classes the macro average of one against the rest.
    """
    return _ranked(rows, _average_precision)


def _per_class(
    rows: Classified, split: Callable[[Bools, Bools], tuple[NDArray[np.generic], NDArray[np.generic]]]
) -> Figure:
    """Return the metric of the positive class, or the macro average over all classes that occur."""
    if not rows.size:
        raise Undefined("there are no rows")
    kinds = rows.present if rows.positive is None else (rows.positive,)
    figures = []
    for kind in kinds:
        parts, wholes = split(rows.truth == kind, rows.predicted == kind)
        try:
            figures.append(of_ratio(np.asarray(parts, dtype=np.float64), np.asarray(wholes, dtype=np.float64)))
        except Undefined:
            figures.append(Figure(0.0, np.zeros(rows.size), rows.size))
    return average(figures)


def _ranked(rows: Classified, measure: Callable[[Bools, Floats], Figure]) -> Figure:
    scores = rows.probabilities()
    if rows.positive is not None:
        return measure(rows.truth == rows.positive, scores[:, rows.positive])
    kinds = [int(kind) for kind in np.unique(rows.truth)]
    return average([measure(rows.truth == kind, scores[:, kind]) for kind in kinds])


def _require_both(hit: Bools) -> None:
    if not hit.any() or hit.all():
        raise Undefined("all labels are of one class")


def _roc_auc(hit: Bools, scores: Floats) -> Figure:
    _require_both(hit)
    ours, others = np.sort(scores[hit]), np.sort(scores[~hit])
    beaten = (np.searchsorted(others, scores, "left") + np.searchsorted(others, scores, "right")) / (2 * others.size)
    beating = 1 - (np.searchsorted(ours, scores, "left") + np.searchsorted(ours, scores, "right")) / (2 * ours.size)
    value = float(np.mean(beaten[hit]))
    share = ours.size / hit.size
    return Figure(value, np.where(hit, (beaten - value) / share, (beating - value) / (1 - share)), hit.size)


def _average_precision(hit: Bools, scores: Floats) -> Figure:
    """Average precision. A row influences its own precision and that of every lower score."""
    if not hit.any():
        raise Undefined("no label is of the class")
    order = np.argsort(-scores, kind="stable")
    sorted_hit, sorted_scores = hit[order].astype(np.float64), scores[order]
    last = np.append(np.flatnonzero(np.diff(sorted_scores)), hit.size - 1)
    ends = last[np.searchsorted(last, np.arange(hit.size))]
    starts = np.searchsorted(-sorted_scores, -sorted_scores, side="left")
    taken = ends + 1.0
    found = np.cumsum(sorted_hit)[ends]
    at = found / taken
    positives = float(sorted_hit.sum())
    value = float(sorted_hit @ at / positives)
    below_once = _sum_from(sorted_hit / taken, starts)
    below_precision = _sum_from(sorted_hit * at / taken, starts)
    influence = sorted_hit * (at - value) + sorted_hit * below_once - below_precision
    back = np.empty_like(influence)
    back[order] = influence * (hit.size / positives)
    return Figure(value, back, hit.size)


def _sum_from(values: Floats, starts: Counts) -> Floats:
    """Return for each start the sum of the values from there to the end."""
    from_here = np.cumsum(values[::-1])[::-1]
    return np.asarray(from_here[starts])
