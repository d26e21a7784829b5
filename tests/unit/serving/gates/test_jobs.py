"""Verdicts from what Jobs of gates left: figures, failures, nothing."""

from datetime import UTC, datetime

import pytest

from perennial.api.contract.messages import Asked, Evaluated, Failure, Interval, Measured, NothingToPublish, Replayed
from perennial.api.kubernetes import Job, Pod
from perennial.api.modeldeployment.evaluation import EvaluationGate, FairnessGate, ReplayGate
from perennial.api.modeldeployment.gates import Gate
from perennial.core.labels import JOB_NAME_LABEL
from perennial.serving.gates.jobs import end_of, gate_jobs, judge_job

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
TIME = "2026-01-31T11:59:30Z"
DATA = {"uri": "s3://data/labelled/", "label": "y"}
JOB = "churn-1-evaluation"


def evaluation(**limits):
    return EvaluationGate.model_validate({"data": DATA, "metric": "rocAuc", **limits})


def fairness(**changes):
    given = {"data": DATA, "attributes": ["sex"], "privileged": "M", "metric": "disparateImpact", **changes}
    return FairnessGate.model_validate(given)


def replay(**limits):
    return ReplayGate.model_validate(limits)


def measured(value="0.87", low="0.86", high="0.88", **changes):
    given = {
        "metric": "rocAuc", "rows": 10000, "value": value, "low": low, "high": high, "stable": "0.9",
        "gain": "-0.03", "gain_low": "-0.035", "gain_high": "-0.025", **changes,
    }  # fmt: skip
    return Measured(**given)


def evaluated(*results, candidate_failed=0, stable_failed=0, stable=True):
    return Evaluated(
        time=TIME,
        rows=10000,
        candidate=Asked(rows=10000, failed=candidate_failed, error="HTTP 500" if candidate_failed else None),
        stable=Asked(rows=10000, failed=stable_failed) if stable else None,
        results=results,
    )


def figure(value="1", low="0.99", high="1", count=500, **changes):
    return Interval(value=value, low=low, high=high, count=count, **changes)


UNKNOWN = Interval(why="no request was answered by both revisions")


def replayed(**changes):
    given = {
        "agreement": figure(), "distance": figure("0", "0", "0"), "errors": figure("0", "0", "0.01"),
        "latency": UNKNOWN, "requests": 500, **changes,
    }  # fmt: skip
    return Replayed(time=TIME, **given)


def job(*, complete=False, failed=None, since=TIME):
    conditions = [{"type": "Complete", "status": "True", "lastTransitionTime": since}] if complete else []
    conditions += [{"type": "Failed", "status": "True", **failed}] if failed else []
    return Job.model_validate({"metadata": {"name": JOB}, "status": {"conditions": conditions}})


def pod(message=None, code=0, at=TIME, **ended):
    text = message if message is None or isinstance(message, str) else message.model_dump_json(by_alias=True)
    state = {"terminated": {"exitCode": code, "finishedAt": at, "message": text, **ended}}
    return Pod.model_validate(
        {
            "metadata": {"name": f"{JOB}-x", "labels": {JOB_NAME_LABEL: JOB}},
            "status": {"containerStatuses": [{"name": "gate", "state": state}]},
        }
    )


def verdict(gate, message):
    return judge_job(gate, end_of(job(complete=True), [pod(message)], NOW), JOB)


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        ({"notWorseThanStableBy": "0.02"}, "Failed"),
        ({"notWorseThanStableBy": "0.03"}, "Inconclusive"),
        ({"notWorseThanStableBy": "0.04"}, "Passed"),
        ({"min": "0.86"}, "Passed"),
        ({"min": "0.87"}, "Inconclusive"),
        ({"min": "0.89"}, "Failed"),
        ({"min": "0.86", "notWorseThanStableBy": "0.02"}, "Failed"),
    ],
)
def test_an_evaluation_is_judged_by_its_intervals(limits, wanted):
    judged = verdict(evaluation(**limits), evaluated(measured()))

    assert judged.verdict == wanted
    assert judged.figures["candidate"] == "0.87 (0.86 to 0.88)"
    assert judged.figures["gain"] == "-0.03 (-0.035 to -0.025)"
    assert len(max(judged.figures.values(), key=len)) <= 64


def test_what_was_not_measured_is_never_fine():
    gate = evaluation(notWorseThanStableBy="0.02")
    blank = Measured(metric="rocAuc", why="all labels are of one class")

    assert verdict(gate, evaluated(blank)).verdict == "Inconclusive"
    assert "all labels are of one class" in verdict(gate, evaluated(blank)).message
    assert verdict(gate, evaluated(measured(metric="accuracy"))).verdict == "Inconclusive"
    assert verdict(gate, evaluated(measured(gain=None, stable=None))).verdict == "Inconclusive"
    assert verdict(gate, evaluated()).verdict == "Inconclusive"


def test_a_candidate_that_fails_where_stable_answers_has_failed():
    gate = evaluation(min="0.5")
    failing = verdict(gate, evaluated(Measured(metric="rocAuc", why="x"), candidate_failed=10000, stable_failed=3))
    both = verdict(gate, evaluated(Measured(metric="rocAuc", why="x"), candidate_failed=10000, stable_failed=9000))

    assert failing.verdict == "Failed"
    assert failing.message == (
        "the candidate did not answer 10,000 of 10,000 rows (HTTP 500); the stable revision did not answer 3 of "
        "10,000 rows"
    )
    assert both.verdict == "Inconclusive"


