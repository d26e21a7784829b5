"""Facts of rollouts: which are told apart, and which are the same."""

from datetime import UTC, datetime
from typing import Any

import pytest

from perennial.api.contract.audit import AuditEntry
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.core.decision import Decision
from perennial.serving.audit import facts
from perennial.serving.observe import Observed
from tests.support.builders import EARLIER, digest, model_deployment

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def candidate(name: str = "churn-b", phase: str = "Progressing") -> dict[str, Any]:
    uri = "s3://models/churn/versions/bbbbbbbbbbbb/"
    return {"name": name, "hash": "b", "uri": uri, "digest": digest("b"), "since": EARLIER, "phase": phase}


def ended(result: str, time: str, name: str = "churn-b", **more: Any) -> dict[str, Any]:
    return {"name": name, "digest": digest("b"), "result": result, "time": time, **more}


def of(
    before: dict[str, Any], after: dict[str, Any], annotations: dict[str, str] | None = None, **spec: Any
) -> tuple[AuditEntry, ...]:
    raw = model_deployment(**spec)
    metadata = {**raw["metadata"], "annotations": annotations or {}}
    resource = ModelDeployment.model_validate({**raw, "metadata": metadata, "status": before})
    return facts(Observed(resource=resource, upstream=None), Decision(status=after), NOW)


def events(found: tuple[AuditEntry, ...]) -> list[str]:
    return [entry.event for entry in found]


def test_approvals_name_each_user_and_what_was_seen() -> None:
    approval = {"by": "ada", "alsoBy": ["bob"], "time": EARLIER, "digest": "sha256:12"}
    found = of({"candidate": candidate()}, {"history": [ended("Promoted", EARLIER, approval=approval)]})

    assert events(found) == ["RolloutApproved", "RolloutApproved", "RolloutPromoted"]
    assert [entry.actor for entry in found] == ["ada", "bob", None]
    assert found[0].message == "has seen gates with sha256:12"


def given(by: str, seen: str | None = None, time: str = EARLIER) -> dict[str, Any]:
    return {"by": by, "time": time, **({"digest": seen} if seen else {})}


def test_an_approval_is_told_when_it_is_given_and_not_again_at_the_end() -> None:
    waits = {"candidate": candidate()}
    once = {"candidate": candidate() | {"approvals": [given("ada", "12ab")]}}
    (first,) = of(waits, once)
    assert (first.event, first.actor, first.time) == ("RolloutApproved", "ada", EARLIER)
    assert (first.revision, first.model_digest) == ("churn-b", digest("b"))
    assert first.message == "has seen gates with 12ab"
    assert of(once, once) == ()

    approval = {"by": "ada", "alsoBy": ["bob"], "time": "2026-01-31T11:30:00Z", "digest": "12ab"}
    found = of(once, {"history": [ended("Promoted", "2026-01-31T11:30:00Z", approval=approval)]}, ADA)
    assert [(entry.event, entry.actor) for entry in found] == [("RolloutApproved", "bob"), ("RolloutPromoted", None)]
    (again,) = of(waits, once)
    assert again.id == first.id, "a step that is repeated after a crash tells the same fact"


def test_an_approval_of_what_has_changed_since_is_another_fact() -> None:
    before = {"candidate": candidate() | {"approvals": [given("ada", "12ab")]}}
    (second,) = of(before, {"candidate": candidate() | {"approvals": [given("ada", "34cd")]}})
    (first,) = of({"candidate": candidate()}, before)
    assert (second.message, second.id == first.id) == ("has seen gates with 34cd", False)


MANUAL: dict[str, Any] = {"rollout": {"approval": "Manual", "approvals": 2}}
ADA = {"approve.perennial.dev/ada": "churn-b/12ab ada"}


def test_an_approval_that_is_taken_back_is_told_with_who_had_given_it_and_when_it_was_seen_gone() -> None:
    once = {"candidate": candidate() | {"approvals": [given("ada", "12ab"), given("bob")]}}
    left = {"candidate": candidate() | {"approvals": [given("bob")], "withdrawnApprovals": 1}}
    (gone,) = of(once, left, **MANUAL)

    assert (gone.event, gone.actor, gone.time) == ("ApprovalWithdrawn", None, "2026-01-31T12:00:00Z")
    assert gone.figures == {"approvedBy": "ada", "approvedAt": EARLIER}
    assert (gone.revision, gone.model_digest) == ("churn-b", digest("b"))
    assert gone.message.endswith("does not count any more: its annotation was removed or changed")
    (again,) = of(once, left, **MANUAL)
    assert again.id == gone.id, "a step that is repeated after a crash tells the same fact"
    assert of(left, left, **MANUAL) == ()


