"""Direct loss estimation (DLE): the expected error of numbers that a model predicts, without labels.

On a reference with labels, a regression learns from the inputs and the prediction how large the error of a row is to be
expected; the mean over the rows of a window estimates the error there. The name and the idea are NannyML's, which fits
LightGBM to all of the reference; here it is `boosting`, cross-fitted: each row's error is predicted by trees that were
not fitted to it, by which the number of trees is chosen and the accuracy of the estimate judged.

It accounts for changes of the inputs (covariate shift). It does not detect concept drift, and is unreliable for inputs
outside of the range of the reference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from perennial.stats.boosting import Binned, Bins, Tree, bins_of, grow
from perennial.stats.intervals import CONFIDENCE, Estimate, Undefined, normal_quantile
from perennial.stats.samples import Floats

FOLDS = 5
LEAST_ROWS = 100
"""Rows of the reference below which nothing is learned."""
_LARGEST = 1e150
"""Loss whose square can still be summed."""
_MOST_TREES = 150
_PATIENCE = 10
"""Trees without a smaller error of the rows that they were not fitted to, after which no further one is grown."""


@dataclass(frozen=True, eq=False)
class _Boosted:
    """Trees that were fitted to all folds but one."""

    base: float
    trees: tuple[Tree, ...]

    def predict(self, binned: Binned) -> Floats:
        found = np.full(binned.shape[0], self.base)
        for tree in self.trees:
            found += tree.predict(binned)
        return found


@dataclass(frozen=True, eq=False)
class LossModel:
    """What is known of a model's losses.

    Attributes:
        bins: bins of the features.
        parts: one regression per fold, fitted to the rows outside of it.
        offset: mean of loss - prediction over rows that the prediction was not fitted to.
        spread: root mean square of loss - prediction, in units of the root mean square prediction: losses scatter more
            where they are larger.
        noise: variance of loss - prediction, in the squared unit of the loss.
        explained: share of the variance of the losses that is explained on rows not fitted to, in [0, 1].
        mean: mean loss of the reference.
        rows: number of rows of the reference.
        low: smallest known value of each feature, shape (d,); NaN if there is none.
        high: largest known value.
    """

    bins: Bins
    parts: tuple[_Boosted, ...]
    offset: float
    spread: float
    noise: float
    explained: float
    mean: float
    rows: int
    low: Floats
    high: Floats

    def covers(self, features: Floats) -> float:
        """Return the share of rows of which every value is missing or within the reference's range, in [0, 1]."""
        outside = (features < self.low) | (features > self.high)
        return float(np.mean(~outside.any(axis=1)))


def fit_losses(features: Floats, losses: Floats, random: np.random.Generator) -> LossModel:
    """Learn losses from features.

    Args:
        features: inputs of the model and its prediction, shape (n, d); NaN is a missing value.
        losses: non-negative, shape (n,), such as absolute or squared errors.
        random: source of folds.

    Raises:
        Undefined: there are too few rows, or losses are too large to be summed.
    """
    if losses.size < LEAST_ROWS:
        raise Undefined(f"{losses.size:,} rows of the reference have label and prediction; {LEAST_ROWS} are needed")
    if float(np.max(losses)) > _LARGEST:
        raise Undefined("errors on the reference are too large for a mean of their squares")
    bins = bins_of(features)
    binned = bins.apply(features)
    folds = random.permutation(losses.size) % FOLDS
    parts = _boosted(binned, losses, folds, random)
    predicted = np.empty(losses.size)
    for fold, part in enumerate(parts):
        predicted[folds == fold] = part.predict(binned[folds == fold])
    offset = float(np.mean(losses - predicted))
    predicted = np.maximum(predicted + offset, 0.0)
    noise, scale = float(np.mean((losses - predicted) ** 2)), float(np.mean(predicted**2))
    variance = float(np.var(losses))
    known = np.where(np.isnan(features), np.inf, features), np.where(np.isnan(features), -np.inf, features)
    return LossModel(
        bins,
        parts,
        offset,
        spread=sqrt(noise / scale) if scale else 0.0,
        noise=noise,
        explained=max(0.0, 1 - noise / variance) if variance and parts[0].trees else 0.0,
        mean=float(np.mean(losses)),
        rows=int(losses.size),
        low=known[0].min(axis=0),
        high=known[1].max(axis=0),
    )


def expected_loss(model: LossModel, features: Floats, confidence: float = CONFIDENCE) -> Estimate:
    """Estimate the mean loss of rows without labels, with the confidence interval of the realised one.

    The interval has two parts: the sampling error of the window, and the error of what was learned from the reference,
    by the jackknife over folds (Shao and Wu, Ann. Stat. 17 (1989)), at least that of a mean of as many rows.

    Args:
        model: result of `fit_losses`.
        features: shape (n, d), in the same order.
        confidence: in (0, 1).

    Raises:
        Undefined: there are no rows.
    """
    if not features.shape[0]:
        raise Undefined("there are no rows")
    binned = model.bins.apply(features)
    found = np.array([np.maximum(part.predict(binned) + model.offset, 0.0) for part in model.parts])
    rows = found.mean(axis=0)
    value = float(rows.mean())
    sampling = float(np.mean((rows - value) ** 2 + (model.spread * rows) ** 2)) / rows.size
    jackknife = (FOLDS - 1) / FOLDS * float(np.sum((found.mean(axis=1) - value) ** 2))
    reach = normal_quantile(confidence) * sqrt(sampling + max(jackknife, model.noise / model.rows))
    return Estimate(value, max(0.0, value - reach), value + reach)


def root(found: Estimate) -> Estimate:
    """Return the estimate of the root of a mean, such as of the root mean squared error."""
    return Estimate(sqrt(found.value), sqrt(found.low), sqrt(found.high))


def _boosted(
    binned: Binned, losses: Floats, folds: np.ndarray[tuple[int], np.dtype[np.int64]], random: np.random.Generator
) -> tuple[_Boosted, ...]:
    """Grow trees for all folds side by side, and keep as many as predict the left-out rows best; perhaps none."""
    outside = [folds != fold for fold in range(FOLDS)]
    bases = [float(np.mean(losses[fitted])) for fitted in outside]
    current = [np.full(losses.size, base) for base in bases]
    trees: list[list[Tree]] = [[] for _ in range(FOLDS)]
    errors = [_held_out_error(losses, current, outside)]
    while len(errors) <= _MOST_TREES and len(errors) - int(np.argmin(errors)) <= _PATIENCE:
        for fold, fitted in enumerate(outside):
            tree = grow(binned[fitted], losses[fitted] - current[fold][fitted], random)
            current[fold] = current[fold] + tree.predict(binned)
            trees[fold].append(tree)
        errors.append(_held_out_error(losses, current, outside))
    kept = int(np.argmin(errors))
    return tuple(_Boosted(base, tuple(grown[:kept])) for base, grown in zip(bases, trees, strict=True))


def _held_out_error(losses: Floats, current: Sequence[Floats], outside: Sequence[np.ndarray]) -> float:
    return sum(
        float(np.sum((losses[~fitted] - predicted[~fitted]) ** 2))
        for predicted, fitted in zip(current, outside, strict=True)
    )
