"""Several people approve one revision: whose word counts, what they have seen, and how long they are waited for."""

from typing import Any

import pytest

from perennial.core.labels import (
    APPROVAL_PREFIX,
    APPROVE_ANNOTATION,
    APPROVED_BY_ANNOTATION,
    APPROVED_DIGEST_ANNOTATION,
    CHANGED_BY_ANNOTATION,
    PAUSE_ANNOTATION,
    RETRY_ANNOTATION,
)
from perennial.core.reads import Measurement
from tests.unit.serving.cluster import Cluster
from tests.unit.serving.rollout.test_approval import say, with_candidate
from tests.unit.serving.rollout.test_gates import GATES, WITH_SERVER

TWO: dict[str, Any] = {"approval": "Manual", "approvals": 2}


def entries(*said: str) -> dict[str, str]:
    """Annotations of single users."""
    return {f"{APPROVAL_PREFIX}{number}": text for number, text in enumerate(said)}


def waits(cluster: Cluster) -> str:
    """Return the message of a candidate that waits for approval."""
    candidate = cluster.status["candidate"]
    assert candidate["reason"] == "WaitingForApproval"
    return str(candidate["message"])


def test_two_different_users_must_approve_and_both_are_recorded() -> None:
    cluster, old, new = with_candidate(rollout=TWO)
    assert "waiting for approval by 2 more users: kubectl annotate modeldeployment -n default churn --overwrite " in (
        waits(cluster)
    )
    assert f"{APPROVAL_PREFIX}<a short name of yours>='{new} <your user name>'" in waits(cluster)
    say(cluster, **entries(f"{new} bo s", f"{new} bo s", f"{old} ana", new, f"{new} "))
    assert "approved by bo s, and waiting for approval by 1 more user: " in waits(cluster)
    assert cluster.settle() == 0

    say(cluster, **entries(f"{new} bo s", f"{new} ana"))
    assert cluster.status["stable"]["name"] == new
    assert cluster.status["history"][0]["approval"] == {"by": "ana", "alsoBy": ["bo s"], "time": "2026-01-31T12:00:00Z"}
    assert cluster.events[-1].message.endswith(", approved by ana, bo s")


def test_the_pair_of_annotations_counts_as_one_of_several() -> None:
    cluster, _, new = with_candidate(rollout=TWO)
    pair = {APPROVE_ANNOTATION: new, APPROVED_BY_ANNOTATION: "ana"}
    say(cluster, **pair, **entries(f"{new} ana"))
    assert "approved by ana, and waiting for approval by 1 more user" in waits(cluster)
    say(cluster, **pair, **entries(f"{new} bo"))
    assert cluster.status["stable"]["name"] == new


def test_one_entry_is_enough_where_one_approval_is() -> None:
    cluster, _, new = with_candidate(rollout={"approval": "Manual"})
    say(cluster, **entries(f"{new} ana"))
    assert cluster.status["history"][0]["approval"]["by"] == "ana"


def test_who_has_changed_the_spec_since_the_last_promotion_does_not_count() -> None:
    cluster, _, new = with_candidate(rollout={"approval": "Manual"})
    approved = entries(f"{new} ana")
    say(cluster, **approved, **{CHANGED_BY_ANNOTATION: "1 bo\n2 ana"})
    assert waits(cluster).endswith(". Does not count: ana has changed the spec since the last promotion")
    say(cluster, **entries(f"{new} ana", f"{new} cy"), **{CHANGED_BY_ANNOTATION: "1 bo\n2 ana"})
    assert cluster.status["history"][0]["approval"]["by"] == "cy"

    # What was changed before this promotion is settled: all approve the next model.
    cluster.publish("c", 3)
    cluster.settle()
    newer = cluster.status["candidate"]["name"]
    cluster.set_ready(newer)
    generation = cluster.resource["metadata"]["generation"]
    say(cluster, **entries(f"{newer} ana"), **{CHANGED_BY_ANNOTATION: f"1 bo\n{generation + 1} ana"})
    assert "ana has changed the spec" in waits(cluster)
    say(cluster, **entries(f"{newer} ana"), **{CHANGED_BY_ANNOTATION: f"1 bo\n{generation} ana"})
    assert cluster.status["stable"]["name"] == newer


@pytest.mark.parametrize("said", ["ana", " ana", "x ana", f"{'9' * 5000} ana", "² ana", "-1 ana\n\n"])
def test_a_damaged_record_of_authors_is_taken_strictly_and_breaks_nothing(said: str) -> None:
    cluster, _, new = with_candidate(rollout={"approval": "Manual"})
    say(cluster, **entries(f"{new} bo"), **{CHANGED_BY_ANNOTATION: "1 cy"})
    cluster.publish("c", 3)
    cluster.settle()
    newer = cluster.status["candidate"]["name"]
    cluster.set_ready(newer)
    say(cluster, **entries(f"{newer} ana"), **{CHANGED_BY_ANNOTATION: said})
    assert (cluster.status["stable"]["name"] == newer) is (said == "ana")


def gated(**rollout: Any) -> tuple[Cluster, str]:
    """A cluster whose candidate has passed its gate and waits for approval, and the name of the candidate."""
    cluster, _, new = with_candidate(rollout={**GATES, "approval": "Manual", **rollout})
    cluster.config = WITH_SERVER
    cluster.settle()
    cluster.wait(60)
    measure(cluster, new, 0.001)
    return cluster, new


