"""The rollout of a revision: candidate, then stable or failed, then previous, then deleted. Pure, one step at a time.

The state is read from status and checked against the observed children; nothing else is stored. The wanted revision is
compared by hash with the stable revision and the candidate. If it differs it becomes the candidate, and only a
candidate whose pods are ready is promoted to stable.
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
from perennial.serving.revision import model_title
from perennial.serving.rollout.approval import approval_of, controls_of, hold_promotion, roll_back
from perennial.serving.rollout.context import HISTORY_LIMIT, Context, State, history_entry

_ABORTED = Problem(reasons.ABORTED, f"aborted by the annotation {ABORT_ANNOTATION}", fatal=True)


def next_state(context: Context) -> State:
    """Take one step of the rollout."""
    steps: tuple[Callable[[State, Context], State], ...] = (
        _load,
        roll_back,
        _select_candidate,
        _evaluate,
        _remove_previous,
    )
    return reduce(lambda state, step: step(state, context), steps, State())


def _load(state: State, context: Context) -> State:
    """Read the state from status, as far as the observed children confirm it."""
    status = context.observed.resource.status
    stable, candidate = status.stable, status.candidate
    if stable is not None and not _can_serve(stable, context):
        stable = None
    if stable is None:
        stable = _recover_stable(context, candidate)
    return replace(
        state,
        stable=stable,
        candidate=candidate,
        previous=status.previous,
        history=status.history,
    )


def _can_serve(stable: Revision, context: Context) -> bool:
    """Tell whether the stable revision exists or can be built again."""
    if context.shape is None:
        return True  # the spec is invalid: keep what serves
    return context.can_build(stable) or context.observed.deployment(stable.name) is not None


def _recover_stable(context: Context, candidate: Candidate | None) -> Revision | None:
    """Find the revision behind the Service, for a status that was emptied by hand."""
    selected = context.observed.selected
    if selected is None or (candidate is not None and candidate.hash == selected):
        return None
    found = (recorded_revision(item, context.time) for item in context.observed.deployments)
    return next(
        (item for item in found if item is not None and item.hash == selected and context.health(item).available > 0),
        None,
    )


def _select_candidate(state: State, context: Context) -> State:
    """Make the wanted revision the candidate; unchanged while the wanted revision is unknown."""
    target = context.target
    if target is None:
        return state
    if state.stable is not None and target.hash == state.stable.hash:
        return _drop_candidate(state, context)
    if state.candidate is not None and target.hash == state.candidate.hash:
        return state
    cleared = _drop_candidate(state, context)
    candidate = Candidate(**target.model_dump(), phase="Progressing")
    note = EventNote("Normal", "RolloutStarted", f"{candidate.name} starts with {model_title(candidate)}")
    previous = None if cleared.previous and cleared.previous.hash == candidate.hash else cleared.previous
    return replace(cleared, candidate=candidate, previous=previous, events=(*cleared.events, note))


def _drop_candidate(state: State, context: Context) -> State:
    dropped = state.progressing
    history = history_entry(dropped, "Superseded", None, context) + state.history if dropped else state.history
    return replace(state, candidate=None, history=history[:HISTORY_LIMIT])


def _evaluate(state: State, context: Context) -> State:
    """Promote a candidate that is ready; fail one that cannot become ready."""
    candidate = state.candidate
    if candidate is None or (state.failed and not state.active_candidate):
        return state
    health = context.health(candidate)
    if not state.failed and controls_of(context.observed.resource).aborts(candidate):
        health = replace(health, available=0, problem=_ABORTED)
    if health.reaches(wanted_replicas(candidate, state, context)):
        held = hold_promotion(state, candidate, context)
        return _promote(state, candidate, context) if held is None else replace(state, candidate=held)
    if state.failed:
        return state
    problem = health.problem
    if problem is not None and problem.fatal:
        return _fail(state, candidate, problem, context)
    if candidate.ready_since is None and context.now >= deadline_of(candidate, context):
        return _fail(state, candidate, _deadline_exceeded(health, context), context)
    waiting = candidate.model_copy(
        update={"reason": problem.reason if problem else None, "message": problem.message if problem else None}
    )
    return replace(state, candidate=waiting)


def wanted_replicas(revision: Revision, state: State, context: Context) -> int:
    """Minimum number of pods of a revision.

    A candidate takes over the whole load at once, so it starts with as many pods as the stable revision has.
    """
    replicas = context.observed.resource.spec.replicas
    serving = context.observed.deployment(state.stable.name) if state.stable else None
    if serving is None or (state.stable and revision.hash == state.stable.hash):
        return replicas.min
    return max(replicas.min, min(replicas.most, serving.spec.replicas))


def deadline_of(candidate: Revision, context: Context) -> datetime:
    """Time by which a candidate must be ready."""
    seconds = context.observed.resource.spec.rollout.progress_deadline_seconds
    return _moment(candidate.since, context) + timedelta(seconds=seconds)


def _deadline_exceeded(health: Health, context: Context) -> Problem:
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
    note = EventNote("Normal", "Promoted", f"{stable.name} serves {model_title(stable)}{said}")
    return State(
        stable=stable,
        candidate=None,
        previous=previous,
        history=(history_entry(stable, "Promoted", None, context, approval) + state.history)[:HISTORY_LIMIT],
        events=(*state.events, note),
    )


def _fail(state: State, candidate: Candidate, problem: Problem, context: Context) -> State:
    said = f" (last message: {problem.detail})" if problem.detail else ""
    message = shorten(f"{problem.message}{said}")
    failed = candidate.model_copy(update={"phase": "Failed", "reason": problem.reason, "message": message})
    serving = f"; {state.stable.name} keeps serving" if state.stable else ""
    note = EventNote("Warning", "RolloutFailed", f"{candidate.name} failed: {message}{serving}")
    return replace(
        state,
        candidate=failed,
        history=(history_entry(candidate, "Failed", problem.reason, context) + state.history)[:HISTORY_LIMIT],
        events=(*state.events, note),
    )


def _remove_previous(state: State, context: Context) -> State:
    """Drop the previous revision when rollout.keepPrevious has passed, or when it has another role again."""
    previous = state.previous
    if previous is None:
        return state
    busy = {revision.hash for revision in (state.stable, state.candidate) if revision is not None}
    gone = previous.hash in busy or context.now >= previous_expiry(previous, context)
    return replace(state, previous=None) if gone else state


def previous_expiry(previous: Revision, context: Context) -> datetime:
    """Time at which the pods of the previous revision are deleted."""
    return _moment(previous.since, context) + parse_duration(context.observed.resource.spec.rollout.keep_previous)


def _moment(text: str, context: Context) -> datetime:
    """Parse a time of status; one that was edited into something invalid counts as now."""
    try:
        return parse_time(text)
    except ValueError:
        return context.now
