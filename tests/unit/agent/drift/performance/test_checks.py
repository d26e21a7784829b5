"""Performance and fairness from captured answers and labels, as `drift.run` reports them."""

import json
import string
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from perennial.agent.drift.command import run
from perennial.agent.predictions.outputs import OUTPUT
from perennial.agent.predictions.rows import judged
from perennial.agent.predictions.vocabulary import canonical, class_name
from perennial.api.contract.commands import CaptureWindow, DriftConfig
from perennial.api.contract.report import DriftReport
from perennial.api.driftmonitor.checks import EstimatedCheck, FairnessCheck, GroundTruth, PerformanceCheck, Predictions
from perennial.api.driftmonitor.resource import Checks
from perennial.core.termination import parse_message
from perennial.stats.intervals import Undefined
from tests.unit.agent.drift.store import (
    DIGEST,
    NOW,
    MemoryStore,
    capture_file,
    capture_uri,
    csv,
    parquet,
    record,
    tensors,
)

REFERENCE, CAPTURE, LABELS = "s3://data/train/", "s3://capture/churn/", "s3://labels/churn/"
DELAY = timedelta(days=1)
ROWS = 600


def truth_of(rows=ROWS, seed=1, skill=2.0):
    """Return probabilities, labels and a group for each row; the groups' rates are alike."""
    random = np.random.default_rng(seed)
    label = random.integers(0, 2, rows)
    chance = 1 / (1 + np.exp(-(skill * (2 * label - 1) + random.normal(0, 1.5, rows))))
    return np.round(chance, 4), label, random.choice(["F", "M"], rows)


def answer(*chances):
    return {"outputs": [{"name": "p", "shape": [len(chances)], "datatype": "FP64", "data": list(chances)}]}


def captured(chance, group, at):
    return capture_file(
        *(
            record(tensors(age=[float(40 + index % 30)], sex=[str(group[index])]), at=at, id=f"r{index}",
                   response=answer(float(chance[index])))
            for index in range(len(chance))
        )
    )  # fmt: skip


