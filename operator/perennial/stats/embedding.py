"""Comparison of embeddings: a domain classifier on principal components, against its null by permutation."""

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from perennial.stats.multivariate import FOLDS, LEVEL, domain_auc
from perennial.stats.samples import Floats
from perennial.stats.vectors import row_hashes

AUC, CHANCE = "auc", 0.5
"""Name of the method in reports, and its value without a difference."""
LEAST_ROWS = 2 * FOLDS
"""Fewest rows of each side."""
COMPONENTS = 128
"""Most principal components; fewer with few rows."""
_ROWS_PER_COMPONENT = 4
_SQUARES = 10
"""Leading components whose squares are features too, at most a fifth of the components."""
_FARTHEST = 20.0
"""Spreads from the median beyond which a number is moved there, so that no outlier makes up a component."""
_QUARTILES_PER_SPREAD = 1.349
"""Interquartile range of a normal distribution in standard deviations."""
_NOTHING = 1e-9


@dataclass(frozen=True)
class Shift:
    """How well embeddings of both sides can be told apart.

    Attributes:
        auc: area under the ROC curve, 0.5 is chance.
        p_value: share of permutations, the observed one included, with an area at least as large, in (0, 1].
        chance: the largest area among the permutations that were computed.
        components: number of principal components.
    """

    auc: float
    p_value: float
    chance: float
    components: int

    @property
    def significant(self) -> bool:
        """Whether chance alone would make as much at most once in 2,000 times."""
        return self.p_value <= LEVEL


def embedding_shift(reference: Floats, current: Floats, seed: int) -> Shift:
    """Return how well a classifier tells current embeddings from those of the reference, on rows it has not seen.

    Numbers are scaled by median and interquartile range of the rows of both sides. Features are their leading principal
    components with variance 1, the squares of the first ones and the logarithm of the length of each row, by which a
    linear classifier also sees a change of the spread. All are made without regard to the side, so that the
    permutation of `domain_auc` is exact. The order of the rows makes no difference: they are sorted by a hash.

    Args:
        reference: shape (n, d), finite, n >= LEAST_ROWS.
        current: shape (m, d), finite, m >= LEAST_ROWS.
        seed: of folds and permutations.

    Raises:
        ValueError: a side has too few rows.
    """
    if min(reference.shape[0], current.shape[0]) < LEAST_ROWS:
        raise ValueError(f"each side needs {LEAST_ROWS} rows")
    rows = np.concatenate([reference, current])
    sides = np.arange(rows.shape[0]) >= reference.shape[0]
    hashes = row_hashes(rows.ravel(), np.full(rows.shape[0], rows.shape[1], dtype=np.int64))
    order = np.lexsort((sides, hashes))
    features, components = _features(_scaled(rows[order]))
    if not components:
        return Shift(CHANCE, 1.0, CHANCE, 0)
    found = domain_auc(features, sides[order], np.random.default_rng(seed))
    return Shift(found.value, found.p_value, found.chance, components)


def _scaled(rows: Floats) -> Floats:
    """Return rows relative to the median, in units of the spread; numbers that never differ are 0."""
    # Halves before they are subtracted, so that the range of the largest numbers does not overflow.
    low, centre, high = np.quantile(rows / 2, [0.25, 0.5, 0.75], axis=0)
    spread = (high - low) / _QUARTILES_PER_SPREAD
    scaled = rows / 2 - centre
    few = spread <= 0
    with np.errstate(over="ignore"):
        if few.any():  # more than half of the rows have the same number
            spread[few] = np.abs(scaled[:, few]).mean(axis=0)
        spread[spread <= 0] = 1.0
        return np.asarray(np.clip(scaled / spread, -_FARTHEST, _FARTHEST))


def _features(rows: Floats) -> tuple[Floats, int]:
    """Return features of shape (n, f) with variance 1, and how many of them are principal components."""
    centred = rows - rows.mean(axis=0)
    components = _components(centred)
    if not components.shape[1]:
        return components, 0
    leading = components[:, : min(_SQUARES, max(1, components.shape[1] // 5))]
    lengths = np.log(np.maximum((centred**2).sum(axis=1, keepdims=True), _NOTHING))
    further = np.hstack([leading**2, lengths])
    spread = further.std(axis=0)
    varied = spread > _NOTHING
    return np.hstack([components, (further[:, varied] - further[:, varied].mean(axis=0)) / spread[varied]]), int(
        components.shape[1]
    )


def _components(centred: Floats) -> Floats:
    """Return the leading principal components of each row, shape (n, k), each with variance 1."""
    amount, width = centred.shape
    most = min(COMPONENTS, width, amount // _ROWS_PER_COMPONENT)
    small = min(amount, width)
    product = (centred.T @ centred if width <= amount else centred @ centred.T) / amount
    variances, vectors = linalg.eigh(product, subset_by_index=(small - most, small - 1))
    kept = variances > _NOTHING * max(float(variances[-1]), _NOTHING)
    variances, vectors = variances[kept], vectors[:, kept]
    projected = centred @ vectors if width <= amount else vectors * np.sqrt(amount * variances)
    return np.asarray(projected / np.sqrt(variances))[:, ::-1]
