"""Triggers of a run besides a change of the spec; each starts exactly one run."""

from __future__ import annotations

from typing import Any

import pytest

from perennial.api.trainingjob.resource import TrainingJobStatus
from perennial.core.labels import RUN_NOW_ANNOTATION
from perennial.core.times import format_time, parse_time
from perennial.training.run.schedule import due_time, mark_handled, seconds_until_next, with_schedule
from perennial.training.run.triggers import run_token
from tests.support.builders import digest, model_deployment, retraining_monitor
from tests.unit.training.objects import parsed
from tests.unit.training.simulation import Cluster, Killed

HOURLY = {"schedule": "0 * * * *"}


def at(text: str) -> Any:
    return parse_time(f"2026-01-31T{text}Z")


def status(last: str | None = None, coming: str | None = None) -> TrainingJobStatus:
    return TrainingJobStatus.model_validate({"lastScheduleTime": last, "nextScheduleTime": coming})


def scheduled(last: str, coming: str) -> TrainingJobStatus:
    return status(f"2026-01-31T{last}Z", f"2026-01-31T{coming}Z")


LAST, NEXT = "12:00:00", "13:00:00"
KNOWN = scheduled(LAST, NEXT)
WRONG_CLOCK = status("2031-01-31T13:00:00Z", "2031-01-31T14:00:00Z")
STRICT = {"startingDeadlineSeconds": 60}

# What the spec adds, status before, the clock; the time that is due, and both times of the status after.
DUE: list[tuple[str, dict[str, Any], TrainingJobStatus, str, tuple[str | None, str, str]]] = [
    ("a new schedule counts from now", {}, status(), "12:30:00", (None, "12:30:00", NEXT)),
    ("before its time", {}, KNOWN, "12:59:59", (None, LAST, NEXT)),
    ("at its time", {}, KNOWN, "13:00:00", ("13:00:00", LAST, NEXT)),
    ("late", {}, KNOWN, "13:20:00", ("13:00:00", LAST, NEXT)),
    ("several missed", {}, KNOWN, "17:20:00", ("17:00:00", LAST, NEXT)),
    ("too late", STRICT, KNOWN, "13:02:00", (None, "13:00:00", "14:00:00")),
    ("just in time", STRICT, KNOWN, "13:01:00", ("13:00:00", LAST, NEXT)),
    ("the clock was set back", {}, KNOWN, "11:30:00", (None, LAST, NEXT)),
    ("the clock was wrong by years", {}, WRONG_CLOCK, "12:30:00", (None, "12:30:00", NEXT)),
    ("another schedule", {"schedule": "5 * * * *"}, KNOWN, "14:30:00", (None, "14:30:00", "15:05:00")),
    ("another zone", {"timeZone": "Asia/Kolkata"}, KNOWN, "14:10:00", (None, "14:10:00", "14:30:00")),
    ("edited by hand", {}, status("soon", "later"), "12:30:00", (None, "12:30:00", NEXT)),
]


@pytest.mark.parametrize(("spec", "before", "now", "expected"), [row[1:] for row in DUE], ids=[row[0] for row in DUE])
def test_when_the_schedule_asks(
    spec: dict[str, Any], before: TrainingJobStatus, now: str, expected: tuple[str | None, str, str]
) -> None:
    wanted = parsed({**HOURLY, **spec}).spec
    due, last, coming = expected

    after, events = with_schedule(wanted, before, at(now))
    found = due_time(wanted, after, at(now))

    assert (format_time(found) if found else None) == (f"2026-01-31T{due}Z" if due else None)
    assert after == scheduled(last, coming)
    assert [event.reason for event in events] == (["ScheduleMissed"] if spec == STRICT and due is None else [])


def test_one_run_answers_all_the_times_that_were_missed() -> None:
    spec = parsed(HOURLY).spec

    after = mark_handled(spec, scheduled("02:00:00", "03:00:00"), at("17:20:00"))

    assert after == scheduled("17:00:00", "18:00:00")
    assert due_time(spec, after, at("17:59:59")) is None


def test_a_schedule_that_is_taken_away_leaves_nothing() -> None:
    assert with_schedule(parsed().spec, scheduled("12:00:00", "13:00:00"), at("14:00:00")) == (status(), ())
    assert seconds_until_next(status(), at("14:00:00")) is None


def test_the_clock_is_looked_at_again_before_a_long_sleep_is_over() -> None:
    assert seconds_until_next(scheduled("12:00:00", "13:00:00"), at("12:59:50")) == 10
    assert seconds_until_next(scheduled("12:00:00", "13:00:00"), at("12:01:00")) == 900


@pytest.mark.parametrize(
    ("value", "token"),
    [("", None), ("  ", None), ("2026-01-31T12:00:00+01:00", "2026-01-31T12:00:00+01:00"), (" a ", "a")],
)
def test_a_token_is_the_annotations_value(value: str, token: str | None) -> None:
    assert run_token(parsed(annotations={RUN_NOW_ANNOTATION: value})) == token


