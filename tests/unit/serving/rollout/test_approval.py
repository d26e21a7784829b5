"""What people say by hand: a revision waits to be approved, is held, aborted, or taken back after it has taken over."""

import pytest

from perennial.core.labels import (
    ABORT_ANNOTATION,
    APPROVAL_PREFIX,
    APPROVE_ANNOTATION,
    APPROVED_BY_ANNOTATION,
    PAUSE_ANNOTATION,
    PROMOTE_ANNOTATION,
)
from tests.support.builders import digest
from tests.unit.serving.cluster import Cluster
from tests.unit.serving.rollout.test_rollout_steps import served

MANUAL = {"rollout": {"approval": "Manual", "keepPrevious": "10m"}}


def say(cluster: Cluster, **annotations: str) -> None:
    """Set annotations, as kubectl does; the generation stays."""
    cluster.resource["metadata"] = {**cluster.resource["metadata"], "annotations": annotations}
    cluster.settle()


def with_candidate(**spec: object) -> tuple[Cluster, str, str]:
    """Return a cluster whose second model is ready, and the names of the revision that serves and of the new one."""
    cluster = served(**spec)
    old = cluster.status["stable"]["name"]
    cluster.publish("b", 2)
    cluster.settle()
    new = cluster.status["candidate"]["name"]
    cluster.set_ready(new)
    cluster.settle()
    return cluster, old, new


def test_the_first_model_of_all_needs_no_approval() -> None:
    assert served(**MANUAL).status["history"][0]["result"] == "Promoted"


def test_a_ready_revision_waits_for_approval_and_is_not_failed_by_its_deadline() -> None:
    cluster, old, new = with_candidate(**MANUAL)
    told = cluster.condition("Progressing")
    assert told is not None
    assert told["reason"] == "WaitingForApproval"
    assert f"{APPROVE_ANNOTATION}={new}" in told["message"]
    assert (cluster.truth("Ready"), cluster.truth("Reconciling"), cluster.truth("Stalled")) == ("True", None, None)

    cluster.wait(100_000)
    assert cluster.settle() == 0
    assert cluster.status["stable"]["name"] == old
    assert cluster.last is not None
    assert cluster.last.requeue_after is None  # only a person changes anything now


def test_who_approved_and_when_is_kept_with_the_history() -> None:
    cluster, _, new = with_candidate(**MANUAL)
    say(cluster, **{APPROVE_ANNOTATION: new, APPROVED_BY_ANNOTATION: "ana@example.com"})

    assert cluster.status["stable"]["name"] == new
    entry = cluster.status["history"][0]
    assert entry["result"] == "Promoted"
    assert entry["approval"] == {"by": "ana@example.com", "time": "2026-01-31T12:00:00Z"}
    assert cluster.events[-1].message.endswith("approved by ana@example.com")


def test_approvals_are_recorded_as_they_are_given_and_taken_back() -> None:
    cluster, _, new = with_candidate(rollout={"approval": "Manual", "approvals": 2})
    assert "approvals" not in cluster.status["candidate"]
    ana, bo = ({f"{APPROVAL_PREFIX}{name}": f"{new} {name}@example.com"} for name in ("ana", "bo"))

    say(cluster, **ana)
    first = {"by": "ana@example.com", "time": "2026-01-31T12:00:00Z"}
    assert cluster.status["candidate"]["approvals"] == [first]
    cluster.wait(600)
    assert cluster.settle() == 0, "the time of an approval stays"

    say(cluster)
    assert "approvals" not in cluster.status["candidate"]
    assert cluster.status["candidate"]["withdrawnApprovals"] == 1
    say(cluster, **ana)
    assert cluster.status["candidate"]["withdrawnApprovals"] == 1
    assert cluster.settle() == 0
    say(cluster, **ana, **bo)
    assert cluster.status["history"][0]["approval"]["alsoBy"] == ["bo@example.com"]


def test_an_approval_that_has_no_room_in_status_pushes_out_none_that_is_there() -> None:
    cluster, _, new = with_candidate(rollout={"approval": "Manual", "approvals": 5})
    said = {f"{APPROVAL_PREFIX}u{number}": f"{new} u{number:02}" for number in range(16)}
    say(cluster, **said, **{PAUSE_ANNOTATION: "true"})
    shown = cluster.status["candidate"]["approvals"]
    assert len(shown) == 16

    say(cluster, **said, **{PAUSE_ANNOTATION: "true", f"{APPROVAL_PREFIX}a": f"{new} ana"})
    assert cluster.status["candidate"]["approvals"] == shown
    assert "withdrawnApprovals" not in cluster.status["candidate"]


