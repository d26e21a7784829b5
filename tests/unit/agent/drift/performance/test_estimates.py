"""Estimates without labels from captured answers, as `drift.run` reports them."""

from datetime import timedelta

import numpy as np
import pytest

from perennial.agent.drift.command import run
from perennial.agent.hashing import KeyedHash
from perennial.api.common.pod import KeyRef
from perennial.api.contract.commands import HASH_KEY_VARIABLE, CaptureWindow, DriftConfig
from perennial.api.contract.report import DriftReport
from perennial.api.driftmonitor.checks import EstimatedCheck, GroundTruth, Predictions
from perennial.api.driftmonitor.privacy import Hashing, Privacy
from perennial.api.driftmonitor.resource import Checks, Features
from tests.unit.agent.drift.store import DIGEST, NOW, MemoryStore, capture_file, capture_uri, parquet, record, tensors

REFERENCE, CAPTURE, LABELS = "s3://data/train/", "s3://capture/churn/", "s3://labels/churn/"
ROWS = 600
NAMES = ("cat", "dog", "eel")
CLASSES = Predictions(output="p", classes=NAMES)


def settings(tmp_path, *estimated, **changes):
    return DriftConfig(
        **{
            "namespace": "team", "monitor": "churn-drift", "deployment": "churn", "digest": DIGEST,
            "reference": REFERENCE, "current": CaptureWindow(uri=CAPTURE, seconds=7200, digest=DIGEST),
            "checks": Checks(estimated=estimated), "report": "s3://reports/", "predictions": CLASSES,
            "ground_truth": GroundTruth(uri=LABELS, label="truth", delay="1d"),
            "scratch": str(tmp_path / "scratch"), **changes,
        }
    )  # fmt: skip


def judge(store, config):
    message = run(config, store, NOW, "job-1")
    report = DriftReport.model_validate_json(store.objects["s3://reports/job-1/report.json"])
    return message, report, store.objects["s3://reports/job-1/report.html"].decode()


def captured(inputs, outputs):
    """Return a capture file with one request per row: numbers x0, x1, … and the tensor p."""
    at = NOW - timedelta(minutes=20)
    return capture_file(
        *(
            record(
                tensors(**{f"x{place}": [float(value)] for place, value in enumerate(row)}), at=at, id=f"r{index}",
                response={"outputs": [{"name": "p", "shape": [1, len(output)], "datatype": "FP64",
                                       "data": [value if value is None else float(value) for value in output]}]},
            )
            for index, (row, output) in enumerate(zip(inputs, outputs, strict=True))
        )
    )  # fmt: skip


def columns_of(inputs, outputs, **more):
    named = {f"x{place}": values for place, values in enumerate(inputs.T)}
    answers = {"p": outputs[:, 0]} if outputs.shape[1] == 1 else {f"p.{at}": part for at, part in enumerate(outputs.T)}
    return {**named, **answers, **more}


def store_of(current, reference):
    return MemoryStore({f"{REFERENCE}a.parquet": parquet(reference), capture_uri(CAPTURE, NOW): current})


def classes(seed, rows=ROWS, shift=0.0):
    """Return inputs, probabilities of an overconfident model, and the true classes."""
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(rows, 2)) + shift
    logits = inputs @ np.array([[1.5, -1.0, 0.0], [0.0, 1.0, -1.2]])
    world, said = (np.exp(factor * logits) for factor in (1, 2.5))
    world, said = (item / item.sum(axis=1, keepdims=True) for item in (world, said))
    place = (random.random((rows, 1)) > np.cumsum(world, axis=1)[:, :-1]).sum(axis=1)
    return inputs, said, np.array(NAMES)[place]


