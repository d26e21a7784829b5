"""What the audit log records of a ModelDeployment: rollouts, verdicts of gates, and what persons did."""

from collections.abc import Iterator
from datetime import datetime
from itertools import takewhile

from perennial.api.contract.audit import AuditEntry, AuditEvent
from perennial.api.modeldeployment.gates import GateOutcome
from perennial.api.modeldeployment.resource import ModelDeployment, ModelDeploymentStatus
from perennial.api.modeldeployment.rollout import Approval, Candidate, GivenApproval, HistoryEntry
from perennial.core.decision import Decision
from perennial.core.facts import Facts, figures, items
from perennial.core.kinds import MODEL_DEPLOYMENT
from perennial.serving import reasons
from perennial.serving.observe import Observed
from perennial.serving.rollout.approvers import REMOVED, Vote, votes_for, why_gone

Place = tuple[str, int]
"""Tells rollouts of one revision from each other: the end of the last rollout that status knew, and the number of the
rollout since then. Both are the same when the step is repeated after a crash."""

_ENDED: dict[str, AuditEvent] = {
    "Promoted": "RolloutPromoted",
    "Failed": "RolloutFailed",
    "Superseded": "RolloutSuperseded",
    "RolledBack": "RolledBack",
}


def facts(observed: Observed, decision: Decision, now: datetime) -> tuple[AuditEntry, ...]:
    """Return the facts that the status of a decision adds."""
    if decision.status is None:
        return ()
    resource, before = observed.resource, observed.resource.status
    after = ModelDeploymentStatus.model_validate(decision.status)
    return tuple(_facts(resource, before, after, now))


def _facts(
    resource: ModelDeployment, before: ModelDeploymentStatus, after: ModelDeploymentStatus, now: datetime
) -> Iterator[AuditEntry]:
    known = before.history[0].time if before.history else ""
    ended = tuple(takewhile(lambda item: item not in before.history, after.history))[::-1]
    running = _running(before)
    for number, entry in enumerate(ended):
        place = (known, number)
        if entry.name != running and entry.result in ("Promoted", "Failed"):
            yield _started(resource, entry, place, now)
        yield from _gates(resource, entry, place, now)
        yield from _votes_at_the_end(resource, entry, place, before, now)
        yield _end(resource, entry, place, after, now)
    candidate = after.candidate
    goes_on = _running(before) if _running(before) not in {entry.name for entry in ended} else None
    if candidate is not None and _running(after) not in (None, goes_on):
        yield _started(resource, candidate, (known, len(ended)), now)
    if candidate is not None and candidate.phase == "Progressing":
        known_candidate = before.candidate if goes_on == candidate.name else None
        yield from _votes(resource, candidate, (known, len(ended)), known_candidate, now)


def _running(status: ModelDeploymentStatus) -> str | None:
    """Name of the revision that is being rolled out."""
    candidate = status.candidate
    return candidate.name if candidate is not None and candidate.phase == "Progressing" else None


def _started(resource: ModelDeployment, revision: Candidate | HistoryEntry, place: Place, now: datetime) -> AuditEntry:
    began = revision.since if isinstance(revision, Candidate) else revision.time
    return Facts(MODEL_DEPLOYMENT, resource.metadata, now).entry(
        "RolloutStarted",
        (revision.name, *place),
        began,
        generation=resource.metadata.generation,
        model_digest=revision.digest,
        artifact_uri=revision.uri if isinstance(revision, Candidate) else None,
        run=revision.run,
        revision=revision.name,
        message=f"strategy {resource.spec.rollout.strategy}, approval {resource.spec.rollout.approval}",
    )


def _gates(resource: ModelDeployment, entry: HistoryEntry, place: Place, now: datetime) -> Iterator[AuditEntry]:
    for gate in entry.gates or ():
        yield Facts(MODEL_DEPLOYMENT, resource.metadata, now).entry(
            "GateDecided",
            (entry.name, *place, gate.name),
            gate.time,
            model_digest=entry.digest,
            run=entry.run,
            revision=entry.name,
            figures=_measured(gate),
            thresholds=_limits(gate) or None,
            message=f"gate {gate.name} ({gate.type}): {gate.verdict}",
        )


_LIMITS = frozenset({"limit", "min", "max", "margin", "ratio", "notWorseThanStableBy", "quantile"})
"""Figures of gates that are not measured."""


