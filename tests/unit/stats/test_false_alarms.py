"""Two samples of one distribution must hardly ever be called drifted, whatever their size and shape."""

import numpy as np
import pytest

from perennial.stats.compare import compare
from perennial.stats.samples import Categorical, numeric

FEATURES = 30
SHAPES = ("normal", "lognormal", "standard_t", "exponential", "poisson", "binary", "zero_inflated", "categories")


def draw(generator, shape, size):
    if shape == "categories":
        labels, counts = np.unique(generator.zipf(1.7, size), return_counts=True)
        return Categorical({str(label): int(count) for label, count in zip(labels, counts, strict=True)})
    match shape:
        case "standard_t":
            values = generator.standard_t(2, size)
        case "poisson":
            values = generator.poisson(20, size)
        case "binary":
            values = generator.random(size) < 0.1
        case "zero_inflated":
            values = np.where(generator.random(size) < 0.8, 0, generator.exponential(1, size))
        case _:
            values = getattr(generator, shape)(size=size)
    return numeric(values)


def drifted_columns(seed, n, m):
    generator = np.random.default_rng(seed)
    shapes = [SHAPES[index % len(SHAPES)] for index in range(FEATURES)]
    return sum(compare(draw(generator, s, n), draw(generator, s, m)).drifted for s in shapes)


@pytest.mark.parametrize(
    ("n", "m", "repeats"),
    [(60, 60, 25), (60, 2000, 15), (300, 300, 20), (1000, 1000, 10), (3000, 1200, 6), (10_000, 10_000, 3)],
)
def test_unchanged_data_hardly_ever_has_a_drifted_column(n, m, repeats):
    alarms = [drifted_columns(1000 * n + m + repeat, n, m) for repeat in range(repeats)]
    assert max(alarms) <= 2  # a whole of 30 columns has drifted from 15 on
    assert sum(alarms) / (repeats * FEATURES) <= 0.01


@pytest.mark.parametrize(("n", "m"), [(60, 60), (300, 2000), (5000, 5000)])
def test_moved_data_is_still_found(n, m):
    generator = np.random.default_rng(7)
    found = [
        compare(numeric(generator.normal(size=n)), numeric(generator.normal(1.2, size=m))).drifted for _ in range(20)
    ]
    assert sum(found) >= 19