def test_a_token_that_is_long_or_odd_stands_for_itself_all_the_same() -> None:
    tokens = {
        run_token(parsed(annotations={RUN_NOW_ANNOTATION: value}))
        for value in ("x" * 5000, "x" * 5001, "\n\0", "a b", "é")
    }

    assert len(tokens) == 5
    assert all(token is not None and len(token) == 32 and token.isalnum() for token in tokens)


# In the simulated cluster.


def annotate(cluster: Cluster, value: str) -> None:
    cluster.annotate(RUN_NOW_ANNOTATION, value)


def triggers(cluster: Cluster) -> list[str]:
    return [record["trigger"]["kind"] for record in cluster.resource["status"]["runs"]]


def test_each_token_starts_one_run_and_never_two() -> None:
    cluster = Cluster()
    cluster.settle()
    for token in ("one", "one", "two"):
        annotate(cluster, token)
        cluster.settle()

    assert triggers(cluster) == ["Manual", "Manual", "Created"]
    assert [record["trigger"].get("token") for record in cluster.resource["status"]["runs"]] == ["two", "one", None]


def test_a_token_that_comes_with_the_resource_or_during_a_run() -> None:
    cluster = Cluster()
    annotate(cluster, "at creation")
    cluster.reconcile()
    annotate(cluster, "while it runs")
    cluster.settle()

    assert triggers(cluster) == ["Manual", "Created"]


def test_a_token_waits_while_suspended_and_a_failed_run_has_answered_it() -> None:
    cluster = Cluster()
    cluster.settle()
    cluster.change(spec={"suspend": True})
    annotate(cluster, "now")
    cluster.settle()
    assert triggers(cluster) == ["Created"]

    cluster.change(spec={"suspend": False, "retry": {"limit": 0}})
    cluster.reconcile()
    name = cluster.busy()[0]
    cluster.end_job(name, "Failed", reason="DeadlineExceeded")
    cluster.settle()
    assert triggers(cluster) == ["Manual", "Created"]


def test_a_schedule_runs_at_its_times_and_makes_up_once_for_a_long_outage() -> None:
    cluster = Cluster()
    cluster.change(spec=HOURLY)
    _succeed_all(cluster)
    writes = cluster.writes
    assert cluster.reconcile().requeue_after == 900
    assert cluster.writes == writes

    cluster.wait(3600)
    _succeed_all(cluster)
    cluster.wait(86400)  # the operator was away
    _succeed_all(cluster)

    runs = cluster.resource["status"]["runs"]
    assert [record["trigger"].get("time") for record in runs] == ["2026-02-01T13:00:00Z", "2026-01-31T13:00:00Z", None]
    assert cluster.resource["status"]["nextScheduleTime"] == "2026-02-01T14:00:00Z"


def test_killed_between_status_and_job_a_scheduled_run_is_neither_lost_nor_doubled() -> None:
    cluster = Cluster()
    cluster.change(spec=HOURLY)
    _succeed_all(cluster)
    cluster.wait(3600)
    before = cluster.made
    _killed(cluster, 1)
    _succeed_all(cluster)

    assert cluster.made == before + 1
    assert triggers(cluster) == ["Schedule", "Created"]


def test_a_change_of_the_spec_that_comes_with_its_time_answers_the_schedule() -> None:
    cluster = Cluster()
    cluster.change(spec=HOURLY)
    _succeed_all(cluster)
    cluster.wait(3600)
    cluster.change(spec={"seed": 5})
    _succeed_all(cluster)

    assert triggers(cluster) == ["SpecChanged", "Created"]


def test_a_chain_runs_from_the_verdict_to_the_artifact() -> None:
    cluster = Cluster()
    cluster.settle()
    assert cluster.resource["status"]["artifact"]["chain"] == "churn-1"
    present = cluster.resource["status"]["artifact"]["digest"]
    retrain = {"verdict": "watch-29", "time": "2026-01-31T12:00:00Z", "digest": present}
    cluster.store.put(retraining_monitor({"retrain": retrain}))
    cluster.settle()

    assert cluster.resource["status"]["runs"][0]["trigger"]["chain"] == "watch-29"
    assert cluster.resource["status"]["artifact"]["chain"] == "watch-29"


# Forgetting.


def test_old_runs_are_forgotten_with_their_jobs_but_never_so_that_one_starts_anew() -> None:
    cluster = Cluster()
    cluster.change(spec={"history": {"ttl": "1h"}})
    _succeed_all(cluster)
    for token in ("a", "b"):
        cluster.wait(600)
        annotate(cluster, token)
        _succeed_all(cluster)
    assert [record["number"] for record in cluster.resource["status"]["runs"]] == [3, 2, 1]
    assert cluster.reconcile().requeue_after == 3600 - 1200

    for seconds, records in ((2400, [3, 2]), (600, [3]), (600, [3]), (10**6, [3])):
        cluster.wait(seconds)
        _succeed_all(cluster)
        assert [record["number"] for record in cluster.resource["status"]["runs"]] == records

    assert cluster.jobs == {}
    assert cluster.made == 3
    assert cluster.reconcile().requeue_after is None