def test_an_approval_before_the_candidate_is_ready_is_recorded_too() -> None:
    cluster = served(**MANUAL)
    cluster.publish("b", 2)
    cluster.settle()
    new = cluster.status["candidate"]["name"]
    say(cluster, **{APPROVE_ANNOTATION: new, APPROVED_BY_ANNOTATION: "ana@example.com"})
    assert [item["by"] for item in cluster.status["candidate"]["approvals"]] == ["ana@example.com"]


def test_a_failed_candidate_keeps_no_approvals() -> None:
    cluster, _, new = with_candidate(rollout={"approval": "Manual", "approvals": 2})
    said = {f"{APPROVAL_PREFIX}ana": f"{new} ana@example.com"}
    say(cluster, **said)
    say(cluster, **said, **{ABORT_ANNOTATION: new})
    assert cluster.status["candidate"]["phase"] == "Failed"
    assert not {"approvals", "withdrawnApprovals"} & set(cluster.status["candidate"])


def test_approvals_written_into_status_promote_nothing() -> None:
    cluster, old, _ = with_candidate(**MANUAL)
    forged = [{"by": "eve@example.com", "time": "2026-01-31T12:00:00Z"}]
    cluster.resource["status"] = {**cluster.status, "candidate": {**cluster.status["candidate"], "approvals": forged}}
    cluster.settle()
    assert cluster.status["stable"]["name"] == old
    assert "approvals" not in cluster.status["candidate"]


@pytest.mark.parametrize(
    "said",
    [
        {APPROVE_ANNOTATION: "another-revision", APPROVED_BY_ANNOTATION: "ana"},
        {APPROVE_ANNOTATION: "NEW"},
        {APPROVE_ANNOTATION: "NEW", APPROVED_BY_ANNOTATION: "  \x1b "},
        {APPROVED_BY_ANNOTATION: "ana"},
        {APPROVE_ANNOTATION: "true", APPROVED_BY_ANNOTATION: "ana"},
    ],
    ids=["another revision", "nobody", "nobody legible", "nothing approved", "not by name"],
)
def test_what_is_no_approval_of_this_revision_promotes_nothing(said: dict[str, str]) -> None:
    cluster, old, new = with_candidate(**MANUAL)
    say(cluster, **{key: value.replace("NEW", new) for key, value in said.items()})
    assert cluster.status["stable"]["name"] == old


def test_an_approval_is_for_one_revision_alone() -> None:
    cluster, _, new = with_candidate(**MANUAL)
    say(cluster, **{APPROVE_ANNOTATION: new, APPROVED_BY_ANNOTATION: "ana"})
    cluster.publish("c", 3)
    cluster.settle()
    cluster.set_ready(cluster.status["candidate"]["name"])
    cluster.settle()
    assert cluster.status["stable"]["name"] == new
    assert cluster.status["candidate"]["reason"] == "WaitingForApproval"


def test_pauses_and_a_promotion_by_hand_are_recorded_with_the_time_when_they_were_seen() -> None:
    cluster, _, new = with_candidate(**MANUAL)
    say(cluster, **{PAUSE_ANNOTATION: "true"})
    first = cluster.status["candidate"]
    assert (first["pausedSince"], first["pauses"]) == ("2026-01-31T12:00:00Z", 1)
    cluster.wait(600)
    assert cluster.settle() == 0

    say(cluster, **{PROMOTE_ANNOTATION: new})
    going = cluster.status["candidate"]
    assert ("pausedSince" in going, going["pauses"], going["promotionRequested"]) == (False, 1, "2026-01-31T12:10:00Z")
    say(cluster, **{PAUSE_ANNOTATION: "true"})
    again = cluster.status["candidate"]
    assert (again["pausedSince"], again["pauses"]) == ("2026-01-31T12:10:00Z", 2)
    assert again["promotionRequested"] == "2026-01-31T12:10:00Z"


def test_a_pause_holds_a_ready_revision_until_it_is_taken_off() -> None:
    cluster = served()
    say(cluster, **{PAUSE_ANNOTATION: "true"})
    cluster.publish("b", 2)
    cluster.settle()
    cluster.set_ready(cluster.status["candidate"]["name"])
    cluster.settle()
    assert cluster.status["candidate"]["reason"] == "Paused"
    assert cluster.status["stable"]["digest"] == digest("a")

    say(cluster)
    assert cluster.status["stable"]["digest"] == digest("b")


def test_a_revision_that_is_aborted_fails_and_is_not_tried_again() -> None:
    cluster, old, new = with_candidate(**MANUAL)
    say(cluster, **{ABORT_ANNOTATION: new})
    assert cluster.status["stable"]["name"] == old
    assert (cluster.status["candidate"]["phase"], cluster.status["candidate"]["reason"]) == ("Failed", "Aborted")
    assert cluster.names("Deployment") == [old]
    say(cluster)
    assert cluster.status["candidate"]["phase"] == "Failed"
    assert cluster.truth("Ready") == "True"


