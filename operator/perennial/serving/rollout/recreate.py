"""Recreate: the pods of the stable revision are stopped before those of the candidate start."""

from dataclasses import replace

from perennial.api.modeldeployment.revisions import Candidate, Progress
from perennial.core.decision import EventNote
from perennial.serving import rollout_reasons as reasons
from perennial.serving.rollout.approval import hold_promotion
from perennial.serving.rollout.context import Context, State
from perennial.serving.rollout.sizes import total_of


def stop_stable(state: State, candidate: Candidate, context: Context) -> State:
    """Stop the stable revision, unless a person wants the candidate to wait: afterwards nothing answers."""
    known = context.observed.deployment(candidate.name)
    held = hold_promotion(state, candidate, context, is_="to replace the stable revision, which stops for it")
    if held is not None:
        return replace(state, candidate=held, waiting_for_pods=known is None)
    why = "no node has room for both" if known is not None else "spec.rollout.strategy is Recreate"
    name = state.stable.name if state.stable is not None else ""
    note = EventNote("Normal", reasons.STABLE_STOPPED, f"{name} is stopped before {candidate.name} can serve: {why}")
    begun = Progress(
        name=candidate.name,
        hash=candidate.hash,
        strategy="Recreate",
        total=max(total_of(None, state, context), state.restore or 0),
    )
    return start_when_free(
        replace(state, progress=begun, restore=None, previous=None, events=(*state.events, note)), candidate, context
    )


def start_when_free(state: State, candidate: Candidate, context: Context) -> State:
    """Create the candidate once the last pod of any other revision is gone, also those that still end."""
    stable = state.stable
    known = context.observed.deployment(candidate.name)
    others = context.observed.serving_pods(without=frozenset({candidate.hash}))
    stopping = bool(others) or context.health(stable).replicas > 0
    waits = known is None and stopping
    said = (
        f"waits for the pods of {stable.name if stable is not None else 'the stable revision'} to end; nothing answers "
        "meanwhile"
        if waits
        else "is starting in place of the stable revision; nothing answers meanwhile"
    )
    shown = candidate.model_copy(update={"reason": reasons.RECREATING, "message": said, "ready_since": None})
    return replace(state, candidate=shown, waiting_for_pods=waits)
