"""Degraded, Unfair and SegmentDeviates: what verdicts about performance, fairness and segments lead to."""

import json
from typing import Any

import pytest

from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.core.decision import Decision
from perennial.drift.controller import metrics
from tests.support.builders import drift_monitor
from tests.unit.drift.worlds import after, conditions, decide, job, pod, status_of, target, verdict

TRUTH = {"uri": "s3://labels/churn/", "label": "churned", "delay": "7d"}
CHECKS = {
    "performance": [{"metric": "rocAuc", "min": "0.8"}],
    "fairness": [{"attributes": ["sex"], "privileged": "M", "metric": "disparateImpact"}],
}
AUC = {
    "check": "performance",
    "metric": "rocAuc",
    "value": "0.71",
    "low": "0.68",
    "high": "0.74",
    "limit": "at least 0.8",
}
IMPACT = {"check": "fairness", "metric": "disparateImpact", "subject": "sex: F vs M", "value": "0.9", "low": "0.85"}


def checked(**spec: Any) -> Any:
    return drift_monitor(groundTruth=TRUTH, checks=CHECKS, **spec)


def found(**changes: Any) -> Any:
    scores = [{**AUC, "failed": True, "rows": 900}, {**IMPACT, "failed": False, "rows": 1000}]
    return verdict(
        drifted=False, degraded=True, unfair=False, labelledRows=900, predictedRows=1000, scores=scores, **changes
    )


def test_a_degraded_model_is_told_with_figure_interval_and_coverage() -> None:
    decision = decide(checked(), target(), job("churn-1"), pod("churn-1", found()))
    assert conditions(decision)["Degraded"] == ("True", "PerformanceBeyondLimit")
    assert conditions(decision)["Unfair"] == ("False", "FairnessHolds")
    assert conditions(decision)["Ready"] == ("True", "Watching")
    message = next(item["message"] for item in status_of(decision)["conditions"] if item["type"] == "Degraded")
    assert (
        message
        == "rocAuc 0.71 (95 % interval 0.68 to 0.74), required at least 0.8; 900 of 1000 predictions have a label"
    )
    assert [event.reason for event in decision.events] == ["PerformanceBeyondLimit"]


def test_it_is_told_once_and_so_is_its_end() -> None:
    resource = checked()
    first = decide(resource, target(), job("churn-1"), pod("churn-1", found()))
    world = (target(), job("churn-1"), pod("churn-1", found()))
    assert decide(after(first, resource), *world).events == ()
    better = verdict(drifted=False, degraded=False, unfair=True)
    second = decide(after(first, resource), *world, job("churn-2"), pod("churn-2", better, at="2026-01-31T11:30:00Z"))
    assert [event.reason for event in second.events] == ["DegradationEnded", "GroupsTreatedDifferently"]


def test_what_is_not_asked_for_has_no_condition() -> None:
    decision = decide(drift_monitor(), target(), job("churn-1"), pod("churn-1", found()))
    assert {"Degraded", "Unfair"}.isdisjoint(conditions(decision))


def test_what_could_not_be_judged_is_unknown_and_says_why() -> None:
    blank = {"check": "performance", "metric": "rocAuc", "failed": False, "why": "20 labelled rows"}
    decision = decide(checked(), target(), job("churn-1"), pod("churn-1", verdict(scores=[blank])))
    assert conditions(decision)["Degraded"] == ("Unknown", "NotJudged")
    message = next(item["message"] for item in status_of(decision)["conditions"] if item["type"] == "Degraded")
    assert message == "not every check could be evaluated: rocAuc: 20 labelled rows"


@pytest.mark.parametrize(("wish", "asks"), [([], False), (["Degradation"], True), (["Unfairness"], False)])
def test_training_is_asked_for_by_the_findings_that_count(wish: list[str], asks: bool) -> None:
    retrain = {"trainingJob": "churn", **({"findings": wish} if wish else {})}
    decision = decide(checked(onDrift={"retrain": retrain}), target(), job("churn-1"), pod("churn-1", found()))
    assert ("retrain" in status_of(decision)) is asks
    assert status_of(decision)["consecutive"] == int(asks)


def test_an_estimate_has_a_condition_of_its_own_and_says_nothing_of_labels() -> None:
    score = {**AUC, "check": "estimated", "failed": True}
    message = verdict(drifted=False, likelyDegraded=True, labelledRows=1, predictedRows=9, scores=[score])
    resource = drift_monitor(checks={"estimated": [{"metric": "rocAuc", "min": "0.8"}]})
    decision = decide(resource, target(), job("churn-1"), pod("churn-1", message))
    assert conditions(decision)["LikelyDegraded"] == ("True", "EstimateBeyondLimit")
    assert status_of(decision)["phase"] == "LikelyDegraded"
    text = next(item["message"] for item in status_of(decision)["conditions"] if item["type"] == "LikelyDegraded")
    assert text == "rocAuc 0.71 (95 % interval 0.68 to 0.74), required at least 0.8"


SEGMENTS: dict[str, Any] = {
    "deviate": True, "judged": 12, "deviating": 2, "notJudged": 3,
    "worst": {"column": "region", "value": "west", "deviates": True, "driftedFeatures": 2, "comparedFeatures": 5,
              "failed": ["accuracy", "age"], "badness": "4.1"},
}  # fmt: skip
BY_REGION = {"segments": [{"column": "region"}]}


def segments_decision(**changes: Any) -> Decision:
    message = verdict(drifted=False, segments={**SEGMENTS, **changes})
    return decide(drift_monitor(**BY_REGION), target(), job("churn-1"), pod("churn-1", message))


def text_of(decision: Decision, kind: str) -> str:
    return str(next(item["message"] for item in status_of(decision)["conditions"] if item["type"] == kind))