def store_of(chance, group, labels, at=NOW - DELAY - timedelta(minutes=30), name="labels.parquet"):
    ages = [float(40 + index % 30) for index in range(ROWS)]
    now = capture_file(*(record(tensors(age=[age], sex=["F"]), response=answer(0.5)) for age in ages[:60]))
    return MemoryStore(
        {
            f"{REFERENCE}a.parquet": parquet({"age": ages, "sex": ["F", "M"] * (ROWS // 2)}),
            capture_uri(CAPTURE, at): captured(chance, group, at),
            capture_uri(CAPTURE, NOW, "today"): now,
            f"{LABELS}{name}": labels if isinstance(labels, bytes) else parquet(labels),
        }
    )


def settings(tmp_path, performance=(), fairness=(), truth=True, **changes):
    return DriftConfig(
        **{
            "namespace": "team", "monitor": "churn-drift", "deployment": "churn", "digest": DIGEST,
            "reference": REFERENCE, "current": CaptureWindow(uri=CAPTURE, seconds=7200, digest=DIGEST),
            "checks": Checks(performance=performance, fairness=fairness), "report": "s3://reports/",
            "ground_truth": GroundTruth(uri=LABELS, label="churned", delay="1d") if truth else None,
            "scratch": str(tmp_path / "scratch"), **changes,
        }
    )  # fmt: skip


def judge(store, config):
    message = run(config, store, NOW, "job-1")
    assert parse_message(json.dumps(message.dump())) == message
    report = DriftReport.model_validate_json(store.objects["s3://reports/job-1/report.json"])
    return message, report


def ids(rows=ROWS):
    return [f"r{index}" for index in range(rows)]


AUC = PerformanceCheck(metric="rocAuc", min="0.8")


def test_labels_that_come_a_day_later_are_joined_to_the_answers_of_that_day(tmp_path):
    chance, label, group = truth_of()
    labels = {"id": ids(), "churned": label}
    message, report = judge(store_of(chance, group, labels), settings(tmp_path, (AUC,)))
    assert (message.degraded, message.unfair) == (False, None)
    assert (message.labelled_rows, message.predicted_rows) == (ROWS, ROWS)
    (check,) = report.checks
    order = np.argsort(np.argsort(chance)) + 1
    ones = label == 1
    by_hand = (order[ones].sum() - ones.sum() * (ones.sum() + 1) / 2) / (ones.sum() * (~ones).sum())
    assert check.value == pytest.approx(by_hand, abs=2e-3)  # ties count half
    assert check.low < check.value < check.high


def test_a_model_that_only_guesses_is_degraded(tmp_path):
    chance, label, group = truth_of(skill=0.1)
    message, report = judge(store_of(chance, group, {"id": ids(), "churned": label}), settings(tmp_path, (AUC,)))
    assert message.degraded is True
    assert message.scores[0].failed
    assert message.scores[0].limit == "at least 0.8"
    assert report.checks[0].high < 0.8


def test_a_figure_near_its_limit_pages_no_one(tmp_path):
    chance, label, group = truth_of()
    store = store_of(chance, group, {"id": ids(), "churned": label})
    _, first = judge(store, settings(tmp_path, (AUC,)))
    tight = PerformanceCheck(metric="rocAuc", min=f"{first.checks[0].value + 0.001:.4f}")
    message, _ = judge(store, settings(tmp_path, (tight,)))
    assert message.degraded is False


def test_late_double_and_missing_labels_are_counted(tmp_path):
    chance, label, group = truth_of()
    stamps = ["2026-03-01T00:00:00Z"] * (ROWS - 100) + ["2026-03-02T00:00:00Z"] * 50
    labels = {
        "id": [*ids(ROWS - 100), *ids(50)],
        "churned": [*label[: ROWS - 100], *(1 - label[:50])],
        "at": stamps,
    }
    store = store_of(chance, group, labels)
    truth = GroundTruth(uri=LABELS, label="churned", delay="1d", time="at")
    message, report = judge(store, settings(tmp_path, (AUC,), ground_truth=truth))
    assert message.labelled_rows == ROWS - 100
    assert any("83.3% of 600 predictions have a label" in note for note in report.notes)
    assert any("50 labels repeated an id, with different values for 50 ids" in note for note in report.notes)
    _, clean = judge(store_of(chance, group, {"id": ids(), "churned": label}), settings(tmp_path, (AUC,)))
    assert report.checks[0].value < clean.checks[0].value - 0.02  # the newer labels count


def test_several_rows_of_a_request_have_ids_of_their_own(tmp_path):
    chance, label, _ = truth_of()
    at = NOW - DELAY - timedelta(minutes=30)
    records = [
        record(tensors(age=[40.0] * 10), at=at, id=f"b{start}",
               response=answer(*(float(item) for item in chance[start : start + 10])))
        for start in range(0, ROWS, 10)
    ]  # fmt: skip
    store = store_of(chance, ["F"] * ROWS, {"id": ["x"], "churned": [1]})
    store.objects[capture_uri(CAPTURE, at)] = capture_file(*records)
    keys = [f"b{index - index % 10}/{index % 10}" for index in range(ROWS)]
    store.objects[f"{LABELS}labels.parquet"] = parquet({"id": keys, "churned": label})
    message, _ = judge(store, settings(tmp_path, (AUC,)))
    assert message.labelled_rows == ROWS


def test_labels_in_csv_and_an_id_among_the_request(tmp_path):
    chance, label, _ = truth_of()
    at = NOW - DELAY - timedelta(minutes=30)
    records = [
        record(tensors(customer=[f"00{index}"], age=[40.0]), at=at, response=answer(float(chance[index])))
        for index in range(ROWS)
    ]
    store = store_of(chance, ["F"] * ROWS, {"id": ["x"], "churned": [1]})
    del store.objects[f"{LABELS}labels.parquet"]
    store.objects[capture_uri(CAPTURE, at)] = capture_file(*records)
    store.objects[f"{LABELS}l.csv"] = csv({"nr": [f"00{index}" for index in range(ROWS)], "churned": label})
    truth = GroundTruth(uri=LABELS, label="churned", delay="1d", key="nr", id="customer")
    message, _ = judge(store, settings(tmp_path, (AUC,), ground_truth=truth))
    assert message.labelled_rows == ROWS


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ground_truth": GroundTruth(uri=LABELS, label="nope", delay="1d")}, "groundTruth has no column nope"),
        ({"ground_truth": GroundTruth(uri="s3://none/", label="churned", delay="1d")}, "no files found under"),
        ({"ground_truth": GroundTruth(uri=LABELS, label="churned", delay="9d")}, "no predictions from"),
        ({"predictions": Predictions(output="q")}, "no output q: set predictions.output to one of p"),
        ({"predictions": Predictions(positive="yes")}, "yes is not one of the classes 0, 1"),
        ({"checks": Checks(min_rows=50, performance=(PerformanceCheck(metric="r2", max_drop="0.1"),))}, "no column"),
    ],
)
def test_what_cannot_be_judged_says_why_and_drift_is_judged_all_the_same(tmp_path, change, words):
    chance, label, group = truth_of()
    store = store_of(chance, group, {"id": ids(), "churned": label})
    message, _ = judge(store, settings(tmp_path, (AUC,), **change))
    assert message.degraded is None
    assert message.compared_features == 2
    assert words in (message.scores[0].why or "")


def test_too_few_labels_are_no_verdict(tmp_path):
    chance, label, group = truth_of()
    store = store_of(chance, group, {"id": ids(20), "churned": label[:20]})
    message, _ = judge(store, settings(tmp_path, (AUC,)))
    assert message.degraded is None
    assert message.scores[0].why == "20 labelled rows, but checks.minRows is 50"


def test_a_drop_from_the_reference_is_measured_where_the_reference_has_predictions(tmp_path):
    chance, label, group = truth_of(skill=0.8)
    before, was, _ = truth_of(seed=2)
    store = store_of(chance, group, {"id": ids(), "churned": label})
    ages = [float(40 + index % 30) for index in range(ROWS)]
    store.objects[f"{REFERENCE}a.parquet"] = parquet(
        {"age": ages, "sex": ["F", "M"] * 300, "p": before, "churned": was}
    )
    check = PerformanceCheck(metric="rocAuc", max_drop="0.05")
    message, report = judge(store, settings(tmp_path, (check,), predictions=Predictions(output="p")))
    assert message.degraded is True
    assert report.checks[0].reference > report.checks[0].value + 0.05


def test_unequal_decisions_are_unfair_without_any_label(tmp_path):
    chance, _, group = truth_of()
    chance = np.where(group == "F", chance * 0.45, chance)
    check = FairnessCheck(attributes=("sex",), privileged="M", metric="disparateImpact")
    at = NOW - timedelta(minutes=30)
    message, report = judge(store_of(chance, group, {"id": ["x"], "churned": [0]}, at=at),
                            settings(tmp_path, (), (check,), truth=False))  # fmt: skip
    assert (message.degraded, message.unfair) == (None, True)
    assert report.checks[0].subject == "sex: F vs M"
    assert [item.group for item in report.checks[0].groups] == ["F", "M"]


def test_attributes_may_come_with_the_labels_and_never_reach_the_model(tmp_path):
    chance, label, _ = truth_of()
    labels = {"id": ids(), "churned": label, "origin": ["a", "b", "c"] * 200}
    check = FairnessCheck(attributes=("origin", "sex"), metric="equalOpportunityGap", min_group_rows=30)
    group = ["F", "M"] * 300
    message, report = judge(store_of(chance, group, labels), settings(tmp_path, (), (check,)))
    assert message.unfair is False
    assert len(report.checks[0].groups) == 6
    assert all(set(item.rates) >= {"truePositive"} for item in report.checks[0].groups)


def test_classes_by_name_and_their_probabilities(tmp_path):
    names = np.array(["cat", "dog", "eel"])
    truth = names[np.arange(ROWS) % 3]
    at = NOW - DELAY - timedelta(minutes=30)
    records = [
        record(tensors(age=[40.0]), at=at, id=f"r{index}", response={
            "outputs": [{"name": "p", "shape": [1, 3], "datatype": "FP64",
                         "data": [0.8 if name == truth[index] else 0.1 for name in names]}]})
        for index in range(ROWS)
    ]  # fmt: skip
    store = store_of([0.5] * ROWS, ["F"] * ROWS, {"id": ids(), "churned": truth})
    store.objects[capture_uri(CAPTURE, at)] = capture_file(*records)
    checks = tuple(PerformanceCheck(metric=name, min="0.5") for name in ("accuracy", "rocAuc", "f1"))
    loss = PerformanceCheck(metric="logLoss", max="0.1")
    _, report = judge(store, settings(tmp_path, (*checks, loss), predictions=Predictions(classes=tuple(names))))
    values = {check.metric: check.value for check in report.checks}
    assert values == pytest.approx({"accuracy": 1, "rocAuc": 1, "f1": 1, "logLoss": -np.log(0.8)})


def test_the_page_shows_figures_groups_and_what_was_not_judged(tmp_path):
    chance, label, _ = truth_of()
    group = ["<b>", "M"] * 300
    checks = (AUC, PerformanceCheck(metric="mae", max="1"), PerformanceCheck(metric="ndcg", min="0.5"))
    fair = FairnessCheck(attributes=("sex",), metric="demographicParityGap")
    store = store_of(chance, group, {"id": ids(), "churned": label})
    judge(store, settings(tmp_path, checks, (fair,)))
    page = store.objects["s3://reports/job-1/report.html"].decode()
    for words in ("ROC AUC", "100% of 600 predictions", "Demographic parity, widest gap", "&lt;b&gt;", "holds"):
        assert words in page, words
    assert "<b>" not in page


def test_figures_of_lists_take_each_request_as_one(tmp_path):
    at = NOW - DELAY - timedelta(minutes=30)
    records = [
        record(tensors(age=[40.0, 41.0]), at=at, id=f"q{index}", response=answer(0.9, 0.1)) for index in range(60)
    ]
    keys = [f"q{index}/{row}" for index in range(60) for row in (0, 1)]
    store = store_of([0.5] * ROWS, ["F"] * ROWS, {"id": keys, "churned": [0, 1] * 60})
    store.objects[capture_uri(CAPTURE, at)] = capture_file(*records)
    _, report = judge(store, settings(tmp_path, (PerformanceCheck(metric="ndcg", min="0.9"),)))
    assert report.checks[0].value == pytest.approx(1 / np.log2(3))
    assert report.checks[0].failed


def test_performance_is_estimated_before_labels_come(tmp_path):
    chance, label, group = truth_of(skill=0.3)
    before, was, _ = truth_of(seed=2, skill=0.3)
    store = store_of(chance, group, {"id": ["x"], "churned": [0]}, at=NOW - timedelta(minutes=20))
    ages = [float(40 + index % 30) for index in range(ROWS)]
    store.objects[f"{REFERENCE}a.parquet"] = parquet(
        {"age": ages, "sex": ["F", "M"] * 300, "p": before, "churned": was}
    )
    checks = Checks(estimated=(EstimatedCheck(metric="accuracy", min="0.8"),))
    message, report = judge(store, settings(tmp_path, checks=checks, predictions=Predictions(output="p")))
    assert (message.likely_degraded, message.degraded) == (True, None)
    (check,) = (item for item in report.checks if item.check == "estimated")
    real = np.mean((chance >= 0.5) == label)
    assert check.low - 0.02 < real < check.high + 0.02
    assert any("calibrated on the reference" in note for note in report.notes)
    assert any("concept drift" in note for note in report.notes)


def test_without_labels_in_the_reference_probabilities_are_taken_at_their_word(tmp_path):
    chance, _, group = truth_of()
    store = store_of(chance, group, {"id": ["x"], "churned": [0]}, at=NOW - timedelta(minutes=20))
    checks = Checks(estimated=(EstimatedCheck(metric="rocAuc", min="0.5"),))
    message, report = judge(store, settings(tmp_path, checks=checks, truth=False))
    assert message.likely_degraded is False
    assert any("own probabilities without calibration" in note for note in report.notes)


def test_classes_alone_allow_no_estimate(tmp_path):
    chance, _, group = truth_of()
    at = NOW - timedelta(minutes=20)
    store = store_of((chance >= 0.5).astype(float), group, {"id": ["x"], "churned": [0]}, at=at)
    del store.objects[capture_uri(CAPTURE, NOW, "today")]
    store.objects[capture_uri(CAPTURE, at)] = captured((chance >= 0.5).astype(float), group, at)
    checks = Checks(estimated=(EstimatedCheck(metric="accuracy", min="0.5"),))
    message, _ = judge(store, settings(tmp_path, checks=checks, truth=False))
    assert message.likely_degraded is None
    assert message.scores[0].why == "estimates need probabilities, but predictions are classes"


def test_numbers(tmp_path):
    random = np.random.default_rng(0)
    truth = random.normal(100, 10, ROWS)
    store = store_of(truth + 1.5, ["F"] * ROWS, {"id": ids(), "churned": truth})
    checks = (PerformanceCheck(metric="mae", max="1"), PerformanceCheck(metric="r2", min="0.5"))
    message, report = judge(store, settings(tmp_path, checks))
    assert message.degraded is True
    assert report.checks[0].metric == "mae"  # the failed one comes first
    assert report.checks[0].value == pytest.approx(1.5)


# What cannot be judged says so, and is never taken for good.


def decisions(tmp_path, said, group, checks, labels=None, **predictions):
    """Judge decisions of classes, captured with the groups; labels are joined where they are given."""
    at = NOW - DELAY - timedelta(minutes=30) if labels is not None else NOW - timedelta(minutes=20)
    store = store_of([0.5] * ROWS, ["F"] * ROWS, {"id": ids(), "churned": [0] * ROWS if labels is None else labels})
    del store.objects[capture_uri(CAPTURE, NOW, "today")]
    kind = "BYTES" if isinstance(said[0], str) else "BOOL" if isinstance(said[0], bool) else "FP64"
    store.objects[capture_uri(CAPTURE, NOW, "today")] = capture_file(
        *(record(tensors(age=[float(40 + index % 30)], sex=["F"]), response=answer(0.5)) for index in range(60))
    )
    store.objects[capture_uri(CAPTURE, at)] = capture_file(
        *(
            record(
                tensors(age=[float(40 + index % 30)], sex=[str(group[index])]), at=at, id=f"r{index}",
                response={"outputs": [{"name": "p", "shape": [1], "datatype": kind, "data": [said[index]]}]},
            )
            for index in range(len(said))
        )
    )  # fmt: skip
    if labels is None:
        del store.objects[capture_uri(CAPTURE, NOW, "today")]
    return judge(store, settings(tmp_path, *checks, truth=labels is not None, predictions=Predictions(**predictions)))


PARITY = FairnessCheck(attributes=("sex",), privileged="M", metric="statisticalParityDifference")
IMPACT = FairnessCheck(attributes=("sex",), privileged="M", metric="disparateImpact")
TREATED = FairnessCheck(attributes=("sex",), privileged="M", metric="equalOpportunityDifference")
ACCURACY = PerformanceCheck(metric="accuracy", min="0.8")
GROUPS = ["M", "F"] * (ROWS // 2)


@pytest.mark.parametrize(
    ("favoured", "refused", "occurring"),
    [("approve", "deny", "approve, deny"), (True, False, "false, true"), ("yes", "no", "no, yes")],
)
def test_a_positive_class_that_never_occurs_is_not_judged_and_the_classes_that_do_are_named(
    tmp_path, favoured, refused, occurring
):
    said = [favoured if sex == "M" else refused for sex in GROUPS]
    message, report = decisions(tmp_path, said, GROUPS, ((), (PARITY,)))
    assert message.unfair is None
    assert report.checks[0].value is None
    assert f"never contain the positive class 1, only {occurring}" in report.checks[0].why


def test_the_same_decisions_with_the_positive_class_named_are_unfair(tmp_path):
    said = ["approve" if sex == "M" else "deny" for sex in GROUPS]
    message, report = decisions(tmp_path, said, GROUPS, ((), (PARITY,)), positive="approve")
    assert message.unfair is True
    assert report.checks[0].value == -1


def test_total_discrimination_fails_the_ratio_alone(tmp_path):
    said = [1.0 if sex == "M" else 0.0 for sex in GROUPS]
    message, report = decisions(tmp_path, said, GROUPS, ((), (IMPACT,)))
    assert message.unfair is True
    assert (report.checks[0].value, report.checks[0].low) == (0, 0)
    assert 0 < report.checks[0].high < 0.05


def alternate(first, second):
    return [first, second] * (ROWS // 2)


@pytest.mark.parametrize(
    ("said", "labels"),
    [
        (alternate(0.0, 1.0), alternate("no", "yes")),
        (alternate("no", "yes"), alternate(0, 1)),
        (alternate("No", "Yes"), alternate("no", "yes")),
        (alternate(False, True), alternate(0, 1)),
        (alternate("a", "b"), alternate("a", "c")),
    ],
)
def test_vocabularies_that_do_not_meet_are_not_judged(tmp_path, said, labels):
    message, report = decisions(tmp_path, said, GROUPS, ((ACCURACY,), (TREATED,)), labels=labels)
    assert (message.degraded, message.unfair) == (None, None)
    for check in report.checks:
        assert check.value is None
        assert "set predictions.classes" in check.why


@pytest.mark.parametrize(
    ("said", "labels", "classes"),
    [
        (alternate(0.0, 1.0), alternate("no", "yes"), ("no", "yes")),
        (alternate("no", "yes"), alternate(0, 1), ("no", "yes")),
        (alternate("1.0", "0.0"), alternate(1, 0), None),
        (alternate(" 1", "0 "), alternate(1.0, 0.0), None),
        (alternate("a", "b"), alternate("a", "b"), ("a", "b")),
    ],
)
def test_vocabularies_are_mapped_where_they_are_declared_or_equal_as_numbers(tmp_path, said, labels, classes):
    named = {"classes": classes, "positive": classes[1]} if classes else {}
    message, report = decisions(tmp_path, said, GROUPS, ((ACCURACY,), ()), labels=labels, **named)
    assert message.degraded is False, report.checks[0].why
    assert report.checks[0].value == 1


@given(
    names=st.lists(st.text(string.ascii_letters + string.digits, min_size=1, max_size=4), min_size=2, max_size=3),
    positive=st.text(string.ascii_letters + string.digits, min_size=1, max_size=4),
    declared=st.booleans(),
)
@settings_of_hypothesis(max_examples=60)
def test_no_vocabulary_yields_a_fairness_figure_from_a_class_that_does_not_occur(names, positive, declared):
    frame = pl.DataFrame({OUTPUT: names * 60, "sex": ["M", "F"] * (30 * len(names))})
    predictions = Predictions(positive=positive, classes=tuple(dict.fromkeys(names)) if declared else None)
    occurring = set(canonical(pl.Series(names)))
    try:
        rows = judged(frame, predictions, ("sex",), labelled=False)
    except Undefined:
        return
    assert class_name(positive) in occurring
    assert rows.favourable.any()


def test_a_few_unusable_rows_are_left_out_and_counted(tmp_path):
    chance, label, group = truth_of()
    labels = label.astype(float)
    labels[:5] = np.nan
    chance = chance.copy()
    chance[7], chance[8] = 1.0000001, 1.5
    message, report = judge(
        store_of(chance, group, {"id": ids(), "churned": labels}), settings(tmp_path, (AUC,), (PARITY, TREATED))
    )
    assert message.degraded is False
    assert message.unfair is not None
    by_metric = {check.metric: check for check in report.checks}
    assert (by_metric["rocAuc"].rows, by_metric["rocAuc"].left_out) == (ROWS - 6, 1)
    assert by_metric["statisticalParityDifference"].left_out == 1


def test_many_unusable_rows_are_not_judged(tmp_path):
    chance, label, group = truth_of()
    chance = chance.copy()
    chance[:60] = 7.0
    message, report = judge(
        store_of(chance, group, {"id": ids(), "churned": label}), settings(tmp_path, (AUC,), (PARITY,))
    )
    assert (message.degraded, message.unfair) == (None, None)
    assert "60 of 600 predictions cannot be used" in report.checks[0].why


def test_a_corrupt_label_file_costs_the_checks_and_not_the_drift_verdict(tmp_path):
    chance, _, group = truth_of()
    message, report = judge(
        store_of(chance, group, b"PAR1 cut off", name="broken.parquet"), settings(tmp_path, (AUC,), (PARITY,))
    )
    assert message.kind == "DriftVerdict"
    assert (message.degraded, message.unfair) == (None, None)
    assert all("broken.parquet" in check.why for check in report.checks)


def test_a_corrupt_capture_file_costs_its_predictions_only_and_the_report_names_it(tmp_path):
    chance, label, group = truth_of()
    store = store_of(chance, group, {"id": ids(), "churned": label})
    store.objects[capture_uri(CAPTURE, NOW - DELAY - timedelta(minutes=30), "torn")] = b"no gzip"
    message, report = judge(store, settings(tmp_path, (AUC,)))
    assert message.predicted_rows == ROWS
    notes = [note for note in report.notes if "torn.jsonl.gz" in note]
    assert notes[0].startswith("Left out of predictions: 1 of 2 capture files could not be read (")


def test_labels_that_join_nothing_are_named_as_such(tmp_path):
    chance, label, group = truth_of()
    labels = {"id": [f"other-{index}" for index in range(ROWS)], "churned": label}
    message, report = judge(store_of(chance, group, labels), settings(tmp_path, (AUC,), (PARITY, TREATED)))
    assert message.degraded is None
    by_metric = {check.metric: check for check in report.checks}
    assert by_metric["rocAuc"].why.startswith("no label joined any of 600 predictions: column id of the labels")
    assert by_metric["equalOpportunityDifference"].value is None
    assert by_metric["statisticalParityDifference"].value is not None


def test_one_check_that_could_not_be_judged_keeps_the_others_from_saying_fine(tmp_path):
    said = ["approve" if index % 4 < 2 else "deny" for index in range(ROWS)]
    other = FairnessCheck(attributes=("tribe",), privileged="M", metric="disparateImpact")
    message, _ = decisions(tmp_path, said, GROUPS, ((), (PARITY, other)), positive="approve")
    assert message.unfair is None