def test_an_approval_that_is_given_again_and_taken_back_again_are_further_facts() -> None:
    none, once = {"candidate": candidate()}, {"candidate": candidate() | {"approvals": [given("ada")]}}
    back = {"candidate": candidate() | {"withdrawnApprovals": 1}}
    again = {"candidate": candidate() | {"approvals": [given("ada")], "withdrawnApprovals": 1}}
    twice = {"candidate": candidate() | {"withdrawnApprovals": 2}}
    told = [entry for a, b in ((none, once), (once, back), (back, again), (again, twice)) for entry in of(a, b)]

    assert events(tuple(told)) == ["RolloutApproved", "ApprovalWithdrawn"] * 2
    assert len({entry.id for entry in told}) == 4


@pytest.mark.parametrize(
    ("annotations", "spec", "why"),
    [
        (ADA, MANUAL | {"rollout": {"approval": "Automatic"}}, "spec.rollout.approval asks for no approval any more"),
        (ADA, MANUAL, "the gates or their verdicts are others than the user has seen (there are none now)"),
        (
            {"approve.perennial.dev/ada": "churn-b ada", "perennial.dev/changed-by": "3 ada"},
            MANUAL,
            "the user has changed the spec since",
        ),
        ({"approve.perennial.dev/ada": "churn-b ada"}, MANUAL, "no revision serves that the candidate could replace"),
    ],
    ids=["not asked for", "other verdicts", "author", "nothing serves"],
)
def test_an_approval_that_is_still_annotated_is_told_with_why_it_is_void(
    annotations: dict[str, str], spec: dict[str, Any], why: str
) -> None:
    seen = "12ab" if annotations is ADA else None
    once = {"candidate": candidate() | {"approvals": [given("ada", seen)]}}
    (gone,) = of(once, {"candidate": candidate() | {"withdrawnApprovals": 1}}, annotations, **spec)
    assert (gone.event, gone.message.partition("any more: ")[2]) == ("ApprovalWithdrawn", why)


def test_an_approval_that_is_taken_back_in_the_step_that_ends_the_rollout_is_told_too() -> None:
    once = {"candidate": candidate() | {"approvals": [given("ada"), given("bob")]}}
    after = {"candidate": candidate(phase="Failed"), "history": [ended("Failed", "2026-01-31T11:30:00Z")]}
    found = of(once, after, {"approve.perennial.dev/bob": "churn-b bob"}, **MANUAL)
    assert [(entry.event, entry.figures.get("approvedBy")) for entry in found] == [
        ("ApprovalWithdrawn", "ada"),
        ("RolloutFailed", None),
    ]


def test_an_approval_of_a_rollout_that_fails_stays_in_the_log() -> None:
    once = {"candidate": candidate() | {"approvals": [given("ada")]}}
    assert events(of({"candidate": candidate()}, once)) == ["RolloutApproved"]
    failed = {"candidate": candidate(phase="Failed"), "history": [ended("Failed", "2026-01-31T11:30:00Z")]}
    assert events(of(once, failed, {"approve.perennial.dev/ada": "churn-b ada"})) == ["RolloutFailed"]


def test_an_approval_of_a_retry_is_another_fact() -> None:
    once = {"candidate": candidate() | {"approvals": [given("ada")]}}
    (first,) = of({"candidate": candidate()}, once)
    failed = {"candidate": candidate(phase="Failed"), "history": [ended("Failed", "2026-01-31T11:30:00Z")]}
    started, second = of(failed, {**failed, **once})
    assert (started.event, second.event) == ("RolloutStarted", "RolloutApproved")
    assert first.id != second.id


def test_each_pause_and_its_end_is_told_once() -> None:
    going, stopped = {"candidate": candidate()}, {"candidate": candidate() | {"pausedSince": EARLIER, "pauses": 1}}
    goes_on = {"candidate": candidate() | {"pauses": 1}}
    again = {"candidate": candidate() | {"pausedSince": "2026-01-31T11:30:00Z", "pauses": 2}}
    walk = ((going, stopped), (stopped, stopped), (stopped, goes_on), (goes_on, again))
    told = [entry for a, b in walk for entry in of(a, b)]

    assert events(tuple(told)) == ["RolloutPaused", "RolloutResumed", "RolloutPaused"]
    assert [entry.time for entry in told] == [EARLIER, "2026-01-31T12:00:00Z", "2026-01-31T11:30:00Z"]
    assert len({entry.id for entry in told}) == 3


def test_a_pause_that_is_over_when_the_rollout_ends_is_told_and_one_that_an_abort_ends_is_not() -> None:
    stopped = {"candidate": candidate() | {"pausedSince": EARLIER, "pauses": 1}}
    after = {"history": [ended("Promoted", EARLIER)]}
    assert events(of(stopped, after)) == ["RolloutResumed", "RolloutPromoted"]
    failed = {"candidate": candidate(phase="Failed"), "history": [ended("Failed", EARLIER, reason="Aborted")]}
    assert events(of(stopped, failed, {"perennial.dev/pause": "true"})) == ["RolloutAborted"]


