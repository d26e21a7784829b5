"""Estimates without labels of models with several classes, held against what the labels say."""

import json
from pathlib import Path

import numpy as np
import pytest

from perennial.stats.class_estimation import (
    ClassCalibration,
    ExpectedClasses,
    calibrate_classes,
    expected_of_classes,
    normalised,
)
from perennial.stats.classification import Classified
from perennial.stats.estimation import Expected, expected
from perennial.stats.intervals import Undefined
from perennial.stats.performance import measure

NAMES = ("accuracy", "precision", "recall", "f1", "rocAuc", "logLoss", "brier")
PEERS = json.loads((Path(__file__).parent / "estimation_peers.json").read_text())
AXES = np.array([[1.5, 0.0], [-1.0, 1.0], [0.0, -1.2]])


def drawn(random, rows, shift=0.0, exaggeration=1.0):
    """Return the model's probabilities, those of the world, and labels; `shift` moves the inputs, not the relation."""
    inputs = random.normal(size=(rows, 2)) + np.array([shift, -shift])
    logits = inputs @ AXES.T
    world, said = (np.exp(factor * logits) for factor in (1.0, exaggeration))
    world, said = (item / item.sum(axis=1, keepdims=True) for item in (world, said))
    truth = (random.random((rows, 1)) > np.cumsum(world, axis=1)[:, :-1]).sum(axis=1)
    return said, world, truth


def rows_of(said, chance):
    return ExpectedClasses(said, chance, said.argmax(axis=1))


def realised(said, truth):
    return Classified(truth, said.argmax(axis=1), said)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_calibrated_probabilities_foretell_every_figure(shift):
    said, world, truth = drawn(np.random.default_rng(1), 100_000, shift, exaggeration=2.0)
    for name in NAMES:
        real = measure(name, realised(said, truth)).value
        assert expected_of_classes(name, rows_of(said, world)).value == pytest.approx(real, abs=0.01), name


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_intervals_hold_what_happens_as_often_as_they_say_and_follow_a_shift_of_the_inputs(shift):
    random = np.random.default_rng(2)
    before, _, was = drawn(random, 4000, exaggeration=1.7)
    learned = calibrate_classes(before, was)
    held = dict.fromkeys(NAMES, 0)
    for _ in range(60):
        said, _, truth = drawn(random, 300, shift, exaggeration=1.7)
        rows = rows_of(said, learned.apply(said))
        for name in NAMES:
            found = expected_of_classes(name, rows)
            held[name] += found.low <= measure(name, realised(said, truth)).value <= found.high
    assert all(count >= 53 for count in held.values()), held


def test_two_classes_are_estimated_as_by_the_definitions_for_two():
    said, world, _ = drawn(np.random.default_rng(3), 500)
    said, world = (normalised(item[:, :2], item[:, :2]) for item in (said, world))
    several = rows_of(said, world)
    two = Expected(said[:, 1], world[:, 1], said.argmax(axis=1) == 1)
    for name, factor in (("accuracy", 1), ("logLoss", 1), ("brier", 2)):
        ours, theirs = expected_of_classes(name, several), expected(name, two)
        assert (ours.value, ours.low, ours.high) == pytest.approx(
            tuple(factor * item for item in (theirs.value, theirs.low, theirs.high))
        ), name


@pytest.mark.parametrize("name", ["precision", "recall", "f1", "rocAuc"])
def test_the_rest_is_the_mean_over_classes_of_one_against_the_rest(name):
    said, world, _ = drawn(np.random.default_rng(4), 500)
    rows = rows_of(said, world)
    single = [expected(name, rows.of_class(kind)).value for kind in range(3)]
    assert expected_of_classes(name, rows).value == pytest.approx(np.mean(single))


def test_calibration_undoes_exaggeration_and_rows_still_sum_to_one():
    random = np.random.default_rng(5)
    before, _, was = drawn(random, 30_000, exaggeration=3.0)
    said, world, _ = drawn(random, 5000, exaggeration=3.0)
    learned = calibrate_classes(before, was)
    chance = learned.apply(said)
    assert learned.changes
    assert chance.sum(axis=1) == pytest.approx(1)
    assert np.abs(chance - world).mean() < 0.5 * np.abs(said - world).mean()
    assert 0.99 < learned.covers(said) <= 1


def test_what_calibration_does_not_improve_is_left_alone():
    said, _, truth = drawn(np.random.default_rng(6), 300)
    assert None in calibrate_classes(said, truth).classes
    untouched = ClassCalibration((None, None, None))
    assert untouched.apply(said) == pytest.approx(said)
    assert (untouched.changes, untouched.covers(said)) == (False, 1.0)


def test_a_row_without_any_chance_keeps_the_probabilities_of_the_model():
    said = np.array([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]])
    chance = normalised(np.array([[0.0, 0.0, 0.0], [0.0, 1.0, 1.0]]), said)
    assert chance == pytest.approx(np.array([[0.2, 0.3, 0.5], [0.0, 0.5, 0.5]]))


def test_a_class_that_is_never_predicted_has_no_precision_and_one_that_cannot_occur_is_left_out():
    said = np.tile([0.6, 0.4, 0.0], (50, 1))
    rows = ExpectedClasses(said, said, said.argmax(axis=1))
    assert expected_of_classes("precision", rows).value == pytest.approx((0.6 + 0) / 2)
    assert expected_of_classes("recall", rows).value == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "said", "words"),
    [("f1", np.empty((0, 3)), "no rows"), ("rocAuc", np.tile([1.0, 0.0, 0.0], (5, 1)), "one class")],
)
def test_what_has_no_value_says_why(name, said, words):
    with pytest.raises(Undefined, match=words):
        expected_of_classes(name, ExpectedClasses(said, said, np.zeros(len(said), dtype=np.int64)))


def test_nannyml_estimates_the_same():
    """The definitions are the same; only the area under the curve is summed in another way."""
    part = PEERS["classes"]
    before, said = (with_the_last(part[side]["scores"]) for side in ("reference", "current"))
    learned = calibrate_classes(before, np.array(part["reference"]["truth"]))
    assert all(learned.classes)
    rows = rows_of(said, learned.apply(said))
    for name, theirs in PEERS["nannyml"]["classes"].items():
        assert expected_of_classes(name, rows).value == pytest.approx(theirs, abs=1e-6), name


def with_the_last(scores):
    first = np.array(scores)
    return np.column_stack([first, 1 - first.sum(axis=1)])
