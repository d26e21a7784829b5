"""What is decided about a DriftMonitor."""

from datetime import timedelta
from typing import Any

import pytest

from perennial.api.contract.settings import OperatorConfig
from perennial.core.decision import Apply, Create
from perennial.core.failures import TABLE
from perennial.core.kinds import Raw
from perennial.drift.controller import CONTROLLER
from tests.support.builders import drift_monitor
from tests.support.memory import START as NOW
from tests.support.memory import Store
from tests.unit.drift.worlds import (
    NEW,
    OLD,
    after,
    conditions,
    cron_job,
    decide,
    failed_job,
    job,
    pod,
    status_of,
    target,
    verdict,
)

RETRAIN = {"retrain": {"trainingJob": "churn", "cooldown": "24h", "after": 2}}


def test_a_new_monitor_gets_its_cron_job_and_is_at_rest_after_one_step() -> None:
    resource = drift_monitor()
    first = decide(resource, target())
    (action,) = first.actions
    assert isinstance(action, Apply)
    assert action.manifest["kind"] == "CronJob"
    assert conditions(first) == {"Ready": ("True", "NoVerdictYet"), "Drifted": ("Unknown", "NoVerdictYet")}

    second = decide(after(first, resource), target(), cron_job())
    assert second.status == first.status
    assert second.events == ()


@pytest.mark.parametrize(
    ("world", "reason", "waits_for_person"),
    [
        ((), "TargetNotFound", False),
        ((target(None),), "TargetNotReady", False),
        ((target("nonsense"),), "TargetNotReady", False),
        ((target(capture=False),), "CaptureNotEnabled", True),
    ],
)
def test_what_is_missing_is_named(world: tuple[Raw, ...], reason: str, waits_for_person: bool) -> None:
    decision = decide(drift_monitor(), *world)
    assert decision.actions == ()
    assert conditions(decision)["Ready"] == ("False", reason)
    assert conditions(decision)["Stalled" if waits_for_person else "Reconciling"] == ("True", reason)


def test_data_of_ones_own_needs_no_capture() -> None:
    decision = decide(drift_monitor(current={"uri": "s3://data/now/"}), target(capture=False))
    assert len(decision.actions) == 1


def test_a_target_that_vanishes_suspends_what_stands() -> None:
    (action,) = decide(drift_monitor(), cron_job()).actions
    assert isinstance(action, Apply)
    assert action.manager == "perennial-suspend"
    assert action.manifest["spec"] == {"suspend": True}


def test_a_verdict_is_taken_once() -> None:
    resource = drift_monitor()
    world = (target(), job("churn-1"), pod("churn-1", verdict()))
    first = decide(resource, *world)
    status = status_of(first)
    assert status["lastVerdict"]["id"] == "churn-1"
    assert status["lastVerdict"]["digest"] == OLD
    assert status["consecutive"] == 1
    assert conditions(first)["Drifted"] == ("True", "DriftDetected")
    assert [event.reason for event in first.events] == ["DriftDetected"]
    assert "age psi 0.61 (threshold 0.2), income psi 0.42" in first.events[0].message
    assert "tenure" not in first.events[0].message

    second = decide(after(first, resource), *world)
    assert second.status == first.status
    assert second.events == ()


@pytest.mark.parametrize(
    ("figures", "told"),
    [
        ({"score": "0", "statistic": "0.43", "pValue": "3.2e-14"}, "age ks p < 1e-10 (threshold 0.001)"),
        ({"score": "0.0000012", "statistic": "0.2", "pValue": "1.2e-06"}, "age ks p = 1.2e-06 (threshold 0.001)"),
        ({"score": "0"}, "age ks p < 1e-10 (threshold 0.001)"),
        ({"score": "0.00042"}, "age ks p = 0.00042 (threshold 0.001)"),
    ],
    ids=["tiny", "small", "tiny, of an earlier agent", "small, of an earlier agent"],
)
def test_a_test_is_told_by_its_p_value(figures: dict[str, str], told: str) -> None:
    feature = {"name": "age", "method": "ks", "threshold": "0.001", "drifted": True, **figures}
    decision = decide(drift_monitor(), target(), job("churn-1"), pod("churn-1", verdict(features=[feature])))
    assert told in decision.events[0].message
    kept = status_of(decision)["lastVerdict"]["features"][0]
    assert kept == feature


