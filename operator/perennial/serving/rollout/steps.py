"""The way of a revision: candidate, then stable or failed, then previous, then gone. Pure, one step at a time.

The present state is what status says, held against the world: nothing is remembered anywhere else. The model that is
wanted is compared by hash with the stable revision and with the candidate; what differs becomes the candidate, and
only a candidate whose pods are ready becomes stable.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import reduce

from perennial.api.modeldeployment.resource import Candidate, Revision
from perennial.core.conditions import shorten
from perennial.core.decision import EventNote
from perennial.core.labels import ABORT_ANNOTATION
from perennial.core.problem import Problem
from perennial.core.times import parse_duration, parse_time
from perennial.serving import reasons
from perennial.serving.annotations import recorded_revision
from perennial.serving.health import Health
from perennial.serving.revision import short
from perennial.serving.rollout.approval import approval_of, controls_of, held_back, take_back
from perennial.serving.rollout.context import HISTORY_LIMIT, Context, State, entry

_ABORTED = Problem(reasons.ABORTED, f"aborted by the annotation {ABORT_ANNOTATION}", fatal=True)


def next_state(context: Context) -> State:
    """Return the next state."""
    steps: tuple[Callable[[State, Context], State], ...] = (_recall, take_back, _aim, _judge, _retire)
    return reduce(lambda state, step: step(state, context), steps, State())


def _recall(state: State, context: Context) -> State:
    """Take the state from status, as far as the world bears it out."""
    status = context.observed.resource.status
    stable, candidate = status.stable, status.candidate
    if stable is not None and not _stands(stable, context):
        stable = None
    if stable is None:
        stable = _serving_before(context, candidate)
    return replace(
        state,
        stable=stable,
        candidate=candidate,
        previous=status.previous,
        history=status.history,
    )


def _stands(stable: Revision, context: Context) -> bool:
    """Tell whether the stable revision is there, or can be made again."""
    if context.shape is None:
        return True  # nothing can be built now, so nothing is given up
    return context.can_build(stable) or context.observed.deployment(stable.name) is not None


def _serving_before(context: Context, candidate: Candidate | None) -> Revision | None:
    """Return the revision that answers behind the Service, for a status that was emptied by hand."""
    selected = context.observed.selected
    if selected is None or (candidate is not None and candidate.hash == selected):
        return None
    found = (recorded_revision(item, context.time) for item in context.observed.deployments)
    return next(
        (item for item in found if item is not None and item.hash == selected and context.health(item).available > 0),
        None,
    )


def _aim(state: State, context: Context) -> State:
    """Let the candidate be what is wanted; while that is unknown, all stays as it is."""
    target = context.target
    if target is None:
        return state
    if state.stable is not None and target.hash == state.stable.hash:
        return _drop_candidate(state, context)
    if state.candidate is not None and target.hash == state.candidate.hash:
        return state
    cleared = _drop_candidate(state, context)
    candidate = Candidate(**target.model_dump(), phase="Progressing")
    note = EventNote("Normal", "RolloutStarted", f"{candidate.name} starts with {short(candidate)}")
    previous = None if cleared.previous and cleared.previous.hash == candidate.hash else cleared.previous
    return replace(cleared, candidate=candidate, previous=previous, events=(*cleared.events, note))


def _drop_candidate(state: State, context: Context) -> State:
    dropped = state.under_way
    history = entry(dropped, "Superseded", None, context) + state.history if dropped else state.history
    return replace(state, candidate=None, history=history[:HISTORY_LIMIT])


def _judge(state: State, context: Context) -> State:
    """Promote a candidate that is ready, give up one that cannot become so."""
    candidate = state.candidate
    if candidate is None or (state.failed and not state.kept):
        return state
    health = context.health(candidate)
    if not state.failed and controls_of(context.observed.resource).aborts(candidate):
        health = replace(health, available=0, problem=_ABORTED)
    if health.reaches(wanted_replicas(candidate, state, context)):
        held = held_back(state, candidate, context)
        return _promote(state, candidate, context) if held is None else replace(state, candidate=held)
    if state.failed:
        return state
    cause = health.problem
    if cause is not None and cause.fatal:
        return _fail(state, candidate, cause, context)
    if candidate.ready_since is None and context.now >= deadline_of(candidate, context):
        return _fail(state, candidate, _too_slow(health, context), context)
    waiting = candidate.model_copy(
        update={"reason": cause.reason if cause else None, "message": cause.message if cause else None}
    )
    return replace(state, candidate=waiting)


def wanted_replicas(revision: Revision, state: State, context: Context) -> int:
    """Return how many pods a revision is to have at least.

    A candidate is to take over at once all that the stable revision carries, so it starts with as many pods as an
    autoscaler has given to that.
    """
    replicas = context.observed.resource.spec.replicas
    serving = context.observed.deployment(state.stable.name) if state.stable else None
    if serving is None or (state.stable and revision.hash == state.stable.hash):
        return replicas.min
    return max(replicas.min, min(replicas.most, serving.spec.replicas))


def deadline_of(candidate: Revision, context: Context) -> datetime:
    """Return the moment until which a candidate must be ready."""
    seconds = context.observed.resource.spec.rollout.progress_deadline_seconds
    return _moment(candidate.since, context) + timedelta(seconds=seconds)


def _too_slow(health: Health, context: Context) -> Problem:
    seconds = context.observed.resource.spec.rollout.progress_deadline_seconds
    if health.problem is not None:
        known = health.problem
        return replace(known, message=f"not ready within {seconds} s: {known.message}")
    return Problem(
        reasons.PROGRESS_DEADLINE_EXCEEDED,
        f"not ready within {seconds} s: {health.slow}. Correct it, or raise spec.rollout.progressDeadlineSeconds",
    )


def _promote(state: State, candidate: Candidate, context: Context) -> State:
    stable = Revision.model_validate(candidate.model_dump() | {"since": context.time})
    previous = state.stable.model_copy(update={"since": context.time}) if state.stable else None
    approval = approval_of(state, candidate, context)
    said = f", approved by {approval.by}" if approval else ""
    note = EventNote("Normal", "Promoted", f"{stable.name} serves {short(stable)}{said}")
    return State(
        stable=stable,
        candidate=None,
        previous=previous,
        history=(entry(stable, "Promoted", None, context, approval) + state.history)[:HISTORY_LIMIT],
        events=(*state.events, note),
    )


def _fail(state: State, candidate: Candidate, cause: Problem, context: Context) -> State:
    said = f" (it said: {cause.detail})" if cause.detail else ""
    message = shorten(f"{cause.message}{said}")
    failed = candidate.model_copy(update={"phase": "Failed", "reason": cause.reason, "message": message})
    serving = f"; {state.stable.name} goes on serving" if state.stable else ""
    note = EventNote("Warning", "RolloutFailed", f"{candidate.name} failed: {message}{serving}")
    return replace(
        state,
        candidate=failed,
        history=(entry(candidate, "Failed", cause.reason, context) + state.history)[:HISTORY_LIMIT],
        events=(*state.events, note),
    )


def _retire(state: State, context: Context) -> State:
    """Let the previous revision go when its time is over, or when it has another role again."""
    previous = state.previous
    if previous is None:
        return state
    busy = {revision.hash for revision in (state.stable, state.candidate) if revision is not None}
    gone = previous.hash in busy or context.now >= retirement_of(previous, context)
    return replace(state, previous=None) if gone else state


def retirement_of(previous: Revision, context: Context) -> datetime:
    """Return the moment at which the previous revision's pods go."""
    return _moment(previous.since, context) + parse_duration(context.observed.resource.spec.rollout.keep_previous)


def _moment(text: str, context: Context) -> datetime:
    """Return the time that status holds; one that someone made unreadable counts as now."""
    try:
        return parse_time(text)
    except ValueError:
        return context.now