def test_a_promotion_by_hand_is_told_once_also_if_it_ends_the_rollout_at_once() -> None:
    asked = {"candidate": candidate() | {"promotionRequested": EARLIER}}
    by_hand = {"perennial.dev/promote": "churn-b"}
    (first,) = of({"candidate": candidate()}, asked, by_hand)
    assert (first.event, first.time, first.actor) == ("PromotionRequested", EARLIER, None)
    assert of(asked, asked, by_hand) == ()

    after = {"history": [ended("Promoted", EARLIER)]}
    assert events(of(asked, after, by_hand)) == ["RolloutPromoted"]
    assert events(of({"candidate": candidate()}, after, by_hand)) == ["PromotionRequested", "RolloutPromoted"]


def test_a_rollback_repeats_no_act_of_the_rollout_before_it() -> None:
    before = {"history": [ended("Promoted", EARLIER)]}
    back = ended("RolledBack", "2026-01-31T11:30:00Z", reason="Aborted")
    found = of(before, {"history": [back, *before["history"]]}, {"perennial.dev/promote": "churn-b"})
    assert events(found) == ["RolledBack"]


@pytest.mark.parametrize(
    ("annotations", "why"),
    [({"perennial.dev/retry": "churn-b/2"}, "by the annotation perennial.dev/retry"), ({}, "with a new run")],
    ids=["by hand", "new run"],
)
def test_a_rollout_that_starts_again_is_told_with_why(annotations: dict[str, str], why: str) -> None:
    failed = {"candidate": candidate(phase="Failed"), "history": [ended("Failed", EARLIER)]}
    (found,) = of(failed, {**failed, "candidate": candidate()}, annotations)
    assert (found.event, found.message.partition("; ")[2]) == ("RolloutStarted", f"again after it failed, {why}")


def test_a_retry_of_the_same_revision_is_another_rollout() -> None:
    first = of({}, {"candidate": candidate()})
    failed = {"candidate": candidate(phase="Failed"), "history": [ended("Failed", EARLIER)]}
    second = of(failed, {**failed, "candidate": candidate()})

    assert events(first) == events(second) == ["RolloutStarted"]
    assert first[0].id != second[0].id


@pytest.mark.parametrize(
    ("recorded", "author"),
    [
        ("2 ada\n10 bob", "bob"),
        ("10 bob\n9 ada", "bob"),
        ("x eve\n3 ada\n99999999999999999999 eve\n4 ", "ada"),
        ("", None),
    ],
    ids=["newest-last", "newest-first", "what-is-no-generation", "not-recorded"],
)
def test_a_rollout_names_who_has_changed_the_spec_last(recorded: str, author: str | None) -> None:
    annotations = {"perennial.dev/changed-by": recorded} if recorded else {}
    (found,) = of({}, {"candidate": candidate()}, annotations)
    assert (found.event, (found.figures or {}).get("specChangedBy")) == ("RolloutStarted", author)


def test_a_rollout_that_starts_and_ends_in_one_step_has_both() -> None:
    assert events(of({}, {"history": [ended("Promoted", EARLIER)]})) == ["RolloutStarted", "RolloutPromoted"]


def test_the_end_of_another_revision_starts_no_rollout_again() -> None:
    before = {"candidate": candidate(), "history": [ended("Promoted", EARLIER, "churn-a")]}
    rolled_back = ended("RolledBack", "2026-01-31T11:30:00Z", "churn-a", reason="Aborted")

    found = of(before, {**before, "history": [rolled_back, *before["history"]]})

    assert events(found) == ["RolledBack"]


def test_an_end_at_another_time_after_a_crash_is_the_same_fact() -> None:
    before = {"candidate": candidate()}
    (one,) = of(before, {"history": [ended("Promoted", "2026-01-31T11:30:00Z")]})
    (two,) = of(before, {"history": [ended("Promoted", "2026-01-31T11:45:00Z")]})

    assert (one.id, one.time) == (two.id, "2026-01-31T11:30:00Z")


def test_a_part_that_no_entry_can_hold_is_left_out() -> None:
    odd = {**candidate(), "digest": "edited", "uri": "by hand"}
    (found,) = of({}, {"candidate": odd})

    assert (found.event, found.model_digest, found.artifact_uri) == ("RolloutStarted", None, None)
    assert found.revision == "churn-b"


def test_nothing_is_told_without_a_change() -> None:
    same = {"candidate": candidate(), "history": [ended("Promoted", EARLIER, "churn-a")]}
    assert of(same, same) == ()