def test_verdicts_found_together_are_counted_in_order() -> None:
    pods = (
        pod("churn-3", verdict(), at="2026-01-31T11:00:00Z"),
        pod("churn-1", verdict(), at="2026-01-31T09:00:00Z"),
        pod("churn-2", verdict(drifted=False), at="2026-01-31T10:00:00Z"),
    )
    status = status_of(decide(drift_monitor(), target(), *pods))
    assert status["consecutive"] == 1
    assert status["lastVerdict"]["id"] == "churn-3"


def test_a_week_has_no_more_requests_than_its_budget() -> None:
    resource = drift_monitor(onDrift={"retrain": {"trainingJob": "churn", "cooldown": "1h", "maxPerWeek": 2}})
    for hours in (0, 2):
        asked = decide(
            resource,
            target(),
            pod(f"churn-{hours}", verdict(), at=f"2026-01-31T{9 + hours:02}:00:00Z"),
            now=NOW + timedelta(hours=hours),
        )
        assert status_of(asked)["retrain"]["verdict"] == f"churn-{hours}"
        resource = after(asked, resource)

    held = decide(
        resource,
        target(),
        pod("churn-4", verdict(), at="2026-01-31T13:00:00Z"),
        now=NOW + timedelta(hours=4),
    )
    assert status_of(held)["retrain"]["verdict"] == "churn-2"
    assert conditions(held)["RetrainRequested"] == ("False", "RetrainBudgetSpent")
    assert held.requeue_after == timedelta(days=7, hours=-4).total_seconds()
    assert "RetrainRequested" not in [event.reason for event in held.events]
    resource = after(held, resource)

    later = decide(resource, target(), now=NOW + timedelta(days=7, seconds=1))
    assert status_of(later)["retrain"]["verdict"] == "churn-4"
    assert status_of(later)["retrains"] == ["2026-01-31T14:00:00Z", "2026-02-07T12:00:01Z"]
    assert conditions(later)["RetrainRequested"] == ("True", "DriftPersists")


@pytest.mark.parametrize(
    ("found", "reason", "words"),
    [
        ({"drifted": True, "degraded": True}, "DriftPersists", "because of Drift, Degradation"),
        ({"drifted": False, "degraded": True, "unfair": True}, "DegradationPersists", "because of Degradation, Unfair"),
        ({"drifted": False, "likelyDegraded": True}, "LikelyDegradationPersists", "because of LikelyDegradation"),
        ({"drifted": False, "unfair": True}, "UnfairnessPersists", "because of Unfairness"),
    ],
)
def test_a_request_names_what_it_is_made_for(found: dict[str, bool], reason: str, words: str) -> None:
    every = ["Drift", "Degradation", "LikelyDegradation", "Unfairness"]
    decision = decide(
        drift_monitor(onDrift={"retrain": {"trainingJob": "churn", "findings": every}}),
        target(),
        pod("churn-1", verdict(**found)),
    )

    assert conditions(decision)["RetrainRequested"] == ("True", reason)
    (event,) = [event for event in decision.events if event.reason == "RetrainRequested"]
    assert words in event.message


def test_drift_that_persists_asks_for_training_once_per_verdict_and_cooldown() -> None:
    resource = drift_monitor(onDrift=RETRAIN)
    one = decide(resource, target(), pod("churn-1", verdict(), at="2026-01-31T09:00:00Z"))
    assert "retrain" not in status_of(one)
    resource = after(one, resource)

    two = decide(resource, target(), pod("churn-2", verdict(), at="2026-01-31T10:00:00Z"))
    assert status_of(two)["retrain"] == {
        "verdict": "churn-2",
        "time": "2026-01-31T12:00:00Z",
        "digest": OLD,
        "findings": ["Drift"],
    }
    assert conditions(two)["RetrainRequested"] == ("True", "DriftPersists")
    assert "RetrainRequested" in [event.reason for event in two.events]
    resource = after(two, resource)

    three = decide(resource, target(), pod("churn-3", verdict(), at="2026-01-31T11:00:00Z"))
    assert status_of(three)["retrain"]["verdict"] == "churn-2", "still cooling down"
    assert three.requeue_after == 24 * 3600
    resource = after(three, resource)

    four = decide(resource, target(), now=NOW + timedelta(hours=24))
    assert status_of(four)["retrain"]["verdict"] == "churn-3"
    assert four.requeue_after is None
    resource = after(four, resource)
    assert decide(resource, target(), now=NOW + timedelta(days=9)).status == four.status


