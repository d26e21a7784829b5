"""How a rollout ends: the candidate is promoted, or it has failed."""

from dataclasses import replace

from perennial.api.modeldeployment.revisions import Approval, Candidate, Revision
from perennial.core.conditions import shorten
from perennial.core.decision import EventNote
from perennial.core.labels import CHANGED_BY_ANNOTATION
from perennial.core.problem import Problem
from perennial.serving.revision import model_title
from perennial.serving.rollout.approval import approval_of, controls_of
from perennial.serving.rollout.context import HISTORY_LIMIT, Context, State, history_entry


def promote(state: State, candidate: Candidate, context: Context) -> State:
    """Make the candidate stable; it has all pods that it needs."""
    stable = Revision.model_validate(candidate.model_dump() | {"since": context.time})
    previous = state.stable.model_copy(update={"since": context.time}) if state.stable else None
    approval = approval_of(state, candidate, context)
    note = promotion_note(stable, approval)
    meta = context.observed.resource.metadata
    return State(
        generation=meta.generation if CHANGED_BY_ANNOTATION in meta.annotations else None,
        stable=stable,
        candidate=None,
        previous=previous,
        history=(history_entry(candidate, "Promoted", None, context, approval) + state.history)[:HISTORY_LIMIT],
        events=(*state.events, note),
    )


def promotion_note(stable: Revision, approval: Approval | None) -> EventNote:
    """Build the Event of a promotion."""
    said = f", approved by {', '.join(approval.users)}" if approval else ""
    return EventNote("Normal", "Promoted", f"{stable.name} serves {model_title(stable)}{said}")


def fail(state: State, candidate: Candidate, problem: Problem, context: Context) -> State:
    """Record that the candidate has failed; it is not tried again by itself."""
    said = f" (last message: {problem.detail})" if problem.detail else ""
    message = shorten(f"{problem.message}{said}")
    retry = controls_of(context.observed.resource).retries(candidate)
    failed = candidate.model_copy(
        update={
            "phase": "Failed",
            "reason": problem.reason,
            "message": message,
            "retry": retry,
            **_no_weight(candidate),
        }
    )
    stopped = state.own_progress is not None and state.own_progress.strategy == "Recreate"
    serving = f"; {state.stable.name} {'starts again' if stopped else 'keeps serving'}" if state.stable else ""
    note = EventNote("Warning", "RolloutFailed", f"{candidate.name} failed: {message}{serving}")
    return replace(
        state,
        candidate=failed,
        history=(history_entry(candidate, "Failed", problem.reason, context) + state.history)[:HISTORY_LIMIT],
        events=(*state.events, note),
    )


def _no_weight(candidate: Candidate) -> dict[str, int | None]:
    """What remains of a canary: it was at a step, and receives nothing any more."""
    return {"weight": 0 if candidate.weight is not None else None, "reached_weight": None}