def _measured(gate: GateOutcome) -> dict[str, str]:
    return figures(
        (("verdict", gate.verdict), *(item for item in items(gate.figures) if item[0] not in _LIMITS)),
    )


def _limits(gate: GateOutcome) -> dict[str, str]:
    return figures(item for item in items(gate.figures) if item[0] in _LIMITS)


def _votes(
    resource: ModelDeployment, candidate: Candidate, place: Place, before: Candidate | None, now: datetime
) -> Iterator[AuditEntry]:
    """Tell of approvals that are new, and of those that do not count any more, while the rollout goes on."""
    given, known = candidate.approvals or (), (before.approvals if before is not None else None) or ()
    times = _times(before)
    for item in known:
        # Another approval of the same user is told as such.
        if item.by not in {other.by for other in given}:
            why = why_gone(_vote(item), candidate, resource)
            yield _withdrawn(resource, candidate, (*place, *times), item, now, why=why)
    told = {_vote(item) for item in known}
    for item in given:
        if _vote(item) not in told:
            yield _approved(resource, candidate, (*place, *times), item, now)


def _votes_at_the_end(
    resource: ModelDeployment, entry: HistoryEntry, place: Place, before: ModelDeploymentStatus, now: datetime
) -> Iterator[AuditEntry]:
    """Tell of approvals that were given or taken back only in the step that ended the rollout."""
    candidate = before.candidate if _running(before) == entry.name else None
    known, times = (candidate.approvals if candidate is not None else None) or (), _times(candidate)
    there = votes_for(resource.metadata.annotations, entry.name)
    for item in known:
        if item.by not in {vote.by for vote in there}:
            yield _withdrawn(resource, entry, (*place, *times), item, now, why=REMOVED)
    approval: Approval | None = entry.approval
    if approval is None:
        return
    for user in approval.users:
        if user not in {item.by for item in known}:
            given = GivenApproval(by=user, digest=approval.digest, time=approval.time)
            yield _approved(resource, entry, (*place, *times), given, now)


def _vote(given: GivenApproval) -> Vote:
    return Vote(given.by, given.digest)


def _times(before: Candidate | None) -> tuple[int, ...]:
    """Tell an approval from an earlier one of the same user that was taken back: by how many have been so far."""
    number = before.withdrawn_approvals if before is not None else None
    return (number,) if number else ()


def _approved(
    resource: ModelDeployment,
    revision: Candidate | HistoryEntry,
    place: tuple[str | int, ...],
    given: GivenApproval,
    now: datetime,
) -> AuditEntry:
    seen = (given.digest,) if given.digest else ()
    return Facts(MODEL_DEPLOYMENT, resource.metadata, now).entry(
        "RolloutApproved",
        (revision.name, *place, given.by, *seen),
        given.time,
        actor=given.by,
        model_digest=revision.digest,
        run=revision.run,
        revision=revision.name,
        message=f"has seen gates with {given.digest}" if given.digest else "",
    )


def _withdrawn(
    resource: ModelDeployment,
    revision: Candidate | HistoryEntry,
    place: tuple[str | int, ...],
    given: GivenApproval,
    now: datetime,
    *,
    why: str,
) -> AuditEntry:
    """Build the fact that an approval is gone. Who took it away is not known: there is no actor."""
    seen = (given.digest,) if given.digest else ()
    return Facts(MODEL_DEPLOYMENT, resource.metadata, now).entry(
        "ApprovalWithdrawn",
        (revision.name, *place, given.by, *seen),
        None,
        model_digest=revision.digest,
        run=revision.run,
        revision=revision.name,
        figures=figures((("approvedBy", given.by), ("approvedAt", given.time))),
        message=f"the approval by {given.by} of {given.time} does not count any more: {why}",
    )


def _end(
    resource: ModelDeployment, entry: HistoryEntry, place: Place, after: ModelDeploymentStatus, now: datetime
) -> AuditEntry:
    aborted = entry.result == "Failed" and entry.reason == reasons.ABORTED
    known = (item for item in (after.stable, after.candidate, after.previous) if item is not None)
    return Facts(MODEL_DEPLOYMENT, resource.metadata, now).entry(
        "RolloutAborted" if aborted else _ENDED[entry.result],
        (entry.name, *place),
        entry.time,
        generation=resource.metadata.generation,
        model_digest=entry.digest,
        artifact_uri=next((item.uri for item in known if item.name == entry.name), None),
        run=entry.run,
        revision=entry.name,
        message=entry.reason or "",
    )