def test_a_suspended_monitor_asks_for_nothing() -> None:
    resource = drift_monitor(onDrift={"retrain": {"trainingJob": "churn"}}, suspend=True)
    decision = decide(resource, target(), pod("churn-1", verdict()))
    assert "retrain" not in status_of(decision)
    assert conditions(decision)["Ready"] == ("True", "Suspended")


def test_a_new_model_starts_a_new_count_and_voids_the_request() -> None:
    resource = drift_monitor(onDrift={"retrain": {"trainingJob": "churn"}})
    drifted = decide(resource, target(), pod("churn-1", verdict()))
    assert status_of(drifted)["retrain"]["verdict"] == "churn-1"

    renewed = decide(after(drifted, resource), target(NEW))
    assert status_of(renewed)["consecutive"] == 0
    assert conditions(renewed)["Drifted"] == ("Unknown", "NewModel")
    assert "RetrainRequested" not in conditions(renewed)


def test_a_verdict_about_an_older_model_counts_for_nothing() -> None:
    resource = drift_monitor(onDrift={"retrain": {"trainingJob": "churn"}})
    decision = decide(resource, target(NEW), pod("churn-1", verdict(), digest=OLD))
    status = status_of(decision)
    assert status["lastVerdict"]["digest"] == OLD
    assert status["consecutive"] == 0
    assert "retrain" not in status


def test_drift_that_ends_is_told_of() -> None:
    resource = drift_monitor()
    drifted = decide(resource, target(), pod("churn-1", verdict(), at="2026-01-31T10:00:00Z"))
    ended = decide(after(drifted, resource), target(), pod("churn-2", verdict(drifted=False)))
    assert conditions(ended)["Drifted"] == ("False", "NoDrift")
    assert [event.reason for event in ended.events] == ["DriftEnded"]
    assert status_of(ended)["consecutive"] == 0


def test_too_little_data_is_no_failure_and_keeps_the_count() -> None:
    resource = drift_monitor()
    drifted = decide(resource, target(), pod("churn-1", verdict(), at="2026-01-31T10:00:00Z"))
    message = {"v": 1, "kind": "NoVerdict", "reason": "TooFewRows", "message": "20 rows, 50 are needed"}
    decision = decide(after(drifted, resource), target(), pod("churn-2", message))
    assert conditions(decision)["Ready"] == ("True", "NoVerdict")
    assert status_of(decision)["lastRun"]["reason"] == "TooFewRows"
    assert status_of(decision)["consecutive"] == 1


@pytest.mark.parametrize("failure", TABLE, ids=lambda failure: failure.reason)
def test_each_failure_of_the_agent_names_the_next_step(failure: Any) -> None:
    message = {"v": 1, "kind": "Failure", "reason": failure.reason, "message": "s3://x/ said no"}
    decision = decide(drift_monitor(), target(), failed_job("churn-1"), pod("churn-1", message, code=failure.code))
    run = status_of(decision)["lastRun"]
    assert (run["result"], run["reason"]) == ("Failed", failure.reason)
    assert failure.next_step in run["message"]
    assert conditions(decision)["Ready"] == ("False", failure.reason)
    assert ("Stalled" in conditions(decision)) is not failure.retriable
    assert [event.reason for event in decision.events] == ["ComparisonFailed"]


def test_a_failure_that_kubernetes_repeats_is_not_one_yet() -> None:
    decision = decide(drift_monitor(), target(), job("churn-1", active=1), pod("churn-1", "", code=70))
    assert "lastRun" not in status_of(decision)


def test_a_comparison_that_succeeds_at_the_second_try_has_succeeded() -> None:
    again = pod("churn-1", verdict(), at="2026-01-31T11:05:00Z")
    again["metadata"]["name"] = "churn-1-y"
    decision = decide(drift_monitor(), target(), job("churn-1"), pod("churn-1", "", code=70), again)
    assert status_of(decision)["lastRun"]["result"] == "Verdict"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "x" * 5000,
        '{"v": 1, "kind": "DriftVerdict"}',
        '{"v": 1, "kind": "NothingToPublish"}',
        '{"v": 9, "kind": "NoVerdict", "reason": "A", "message": "m"}',
        "[" * 4000,
        "\x00\x1b[31m",
    ],
)
def test_a_hostile_message_is_refused_in_words(text: str) -> None:
    decision = decide(drift_monitor(), target(), job("churn-1"), pod("churn-1", text))
    assert conditions(decision)["Stalled"] == ("True", "BadTerminationMessage")
    assert status_of(decision)["lastRun"]["message"].isprintable()