def _succeed_all(cluster: Cluster) -> None:
    """Let what is due start and succeed, without time passing."""
    for _ in range(20):
        before = cluster.writes
        cluster.reconcile()
        for name in cluster.busy():
            cluster.succeed(name)
        if cluster.writes == before and not cluster.busy():
            return
    raise AssertionError("does not come to rest")


def _killed(cluster: Cluster, after: int) -> None:
    with pytest.raises(Killed):
        cluster.reconcile(killed_after=after)


@pytest.mark.parametrize("ending", ["succeeds", "fails"])
def test_the_end_of_a_run_sets_the_clock_for_what_time_brings_next(ending: str) -> None:
    """Nothing else wakes a resource that is at rest: its own status does not, and no pod of it moves any more."""
    cluster = Cluster()
    cluster.change(spec={**HOURLY, "retry": {"limit": 0}})
    cluster.reconcile()
    (name,) = cluster.busy()
    if ending == "succeeds":
        cluster.succeed(name)
    else:
        cluster.end_job(name, "Failed", reason="DeadlineExceeded")

    decision = cluster.reconcile()

    assert "currentRun" not in cluster.resource["status"]
    assert decision.requeue_after == 900


# Drift: a request is about the model that served.

SERVED = {letter: digest(letter) for letter in "abc"}


def asking(
    stable: str,
    *,
    about: str = "a",
    candidate: tuple[str, str] | None = None,
    history: str = "",
    follows: bool = True,
    monitor: dict[str, Any] | None = None,
) -> Cluster:
    """Return a cluster whose newest artifact is b, and a monitor that requests a retraining because of a model."""
    cluster = Cluster()
    cluster.settle()
    status = cluster.resource["status"]
    cluster.change(status={**status, "artifact": {**status["artifact"], "digest": SERVED["b"]}})
    asked = {"verdict": "v1", "time": "2026-01-31T12:00:00Z", "digest": SERVED[about]}
    cluster.store.put(retraining_monitor({"retrain": asked, **(monitor or {})}))
    rollout: dict[str, Any] = {"history": [{"digest": SERVED[letter]} for letter in history]}
    if stable:
        rollout["stable"] = {"digest": SERVED[stable]}
    if candidate is not None:
        rollout["candidate"] = {"digest": SERVED[candidate[0]], "phase": candidate[1]}
    source = {"trainingJob": "churn"} if follows else {"uri": "s3://models/churn/versions/aaaaaaaaaaaa/"}
    cluster.store.put({**model_deployment(model=source), "status": rollout})
    return cluster


OPEN, HELD, OUTDATED = "a run starts", "the request waits", "the request is set aside"
VERDICT_OF_A = {
    "lastVerdict": {
        "id": "v1",
        "time": "2026-01-31T12:00:00Z",
        "digest": SERVED["a"],
        "drifted": True,
        "driftedFeatures": 1,
        "comparedFeatures": 1,
        "referenceRows": 9,
        "currentRows": 9,
    }
}
REQUESTS: list[tuple[str, Cluster, str]] = [
    ("the newest artifact serves", asking("b", about="b"), OPEN),
    ("another model serves", asking("b"), OUTDATED),
    ("the newest artifact is being rolled out", asking("a", candidate=("b", "Progressing")), HELD),
    ("its rollout failed", asking("a", candidate=("b", "Failed")), OPEN),
    ("its rollout was aborted or rolled back", asking("a", history="b"), OPEN),
    ("its rollout is about to begin", asking("a"), HELD),
    ("it is not rolled out by itself", asking("a", follows=False), OPEN),
    ("an older one is being rolled out", asking("a", candidate=("c", "Progressing"), history="b"), OPEN),
    ("the monitor alone tells what serves", asking("", follows=False, monitor=VERDICT_OF_A), OPEN),
    ("nothing tells what serves", asking("", follows=False), OUTDATED),
]


@pytest.mark.parametrize(("cluster", "expected"), [row[1:] for row in REQUESTS], ids=[row[0] for row in REQUESTS])
def test_a_request_is_compared_with_what_serves(cluster: Cluster, expected: str) -> None:
    reasons = [event.reason for event in cluster.reconcile().events]

    said = OPEN if "RunStarted" in reasons else OUTDATED if "VerdictSetAside" in reasons else HELD
    assert said == expected
    if expected == HELD:
        assert cluster.decide().requeue_after == 60
        assert "verdicts" not in cluster.resource["status"], "a request that waits is not handled"


def test_a_rollout_that_does_not_begin_holds_a_request_for_ten_minutes_only() -> None:
    cluster = asking("a")
    cluster.wait(601)

    assert "RunStarted" in [event.reason for event in cluster.reconcile().events]
