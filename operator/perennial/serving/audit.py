"""What the audit log records of a ModelDeployment: rollouts, verdicts of gates, and what persons did."""

from collections.abc import Iterator
from datetime import datetime
from itertools import takewhile

from perennial.api.contract.audit import AuditEntry, AuditEvent
from perennial.api.modeldeployment.gates import GateOutcome
from perennial.api.modeldeployment.resource import ModelDeployment, ModelDeploymentStatus
from perennial.api.modeldeployment.revisions import Candidate, HistoryEntry
from perennial.core.decision import Decision
from perennial.core.facts import Facts, figures, items
from perennial.core.kinds import MODEL_DEPLOYMENT
from perennial.core.labels import RETRY_ANNOTATION
from perennial.serving import rollout_reasons as reasons
from perennial.serving.audit_acts import Acts, Place, ended_acts, running_acts
from perennial.serving.observe import Observed
from perennial.serving.rollout.approval import controls_of
from perennial.serving.rollout.approvers import last_author

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
        if entry.result != "RolledBack":  # its acts were told when it was rolled out
            acts = Acts(resource, entry, place, now)
            yield from ended_acts(acts, before.candidate if running == entry.name else None)
        yield _end(resource, entry, place, after, now)
    candidate = after.candidate
    goes_on = _running(before) if _running(before) not in {entry.name for entry in ended} else None
    if candidate is not None and _running(after) not in (None, goes_on):
        yield _started(resource, candidate, (known, len(ended)), now, failed=_failed(before, candidate.name))
    if candidate is not None and candidate.phase == "Progressing":
        acts = Acts(resource, candidate, (known, len(ended)), now)
        yield from running_acts(acts, candidate, before.candidate if goes_on == candidate.name else None)


def _running(status: ModelDeploymentStatus) -> str | None:
    """Name of the revision that is being rolled out."""
    candidate = status.candidate
    return candidate.name if candidate is not None and candidate.phase == "Progressing" else None


def _failed(status: ModelDeploymentStatus, name: str) -> Candidate | None:
    """Return the failed rollout of a revision, if it is the last one."""
    candidate = status.candidate
    return candidate if candidate is not None and (candidate.name, candidate.phase) == (name, "Failed") else None


def _started(
    resource: ModelDeployment,
    revision: Candidate | HistoryEntry,
    place: Place,
    now: datetime,
    *,
    failed: Candidate | None = None,
) -> AuditEntry:
    rollout, again = resource.spec.rollout, _again(resource, failed)
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
        figures=figures((("specChangedBy", last_author(resource)),)),
        message=f"strategy {rollout.strategy}, approval {rollout.approval}{again}",
    )


def _again(resource: ModelDeployment, failed: Candidate | None) -> str:
    """Tell why a revision that has failed is rolled out again."""
    if failed is None:
        return ""
    asked = controls_of(resource).retries(failed)
    by_hand = asked is not None and asked != failed.retry
    return f"; again after it failed, {f'by the annotation {RETRY_ANNOTATION}' if by_hand else 'with a new run'}"


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
