"""Predictions, all columns together and duplicate rows, from files in storage to report and message."""

import json
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from perennial.agent.drift.command import run
from perennial.api.contract.commands import CaptureWindow, DriftConfig
from perennial.api.contract.report import DriftReport
from perennial.api.driftmonitor.checks import Predictions, QualityCheck
from perennial.api.driftmonitor.resource import Checks
from perennial.api.driftmonitor.whole import MultivariateCheck, PredictionDriftCheck
from perennial.core.termination import parse_message
from tests.unit.agent.drift.store import (
    DIGEST,
    NOW,
    MemoryStore,
    capture_file,
    capture_uri,
    parquet,
    record,
    tensors,
)

REFERENCE, CURRENT, CAPTURE, REPORTS = "s3://data/train/", "s3://data/now/", "s3://capture/", "s3://reports/"
PREDICTIONS = Predictions(output="predict")


def columns(seed, rows=600, correlation=0.8):
    """Return two columns with standard normal marginals, and one of categories."""
    random = np.random.default_rng(seed)
    both = random.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], rows)
    return {"age": both[:, 0], "income": both[:, 1], "plan": random.choice(["basic", "plus"], rows)}


def settings(tmp_path, **changes):
    return DriftConfig(
        **{
            "namespace": "team", "monitor": "churn", "deployment": "churn", "digest": DIGEST, "reference": REFERENCE,
            "current": CURRENT, "report": REPORTS, "scratch": str(tmp_path / "scratch"), **changes,
        }
    )  # fmt: skip


def compare(store, config):
    message = run(config, store, NOW, "churn-1")
    assert parse_message(json.dumps(message.dump())) == message
    return message, DriftReport.model_validate_json(store.objects[f"{REPORTS}churn-1/report.json"])


def of_files(reference, current):
    return MemoryStore({f"{REFERENCE}a.parquet": parquet(reference), f"{CURRENT}a.parquet": parquet(current)})


def of_requests(reference, current, answers):
    """Return storage with a request of each current row; the first ones are answered, by one value of `answers`."""
    half_an_hour_ago = NOW - timedelta(minutes=30)
    lines = []
    for at in range(len(current["age"])):
        request = tensors(**{name: [values[at].item()] for name, values in current.items()})
        answer = {"outputs": tensors(predict=[answers[at]])["inputs"]} if at < len(answers) else None
        lines.append(record(request, at=half_an_hour_ago, response=answer))
    return MemoryStore({f"{REFERENCE}a.parquet": parquet(reference), capture_uri(CAPTURE, NOW): capture_file(*lines)})


WINDOW = CaptureWindow(uri=CAPTURE, seconds=86400, period="24h", digest=DIGEST)


def page_of(store):
    return store.objects[f"{REPORTS}churn-1/report.html"].decode()


def only(report, kind):
    return [check for check in report.checks if check.check == kind]


def test_probabilities_that_have_moved_are_found_though_no_input_has(tmp_path):
    random = np.random.default_rng(0)
    reference = {**columns(1), "predict": random.beta(2, 5, 600)}
    store = of_requests(reference, columns(2, 300), random.beta(5, 2, 300).tolist())
    message, report = compare(store, settings(tmp_path, current=WINDOW, predictions=PREDICTIONS))
    assert (message.drifted, message.prediction_drift, message.compared_features) == (False, True, 3)
    (check,) = only(report, "predictions")
    assert (check.metric, check.subject, check.failed, check.rows) == ("linf", "predict", True, 300)
    assert check.value > 0.4
    assert [item.name for item in report.predictions] == ["predict"]
    assert "<h2>Predictions</h2>" in page_of(store)
    assert "The predictions have drifted" in page_of(store)
    history = pl.read_parquet(store.objects[f"{REPORTS}history.parquet"])
    assert history.filter(pl.col("kind") == "predictions")["drifted"].to_list() == [True]


@pytest.mark.parametrize("odds", [(0.5, 0.5), (0.9, 0.1)])
def test_classes_are_compared_as_categories_in_one_vocabulary(tmp_path, odds):
    random = np.random.default_rng(0)
    reference = {**columns(1), "predict": random.choice(["no", "yes"], 600)}
    answers = random.choice([0, 1], 300, p=odds).tolist()
    predictions = Predictions(output="predict", classes=("no", "yes"))
    message, report = compare(
        of_requests(reference, columns(2, 300), answers), settings(tmp_path, current=WINDOW, predictions=predictions)
    )
    assert message.prediction_drift is (odds[0] > 0.5)
    assert (report.predictions[0].kind, report.predictions[0].method) == ("categorical", "js")


def test_each_of_several_probabilities_is_compared_and_the_worst_named(tmp_path):
    random = np.random.default_rng(0)
    before, now = random.dirichlet([2, 2, 2], 600), random.dirichlet([2, 2, 8], 400)
    reference = {**columns(1), **{f"p.{at}": before[:, at] for at in range(3)}}
    current = {**columns(2, 400), **{f"p.{at}": now[:, at] for at in range(3)}}
    predictions = Predictions(output="p", classes=("a", "b", "c"))
    message, report = compare(of_files(reference, current), settings(tmp_path, predictions=predictions))
    assert message.prediction_drift is True
    assert {item.name for item in report.predictions} == {"p (a)", "p (b)", "p (c)"}
    assert only(report, "predictions")[0].subject == report.predictions[0].name == "p (c)"


