"""Manual control of a rollout by annotation: approve, pause, promote, abort, retry.

An annotation that names a revision applies to that revision only, so it never has to be removed. GitOps tools ignore
annotations that their manifests do not contain.
"""

from dataclasses import dataclass, replace

from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.modeldeployment.rollout import Approval, Candidate, Revision
from perennial.core.conditions import READY, find
from perennial.core.decision import EventNote
from perennial.core.labels import (
    ABORT_ANNOTATION,
    APPROVE_ANNOTATION,
    APPROVED_BY_ANNOTATION,
    PAUSE_ANNOTATION,
    PROMOTE_ANNOTATION,
    RETRY_ANNOTATION,
)
from perennial.core.waiting import clean
from perennial.serving import reasons
from perennial.serving.rollout.context import HISTORY_LIMIT, Context, State, history_entry


def roll_back(state: State, context: Context) -> State:
    """Roll back to the previous revision if the stable one is aborted and the previous one still has pods."""
    stable, previous = state.stable, state.previous
    if stable is None or not controls_of(context.observed.resource).aborts(stable):
        return state
    if previous is None or context.health(previous).available == 0:
        return _ignore_abort(state, stable, context)
    if _is_too_small(previous, stable, context):
        return replace(state, rolling_back=True)
    message = f"rolled back by the annotation {ABORT_ANNOTATION}"
    failed = Candidate(**stable.model_dump(), phase="Failed", reason=reasons.ABORTED, message=message)
    note = EventNote("Warning", "RolledBack", f"{stable.name} was {message}; {previous.name} serves again")
    return replace(
        state,
        stable=previous.model_copy(update={"since": context.time}),
        previous=None,
        candidate=failed,
        history=(history_entry(stable, "RolledBack", reasons.ABORTED, context) + state.history)[:HISTORY_LIMIT],
        events=(*state.events, note),
    )


def _ignore_abort(state: State, stable: Revision, context: Context) -> State:
    why = (
        f"the annotation {ABORT_ANNOTATION}={stable.name} has no effect: no pod of a previous revision is left "
        "(spec.rollout.keepPrevious). Set spec.model to the earlier version to roll back"
    )
    known = find(context.observed.resource.status.conditions, READY)
    told = known is not None and why in known.message
    notes = () if told else (EventNote("Warning", reasons.ABORT_IGNORED, why),)
    return replace(state, ignored_abort=why, events=(*state.events, *notes))


def _is_too_small(previous: Revision, stable: Revision, context: Context) -> bool:
    """Tell whether the previous revision must be scaled up first; not if that fails, or if nothing else serves."""
    serving, health = context.observed.deployment(stable.name), context.health(previous)
    if serving is None or context.health(stable).available == 0 or health.problem is not None:
        return False
    replicas = context.observed.resource.spec.replicas
    return health.available < max(replicas.min, min(replicas.most, serving.spec.replicas))


def hold_promotion(state: State, candidate: Candidate, context: Context, *, is_: str = "ready") -> Candidate | None:
    """Hold a candidate that is paused or needs approval; None where it may be promoted.

    Args:
        state: roles of the revisions.
        candidate: what is to be promoted.
        context: what was observed.
        is_: what the candidate is, for the message.
    """
    resource, controls = context.observed.resource, controls_of(context.observed.resource)
    since = candidate.ready_since or context.time
    if controls.paused:
        reason, message = (
            reasons.PAUSED,
            f"{is_}, but paused by the annotation {PAUSE_ANNOTATION}; remove it to promote",
        )
    elif resource.spec.rollout.approval == "Automatic" or state.stable is None or controls.approves(candidate):
        return None
    else:
        reason = reasons.WAITING_FOR_APPROVAL
        message = f"{is_}, and waiting for approval: {how_to_approve(resource, candidate)}"
    return candidate.model_copy(update={"ready_since": since, "reason": reason, "message": message})


def approval_of(state: State, candidate: Candidate, context: Context) -> Approval | None:
    """Who approved the candidate; None where no approval is needed."""
    controls = controls_of(context.observed.resource)
    asked = context.observed.resource.spec.rollout.approval == "Manual" and state.stable is not None
    if not asked or controls.approved_by is None or not controls.approves(candidate):
        return None
    return Approval(by=controls.approved_by, time=context.time)


_LONGEST = 253


@dataclass(frozen=True)
class Controls:
    """Manual control, from annotations. Untrusted text: compared and cleaned, never executed."""

    approved: str | None = None
    approved_by: str | None = None
    paused: bool = False
    aborted: str | None = None
    retry: str | None = None
    promoted: str | None = None

    def promotes(self, revision: Revision) -> bool:
        """Tell whether this revision is to skip the rest of its steps."""
        return self.promoted == revision.name

    def approves(self, revision: Revision) -> bool:
        """Tell whether this revision is approved, and by whom is recorded."""
        return self.approved == revision.name and self.approved_by is not None

    def retries(self, revision: Revision) -> str | None:
        """Value of the retry annotation if it names this revision, possibly followed by `/` and any text."""
        return self.retry if self.retry is not None and self.retry.partition("/")[0] == revision.name else None

    def aborts(self, revision: Revision | None) -> bool:
        """Tell whether this revision is aborted."""
        return revision is not None and self.aborted == revision.name


def controls_of(resource: ModelDeployment) -> Controls:
    """Read the annotations."""
    said = resource.metadata.annotations
    return Controls(
        approved=_text(said.get(APPROVE_ANNOTATION)),
        approved_by=_text(said.get(APPROVED_BY_ANNOTATION)),
        paused=said.get(PAUSE_ANNOTATION, "").strip().lower() == "true",
        aborted=_text(said.get(ABORT_ANNOTATION)),
        retry=_text(said.get(RETRY_ANNOTATION)),
        promoted=_text(said.get(PROMOTE_ANNOTATION)),
    )


def how_to_approve(resource: ModelDeployment, revision: Revision) -> str:
    """Command that approves a revision."""
    meta = resource.metadata
    return (
        f"kubectl annotate modeldeployment -n {meta.namespace} {meta.name} --overwrite "
        f"{APPROVE_ANNOTATION}={revision.name} {APPROVED_BY_ANNOTATION}=<your user name>"
    )


def _text(value: str | None) -> str | None:
    return clean(value, _LONGEST) or None if value is not None else None
