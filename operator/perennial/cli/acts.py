"""What a person can ask for: annotations on a resource, as pure functions of what the resource says."""

from datetime import datetime

from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.modeldeployment.revisions import Candidate
from perennial.cli.errors import CliError
from perennial.core.labels import (
    ABORT_ANNOTATION,
    APPROVAL_PREFIX,
    APPROVE_ANNOTATION,
    APPROVED_BY_ANNOTATION,
    APPROVED_DIGEST_ANNOTATION,
    PAUSE_ANNOTATION,
    PROMOTE_ANNOTATION,
    RETRY_ANNOTATION,
    RUN_NOW_ANNOTATION,
)
from perennial.core.names import digest_of
from perennial.core.times import format_time
from perennial.serving.revision import model_title

Annotations = dict[str, str | None]
"""Annotations to set; None removes one."""

_KEY_LENGTH = 16


def approve(resource: ModelDeployment, revision: str | None, user: str) -> Annotations:
    """Approve a candidate: the given revision, or the one that is being rolled out, with its gates as shown."""
    candidate = _candidate(resource, revision)
    seen = candidate.gates_digest
    if resource.spec.rollout.approvals > 1:
        key = APPROVAL_PREFIX + digest_of(user, _KEY_LENGTH)
        return {key: f"{candidate.name}{f'/{seen}' if seen is not None else ''} {user}"}
    pair: Annotations = {APPROVE_ANNOTATION: candidate.name, APPROVED_BY_ANNOTATION: user}
    outdated = APPROVED_DIGEST_ANNOTATION in resource.metadata.annotations
    return pair | ({APPROVED_DIGEST_ANNOTATION: seen} if seen is not None or outdated else {})


def to_approve(resource: ModelDeployment, revision: str | None) -> tuple[str, ...]:
    """List what an approval is about: the candidate, and the verdicts of its gates."""
    candidate = _candidate(resource, revision)
    gates = tuple(
        f"  gate {gate.name}: {gate.verdict}: {gate.message}{_figures(gate.figures)}" for gate in candidate.gates or ()
    )
    return (f"{candidate.name} with {model_title(candidate)}", *(gates or ("  no gates",)))


def _figures(figures: dict[str, str] | None) -> str:
    return f" ({', '.join(f'{key} {value}' for key, value in figures.items())})" if figures else ""


def pause(resource: ModelDeployment) -> Annotations:  # noqa: ARG001 - the signature of every act
    """Hold rollouts where they are."""
    return {PAUSE_ANNOTATION: "true"}


def resume(resource: ModelDeployment) -> Annotations:  # noqa: ARG001 - the signature of every act
    """Let rollouts go on."""
    return {PAUSE_ANNOTATION: None}


def promote(resource: ModelDeployment, revision: str | None) -> Annotations:
    """Skip the rest of a candidate's steps and holds; an approval is still needed."""
    return {PROMOTE_ANNOTATION: _candidate(resource, revision).name}


def abort(resource: ModelDeployment, revision: str | None) -> Annotations:
    """Abort the rollout of a candidate."""
    return {ABORT_ANNOTATION: _candidate(resource, revision).name}


def rollback(resource: ModelDeployment) -> Annotations:
    """Return to the previous revision, while its pods are kept.

    Raises:
        CliError: nothing serves, or no previous revision is kept.
    """
    status = resource.status
    if status.stable is None:
        raise CliError(f"{resource.metadata.name} serves no revision yet: nothing to roll back")
    if status.previous is None:
        raise CliError(
            f"no previous revision is kept (spec.rollout.keepPrevious is {resource.spec.rollout.keep_previous}). "
            "Set spec.model to the earlier version instead; status.history lists the digests"
        )
    return {ABORT_ANNOTATION: status.stable.name}


def retry(resource: ModelDeployment, now: datetime) -> Annotations:
    """Roll a failed revision out again. The time makes a second retry another one.

    Raises:
        CliError: no rollout has failed.
    """
    candidate = resource.status.candidate
    if candidate is None or candidate.phase != "Failed":
        raise CliError(f"no rollout of {resource.metadata.name} has failed: nothing to retry")
    return {RETRY_ANNOTATION: f"{candidate.name}/{format_time(now)}", ABORT_ANNOTATION: None}


def retrain(now: datetime, user: str) -> Annotations:
    """Start a run of a TrainingJob."""
    return {RUN_NOW_ANNOTATION: f"{format_time(now)} {user}"}


def _candidate(resource: ModelDeployment, revision: str | None) -> Candidate:
    candidate = resource.status.candidate
    if candidate is None or candidate.phase == "Failed":
        raise CliError(f"{resource.metadata.name} is rolling out no revision: see kubectl perennial status")
    if revision is not None and revision != candidate.name:
        raise CliError(f"the candidate is {candidate.name}, not {revision}: look again, it may have been replaced")
    return candidate