def test_without_predictions_in_the_reference_nothing_is_claimed(tmp_path):
    store = of_files(columns(1), {**columns(2), "predict": np.zeros(600)})
    message, report = compare(store, settings(tmp_path, predictions=PREDICTIONS))
    assert (message.prediction_drift, report.predictions, report.checks) == (None, (), ())
    asked = Checks(prediction_drift=PredictionDriftCheck())
    for predictions, why in ((PREDICTIONS, "it has no column predict"), (Predictions(), "set predictions.output")):
        message, report = compare(store, settings(tmp_path, predictions=predictions, checks=asked))
        assert message.prediction_drift is None
        assert why in message.scores[0].why
    assert "Drift of predictions not judged" in page_of(store)


@pytest.mark.parametrize("classes_of", ["reference", "current"])
def test_classes_are_not_compared_with_probabilities(tmp_path, classes_of):
    random = np.random.default_rng(0)
    sides = {"reference": random.beta(2, 5, 600), "current": random.beta(2, 5, 600)}
    sides[classes_of] = (sides[classes_of] > 0.5).astype(int)
    store = of_files({**columns(1), "predict": sides["reference"]}, {**columns(2), "predict": sides["current"]})
    message, _ = compare(store, settings(tmp_path, predictions=PREDICTIONS))
    assert message.prediction_drift is None
    assert "one side has classes" in message.scores[0].why


def test_too_few_predictions_are_not_judged(tmp_path):
    random = np.random.default_rng(0)
    reference = {**columns(1), "predict": random.beta(2, 5, 600)}
    store = of_requests(reference, columns(2, 300), [0.5] * 20)
    message, _ = compare(store, settings(tmp_path, current=WINDOW, predictions=PREDICTIONS))
    assert (message.drifted, message.prediction_drift) == (False, None)
    assert message.scores[0].why == "20 predictions, but checks.minRows is 50"


TOGETHER = Checks(multivariate=MultivariateCheck())


def test_a_change_of_dependence_that_no_column_shows_is_found_and_named(tmp_path):
    store = of_files(columns(1), columns(2, correlation=-0.8))
    message, report = compare(store, settings(tmp_path, checks=TOGETHER))
    assert (message.drifted_features, message.multivariate_drift) == (0, True)
    classifier, error = sorted(only(report, "multivariate"), key=lambda check: check.metric)
    assert (classifier.metric, classifier.failed, classifier.subject) == (
        "classifierAuc",
        True,
        "mostly by age × income",
    )
    assert classifier.value > 0.7
    assert classifier.p_value <= 0.0005
    assert (error.metric, error.failed) == ("reconstructionError", True)
    assert error.value > 1.2 * error.reference
    assert "<h2>All columns together</h2>" in page_of(store)
    assert "The columns have drifted together" in page_of(store)


def test_columns_that_belong_together_as_before_hold(tmp_path):
    store = of_files(columns(1), columns(2))
    message, report = compare(store, settings(tmp_path, checks=TOGETHER))
    assert message.multivariate_drift is False
    assert all(check.value is not None and not check.failed for check in only(report, "multivariate"))
    assert compare(store, settings(tmp_path, checks=TOGETHER))[0].scores == message.scores
    assert compare(store, settings(tmp_path))[0].multivariate_drift is None


def test_missing_infinite_and_constant_values_and_few_columns_are_no_trouble(tmp_path):
    random = np.random.default_rng(3)

    def strange(seed):
        made = columns(seed)
        made["age"][random.random(600) < 0.2] = np.nan
        made["income"][:3] = [np.inf, -np.inf, 1e308]
        return {**made, "constant": np.ones(600), "empty": [None] * 600}

    message, report = compare(of_files(strange(1), strange(2)), settings(tmp_path, checks=TOGETHER))
    assert message.multivariate_drift is False
    single = {name: columns(seed)["age"] for seed, name in ((1, "reference"), (2, "current"))}
    store = of_files({"age": single["reference"]}, {"age": single["current"]})
    message, report = compare(store, settings(tmp_path, checks=TOGETHER))
    assert message.multivariate_drift is None
    assert "two columns" in only(report, "multivariate")[0].why


def test_values_that_go_missing_together_are_found(tmp_path):
    before, now = columns(1, 1000, 0), columns(2, 1000, 0)
    random = np.random.default_rng(4)
    for name in ("age", "income"):
        before[name][random.random(1000) < 0.3] = np.nan
    together = random.random(1000) < 0.3
    for name in ("age", "income"):
        now[name][together] = np.nan
    message, _ = compare(of_files(before, now), settings(tmp_path, checks=TOGETHER))
    assert (message.drifted_features, message.multivariate_drift) == (0, True)


def test_rows_that_repeat_more_often_than_in_the_reference_are_a_finding(tmp_path):
    now = columns(2, 300)
    twice = {name: np.concatenate([values[:200], values[:100]]) for name, values in now.items()}
    checks = Checks(quality=QualityCheck(max_duplicates="0.05"))
    message, _ = compare(of_files(columns(1), twice), settings(tmp_path, checks=checks))
    assert message.quality_findings == (
        "33.3% of the rows repeat another one, 0% in as many rows of the reference; at most 5% more allowed",
    )
    message, _ = compare(of_files(columns(1), now), settings(tmp_path, checks=checks))
    assert message.quality_findings == ()


def test_rows_of_few_values_repeat_and_are_no_finding(tmp_path):
    def flags(seed, rows):
        return {name: np.random.default_rng(seed + at).choice(["a", "b"], rows) for at, name in enumerate("xyz")}

    checks = Checks(quality=QualityCheck(max_duplicates="0.05"))
    message, _ = compare(of_files(flags(1, 5000), flags(9, 60)), settings(tmp_path, checks=checks))
    assert message.quality_findings == ()
