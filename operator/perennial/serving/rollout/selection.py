"""Which revision is rolled out: the wanted one, unless it serves or has failed."""

from dataclasses import replace

from perennial.api.modeldeployment.revisions import Candidate, Revision
from perennial.core.decision import EventNote
from perennial.serving.revision import model_title
from perennial.serving.rollout.approval import controls_of
from perennial.serving.rollout.context import HISTORY_LIMIT, Context, State, history_entry


def select_candidate(state: State, context: Context) -> State:
    """Make the wanted revision the candidate; unchanged while the wanted revision is unknown."""
    target = context.target
    if target is None:
        return state
    if state.stable is not None and target.hash == state.stable.hash:
        return _drop_candidate(state, context)
    if state.candidate is not None and target.hash == state.candidate.hash and not _is_retried(state, target, context):
        return state
    cleared = _drop_candidate(state, context)
    candidate = Candidate(**target.model_dump(), phase="Progressing")
    again = " again" if state.failed is not None and state.failed.hash == target.hash else ""
    note = EventNote("Normal", "RolloutStarted", f"{candidate.name} starts{again} with {model_title(candidate)}")
    previous = None if cleared.previous and cleared.previous.hash == candidate.hash else cleared.previous
    return replace(cleared, candidate=candidate, previous=previous, events=(*cleared.events, note))


def _is_retried(state: State, target: Revision, context: Context) -> bool:
    """Tell whether a failed revision is wanted again: by annotation, or by a new run that made the same model."""
    failed, controls = state.failed, controls_of(context.observed.resource)
    if failed is None or controls.aborts(failed):
        return False
    asked = controls.retries(failed)
    return (asked is not None and asked != failed.retry) or (target.run is not None and target.run != failed.run)


def _drop_candidate(state: State, context: Context) -> State:
    dropped = state.progressing
    if dropped is None or _is_known(dropped, state):
        return replace(state, candidate=None)
    history = history_entry(dropped, "Superseded", None, context) + state.history
    return replace(state, candidate=None, history=history[:HISTORY_LIMIT])


def _is_known(dropped: Candidate, state: State) -> bool:
    """Tell whether the record has its end already: the write of the status was lost after the Service had changed."""
    newest = state.history[0] if state.history else None
    if newest is None or (newest.name, newest.result) != (dropped.name, "Superseded"):
        return False
    return newest.time >= dropped.since
