"""Comparison of all columns together: a domain classifier, and the error of reconstruction from principal components.

Both statistics are held against their own null by permutation: of rows of one distribution, any assignment to the two
sides is equally likely. The p-value is exact at every number of rows, columns and shape of distribution.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from perennial.stats.classification import Bools
from perennial.stats.samples import Floats

LEVEL = 0.0005
"""Probability of a false alarm of each of the two: of both together it is at most 0.001, as of a single column."""
PERMUTATIONS = 1999
"""The smallest number for which a p-value can be at most LEVEL."""
FOLDS = 5
VARIANCE = 0.65
"""Share of the variance that the principal components keep."""
_FARTHEST = 1e6
"""Standard deviations from the mean beyond which a value is moved there, so that no sum overflows."""
_FIRST, _BATCH = 20, 100
"""Permutations that are computed together: few at first, since most often they are decided soon."""
_DECIDED = 10
"""Permutations at least as extreme after which no further one can make the p-value small."""
_RIDGE = 0.01
"""Penalty of each squared weight of the classifier, relative to the number of rows: features have variance 1."""


@dataclass(frozen=True)
class Permuted:
    """A statistic and its null by permutation.

    Attributes:
        value: the statistic.
        p_value: share of permutations, the observed one included, with a statistic at least as extreme, in (0, 1].
        chance: the most extreme statistic of the permutations that were computed.
    """

    value: float
    p_value: float
    chance: float


@dataclass(frozen=True)
class Reconstruction:
    """Error of reconstruction on both sides.

    Attributes:
        reference: mean error of rows of the reference that the components were not found from.
        current: mean error of the current rows.
        components: number of principal components.
        p_value: probability of such a difference by chance, in (0, 1].
    """

    reference: float
    current: float
    components: int
    p_value: float

    @property
    def change(self) -> float:
        """Relative change of the error, in [-1, inf); 0 if both are 0."""
        if self.reference == 0:
            return 0.0 if self.current == 0 else float("inf")
        return self.current / self.reference - 1


def domain_auc(features: Floats, current: Bools, random: np.random.Generator) -> Permuted:
    """Return how well a classifier tells current rows from those of the reference, on rows that it has not seen.

    The classifier is linear in the features: ridge regression of the side, coded so that both sides weigh the same.
    Its area under the ROC curve is the mean over five folds; 0.5 is chance. Because the regression is linear in the
    side as well, one factorisation of each fold serves all permutations.

    Args:
        features: shape (n, d), finite, each with a variance of about 1.
        current: whether a row is current, shape (n,), both sides with at least FOLDS rows.
        random: source of folds and permutations.

    Raises:
        ValueError: a side has fewer rows than there are folds.
    """
    if min(np.count_nonzero(current), np.count_nonzero(~current)) < FOLDS:
        raise ValueError("a side has fewer rows than there are folds")
    order = random.permutation(current.size)
    shuffled, hits = features[order], current[order]
    bounds = np.linspace(0, current.size, FOLDS + 1).astype(np.int64)
    parts = [slice(first, last) for first, last in pairwise(bounds)]
    folds = [_Fold.of(shuffled, part) for part in parts]
    return _permuted(hits, random, lambda sides: _aucs(shuffled, folds, sides))


@dataclass(frozen=True, eq=False)
class _Fold:
    """Rows that are scored, and what scores them: weights are `inverse` @ (centred training features).T @ sides."""

    rows: slice
    centre: Floats
    inverse: Floats

    @staticmethod
    def of(features: Floats, rows: slice) -> "_Fold":
        held = features[rows]
        amount = features.shape[0] - held.shape[0]
        centre = (features.sum(axis=0) - held.sum(axis=0)) / amount
        products = features.T @ features - held.T @ held - amount * np.outer(centre, centre)
        penalty = _RIDGE * amount * np.eye(centre.size)
        return _Fold(rows, centre, np.linalg.inv(products + penalty))


def _aucs(features: Floats, folds: list[_Fold], sides: Bools) -> Floats:
    """Return the mean area under the ROC curve for each column of sides, shape (k,); sides has shape (n, k)."""
    coded = sides.astype(np.float64)
    all_sums, all_totals = features.T @ coded, coded.sum(axis=0)
    found = np.zeros(sides.shape[1])
    for fold in folds:
        held = features[fold.rows]
        sums = all_sums - held.T @ coded[fold.rows] - np.outer(fold.centre, all_totals - coded[fold.rows].sum(axis=0))
        scores, hits = (held @ (fold.inverse @ sums)).T.copy(), sides[fold.rows].T.copy()
        found += [_auc(*row) for row in zip(scores, hits, strict=True)]
    return found / len(folds)


def _auc(scores: Floats, hits: Bools) -> float:
    """Return the probability that a hit scores higher than another row, ties count half; 0.5 without either."""
    first, other = np.sort(scores[hits]), np.sort(scores[~hits])
    if not (first.size and other.size):
        return 0.5
    below = np.searchsorted(other, first, "left").sum() + np.searchsorted(other, first, "right").sum()
    return float(below / 2 / first.size / other.size)


def reconstruction(reference: Floats, current: Floats, random: np.random.Generator) -> Reconstruction | None:
    """Compare the error of reconstructing rows from the principal components of the reference.

    The definition is that of NannyML: columns are standardised by the reference, the components are the fewest that
    keep 65 % of its variance, and the error of a row is the Euclidean distance from its reconstruction. Here the
    components are found from one half of the reference, and the error of the other half is compared with that of the
    current rows: that no row was used for both makes the permutation exact.

    Args:
        reference: shape (n, d), NaN if missing, n >= 4.
        current: shape (m, d), NaN if missing, m >= 1.
        random: source of the halves and permutations.

    Returns:
        None if the reference has no column whose values differ.
    """
    order = random.permutation(reference.shape[0])
    learned, held = np.array_split(reference[order], 2)
    centre, spread = _moments(learned)
    varied = np.isfinite(spread) & (spread > 0)
    if not varied.any():
        return None
    # A missing value is replaced by the mean of the reference, which is 0 here.
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = [
            np.clip(np.nan_to_num((side[:, varied] - centre[varied]) / spread[varied]), -_FARTHEST, _FARTHEST)
            for side in (learned, held, current)
        ]
    variances, directions = np.linalg.eigh(scaled[0].T @ scaled[0] / scaled[0].shape[0])
    shares = np.cumsum(variances[::-1]) / variances.sum()
    amount = min(int(np.searchsorted(shares, VARIANCE - 1e-12)) + 1, shares.size)
    kept = directions[:, ::-1][:, :amount]
    before, now = (np.linalg.norm(side - side @ kept @ kept.T, axis=1) for side in scaled[1:])
    errors = np.concatenate([before, now])
    sides = np.arange(errors.size) >= before.size
    result = _permuted(sides, random, lambda given: _differences(errors, given), low=True)
    return Reconstruction(float(before.mean()), float(now.mean()), amount, result.p_value)


def _moments(rows: Floats) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of the values of each column, NaN or infinite where there are none."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        known = np.isfinite(rows).sum(axis=0)
        centre = np.nansum(rows, axis=0) / known
        return centre, np.sqrt(np.nansum((rows - centre) ** 2, axis=0) / known)


def _differences(values: Floats, sides: Bools) -> Floats:
    """Return the difference of the means of the two sides for each column of sides, shape (k,)."""
    amount = int(np.count_nonzero(sides[:, 0]))
    sums = values @ sides.astype(np.float64)
    return np.asarray(sums / amount - (values.sum() - sums) / (values.size - amount))


def _permuted(
    sides: Bools, random: np.random.Generator, statistic: Callable[[Bools], Floats], *, low: bool = False
) -> Permuted:
    """Return a statistic with its p-value, from as many permutations as decide it.

    Sampling stops after ten permutations at least as extreme (Besag and Clifford), which leaves the p-value exact.

    Args:
        sides: the observed sides, shape (n,).
        random: source of permutations.
        statistic: maps sides of shape (n, k) to statistics of shape (k,).
        low: whether low values are extreme too.
    """
    value = float(statistic(sides[:, np.newaxis])[0])
    observed = abs(value) if low else value
    extreme = drawn = 0
    chance = -np.inf
    while drawn < PERMUTATIONS:
        amount = min(_BATCH if drawn else _FIRST, PERMUTATIONS - drawn)
        found = statistic(random.permuted(np.tile(sides, (amount, 1)), axis=1).T)
        for one in np.abs(found) if low else found:
            drawn += 1
            chance = max(chance, float(one))
            extreme += bool(one >= observed - 1e-12)
            if extreme == _DECIDED:
                return Permuted(value, extreme / drawn, chance)
    return Permuted(value, (extreme + 1) / (drawn + 1), chance)
