"""A calendar window counts once and requests one run, however often it is compared."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from perennial.core.decision import Apply, Decision
from perennial.core.kinds import Raw
from tests.support.builders import drift_monitor
from tests.support.memory import START as NOW
from tests.unit.drift.worlds import NEW, OLD, after, conditions, cron_job, decide, pod, status_of, target, verdict

DAYS = {
    number: {
        "name": f"2026-01-{number}", "since": f"2026-01-{number}T00:00:00Z", "until": f"2026-01-{number + 1}T00:00:00Z"
    }
    for number in range(24, 31)
}  # fmt: skip


def monitor(after: int = 1, **spec: Any) -> Raw:
    retrain = {"retrain": {"trainingJob": "churn", "cooldown": "1s", "after": after}}
    return drift_monitor(**{"current": {"calendar": {"unit": "Day"}}, "onDrift": retrain, **spec})


def judged(resource: Raw, *messages: tuple[int, bool], digest: str = OLD, start: int = 0) -> Decision:
    """Return the decision after verdicts about days of January, an hour apart, each read before the next."""
    for index, (day, drifted) in enumerate(messages, start):
        time = f"2026-01-31T{index:02}:30:00Z"
        made = pod(f"churn-{index}", verdict(drifted=drifted, window=DAYS[day]), at=time, digest=digest)
        decision = decide(resource, target(digest), cron_job(), made, now=datetime.fromisoformat(time))
        resource = after(decision, resource)
    return decision


def consecutive(*messages: tuple[int, bool]) -> int:
    found: int = status_of(judged(monitor(after=9), *messages))["consecutive"]
    return found


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (((28, True), (28, True), (28, True)), 1),
        (((28, True), (29, True), (29, True)), 2),
        (((28, True), (29, True), (29, False)), 0),
        (((28, True), (29, False), (29, True)), 1),
        (((28, True), (29, True), (28, True)), 2),
        (((28, True), (29, True), (28, False), (30, True)), 3),
    ],
)
def test_a_window_counts_once(messages: tuple[tuple[int, bool], ...], expected: int) -> None:
    assert consecutive(*messages) == expected


def test_the_newest_window_is_the_verdict_even_if_an_older_one_is_compared_later() -> None:
    status = status_of(judged(monitor(), (28, False), (29, True), (28, False)))
    assert (status["lastVerdict"]["window"], status["lastVerdict"]["id"]) == (DAYS[29], "churn-1")
    assert status["lastRun"]["job"] == "churn-2"


def test_a_window_requests_one_run_and_the_next_window_another() -> None:
    once = judged(monitor(), (28, True), (28, True), (28, True))
    assert status_of(once)["retrain"]["verdict"] == "churn-0"
    assert status_of(once)["retrain"]["window"] == DAYS[28]
    twice = judged(after(once, monitor()), (29, True), start=3)
    assert status_of(twice)["retrain"]["verdict"] == "churn-3"


def test_a_window_of_another_model_counts_by_itself() -> None:
    first = judged(monitor(after=9), (28, True), (29, True))
    other = judged(after(first, monitor(after=9)), (29, True), digest=NEW, start=2)
    assert status_of(other)["consecutive"] == 1


def test_a_longer_window_over_the_same_time_does_not_count_again() -> None:
    week = {"name": "2026-W05", "since": "2026-01-25T00:00:00Z", "until": "2026-01-31T00:00:00Z"}
    first = judged(monitor(after=9), (29, True))
    made = pod("churn-5", verdict(window=week), at="2026-01-31T05:30:00Z")
    status = status_of(decide(after(first, monitor(after=9)), target(), cron_job(), made))
    assert (status["consecutive"], status["lastVerdict"]["window"]) == (1, week)


@pytest.mark.parametrize(
    "window",
    [
        {**DAYS[28], "until": "2026-01-28T00:00:00Z"},
        {**DAYS[28], "until": "2027-01-28T00:00:00Z"},
        {**DAYS[28], "since": "yesterday"},
        {**DAYS[28], "name": "<b>"},
    ],
)
def test_a_window_that_cannot_be_is_no_verdict(window: dict[str, str]) -> None:
    decision = decide(monitor(), target(), cron_job(), pod("churn-1", verdict(window=window)))
    assert conditions(decision)["Ready"] == ("False", "BadTerminationMessage")


def test_a_window_of_the_future_in_the_status_hides_no_later_verdict() -> None:
    first = judged(monitor(after=9), (28, True))
    resource = after(first, monitor(after=9))
    far = {"name": "2036-01-01", "since": "2036-01-01T00:00:00Z", "until": "2036-01-02T00:00:00Z"}
    edited = json.loads(json.dumps(resource))
    edited["status"]["lastVerdict"].update(window=far, time="2036-01-02T00:00:00Z")
    assert status_of(judged(edited, (29, True), start=1))["lastVerdict"]["window"] == DAYS[29]


def test_the_conditions_and_the_agents_configuration_name_the_window() -> None:
    decision = judged(monitor(timeZone="Europe/Berlin"), (28, True))
    drifted = next(item for item in status_of(decision)["conditions"] if item["type"] == "Drifted")
    assert drifted["message"].startswith("3 of 4 columns drifted in 2026-01-28: age")
    action = next(item for item in decision.actions if isinstance(item, Apply))
    container = action.manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    sent = json.loads(next(item["value"] for item in container["env"] if item["name"] == "PERENNIAL_CONFIG"))
    assert sent["current"]["calendar"] == {"unit": "Day", "timeZone": "Europe/Berlin", "delaySeconds": 900}
    assert "seconds" not in sent["current"]


def test_without_capture_the_field_is_named() -> None:
    decision = decide(monitor(), target(capture=False), now=NOW + timedelta(hours=1))
    ready = next(item for item in status_of(decision)["conditions"] if item["type"] == "Ready")
    assert ready["message"].startswith("spec.current.calendar needs captured requests")