@pytest.mark.parametrize(
    "changes", [{"driftedFeatures": 9}, {"currentRows": 10**30}, {"comparedFeatures": 10**30, "driftedFeatures": 1}]
)
def test_figures_that_cannot_be_true_are_refused(changes: dict[str, int]) -> None:
    decision = decide(drift_monitor(), target(), pod("churn-1", verdict(**changes)))
    assert conditions(decision)["Stalled"] == ("True", "BadTerminationMessage")
    assert "lastVerdict" not in status_of(decision)


def test_a_job_that_ran_out_of_time_is_told_of_without_its_pod() -> None:
    decision = decide(drift_monitor(), target(), failed_job("churn-1", "DeadlineExceeded"))
    assert conditions(decision)["Stalled"] == ("True", "DeadlineExceeded")


def test_a_pod_that_cannot_start_is_told_of() -> None:
    stuck = pod("churn-1", "")
    waiting = {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "s3" not found'}}
    stuck["status"] = {"phase": "Pending", "containerStatuses": [{"name": "drift", "state": waiting}]}
    decision = decide(drift_monitor(), target(), job("churn-1", active=1), stuck)
    assert conditions(decision)["Ready"] == ("False", "ContainerConfigError")


def test_a_status_edited_by_hand_hides_no_verdict() -> None:
    status = {"lastRun": {"job": "zzz", "time": "2099-01-01T00:00:00Z", "result": "Verdict"}, "consecutive": 99}
    decision = decide(drift_monitor(status), target(), pod("churn-1", verdict()))
    assert status_of(decision)["lastVerdict"]["id"] == "churn-1"
    assert status_of(decision)["consecutive"] == 1
    unreadable = {"lastRun": {"job": "zzz", "time": "soon", "result": "Verdict"}}
    assert (
        status_of(decide(drift_monitor(unreadable), target(), pod("churn-1", verdict())))["lastRun"]["job"] == "churn-1"
    )


def test_broken_data_is_a_condition_of_its_own() -> None:
    found = pod("churn-1", verdict(drifted=False, qualityFindings=["age: 40 % missing"]))
    assert conditions(decide(drift_monitor(), target(), found))["DataQuality"] == ("False", "QualityFindings")
    clean = pod("churn-1", verdict(drifted=False))
    checked = drift_monitor(checks={"quality": {"maxMissing": "0.1"}})
    assert conditions(decide(checked, target(), clean))["DataQuality"] == ("True", "QualityHolds")


def test_files_that_were_not_read_are_counted_in_the_message() -> None:
    found = decide(drift_monitor(), target(), pod("churn-1", verdict(drifted=False, passedOver=3)))
    assert "; 3 files passed over" in drifted_message(found)
    assert status_of(found)["lastVerdict"]["passedOver"] == 3
    assert "passed over" not in drifted_message(
        decide(drift_monitor(), target(), pod("churn-1", verdict(drifted=False)))
    )


def drifted_message(decision: Any) -> str:
    return next(str(item["message"]) for item in status_of(decision)["conditions"] if item["type"] == "Drifted")


def test_the_gauges_are_few_and_never_twice_the_same() -> None:
    same = [{"name": "age", "method": "psi", "score": "0.5", "threshold": "0.2", "drifted": True}] * 2
    resource = drift_monitor()
    decision = decide(resource, target(), pod("churn-1", verdict(features=same)))
    gauges = CONTROLLER.metrics(CONTROLLER.parse(after(decision, resource)))
    assert [(gauge.name, gauge.value) for gauge in gauges if "timestamp" not in gauge.name] == [
        ("perennial_resource_ready", 1.0),
        ("perennial_resource_stalled", 0.0),
        ("perennial_resource_suspended", 0.0),
        ("perennial_drift_detected", 1.0),
        ("perennial_drift_share", 0.75),
        ("perennial_drift_score", 0.5),
    ]
    fresh = CONTROLLER.metrics(CONTROLLER.parse(resource))
    assert [(gauge.name, gauge.value) for gauge in fresh] == [
        ("perennial_resource_ready", 0.0),
        ("perennial_resource_stalled", 0.0),
        ("perennial_resource_suspended", 0.0),
    ]


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"metadata": None},
        {"metadata": {"name": "x"}, "spec": []},
        {"metadata": {"name": "x"}, "spec": {"target": 7}},
    ],
)
def test_names_of_garbage_are_none(raw: Raw) -> None:
    assert CONTROLLER.names(raw) == ()


