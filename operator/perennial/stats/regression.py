"""Regression and ranking metrics, each with the influence values of its rows (see `intervals`)."""

from dataclasses import dataclass

import numpy as np

from perennial.stats.intervals import Figure, Undefined, of_mean, of_ratio
from perennial.stats.samples import Counts, Floats


@dataclass(frozen=True, eq=False)
class Regressed:
    """Rows with a known and a predicted number.

    Attributes:
        truth: shape (n,), finite.
        predicted: shape (n,), finite, in the same unit.
    """

    truth: Floats
    predicted: Floats

    @property
    def size(self) -> int:
        """Number of rows."""
        return int(self.truth.size)


@dataclass(frozen=True, eq=False)
class Ranked:
    """Ranked lists, such as search results.

    Attributes:
        relevance: true relevance of each row, shape (n,), at least 0.
        scores: predicted score, shape (n,); higher ranks first.
        groups: index of each row's list, from 0, shape (n,).
        k: number of top ranks evaluated.
    """

    relevance: Floats
    scores: Floats
    groups: Counts
    k: int = 10

    @property
    def size(self) -> int:
        """Number of lists, which are the independent units."""
        return int(np.unique(self.groups).size)


def mae(rows: Regressed) -> Figure:
    """Mean absolute error, in the unit of the values."""
    return of_mean(np.abs(rows.truth - rows.predicted))


def rmse(rows: Regressed) -> Figure:
    """Root of the mean squared error, in the unit of the values."""
    squared = of_mean((rows.truth - rows.predicted) ** 2)
    root = float(np.sqrt(squared.value))
    return Figure(root, squared.influence / (2 * root) if root else np.zeros(rows.size), rows.size)


def mape(rows: Regressed) -> Figure:
    """Mean of |error| / |truth|, 1 for 100 %; rows with truth 0 are left out, since their relative error is undefined.

    scikit-learn divides by 2.2e-16 for such rows; otherwise results agree.
    """
    kept = rows.truth != 0
    relative = np.zeros(rows.size)
    np.divide(np.abs(rows.truth - rows.predicted), np.abs(rows.truth), out=relative, where=kept)
    return of_ratio(relative, kept.astype(np.float64))


def r2(rows: Regressed) -> Figure:
    """Share of the truth's variance that is explained, 1 - SSE / SST, in (-inf, 1].

    Raises:
        Undefined: the truth is constant.
    """
    if not rows.size:
        raise Undefined("there are no rows")
    spread = (rows.truth - np.mean(rows.truth)) ** 2
    if not np.any(spread > 0):
        raise Undefined("all labels are equal")
    left = of_ratio((rows.truth - rows.predicted) ** 2, spread)
    return Figure(1 - left.value, -left.influence, left.rows)


def ndcg(rows: Ranked) -> Figure:
    """Normalised discounted cumulative gain at k, averaged over groups, in [0, 1].

    The sum of relevance / log2(place + 1) over the first k places, divided by the ideal order's; linear gain and
    averaged ties, as scikit-learn's ndcg_score. A list without any relevant row counts as 0. There is one
    influence value per list. Source: Jarvelin and Kekalainen, ACM Trans. Inf. Syst. 20 (2002).

    Raises:
        Undefined: there are no groups.
    """
    order = np.argsort(rows.groups, kind="stable")
    _, starts = np.unique(rows.groups[order], return_index=True)
    parts = np.split(order, starts[1:])
    if not order.size:
        raise Undefined("there are no rows")
    return of_mean(np.array([_ndcg_of(rows.relevance[part], rows.scores[part], rows.k) for part in parts]))


def _ndcg_of(relevance: Floats, scores: Floats, k: int) -> float:
    discounts = 1 / np.log2(np.arange(relevance.size) + 2)
    discounts[k:] = 0
    best = float(np.sort(relevance)[::-1] @ discounts)
    if best <= 0:
        return 0.0
    _, place, tied = np.unique(-scores, return_inverse=True, return_counts=True)
    gain = np.bincount(place, weights=relevance) / tied
    shares = np.add.reduceat(discounts, np.concatenate([[0], np.cumsum(tied)[:-1]]))
    return float(gain @ shares) / best
