import numpy as np
import pytest

from perennial.stats.missing import ALPHA, missing_change
from perennial.stats.samples import Categorical, Numeric


def numbers(rows, missing=0, infinite=0):
    return Numeric(np.arange(float(rows - missing - infinite)), missing, infinite)


@pytest.mark.parametrize(
    ("reference", "current", "score"),
    [
        (numbers(100_000), numbers(100_000, 99_985), 0.99985),
        (numbers(1000), numbers(1000, 60), 0.06),
        (numbers(1000, 600), numbers(1000, 100), 0.5),
        (numbers(1000), numbers(1000, 0, 200), 0.2),
        (numbers(1000, 200), numbers(1000, 0, 200), 0.2),
        (numbers(1000, 100), numbers(1000, 200, 200), 0.3),
        (Categorical({"a": 1000}), Categorical({"a": 500}, missing=500), 0.5),
    ],
)
def test_a_change_that_matters_and_is_no_chance_counts(reference, current, score):
    change = missing_change(reference, current)
    assert change is not None
    assert change.drifted
    assert change.score == pytest.approx(score)


@pytest.mark.parametrize(
    ("reference", "current"),
    [
        (numbers(1_000_000, 10_000), numbers(1_000_000, 50_000)),  # significant, but under the least change
        (numbers(30), numbers(30, 3)),  # large, but may be chance
        (numbers(1000, 500), numbers(1000, 500)),
        (numbers(0), numbers(10, 10)),
    ],
)
def test_other_changes_do_not(reference, current):
    assert missing_change(reference, current) is None


def test_false_alarms_are_as_rare_as_promised():
    random = np.random.default_rng(0)
    shares = random.uniform(0, 0.5, 2000)
    alarms = sum(
        missing_change(numbers(200, random.binomial(200, share)), numbers(100, random.binomial(100, share))) is not None
        for share in shares
    )
    assert alarms <= 3 * ALPHA * shares.size
