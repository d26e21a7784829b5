"""Tests whether the share of rows without a usable value has changed."""

from dataclasses import dataclass

import numpy as np

from perennial.stats.binned import Sample
from perennial.stats.binning import Table
from perennial.stats.compare import Comparison
from perennial.stats.samples import Categorical
from perennial.stats.significance import homogeneity

LEAST_CHANGE = 0.05
"""Smallest change of the share that counts as drift, as for the distances of `auto`."""
ALPHA = 0.001
"""Level of the test that the change is not chance: at most one column in a thousand by mistake."""


@dataclass(frozen=True)
class _Kind:
    """Rows without a usable value of one kind, on both sides."""

    name: str
    reference: int
    current: int

    def change(self, reference: Sample, current: Sample) -> float:
        """Difference of the shares, in [0, 1]."""
        return abs(self.current / current.rows - self.reference / reference.rows)


def missing_change(reference: Sample, current: Sample, comparisons: int = 1) -> Comparison | None:
    """Return the largest significant change of the share of missing, infinite, or both kinds of values.

    The change counts if it is at least LEAST_CHANGE and two shares as different have a probability under ALPHA if both
    sides are alike (chi-square test, Fisher's exact test for few values), divided by the number of `comparisons`.

    Returns:
        None: no change counts, or a side has no rows.
    """
    if not (reference.rows and current.rows):
        return None
    kinds = [kind for kind in _kinds(reference, current) if kind.change(reference, current) >= LEAST_CHANGE]
    changes = [_change(kind, reference, current, ALPHA / comparisons) for kind in kinds]
    found = [change for change in changes if change.drifted]
    return max(found, key=lambda change: change.score) if found else None


def _kinds(reference: Sample, current: Sample) -> tuple[_Kind, ...]:
    missing = _Kind("missing", reference.missing, current.missing)
    if isinstance(reference, Categorical) or isinstance(current, Categorical):
        return (missing,)
    infinite = _Kind("infinite", reference.infinite, current.infinite)
    if not (infinite.reference or infinite.current):
        return (missing,)
    either = _Kind("missing or infinite", missing.reference + infinite.reference, missing.current + infinite.current)
    return (either, missing, infinite)


def _change(kind: _Kind, reference: Sample, current: Sample, alpha: float) -> Comparison:
    table = Table(
        ("present", kind.name),
        np.array([reference.rows - kind.reference, kind.reference], dtype=np.int64),
        np.array([current.rows - kind.current, kind.current], dtype=np.int64),
        rare=True,
    )
    score = kind.change(reference, current)
    p_value = homogeneity(table).p_value
    why = f"the share of {kind.name} values differs by {score:.3g}, by chance with probability {p_value:.2g}"
    drifted = score >= LEAST_CHANGE and p_value < alpha
    return Comparison("missing", score, LEAST_CHANGE, drifted, score, why)
