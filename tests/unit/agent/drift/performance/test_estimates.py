"""Estimates without labels from captured answers, as `drift.run` reports them."""

from datetime import timedelta

import numpy as np
import pytest

from perennial.agent.drift.command import run
from perennial.api.contract.commands import CaptureWindow, DriftConfig
from perennial.api.contract.report import DriftReport
from perennial.api.driftmonitor.checks import EstimatedCheck, GroundTruth, Predictions
from perennial.api.driftmonitor.resource import Checks
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
                                       "data": [float(value) for value in output]}]},
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