def test_the_worst_segment_is_named_though_the_data_as_a_whole_have_not_drifted() -> None:
    decision = segments_decision()
    found = conditions(decision)
    assert (found["Drifted"][0], found["SegmentDeviates"]) == ("False", ("True", "SegmentBeyondLimit"))
    assert status_of(decision)["phase"] == "SegmentDeviates"
    assert text_of(decision, "SegmentDeviates") == (
        "2 of 12 segments deviate; worst: region = west, 2 of 5 columns drifted (accuracy, age); 3 values not judged"
    )
    assert status_of(decision)["lastVerdict"]["segments"]["worst"]["value"] == "west"
    assert "retrain" not in status_of(decision)


def test_segments_that_hold_and_segments_that_could_not_be_judged_are_told_apart() -> None:
    held = segments_decision(deviate=False, deviating=0)
    assert conditions(held)["SegmentDeviates"] == ("False", "SegmentsHold")
    unknown = segments_decision(deviate=None, deviating=0, judged=0, worst=None, why="drift: reference have no column")
    assert conditions(unknown)["SegmentDeviates"] == ("Unknown", "NotJudged")
    assert "drift: reference have no column" in text_of(unknown, "SegmentDeviates")
    older = decide(drift_monitor(**BY_REGION), target(), job("churn-1"), pod("churn-1", verdict()))
    assert conditions(older)["SegmentDeviates"] == ("Unknown", "NotJudged")


def test_a_segment_asks_for_training_only_if_the_findings_name_it() -> None:
    retrain = {"retrain": {"trainingJob": "churn", "findings": ["SegmentDeviation"]}}
    message = verdict(drifted=False, segments=SEGMENTS)
    decision = decide(drift_monitor(**BY_REGION, onDrift=retrain), target(), job("churn-1"), pod("churn-1", message))
    assert conditions(decision)["RetrainRequested"] == ("True", "SegmentDeviationPersists")


def test_a_hostile_name_of_a_segment_is_cleaned() -> None:
    decision = segments_decision(worst={**SEGMENTS["worst"], "value": "we\u202est"})
    assert conditions(decision)["SegmentDeviates"][0] in ("True", "Unknown")
    assert "\u202e" not in json.dumps(status_of(decision), ensure_ascii=False)


def test_gauges_show_what_was_judged_and_nothing_else() -> None:
    decision = decide(checked(), target(), job("churn-1"), pod("churn-1", found()))
    gauges = {gauge.name: gauge for gauge in metrics(DriftMonitor.model_validate(after(decision, checked())))}
    assert gauges["perennial_model_degraded"].value == 1
    assert gauges["perennial_label_coverage"].value == 0.9
    plain = decide(drift_monitor(), target(), job("churn-1"), pod("churn-1", verdict()))
    names = {gauge.name for gauge in metrics(DriftMonitor.model_validate(after(plain, drift_monitor())))}
    assert names == {
        "perennial_resource_ready",
        "perennial_resource_stalled",
        "perennial_resource_suspended",
        "perennial_drift_verdict_timestamp_seconds",
        "perennial_drift_detected",
        "perennial_drift_share",
        "perennial_drift_score",
    }


BEYOND: dict[str, Any] = {
    "predictionDrift": True,
    "multivariateDrift": False,
    "scores": [
        {"check": "predictions", "metric": "linf", "subject": "predict", "value": "0.31", "limit": "below 0.05",
         "failed": True, "rows": 500},
        {"check": "multivariate", "metric": "classifierAuc", "value": "0.51", "limit": "below 0.55", "failed": False},
    ],
}  # fmt: skip


def beyond(checks: dict[str, Any], **changes: Any) -> Decision:
    message = verdict(drifted=False, **{**BEYOND, **changes})
    return decide(drift_monitor(checks=checks), target(), job("churn-1"), pod("churn-1", message))


def test_predictions_and_all_columns_together_have_conditions_of_their_own() -> None:
    decision = beyond({"predictionDrift": {}, "multivariate": {}})
    found = conditions(decision)
    assert found["Drifted"][0] == "False"
    assert found["PredictionDrift"] == ("True", "PredictionsDrifted")
    assert found["JointDrift"] == ("False", "ColumnsHoldTogether")
    assert text_of(decision, "PredictionDrift") == "linf (predict) 0.31, required below 0.05"
    assert status_of(decision)["phase"] == "PredictionDrift"
    gauges = {
        gauge.name: gauge.value for gauge in metrics(DriftMonitor.model_validate(after(decision, drift_monitor())))
    }
    assert gauges["perennial_prediction_drift_detected"] == 1
    assert gauges["perennial_multivariate_drift_detected"] == 0


def test_predictions_that_were_compared_unasked_have_a_condition_too() -> None:
    assert conditions(beyond({}))["PredictionDrift"] == ("True", "PredictionsDrifted")
    why = [{"check": "predictions", "metric": "drift", "why": "20 predictions", "failed": False}]
    unknown = beyond({}, predictionDrift=None, scores=why)
    assert conditions(unknown)["PredictionDrift"] == ("Unknown", "NotJudged")
    assert "PredictionDrift" not in conditions(beyond({}, predictionDrift=None, scores=[]))
    assert "JointDrift" not in conditions(beyond({}))


def test_predictions_ask_for_training_only_if_the_findings_name_them() -> None:
    message = verdict(drifted=False, **BEYOND)
    for findings, reason in ((["PredictionDrift"], "PredictionDriftPersists"), (["Drift"], None)):
        monitor = drift_monitor(onDrift={"retrain": {"trainingJob": "churn", "findings": findings}})
        decision = decide(monitor, target(), job("churn-1"), pod("churn-1", message))
        assert conditions(decision).get("RetrainRequested", ("", None))[1] == reason