@pytest.mark.parametrize(
    ("changes", "low", "high", "wanted"),
    [
        ({}, "0.7", "0.75", "Failed"),
        ({}, "0.75", "0.85", "Inconclusive"),
        ({}, "0.82", "1.1", "Passed"),
        ({"min": "0.6"}, "0.7", "0.75", "Passed"),
        ({"metric": "equalOpportunityGap"}, "0.12", "0.2", "Failed"),
        ({"metric": "equalOpportunityDifference"}, "-0.3", "-0.2", "Failed"),
    ],
)
def test_fairness_has_the_limits_of_a_drift_monitor(changes, low, high, wanted):
    gate = fairness(**changes)
    found = Measured(metric=gate.metric, subject="sex: F vs M", rows=600, value=low, low=low, high=high, stable="0.95")

    judged = verdict(gate, evaluated(found))

    assert judged.verdict == wanted
    assert judged.figures["groups"] == "sex: F vs M"


@pytest.mark.parametrize(
    ("limits", "changes", "wanted"),
    [
        ({"minAgreement": "0.99"}, {}, "Passed"),
        ({"minAgreement": "0.995"}, {}, "Inconclusive"),
        ({"minAgreement": "1"}, {}, "Passed"),
        ({"minAgreement": "1.0"}, {"agreement": figure("0.998", "0.98", "1")}, "Failed"),
        ({"minAgreement": "0.9"}, {"agreement": figure("0.5", "0.45", "0.55")}, "Failed"),
        ({"maxErrorRate": "0"}, {}, "Passed"),
        ({"maxErrorRate": "0.01"}, {}, "Passed"),
        ({"maxNumericDistance": "0.1"}, {"distance": figure("0.5", "0.4", "0.6")}, "Failed"),
        ({"maxLatencyRatio": "1.5"}, {}, "Inconclusive"),
        ({"maxLatencyRatio": "1.5"}, {"latency": figure("3", "2.8", "3.2", 200)}, "Failed"),
        ({"maxLatencyRatio": "1.5", "minAgreement": "0.9"}, {"agreement": figure("0.5", "0.4", "0.6")}, "Failed"),
        ({"maxLatencyRatio": "1.5", "minAgreement": "0.9"}, {}, "Inconclusive"),
    ],
)
def test_a_replay_is_judged_by_its_limits(limits, changes, wanted):
    assert verdict(replay(**limits), replayed(**changes)).verdict == wanted


def test_a_running_job_says_what_keeps_it():
    waiting = Pod.model_validate(
        {
            "metadata": {"name": "p", "labels": {JOB_NAME_LABEL: JOB}},
            "status": {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no cpu"}
                ]
            },
        }
    )
    gate = evaluation(min="0.5")

    assert judge_job(gate, None, JOB).message == f"Job {JOB} is being started"
    assert judge_job(gate, end_of(job(), [], NOW), JOB).message == f"Job {JOB} is running"
    assert "no node fits the pod: no cpu" in judge_job(gate, end_of(job(), [waiting], NOW), JOB).message


def test_a_failed_job_is_inconclusive_with_its_cause():
    failure = Failure(reason="ObjectNotFound", message="there are no files under s3://data/labelled/")
    failed = job(failed={"reason": "PodFailurePolicy", "message": "x"})

    judged = judge_job(evaluation(min="0.5"), end_of(failed, [pod(failure, code=67)], NOW), JOB)

    assert judged.verdict == "Inconclusive"
    assert "there are no files under s3://data/labelled/; upload the object or correct the URI" in judged.message
    assert f"delete the Job {JOB} to run it again" in judged.message


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("{}", "not one that the agent writes"),
        ("", "left no termination message"),
        (NothingToPublish(), "not one of a gate"),
    ],
)
def test_a_message_that_is_none_of_a_gate_proves_nothing(message, said):
    judged = verdict(evaluation(min="0.5"), message)

    assert judged.verdict == "Inconclusive"
    assert said in judged.message


def test_a_result_of_another_kind_proves_nothing():
    assert verdict(evaluation(min="0.5"), replayed()).verdict == "Inconclusive"
    assert verdict(replay(minAgreement="0.5"), evaluated(measured())).verdict == "Inconclusive"


def test_a_lost_message_is_found_out_only_after_its_pod_had_time_to_arrive():
    assert end_of(job(complete=True), [], NOW).state == "Running"
    assert end_of(job(complete=True, since="2026-01-31T11:50:00Z"), [], NOW).state == "Lost"


def test_other_limits_or_revisions_make_another_job_of_the_same_name():
    def only(gate, candidate="aaaa", stable="bbbb"):
        return gate_jobs([("quality", Gate(evaluation=gate))], ("churn-aaaa", candidate), stable)[0]

    first = only(evaluation(min="0.5"))

    assert first.job == "churn-aaaa-quality"
    assert only(evaluation(min="0.5")) == first
    for other in (
        only(evaluation(min="0.6")),
        only(evaluation(min="0.5"), candidate="cccc"),
        only(evaluation(min="0.5"), stable="cccc"),
    ):
        assert other.id != first.id
        assert other.job == first.job
