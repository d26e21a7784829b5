import numpy as np
import pytest

from perennial.stats.classification import Classified, binary
from perennial.stats.intervals import Undefined
from perennial.stats.performance import METRICS, figure, gain, measure, paired_gain
from perennial.stats.regression import Ranked, Regressed
from tests.unit.stats.agreed import EXPECTED, four_classes, lists, numbers, two_classes

CASES = [
    *((name, two_classes, value) for name, value in EXPECTED["binary"]["expected"].items()),
    *((name, four_classes, value) for name, value in EXPECTED["multiclass"]["expected"].items()),
    *((name, numbers, value) for name, value in EXPECTED["regression"]["expected"].items()),
]


@pytest.mark.parametrize(("name", "rows", "theirs"), CASES, ids=lambda item: getattr(item, "__name__", str(item)))
def test_scikit_learn_says_the_same(name, rows, theirs):
    assert measure(name, rows()).value == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("k", [3, 10])
def test_scikit_learn_orders_lists_alike(k):
    assert measure("ndcg", lists(k)).value == pytest.approx(EXPECTED["ranking"]["expected"][str(k)], abs=1e-9)


def without(rows, index):
    if isinstance(rows, Regressed):
        return Regressed(np.delete(rows.truth, index), np.delete(rows.predicted, index))
    return Classified(
        np.delete(rows.truth, index), np.delete(rows.predicted, index), np.delete(rows.scores, index, 0), rows.positive
    )


@pytest.mark.parametrize("make", [two_classes, four_classes, numbers], ids=lambda item: item.__name__)
def test_influence_is_what_leaving_a_row_out_does(make):
    rows = make()
    names = [name for name, metric in METRICS.items() if isinstance(rows, metric.rows) and name != "calibrationError"]
    for name in names:
        whole = figure(name, rows)
        assert np.mean(whole.influence) == pytest.approx(0, abs=1e-9), name
        for index in range(0, rows.size, 37):
            change = whole.value - figure(name, without(rows, index)).value
            assert change == pytest.approx(whole.influence[index] / rows.size, rel=0.15, abs=3e-4), name


def test_intervals_hold_the_true_value_as_often_as_they_say():
    random = np.random.default_rng(3)
    held = dict.fromkeys(("accuracy", "rocAuc", "prAuc", "f1", "logLoss", "brier"), 0)
    draw = calibrated(random, 400_000)
    truth = {name: measure(name, draw).value for name in held}
    for _ in range(200):
        rows = calibrated(random, 300)
        for name in held:
            found = measure(name, rows)
            held[name] += found.low <= truth[name] <= found.high
    assert all(180 <= count <= 200 for count in held.values()), held


def calibrated(random, rows):
    scores = random.beta(2, 3, rows)
    return binary((random.random(rows) < scores).astype(np.int64), scores)


def test_calibration_error_by_hand():
    rows = binary(np.array([0, 1, 1, 1]), np.array([0.15, 0.15, 0.95, 0.95]))
    assert measure("calibrationError", rows).value == pytest.approx((abs(0.3 - 1) + abs(1.9 - 2)) / 4)


def test_the_same_model_gains_nothing_and_for_certain():
    found = paired_gain("rocAuc", two_classes(), two_classes())
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_pairing_sees_a_small_loss_that_two_separate_intervals_hide():
    random = np.random.default_rng(1)
    stable = calibrated(random, 5000)
    worse = binary(stable.truth, np.clip(stable.scores[:, 1] + random.normal(0, 0.08, stable.size), 0, 1))
    paired, apart = paired_gain("rocAuc", worse, stable), gain("rocAuc", worse, stable)
    assert paired.value == pytest.approx(apart.value)
    assert paired.high < 0 < apart.high


def test_a_smaller_loss_is_a_gain():
    truth = np.arange(50.0)
    better, worse = Regressed(truth, truth + 1), Regressed(truth, truth + 2)
    assert paired_gain("mae", better, worse).value == 1
    assert gain("mae", better, worse).value == 1


def test_a_perfect_sample_is_no_proof_of_perfection():
    rows = binary(np.array([0, 1] * 10), np.array([0.1, 0.9] * 10))
    found = measure("accuracy", rows)
    assert found.high == 1
    assert found.low == pytest.approx(0.8389, abs=1e-3)  # Wilson at 20 of 20


@pytest.mark.parametrize(
    ("name", "rows", "words"),
    [
        ("rocAuc", binary(np.array([1, 1]), np.array([0.2, 0.9])), "all labels are of one class"),
        ("prAuc", binary(np.array([0, 0]), np.array([0.2, 0.9])), "no label is of the class"),
        ("logLoss", Classified(np.array([0, 1]), np.array([0, 1])), "needs probabilities"),
        ("accuracy", binary(np.array([], dtype=int), np.array([])), "no rows"),
        ("r2", Regressed(np.ones(3), np.ones(3)), "all labels are equal"),
        ("mape", Regressed(np.zeros(3), np.ones(3)), "no rows of the required kind"),
        ("mae", binary(np.array([0, 1]), np.array([0.2, 0.9])), "regressed rows, but these are classified"),
    ],
)
def test_what_has_no_value_says_why(name, rows, words):
    with pytest.raises(Undefined, match=words):
        measure(name, rows)


def test_a_list_without_anything_relevant_counts_as_nothing_found():
    rows = Ranked(np.array([0.0, 0.0, 1.0]), np.array([1.0, 2.0, 3.0]), np.array([0, 0, 1]))
    assert measure("ndcg", rows).value == 0.5


def test_relative_errors_leave_out_what_is_zero():
    assert measure("mape", Regressed(np.array([0.0, 2.0]), np.array([5.0, 1.0]))).value == 0.5