ACCURACY = EstimatedCheck(metric="accuracy", min="0.85")


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_several_classes_are_estimated_from_calibrated_probabilities(tmp_path, shift):
    before, said_before, was = classes(1, 3000)
    inputs, said, truth = classes(2, shift=shift)
    store = store_of(captured(inputs, said), columns_of(before, said_before, truth=was))
    f1, auc = (EstimatedCheck(metric=name, min="0.3") for name in ("f1", "rocAuc"))
    message, report, page = judge(store, settings(tmp_path, ACCURACY, f1, auc))
    assert (message.likely_degraded, message.degraded) == (True, None)
    found = {check.metric: check for check in report.checks if check.check == "estimated"}
    real = float(np.mean(np.array(NAMES)[said.argmax(axis=1)] == truth))
    assert found["accuracy"].low <= real <= found["accuracy"].high
    assert found["accuracy"].failed
    assert not found["f1"].failed
    assert found["accuracy"].rows == ROWS
    assert said.max(axis=1).mean() > found["accuracy"].high  # what the model says of itself is too much
    assert any("calibrated on the reference" in note and "each class" in note for note in report.notes)
    assert "Estimated performance" in page


def test_a_corrupt_capture_file_costs_its_requests_only_and_the_report_names_it(tmp_path):
    before, said_before, was = classes(1, 3000)
    inputs, said, _ = classes(2)
    store = store_of(captured(inputs, said), columns_of(before, said_before, truth=was))
    store.objects[capture_uri(CAPTURE, NOW, "torn")] = captured(inputs, said)[:-20]
    _, report, _ = judge(store, settings(tmp_path, ACCURACY))
    (check,) = (check for check in report.checks if check.check == "estimated")
    assert (check.rows, check.value is None) == (ROWS, False)
    assert any("torn.jsonl.gz" in note for note in report.notes)


def test_without_labels_in_the_reference_several_classes_are_taken_at_their_word(tmp_path):
    inputs, said, _ = classes(2)
    store = store_of(captured(inputs, said), columns_of(inputs, said))
    _, report, _ = judge(store, settings(tmp_path, ACCURACY))
    assert report.checks[0].value == pytest.approx(said.max(axis=1).mean())
    assert any("own probabilities without calibration" in note for note in report.notes)


