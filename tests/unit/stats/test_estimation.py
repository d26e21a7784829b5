import json
from pathlib import Path

import numpy as np
import pytest

from perennial.stats.classification import binary
from perennial.stats.estimation import Expected, calibrate, calibration_helps, expected
from perennial.stats.intervals import Undefined
from perennial.stats.performance import measure

NAMES = ("accuracy", "precision", "recall", "f1", "rocAuc", "logLoss", "brier")
PEERS = json.loads((Path(__file__).parent / "peers.json").read_text())


def drawn(random, rows, shift=0.0):
    chance = random.beta(2 + shift, 3, rows)
    return chance, (random.random(rows) < chance).astype(np.int64)


def test_calibrated_probabilities_foretell_every_figure():
    random = np.random.default_rng(1)
    chance, truth = drawn(random, 200_000, shift=1.5)
    for name in NAMES:
        real = measure(name, binary(truth, chance)).value
        assert expected(name, Expected(chance, chance, chance >= 0.5)).value == pytest.approx(real, abs=0.004), name


def test_intervals_hold_what_happens_as_often_as_they_say():
    random = np.random.default_rng(2)
    held = dict.fromkeys(NAMES, 0)
    for _ in range(150):
        chance, truth = drawn(random, 400)
        for name in NAMES:
            found = expected(name, Expected(chance, chance, chance >= 0.5))
            held[name] += found.low <= measure(name, binary(truth, chance)).value <= found.high
    assert all(count >= 138 for count in held.values()), held


def test_nannyml_estimates_much_the_same():
    """It calibrates another way (folds, bins) and draws samples for the AUC, so they agree to about a hundredth."""
    part = PEERS["cbpe"]
    truth, said = (np.array(item) for item in part["reference"])
    scores = np.array(part["current"][1])
    assert calibration_helps(said, truth == 1)
    rows = Expected(scores, calibrate(said, truth == 1).apply(scores), scores >= 0.5)
    names = {"accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1": "f1", "rocAuc": "roc_auc"}
    for ours, theirs in names.items():
        assert expected(ours, rows).value == pytest.approx(part["nannyml"][theirs], abs=0.01), ours


def test_calibration_is_undone_exaggeration():
    random = np.random.default_rng(3)
    chance, truth = drawn(random, 50_000)
    wrong = chance**3
    learned = calibrate(wrong, truth == 1)
    assert np.abs(learned.apply(wrong) - chance).mean() < 0.02
    assert np.all(np.diff(learned.observed) >= 0)
    assert learned.covers(np.array([-1.0, 0.2])) == 0.5


def test_calibration_is_left_alone_where_it_would_only_learn_noise():
    random = np.random.default_rng(4)
    chance, truth = drawn(random, 300)
    assert not calibration_helps(chance, truth == 1)


@pytest.mark.parametrize(
    ("name", "rows", "words"),
    [
        ("accuracy", Expected(np.array([]), np.array([]), np.array([], dtype=bool)), "no rows"),
        ("precision", Expected(np.array([0.1]), np.array([0.1]), np.array([False])), "never predicted"),
        ("rocAuc", Expected(np.array([0.0]), np.array([0.0]), np.array([False])), "one class"),
    ],
)
def test_what_has_no_value_says_why(name, rows, words):
    with pytest.raises(Undefined, match=words):
        expected(name, rows)