def test_a_revision_that_has_taken_over_is_taken_back_while_the_one_before_still_stands() -> None:
    cluster, old, new = with_candidate(rollout={"keepPrevious": "10m"})
    assert cluster.status["stable"]["name"] == new
    before = cluster.selected()

    say(cluster, **{ABORT_ANNOTATION: new})

    assert cluster.status["stable"]["name"] == old
    assert cluster.selected() != before
    assert cluster.switches[-1] == cluster.status["stable"]["hash"]
    assert cluster.names("Deployment") == [old]  # what was not wanted goes
    assert [entry["result"] for entry in cluster.status["history"]][:2] == ["RolledBack", "Promoted"]
    assert cluster.settle() == 0  # and is not tried again
    assert cluster.events[-1].reason == "RolledBack"


def test_a_candidate_that_is_not_ready_any_more_while_it_waits_fails_after_the_deadline() -> None:
    cluster, _, new = with_candidate(**MANUAL)
    cluster.wait(100_000)
    cluster.set_ready(new, 0)
    cluster.settle()
    assert cluster.status["candidate"]["phase"] == "Progressing", "the deadline counts from when it lost its pods"
    assert "readySince" not in cluster.status["candidate"]
    assert cluster.last is not None
    assert cluster.last.requeue_after == 600
    cluster.wait(600)
    cluster.settle()
    assert (cluster.status["candidate"]["phase"], cluster.names("Deployment")) == (
        "Failed",
        [cluster.status["stable"]["name"]],
    )


def test_a_candidate_that_must_grow_while_it_waits_is_not_failed_by_its_age() -> None:
    cluster, old, _ = with_candidate(replicas={"min": 1, "max": 9}, **MANUAL)
    cluster.wait(100_000)
    cluster.live("Deployment", old)["spec"]["replicas"] = 3  # the autoscaler
    cluster.set_ready(old)
    cluster.settle()
    assert cluster.status["candidate"]["phase"] == "Progressing"


def test_a_rollback_waits_until_the_previous_revision_can_take_the_load() -> None:
    cluster = served(replicas={"min": 1, "max": 10}, rollout={"keepPrevious": "10m"})
    old = cluster.status["stable"]["name"]
    cluster.live("Deployment", old)["spec"]["replicas"] = 7
    cluster.set_ready(old)
    cluster.publish("b", 2)
    cluster.settle()
    new = cluster.status["candidate"]["name"]
    cluster.set_ready(new)
    cluster.settle()
    cluster.live("Deployment", old)["spec"]["replicas"] = 1  # its autoscaler, for lack of load
    cluster.set_ready(old)

    say(cluster, **{ABORT_ANNOTATION: new})
    assert cluster.status["stable"]["name"] == new, "one pod cannot take the load of seven"
    assert cluster.live("HorizontalPodAutoscaler", old)["spec"]["minReplicas"] == 7
    cluster.wait(601)
    cluster.settle()
    assert old in cluster.names("Deployment"), "it is kept for the rollback"

    cluster.live("Deployment", old)["spec"]["replicas"] = 7
    cluster.set_ready(old)
    cluster.settle()
    assert cluster.status["stable"]["name"] == old


def test_a_rollback_does_not_wait_while_nothing_else_serves() -> None:
    cluster = served(replicas={"min": 1, "max": 10}, rollout={"keepPrevious": "10m"})
    old = cluster.status["stable"]["name"]
    cluster.live("Deployment", old)["spec"]["replicas"] = 7
    cluster.set_ready(old)
    cluster.publish("b", 2)
    cluster.settle()
    new = cluster.status["candidate"]["name"]
    cluster.set_ready(new)
    cluster.settle()
    cluster.live("Deployment", old)["spec"]["replicas"] = 1
    cluster.set_ready(old)
    cluster.set_ready(new, 0)
    say(cluster, **{ABORT_ANNOTATION: new})
    assert cluster.status["stable"]["name"] == old


def test_nothing_is_taken_back_to_pods_that_are_gone() -> None:
    cluster, _, new = with_candidate(rollout={"keepPrevious": "0s"})
    cluster.wait(1)
    cluster.settle()
    say(cluster, **{ABORT_ANNOTATION: new})
    assert cluster.status["stable"]["name"] == new
    told = cluster.condition("Ready")
    assert told is not None
    assert f"perennial.dev/abort={new} has no effect" in told["message"]
    cluster.settle()
    assert [event.reason for event in cluster.events].count("AbortIgnored") == 1