@pytest.mark.parametrize(
    ("change", "reference", "answers", "words"),
    [
        ({"predictions": Predictions(output="p")}, {}, None, "3 values for 2 classes: set predictions.classes"),
        ({}, {}, np.full((ROWS, 3), 0.5), "do not sum to 1 but, for example, to 1.5"),
        ({"predictions": Predictions(output="p", positive="1")}, {}, np.full((ROWS, 2), 0.75), "example, to 1.5"),
        ({}, {"p.0": np.full(ROWS, 0.4), "p.1": np.full(ROWS, 0.4), "p.2": np.full(ROWS, 0.4)}, None, "to 1.2"),
        ({}, {"truth": ["cat", "dog"] * (ROWS // 2)}, None, "fewer than 20 labelled rows of the classes eel,"),
        ({}, {"truth": ["cat", "dog", "cow"] * (ROWS // 3)}, None, "labels contain cow"),
    ],
)
def test_what_cannot_be_estimated_says_why(tmp_path, change, reference, answers, words):
    before, said_before, was = classes(1)
    inputs, said, _ = classes(2)
    store = store_of(
        captured(inputs, said if answers is None else answers), columns_of(before, said_before, truth=was) | reference
    )
    message, report, _ = judge(store, settings(tmp_path, ACCURACY, **change))
    assert message.likely_degraded is None
    (check,) = (item for item in report.checks if item.check == "estimated")
    assert words in (check.why or "")
    assert check.value is None


# Numbers: the size of errors is learned on the reference.

PRICES = {"predictions": Predictions(output="p"), "ground_truth": GroundTruth(uri=LABELS, label="truth", delay="1d")}


def prices(seed, rows=ROWS, shift=0.0):
    """Return inputs, predicted and true numbers; errors grow with the distance of the first input from 0."""
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(rows, 2)) + np.array([shift, 0.0])
    predicted = 100 + 10 * inputs[:, 0] - 5 * inputs[:, 1]
    return inputs, predicted[:, None], predicted + random.normal(size=rows) * (1 + 3 * np.abs(inputs[:, 0]))


def errors(**limits):
    return tuple(EstimatedCheck(metric=name, **limits) for name in ("mae", "rmse", "mape"))


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_errors_of_numbers_are_estimated_and_follow_the_inputs(tmp_path, shift):
    before, said_before, was = prices(1, 2000)
    inputs, said, truth = prices(2, shift=shift)
    store = store_of(captured(inputs, said), columns_of(before, said_before, truth=was))
    names = ("mae", "3"), ("rmse", "4.5"), ("mape", "0.03")
    limits = (EstimatedCheck(metric=name, max=most) for name, most in names)
    message, report, page = judge(store, settings(tmp_path, *limits, **PRICES))
    found = {check.metric: check for check in report.checks if check.check == "estimated"}
    real = truth - said[:, 0]
    assert found["mae"].low <= np.mean(np.abs(real)) <= found["mae"].high
    assert found["rmse"].low <= np.sqrt(np.mean(real**2)) <= found["rmse"].high
    assert found["mae"].reference == pytest.approx(np.mean(np.abs(was - said_before[:, 0])))
    assert found["mae"].rows == ROWS
    assert found["mape"].low <= np.mean(np.abs(real / truth)) <= found["mape"].high
    assert found["mape"].reference == pytest.approx(np.mean(np.abs(1 - said_before[:, 0] / was)))
    assert message.likely_degraded is (shift > 0)
    assert message.degraded is None
    assert all(score.check == "estimated" for score in message.scores if score.metric in {"mae", "rmse", "mape"})
    assert any("mae is estimated from errors learned on 2,000 rows" in note for note in report.notes)
    assert any("concept drift" in note for note in report.notes)
    assert "Estimated performance" in page
    assert "not measured" in page


def test_categories_and_missing_values_tell_how_large_errors_are(tmp_path):
    random = np.random.default_rng(3)
    kinds = np.array(["flat", "house", None], dtype=object)
    size = {"flat": 1.0, "house": 5.0, None: 20.0}

    def side(rows, shares):
        kind = random.choice(kinds, rows, p=shares)
        predicted = random.uniform(100, 200, rows)
        errors = random.normal(size=rows) * np.array([size[item] for item in kind])
        return {"x0": random.normal(size=rows), "kind": kind.tolist(), "p": predicted, "truth": predicted + errors}

    before, now = side(2000, [0.5, 0.4, 0.1]), side(ROWS, [0.1, 0.2, 0.7])
    real = np.abs(np.array(now.pop("truth")) - now["p"]).mean()
    store = MemoryStore({f"{REFERENCE}a.parquet": parquet(before), "s3://now/a.parquet": parquet(now)})
    _, report, _ = judge(store, settings(tmp_path, errors(max="5")[0], current="s3://now/", **PRICES))
    (check,) = (item for item in report.checks if item.check == "estimated")
    assert check.low <= real <= check.high
    assert check.failed


def test_columns_that_privacy_drops_are_not_learned_from_and_hashed_ones_are(tmp_path, monkeypatch):
    monkeypatch.setenv(HASH_KEY_VARIABLE, "k" * 32)
    before, said_before, was = prices(1, 1000)
    inputs, said, _ = prices(2, shift=1.0)
    before, inputs = (np.column_stack([side, np.sign(side[:, 0])]) for side in (before, inputs))
    store = store_of(captured(inputs, said), columns_of(before, said_before, truth=was))
    privacy = Privacy(drop=("x0",), hash=Hashing(columns=("x2",), key_secret=KeyRef(name="s", key="k")))
    message, open_report, _ = judge(store, settings(tmp_path, errors(max="9")[0], **PRICES))
    guarded, report, _ = judge(store, settings(tmp_path, errors(max="9")[0], privacy=privacy, **PRICES))
    assert (message.compared_features, guarded.compared_features) == (3, 2)
    found, hidden = (next(x for x in item.checks if x.check == "estimated") for item in (open_report, report))
    assert hidden.value != found.value  # less tells how large errors are
    assert hidden.value > hidden.reference  # but the others still do


def test_columns_that_are_hashed_on_one_side_only_tell_nothing_of_errors(tmp_path):
    before, said_before, was = prices(1, 1000)
    inputs, said, _ = prices(2)
    kinds = ["flat", "house"] * 500
    now = columns_of(inputs, said, kind=[KeyedHash(b"k" * 32).of(kind) for kind in kinds[: len(said)]])
    store = MemoryStore(
        {
            f"{REFERENCE}a.parquet": parquet(columns_of(before, said_before, truth=was, kind=kinds)),
            "s3://now/a.parquet": parquet(now),
        }
    )
    values = []
    for features in (None, Features(exclude=("kind",))):
        config = settings(tmp_path, errors(max="9")[0], current="s3://now/", features=features or Features(), **PRICES)
        _, report, _ = judge(store, config)
        values += [check.value for check in report.checks if check.check == "estimated"]
    assert values[0] == values[1]


@pytest.mark.parametrize(
    ("change", "reference", "words"),
    [
        ({"ground_truth": None}, {}, "no labels in the column groundTruth.label"),
        ({"ground_truth": GroundTruth(uri=LABELS, label="other")}, {}, "no labels in the column groundTruth.label"),
        ({"predictions": Predictions()}, {}, "predictions.output must name the column"),
        ({"predictions": Predictions(output="q")}, {}, "there is no output q"),
        ({}, {"truth": [None] * 520 + [1.0] * 80}, "80 rows of the reference have label and prediction; 100"),
        ({}, {"truth": [None] * ROWS}, "0 rows of the reference have label and prediction"),
        ({}, {"truth": ["cheap"] * ROWS}, "labels are not numbers, such as cheap"),
        ({"checks": Checks(estimated=errors(max="1"), min_rows=ROWS)}, {"x0": [0.0] * ROWS}, "599 predictions"),
    ],
)
def test_errors_that_cannot_be_estimated_say_why(tmp_path, change, reference, words):
    before, said_before, was = prices(1)
    inputs, said, _ = prices(2)
    said[0] = np.nan
    answers = [[None] if np.isnan(row[0]) else row for row in said]
    store = store_of(captured(inputs, answers), columns_of(before, said_before, truth=was) | reference)
    message, report, _ = judge(store, settings(tmp_path, errors(max="1")[0], **{**PRICES, **change}))
    assert message.likely_degraded is None
    assert words in (next(item for item in report.checks if item.check == "estimated").why or "")


@pytest.mark.parametrize(("zeros", "why"), [(0, None), (10, None), (11, "11 of 1,000 labels of the reference are 0")])
def test_relative_errors_need_labels_that_are_not_0(tmp_path, zeros, why):
    before, said_before, was = prices(1, 1000)
    inputs, said, _ = prices(2)
    was[:zeros] = 0
    store = store_of(captured(inputs, said), columns_of(before, said_before, truth=was))
    message, report, _ = judge(store, settings(tmp_path, EstimatedCheck(metric="mape", max="0.001"), **PRICES))
    (check,) = (item for item in report.checks if item.check == "estimated")
    assert message.likely_degraded is (None if why else True)
    assert (check.value is None) == bool(why)
    assert (why or "") in (check.why or "")
    if not why:
        assert check.reference == pytest.approx(np.mean(np.abs(1 - said_before[zeros:, 0] / was[zeros:])))
        assert any("rows of it with label 0 are left out" in note for note in report.notes) == bool(zeros)


def test_classes_and_numbers_are_judged_apart(tmp_path):
    before, said_before, was = prices(1)
    inputs, said, _ = prices(2)
    store = store_of(captured(inputs, said), columns_of(before, said_before, truth=was))
    message, report, _ = judge(store, settings(tmp_path, errors(max="9")[0], ACCURACY, **PRICES))
    found = {check.metric: check for check in report.checks if check.check == "estimated"}
    assert found["mae"].value is not None
    assert "most are outside of 0 to 1" in found["accuracy"].why
    assert message.likely_degraded is None
