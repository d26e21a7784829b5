"""Where a rollout asks people: to approve, to wait, to take back."""

from dataclasses import replace

from perennial.api.modeldeployment import Approval, Candidate
from perennial.core.decision import EventNote
from perennial.serving import reasons
from perennial.serving.controls import ABORT, PAUSE, how_to_approve
from perennial.serving.scene import HISTORY_LIMIT, Scene, State, entry


def take_back(state: State, scene: Scene) -> State:
    """Let the revision before serve again where a person does not want the present one, and its pods still stand."""
    stable, previous = state.stable, state.previous
    if stable is None or previous is None or not scene.controls.aborts(stable):
        return state
    if scene.health(previous).available == 0:
        return state  # nothing would answer: what serves badly is better than that
    message = f"taken back by the annotation {ABORT}"
    failed = Candidate(**stable.model_dump(), phase="Failed", reason=reasons.ABORTED, message=message)
    note = EventNote("Warning", "RolledBack", f"{stable.name} was {message}; {previous.name} serves again")
    return replace(
        state,
        stable=previous.model_copy(update={"since": scene.time}),
        previous=None,
        candidate=failed,
        history=(entry(stable, "RolledBack", reasons.ABORTED, scene) + state.history)[:HISTORY_LIMIT],
        events=(*state.events, note),
    )


def held_back(state: State, candidate: Candidate, scene: Scene) -> Candidate | None:
    """Return a candidate that is ready as it waits for a person, or None where nobody needs to be asked."""
    resource, controls = scene.observed.resource, scene.controls
    since = candidate.ready_since or scene.time
    if controls.paused:
        reason, message = reasons.PAUSED, f"ready, and held by the annotation {PAUSE}; take it off to go on"
    elif resource.spec.rollout.approval == "Automatic" or state.stable is None or controls.approves(candidate):
        return None
    else:
        reason = reasons.WAITING_FOR_APPROVAL
        message = f"ready, and waits for approval: {how_to_approve(resource, candidate)}"
    return candidate.model_copy(update={"ready_since": since, "reason": reason, "message": message})


def approval_of(state: State, candidate: Candidate, scene: Scene) -> Approval | None:
    """Return who let the candidate take over, where somebody had to."""
    controls = scene.controls
    asked = scene.observed.resource.spec.rollout.approval == "Manual" and state.stable is not None
    if not asked or controls.approved_by is None or not controls.approves(candidate):
        return None
    return Approval(by=controls.approved_by, time=scene.time)
