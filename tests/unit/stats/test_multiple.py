import numpy as np
import pytest
from scipy import stats

from perennial.stats.multiple import corrected

P_VALUES = [0.0001, 0.004, 0.019, 0.095, 0.2, 0.28, 0.3, 0.32, 0.43, 0.57, 0.65, 0.76, 0.8, 0.9, 1.0]


def test_without_correction_nothing_changes():
    assert corrected(P_VALUES, 0.05, "None") == 0.05


def test_bonferroni_divides():
    assert corrected(P_VALUES, 0.05, "Bonferroni") == pytest.approx(0.05 / 15)


@pytest.mark.parametrize("alpha", [0.001, 0.05, 0.1, 0.5])
def test_benjamini_and_hochberg_reject_what_scipy_rejects(alpha):
    random = np.random.default_rng(0)
    for values in (P_VALUES, random.random(30), random.random(40) ** 4, [0.5]):
        limit = corrected(values, alpha, "BenjaminiHochberg")
        assert [p <= limit for p in values] == list(stats.false_discovery_control(values) <= alpha)
