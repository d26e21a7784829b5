"""Correction of the threshold for multiple comparisons."""

from collections.abc import Sequence
from typing import Literal

Correction = Literal["None", "Bonferroni", "BenjaminiHochberg"]


def corrected(p_values: Sequence[float], alpha: float, correction: Correction) -> float:
    """Return the corrected threshold for each p-value.

    Bonferroni: alpha / k for k tests; the family-wise error rate is at most alpha, for any dependence of the tests.
    Benjamini-Hochberg: i * alpha / k for the largest i whose i-th smallest p-value is at most that (or alpha / k if
    there is none); the false discovery rate is at most alpha. Source: J. R. Stat. Soc. B 57
    (1995).

    Args:
        p_values: each in [0, 1]; at least one.
        alpha: in [0, 1].
        correction: the method.
    """
    tests = len(p_values)
    if correction == "None":
        return alpha
    if correction == "Bonferroni":
        return alpha / tests
    passing = [rank for rank, p_value in enumerate(sorted(p_values), start=1) if p_value <= rank * alpha / tests]
    return max(passing, default=1) * alpha / tests
