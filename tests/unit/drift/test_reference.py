"""The reference of a DriftMonitor: pinned by a digest in the spec, and its changes told."""

from typing import Any

import pytest

from perennial.core.decision import Apply, Decision
from perennial.core.kinds import Raw
from tests.support.builders import digest, drift_monitor
from tests.unit.drift.worlds import after, conditions, cron_job, decide, pod, status_of, target, verdict

FIRST, SECOND = digest("1"), digest("2")
FILES = {"reference": {"uri": "s3://data/churn/"}}


def compared(resource: Raw, *digests: str | None) -> Decision:
    """Return the decision after verdicts with references of these digests, each read before the next."""
    for index, found in enumerate(digests):
        changes: dict[str, Any] = {} if found is None else {"referenceDigest": found}
        made = pod(f"churn-{index}", verdict(drifted=False, **changes), at=f"2026-01-31T1{index}:00:00Z")
        decision = decide(resource, target(), cron_job(), made)
        resource = after(decision, resource)
    return decision


def test_the_status_shows_the_digest_to_pin() -> None:
    assert status_of(compared(drift_monitor(**FILES), FIRST))["lastVerdict"]["referenceDigest"] == FIRST


@pytest.mark.parametrize(
    ("spec", "digests", "told"),
    [
        (FILES, (FIRST, SECOND), True),
        (FILES, (FIRST, FIRST), False),
        (FILES, (FIRST,), False),
        (FILES, (None, FIRST), False),
        # Another model has another run: its data differ as a matter of course.
        ({}, (FIRST, SECOND), False),
    ],
)
def test_files_that_have_changed_are_told(spec: dict[str, Any], digests: tuple[str | None, ...], told: bool) -> None:
    events = compared(drift_monitor(**spec), *digests).events
    assert [event.reason for event in events] == (["ReferenceDiffers"] if told else [])
    assert all(FIRST in event.message and SECOND in event.message for event in events)


def test_a_pinned_reference_reaches_the_agent_and_one_that_has_changed_waits_for_a_person() -> None:
    pinned = drift_monitor(reference={"uri": "s3://data/churn/", "digest": FIRST})
    failure = {"v": 1, "kind": "Failure", "reason": "ReferenceChanged", "message": f"they have the digest {SECOND}"}
    decision = decide(pinned, target(), cron_job(), pod("churn-1", failure, code=88))
    assert conditions(decision)["Stalled"] == ("True", "ReferenceChanged")
    run = status_of(decision)["lastRun"]
    assert SECOND in run["message"]
    assert "set spec.reference.digest" in run["message"]
    action = next(item for item in decision.actions if isinstance(item, Apply))
    assert f'"referenceDigest":"{FIRST}"' in str(action.manifest).replace(": ", ":")
