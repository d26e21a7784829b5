"""The error of predicted numbers, estimated without labels and held against what the labels say."""

import json
from pathlib import Path

import numpy as np
import pytest

from perennial.stats.boosting import BINS, bins_of, grow
from perennial.stats.intervals import Estimate, Undefined
from perennial.stats.loss_estimation import expected_loss, fit_losses, root

PEERS = json.loads((Path(__file__).parent / "estimation_peers.json").read_text())


def drawn(random, rows, shift=0.0):
    """Return inputs, and errors that grow with the distance of the first input from 0."""
    inputs = random.normal(size=(rows, 2)) + np.array([shift, 0.0])
    return inputs, random.normal(size=rows) * (0.5 + np.abs(inputs[:, 0]) / 2)


@pytest.mark.parametrize("shift", [0.0, 0.7])
@pytest.mark.parametrize("power", [1, 2])
def test_intervals_hold_what_happens_without_a_shift_and_follow_one_of_the_inputs(shift, power):
    random = np.random.default_rng(1)
    held, values, reals, before = 0, [], [], []
    for _ in range(8):
        inputs, errors = drawn(random, 1200)
        model = fit_losses(inputs, np.abs(errors) ** power, random)
        now, errors = drawn(random, 500, shift)
        found, real = expected_loss(model, now), float(np.mean(np.abs(errors) ** power))
        held += found.low <= real <= found.high
        values.append(found.value)
        reals.append(real)
        before.append(model.mean)
    assert held >= 7
    assert np.mean(values) == pytest.approx(np.mean(reals), rel=0.1)
    if shift:  # most of the change is seen
        assert np.mean(values) - np.mean(before) > 0.5 * (np.mean(reals) - np.mean(before)) > 0


def test_an_estimate_is_no_better_than_rows_that_were_not_fitted_to_say():
    random = np.random.default_rng(2)
    inputs, losses = random.normal(size=(400, 10)), random.exponential(size=400)
    model = fit_losses(inputs, losses, random)
    assert model.explained < 0.05  # there is nothing to learn
    found = expected_loss(model, random.normal(size=(400, 10)))
    assert found.value == pytest.approx(losses.mean(), rel=0.05)
    assert found.high - found.low > 2 * 1.96 * losses.std() / np.sqrt(400)


def test_more_rows_than_one_tree_is_fitted_to_are_learned_from_all_the_same():
    random = np.random.default_rng(10)
    inputs, errors = drawn(random, 12_000)
    model = fit_losses(inputs, np.abs(errors), random)
    now, errors = drawn(random, 2000, 0.7)
    found = expected_loss(model, now)
    assert found.low < np.mean(np.abs(errors)) < found.high
    assert found.high - found.low < 0.12 * found.value
    assert model.rows == 12_000


def test_rows_in_another_order_give_nearly_the_same_and_the_same_rows_the_same():
    random = np.random.default_rng(3)
    inputs, errors = drawn(random, 1000)
    now, _ = drawn(random, 300, 0.5)
    first, again, other = (
        expected_loss(fit_losses(inputs[order], np.abs(errors[order]), np.random.default_rng(5)), now)
        for order in (np.arange(1000), np.arange(1000), random.permutation(1000))
    )
    assert first == again
    assert other.value == pytest.approx(first.value, abs=(first.high - first.low) / 4)


def test_nannyml_estimates_much_the_same():
    """Its trees are LightGBM's, fitted once to all rows: estimates differ by less than a third of its half width.

    Of mape by less than a half: one relative error, of a label near 0, is a quarter of the sum of all.
    """
    part = PEERS["numbers"]
    inputs, errors, truth = {}, {}, {}
    for side in ("reference", "current"):
        rows = part[side]
        predicted = np.array(rows["predicted"])
        inputs[side] = np.column_stack([np.array(rows["inputs"]), predicted])
        truth[side] = np.array(rows["truth"])
        errors[side] = truth[side] - predicted
    for name, power, share in (("mae", 1, 1 / 3), ("rmse", 2, 1 / 3), ("mape", 1, 1 / 2)):
        sizes = {side: np.abs(errors[side] / (truth[side] if name == "mape" else 1)) for side in errors}
        losses = sizes["reference"] ** power
        mean = expected_loss(fit_losses(inputs["reference"], losses, np.random.default_rng(4)), inputs["current"])
        found = mean if power == 1 else root(mean)
        real = float(np.mean(sizes["current"] ** power) ** (1 / power))
        assert found.value == pytest.approx(
            PEERS["nannyml"]["numbers"][name], abs=(found.high - found.low) / 2 * share
        ), name
        assert found.low < real < found.high, name


def test_missing_values_are_learned_from_and_the_range_is_told():
    random = np.random.default_rng(6)
    inputs = random.normal(size=(1000, 2))
    gone = random.random(1000) < 0.3
    inputs[gone, 0] = np.nan
    losses = np.where(gone, 3.0, 1.0) * random.uniform(0.9, 1.1, 1000)
    model = fit_losses(inputs, losses, random)
    assert model.explained > 0.9
    missing = np.column_stack([np.full(200, np.nan), random.uniform(-1, 1, 200)])
    assert expected_loss(model, missing).value == pytest.approx(3.0, rel=0.02)
    assert model.covers(missing) == 1.0
    assert model.covers(np.array([[0.0, 0.0], [99.0, 0.0], [0.0, -99.0], [np.nan, 0.0]])) == 0.5


def test_what_has_no_value_says_why():
    random = np.random.default_rng(7)
    with pytest.raises(Undefined, match="99 rows of the reference"):
        fit_losses(np.zeros((99, 1)), np.zeros(99), random)
    with pytest.raises(Undefined, match="too large"):
        fit_losses(np.zeros((100, 1)), np.full(100, 1e200), random)
    model = fit_losses(np.zeros((100, 1)), np.zeros(100), random)
    assert expected_loss(model, np.zeros((50, 1))) == Estimate(0.0, 0.0, 0.0)
    with pytest.raises(Undefined, match="no rows"):
        expected_loss(model, np.zeros((0, 1)))


def test_few_distinct_values_have_bins_of_their_own_and_nan_is_the_first():
    values = np.array([[3.0], [1.0], [np.nan], [2.0], [2.0]])
    assert bins_of(values).apply(values)[:, 0].tolist() == [3, 1, 0, 2, 2]
    many = np.random.default_rng(8).normal(size=(5000, 1))
    assert set(bins_of(many).apply(many)[:, 0].tolist()) == set(range(1, BINS))


def test_a_tree_divides_where_the_residuals_do():
    random = np.random.default_rng(9)
    values = random.uniform(size=(2000, 8))
    residuals = np.where(values[:, 0] > 0.5, 1.0, -1.0)
    binned = bins_of(values).apply(values)
    tree = grow(binned, residuals, random)
    assert tree.features[0] == 0
    assert np.corrcoef(tree.predict(binned), residuals)[0, 1] > 0.97