def test_names_are_the_deployment_and_the_training() -> None:
    assert [str(key) for key in CONTROLLER.names(drift_monitor(onDrift=RETRAIN))] == [
        "ModelDeployment/default/churn",
        "TrainingJob/default/churn",
    ]


def complete_job(name: str, at: str = "2026-01-31T11:00:00Z") -> Raw:
    return job(name, conditions=[{"type": "Complete", "status": "True", "lastTransitionTime": at}])


def test_a_verdict_whose_pod_is_gone_is_named_and_compared_again_once() -> None:
    resource = drift_monitor()
    first = decide(resource, target(), complete_job("churn-29"))
    assert conditions(first)["Ready"] == ("False", "VerdictLost")
    assert [event.reason for event in first.events] == ["ComparisonFailed"]
    created = next(action.manifest for action in first.actions if isinstance(action, Create))
    assert created["kind"] == "Job"
    assert created["spec"]["template"]["spec"]["containers"][0]["name"] == "drift"
    name = created["metadata"]["name"]

    # It is asked for under the same name for as long as it takes, and told of once.
    second = decide(after(first, resource), target(), complete_job("churn-29"), job(name))
    assert [action.manifest["metadata"]["name"] for action in second.actions if isinstance(action, Create)] == [name]
    assert second.events == ()
    assert second.status == first.status

    # Its verdict counts as any other.
    third = decide(
        after(second, resource), target(), complete_job("churn-29"),
        complete_job(name, "2026-01-31T11:30:00Z"), pod(name, verdict(), at="2026-01-31T11:30:00Z"),
    )  # fmt: skip
    assert conditions(third)["Drifted"] == ("True", "DriftDetected")
    assert conditions(third)["Ready"][0] == "True"
    assert not [action for action in third.actions if isinstance(action, Create)]


def test_a_repeated_comparison_that_is_lost_in_turn_is_not_repeated() -> None:
    first = decide(drift_monitor(), target(), complete_job("churn-29"))
    name = next(action.manifest["metadata"]["name"] for action in first.actions if isinstance(action, Create))
    second = decide(after(first, drift_monitor()), target(), complete_job(name, "2026-01-31T11:30:00Z"))
    assert conditions(second)["Ready"] == ("False", "VerdictLost")
    assert not [action for action in second.actions if isinstance(action, Create)]


def test_the_last_word_of_a_pod_is_waited_for() -> None:
    just_now = decide(drift_monitor(), target(), complete_job("churn-29", "2026-01-31T11:59:30Z"))
    assert conditions(just_now)["Ready"] == ("True", "NoVerdictYet")


NOTHING = {"v": 1, "kind": "NoVerdict", "reason": "WindowEmpty", "message": "no requests in the last 24h"}


def test_a_monitor_without_data_is_not_ready_after_three_comparisons_and_writes_nothing_more() -> None:
    resource = drift_monitor()
    world: list[Raw] = [target()]
    ready = []
    for number in range(1, 6):
        at = f"2026-01-31T0{number}:00:00Z"
        world += [complete_job(f"churn-{number}", at), pod(f"churn-{number}", NOTHING, at=at)]
        decision = decide(resource, *world)
        ready.append(conditions(decision)["Ready"])
        before, resource = resource.get("status"), after(decision, resource)
        if number in (2, 4, 5):
            assert decision.status == before
    assert ready == [("True", "NoVerdict")] * 2 + [("False", "NoData")] * 3

    world += [complete_job("churn-6", "2026-01-31T06:00:00Z"), pod("churn-6", verdict(), at="2026-01-31T06:00:00Z")]
    assert conditions(decide(resource, *world))["Ready"] == ("True", "Watching")


def test_the_account_of_the_pods_must_be_allowed() -> None:
    resource = drift_monitor(serviceAccountName="reader")
    refused = decide(resource, target())
    assert refused.actions == ()
    assert conditions(refused)["Stalled"] == ("True", "NotAllowed")

    allowed = OperatorConfig.model_validate({"pods": {"serviceAccounts": ["reader"]}})
    seen = CONTROLLER.observe(CONTROLLER.parse(resource), Store.of([resource, target()]))
    (action,) = CONTROLLER.decide(seen, allowed, NOW).actions
    assert isinstance(action, Apply)
    spec = action.manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("reader", False)
