"""Manual control of a rollout by annotation: approve, pause, promote, abort, retry.

An annotation that names a revision applies to that revision only, so it never has to be removed. GitOps tools ignore
annotations that their manifests do not contain.
"""

from dataclasses import dataclass, replace

from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.modeldeployment.revisions import Approval, Candidate, Revision
from perennial.core.conditions import READY, find, shorten
from perennial.core.decision import EventNote
from perennial.core.labels import (
    ABORT_ANNOTATION,
    APPROVAL_PREFIX,
    APPROVE_ANNOTATION,
    APPROVED_BY_ANNOTATION,
    PAUSE_ANNOTATION,
    PROMOTE_ANNOTATION,
    RETRY_ANNOTATION,
)
from perennial.core.waiting import clean
from perennial.serving import rollout_reasons as reasons
from perennial.serving.rollout.approvers import LONGEST, Count, count, digest_to_approve
from perennial.serving.rollout.context import HISTORY_LIMIT, Context, State, history_entry


def roll_back(state: State, context: Context) -> State:
    """Roll back to the previous revision if the stable one is aborted and the previous one still has pods."""
    stable, previous = state.stable, state.previous
    if stable is None or not controls_of(context.observed.resource).aborts(stable):
        return state
    if previous is None or not _can_return(previous, context):
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


def _can_return(previous: Revision, context: Context) -> bool:
    """Tell whether the previous revision has pods, or slept when it was replaced and can be woken."""
    health = context.health(previous)
    sleeps = context.observed.resource.spec.replicas.min == 0 and health.problem is None
    return health.available > 0 or (sleeps and context.observed.deployment(previous.name) is not None)


def _is_too_small(previous: Revision, stable: Revision, context: Context) -> bool:
    """Tell whether the previous revision must be scaled up first; not if that fails, or if nothing else serves."""
    serving, health = context.observed.deployment(stable.name), context.health(previous)
    if serving is None or context.health(stable).available == 0 or health.problem is not None:
        return False
    replicas = context.observed.resource.spec.replicas
    return health.available < max(replicas.least, min(replicas.most, serving.spec.replicas))


def hold_promotion(state: State, candidate: Candidate, context: Context, *, is_: str = "ready") -> Candidate | None:
    """Hold a candidate that is paused or needs approval; None where it may be promoted.

    Args:
        state: roles of the revisions.
        candidate: what is to be promoted.
        context: what was observed.
        is_: what the candidate is, for the message.
    """
    resource = context.observed.resource
    held = candidate.model_copy(update={"ready_since": candidate.ready_since or context.time})
    if controls_of(resource).paused:
        said = f"{is_}, but paused by the annotation {PAUSE_ANNOTATION}; remove it to promote"
        return held.model_copy(update={"reason": reasons.PAUSED, "message": said})
    if not needs_approval(state, context):
        return None
    given = count(state, candidate, context)
    if given.enough:
        return None
    return held.model_copy(
        update={
            "reason": reasons.WAITING_FOR_APPROVAL,
            "message": shorten(f"{is_}, {_what_is_missing(given, resource, candidate)}"),
            "gates_digest": digest_to_approve(candidate, resource),
        }
    )


def _what_is_missing(given: Count, resource: ModelDeployment, candidate: Candidate) -> str:
    """Tell what approvals are missing, how to give one, and why those that are there do not count."""
    missing = given.needed - len(given.by)
    by = f"approved by {', '.join(given.by)}, " if given.by else ""
    users = "" if given.needed == 1 else f" by {missing} more user{'s' if missing > 1 else ''}"
    void = f". Does not count: {'; '.join(given.void)}" if given.void else ""
    return f"{by}and waiting for approval{users}: {how_to_approve(resource, candidate)}{void}"


def needs_approval(state: State, context: Context) -> bool:
    """Tell whether users must approve a candidate: not where nothing serves yet."""
    return context.observed.resource.spec.rollout.approval == "Manual" and state.stable is not None


def approval_of(state: State, candidate: Candidate, context: Context) -> Approval | None:
    """Who approved the candidate; None where no approval is needed."""
    given = count(state, candidate, context)
    if not needs_approval(state, context) or not given.enough:
        return None
    first, *others = given.by
    return Approval(by=first, also_by=tuple(others[:MOST_NAMES]) or None, time=context.time, digest=given.digest)


MOST_NAMES = 15
"""Further users whose approval is recorded."""


@dataclass(frozen=True)
class Controls:
    """Manual control, from annotations. Untrusted text: compared and cleaned, never executed."""

    paused: bool = False
    aborted: str | None = None
    retry: str | None = None
    promoted: str | None = None

    def promotes(self, revision: Revision) -> bool:
        """Tell whether this revision is to skip the rest of its steps."""
        return self.promoted == revision.name

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
        paused=said.get(PAUSE_ANNOTATION, "").strip().lower() == "true",
        aborted=_text(said.get(ABORT_ANNOTATION)),
        retry=_text(said.get(RETRY_ANNOTATION)),
        promoted=_text(said.get(PROMOTE_ANNOTATION)),
    )


def how_to_approve(resource: ModelDeployment, revision: Revision) -> str:
    """Command that approves a revision."""
    meta = resource.metadata
    command = f"kubectl annotate modeldeployment -n {meta.namespace} {meta.name} --overwrite "
    if resource.spec.rollout.approvals > 1:
        return f"{command}{APPROVAL_PREFIX}<a short name of yours>='{revision.name} <your user name>'"
    return f"{command}{APPROVE_ANNOTATION}={revision.name} {APPROVED_BY_ANNOTATION}=<your user name>"


def _text(value: str | None) -> str | None:
    return clean(value, LONGEST) or None if value is not None else None