def measure(cluster: Cluster, new: str, value: float | None) -> None:
    known = cluster.now
    cluster.store.answers[f"errors:{new}"] = Measurement(cluster.now, value, "no data", known, began=cluster.now)
    cluster.settle()


def test_an_approval_names_the_gates_and_verdicts_that_the_approver_has_seen() -> None:
    cluster, new = gated()
    seen = cluster.status["candidate"]["gatesDigest"]
    assert len(seen) == 16
    pair = {APPROVE_ANNOTATION: new, APPROVED_BY_ANNOTATION: "ana"}
    say(cluster, **pair, **{APPROVED_DIGEST_ANNOTATION: "0123"})
    assert waits(cluster).endswith(f". Does not count: ana has seen other gates or verdicts than those of now ({seen})")
    cluster.wait(60)
    measure(cluster, new, 0.002)
    assert cluster.status["candidate"]["gatesDigest"] == seen, "figures of live traffic move all the time"
    say(cluster, **pair, **{APPROVED_DIGEST_ANNOTATION: seen})
    assert cluster.status["history"][0]["approval"]["digest"] == seen


def test_looser_gates_are_other_gates() -> None:
    cluster, new = gated()
    seen = cluster.status["candidate"]["gatesDigest"]
    loose = {"gates": [{"name": "errors", "prometheus": {"query": "errors:$revision", "max": "0.9"}}]}
    cluster.edit(rollout={"approval": "Manual", **loose})
    say(cluster, **entries(f"{new}/{seen} ana"))
    assert "ana has seen other gates" in waits(cluster)
    cluster.edit(rollout={"approval": "Manual"})
    cluster.settle()
    assert "(there are none)" in waits(cluster)
    assert "gatesDigest" not in cluster.status["candidate"]


def test_an_approval_holds_when_the_stable_revision_dies_and_no_gate_is_judged() -> None:
    cluster, new = gated()
    seen = cluster.status["candidate"]["gatesDigest"]
    cluster.set_ready(cluster.status["stable"]["name"], 0)
    say(cluster, **entries(f"{new}/{seen} ana"))
    assert cluster.status["stable"]["name"] == new


def test_a_digest_is_shown_only_while_approval_is_asked_for() -> None:
    cluster, new = gated()
    say(cluster, **{PAUSE_ANNOTATION: "true"})
    assert "gatesDigest" not in cluster.status["candidate"]
    say(cluster)
    assert "gatesDigest" in cluster.status["candidate"]
    measure(cluster, new, None)
    cluster.settle()
    assert cluster.status["candidate"]["reason"] == "GateInconclusive"
    assert "gatesDigest" not in cluster.status["candidate"]


EXPIRES = {"approval": "Manual", "approvalExpires": "72h", "keepPrevious": "1h"}
_72H = 72 * 3600


def test_a_candidate_that_nobody_approves_fails_when_the_time_is_over() -> None:
    cluster, old, new = with_candidate(rollout=EXPIRES)
    assert cluster.last is not None
    assert cluster.last.requeue_after == _72H
    cluster.wait(_72H - 1)
    assert cluster.settle() == 0
    assert cluster.last.requeue_after == 1
    cluster.resource["status"]["candidate"]["readySince"] = "2026-03-01T00:00:00Z"  # status decides nothing
    cluster.wait(1)
    cluster.settle()
    failed = cluster.status["candidate"]
    assert (failed["phase"], failed["reason"]) == ("Failed", "ApprovalExpired")
    assert failed["message"].startswith(
        "not approved within 72h (spec.rollout.approvalExpires): ready, and waiting for approval: kubectl annotate"
    )
    assert (cluster.status["stable"]["name"], cluster.names("Deployment")) == (old, [old])
    assert cluster.settle() == 0

    say(cluster, **{RETRY_ANNOTATION: new})
    cluster.set_ready(new)
    cluster.settle()
    assert cluster.status["candidate"]["reason"] == "WaitingForApproval"
    assert cluster.last.requeue_after == _72H, "it is asked for anew"


def test_the_time_begins_again_after_a_pause_and_with_another_candidate() -> None:
    cluster, _, _ = with_candidate(rollout=EXPIRES)
    cluster.wait(_72H - 10)
    say(cluster, **{PAUSE_ANNOTATION: "true"})
    cluster.wait(100)
    cluster.settle()
    say(cluster)
    assert cluster.last is not None
    assert cluster.last.requeue_after == _72H
    cluster.wait(_72H - 10)
    cluster.publish("c", 3)
    cluster.settle()
    cluster.set_ready(cluster.status["candidate"]["name"])
    cluster.settle()
    assert cluster.last.requeue_after == _72H


def test_an_approval_in_time_promotes_and_one_that_was_there_does_not_expire() -> None:
    cluster, _, new = with_candidate(rollout=EXPIRES | {"approvals": 2})
    say(cluster, **entries(f"{new} ana"))
    cluster.wait(_72H - 1)
    say(cluster, **entries(f"{new} ana", f"{new} bo"))
    assert cluster.status["stable"]["name"] == new
    cluster.wait(3601)
    cluster.settle()
    assert cluster.last is not None
    assert cluster.last.requeue_after is None
