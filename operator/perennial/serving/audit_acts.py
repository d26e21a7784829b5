"""What the audit log records of the acts of persons in a rollout: approvals given and gone, pauses, promotion by hand.

Who has approved is in the annotation. Who has paused or hurried a rollout is in no annotation, so these facts have no
actor.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.api.contract.audit import AuditEntry, AuditEvent
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.modeldeployment.revisions import Candidate, GivenApproval, HistoryEntry
from perennial.core.facts import Facts, figures
from perennial.core.kinds import MODEL_DEPLOYMENT
from perennial.core.labels import PAUSE_ANNOTATION, PROMOTE_ANNOTATION
from perennial.serving.rollout.approval import controls_of
from perennial.serving.rollout.approvers import REMOVED, Vote, votes_for, why_gone

Place = tuple[str, int]
"""Tells rollouts of one revision from each other: the end of the last rollout that status knew, and the number of the
rollout since then. Both are the same when the step is repeated after a crash."""


@dataclass(frozen=True)
class Acts:
    """Makes the facts of one rollout."""

    resource: ModelDeployment
    revision: Candidate | HistoryEntry
    place: Place
    now: datetime

    def entry(self, event: AuditEvent, subject: Iterable[str | int], time: str | None, **parts: Any) -> AuditEntry:
        """Return the entry of an act; `subject` tells it from others of the same event in this rollout."""
        return Facts(MODEL_DEPLOYMENT, self.resource.metadata, self.now).entry(
            event,
            (self.revision.name, *self.place, *subject),
            time,
            model_digest=self.revision.digest,
            run=self.revision.run,
            revision=self.revision.name,
            **parts,
        )


def running_acts(acts: Acts, candidate: Candidate, before: Candidate | None) -> Iterator[AuditEntry]:
    """Tell of acts that are new while the rollout goes on; `before` is the same rollout as status knew it."""
    yield from _controls(acts, candidate, before)
    given, known = candidate.approvals or (), _known(before)
    for item in known:
        # Another approval of the same user is told as such.
        if item.by not in {other.by for other in given}:
            yield _withdrawn(acts, item, before, why_gone(_vote(item), candidate, acts.resource))
    told = {_vote(item) for item in known}
    for item in given:
        if _vote(item) not in told:
            yield _approved(acts, item, before)


def _controls(acts: Acts, candidate: Candidate, before: Candidate | None) -> Iterator[AuditEntry]:
    was = before.paused_since if before is not None else None
    if candidate.paused_since is not None and was is None:
        said = f"by the annotation {PAUSE_ANNOTATION}"
        yield acts.entry("RolloutPaused", (candidate.pauses or 0,), candidate.paused_since, message=said)
    if candidate.paused_since is None and before is not None and was is not None:
        yield _resumed(acts, before)
    if candidate.promotion_requested is not None and (before is None or before.promotion_requested is None):
        yield _requested(acts, candidate.promotion_requested)


def ended_acts(acts: Acts, before: Candidate | None) -> Iterator[AuditEntry]:
    """Tell of acts that were seen only in the step that ended the rollout."""
    controls, entry, known = controls_of(acts.resource), acts.revision, _known(before)
    if before is not None and before.paused_since is not None and not controls.paused:
        yield _resumed(acts, before)
    if controls.promoted == entry.name and (before is None or before.promotion_requested is None):
        yield _requested(acts, None)
    there = {vote.by for vote in votes_for(acts.resource.metadata.annotations, entry.name)}
    for item in known:
        if item.by not in there:
            yield _withdrawn(acts, item, before, REMOVED)
    approval = entry.approval if isinstance(entry, HistoryEntry) else None
    if approval is None:
        return
    for user in approval.users:
        if user not in {item.by for item in known}:
            yield _approved(acts, GivenApproval(by=user, digest=approval.digest, time=approval.time), before)


def _known(before: Candidate | None) -> tuple[GivenApproval, ...]:
    return (before.approvals if before is not None else None) or ()


def _vote(given: GivenApproval) -> Vote:
    return Vote(given.by, given.digest)


def _subject(given: GivenApproval, before: Candidate | None) -> tuple[str | int, ...]:
    """Tell an approval from an earlier one of the same user that was taken back: by how many have been so far."""
    number = before.withdrawn_approvals if before is not None else None
    return (*((number,) if number else ()), given.by, *((given.digest,) if given.digest else ()))


def _approved(acts: Acts, given: GivenApproval, before: Candidate | None) -> AuditEntry:
    seen = f"has seen gates with {given.digest}" if given.digest else ""
    return acts.entry("RolloutApproved", _subject(given, before), given.time, actor=given.by, message=seen)


def _withdrawn(acts: Acts, given: GivenApproval, before: Candidate | None, why: str) -> AuditEntry:
    """Build the fact that an approval is gone. Who took it away is not known: there is no actor."""
    return acts.entry(
        "ApprovalWithdrawn",
        _subject(given, before),
        None,
        figures=figures((("approvedBy", given.by), ("approvedAt", given.time))),
        message=f"the approval by {given.by} of {given.time} does not count any more: {why}",
    )


def _resumed(acts: Acts, before: Candidate) -> AuditEntry:
    said = f"it was paused at {before.paused_since}; the annotation {PAUSE_ANNOTATION} was removed or changed"
    return acts.entry("RolloutResumed", (before.pauses or 0,), None, message=said)


def _requested(acts: Acts, time: str | None) -> AuditEntry:
    said = f"by the annotation {PROMOTE_ANNOTATION}: the rest of the steps and holds is skipped, not the approval"
    return acts.entry("PromotionRequested", (), time, message=said)
