"""Many tests at once: how far the threshold of each must fall so that chance alone stays rare."""

from collections.abc import Sequence
from typing import Literal

Correction = Literal["None", "Bonferroni", "BenjaminiHochberg"]


def corrected(p_values: Sequence[float], alpha: float, correction: Correction) -> float:
    """Return the threshold that each p-value is to be held against.

    Bonferroni: alpha / k for k tests; the chance of any false alarm is at most alpha, however the tests hang together.
    Benjamini-Hochberg: i * alpha / k for the largest i whose i-th smallest p-value is at most that (or alpha / k when
    there is none); the expected share of false alarms among the alarms is at most alpha. Source: J. R. Stat. Soc. B 57
    (1995).

    Args:
        p_values: each in [0, 1]; at least one.
        alpha: in [0, 1].
        correction: which.
    """
    tests = len(p_values)
    if correction == "None":
        return alpha
    if correction == "Bonferroni":
        return alpha / tests
    passing = [rank for rank, p_value in enumerate(sorted(p_values), start=1) if p_value <= rank * alpha / tests]
    return max(passing, default=1) * alpha / tests
