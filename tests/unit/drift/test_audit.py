"""Facts of a DriftMonitor."""

from perennial.api.contract.audit import AuditEntry
from perennial.api.contract.settings import OperatorConfig
from perennial.core.kinds import Raw
from perennial.drift.controller import CONTROLLER
from tests.support.builders import drift_monitor
from tests.support.memory import START, Store
from tests.unit.drift.worlds import after, decide, job, pod, target, verdict

WORLD = (
    target(),
    *(job(f"churn-{number}") for number in (1, 2)),
    pod("churn-2", verdict(), at="2026-01-31T11:00:00Z"),
    pod("churn-1", verdict(drifted=False), at="2026-01-31T10:00:00Z"),
)


def facts(resource: Raw, *world: Raw) -> tuple[AuditEntry, ...]:
    observed = CONTROLLER.observe(CONTROLLER.parse(resource), Store.of([resource, *world]))
    return CONTROLLER.facts(observed, CONTROLLER.decide(observed, OperatorConfig(), START), START)


def test_each_verdict_is_a_fact_also_if_status_keeps_the_newest_alone() -> None:
    found = facts(drift_monitor(), *WORLD)

    assert [entry.message.partition(";")[0] for entry in found] == [
        "verdict churn-1: no finding",
        "verdict churn-2: Drift",
    ]
    assert {entry.event for entry in found} == {"VerdictReached"}


def test_a_verdict_is_told_once() -> None:
    resource = drift_monitor()

    assert facts(after(decide(resource, *WORLD), resource), *WORLD) == ()


def test_a_check_that_was_not_judged_is_no_pass() -> None:
    score = {"check": "fairness", "metric": "disparateImpact", "subject": "sex", "failed": False, "why": "few rows"}
    (found,) = facts(drift_monitor(), target(), job("churn-1"), pod("churn-1", verdict(scores=[score])))

    assert found.figures["fairness disparateImpact sex"] == "not judged"
    assert "not judged: performance, estimated performance, fairness" in found.message
