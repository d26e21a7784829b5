"""The rollout of a revision: candidate, then stable or failed, then previous, then deleted. Pure, one step at a time.

The wanted revision is compared by hash with the stable revision and the candidate. If it differs it becomes the
candidate, and only a candidate whose pods are ready is promoted to stable: at once, after the steps of a canary or the
hold of a shadow, or after the stable revision was stopped for it.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import reduce

from perennial.api.modeldeployment.revisions import Candidate
from perennial.core.labels import ABORT_ANNOTATION
from perennial.core.problem import Problem
from perennial.serving import rollout_reasons as reasons
from perennial.serving.health import Health
from perennial.serving.rollout.acts import record_acts
from perennial.serving.rollout.approval import controls_of, hold_promotion, roll_back
from perennial.serving.rollout.canary import walk
from perennial.serving.rollout.context import Context, State
from perennial.serving.rollout.deadline import deadline_exceeded, deadline_of, previous_expiry
from perennial.serving.rollout.ending import end_progress
from perennial.serving.rollout.expiry import expire
from perennial.serving.rollout.gates import judge_gates, waiting_for_gate
from perennial.serving.rollout.load import load
from perennial.serving.rollout.outcome import fail, promote
from perennial.serving.rollout.recreate import start_when_free, stop_stable
from perennial.serving.rollout.selection import select_candidate
from perennial.serving.rollout.shadow import shadow
from perennial.serving.rollout.sizes import size_of
from perennial.serving.rollout.sleep import wait_for_stable, waits_for_stable
from perennial.serving.rollout.strategy import Strategy, crowded_at, strategy_of

_ABORTED = Problem(reasons.ABORTED, f"aborted by the annotation {ABORT_ANNOTATION}", fatal=True)


def next_state(context: Context) -> State:
    """Take one step of the rollout."""
    steps: tuple[Callable[[State, Context], State], ...] = (
        load,
        roll_back,
        select_candidate,
        end_progress,
        _evaluate,
        expire,
        end_progress,
        record_acts,
        _remove_previous,
    )
    return reduce(lambda state, step: step(state, context), steps, State())


def _evaluate(state: State, context: Context) -> State:
    """Move a candidate on that is ready; fail one that cannot become ready."""
    candidate = state.candidate
    if candidate is None or (state.failed and not state.active_candidate):
        return state
    if state.leaving:
        return _after_the_last_one(state, candidate)
    if not state.failed and controls_of(context.observed.resource).aborts(candidate):
        return fail(state, candidate, _ABORTED, context)
    return _judge(state, candidate, strategy_of(state, candidate, context), context)


def _judge(state: State, candidate: Candidate, strategy: Strategy, context: Context) -> State:
    """Promote or fail a candidate by the health of its pods, or let its strategy go on."""
    if strategy == "Recreate" and state.own_progress is None:
        return stop_stable(state, candidate, context)
    health = context.health(candidate)
    ready = health.reaches(size_of(candidate, state, context).least)
    waits = waits_for_stable(state, context)
    if waits and ready and not state.failed:
        return wait_for_stable(state, candidate, context)
    if (not waits and _better_than_nothing(health, state, context)) or (ready and strategy not in ("Canary", "Shadow")):
        return _promote_or_hold(state, candidate, context)
    if state.failed:
        return state
    problem = None if ready else _end_of_waiting(candidate, health, context)
    if problem is not None:
        return fail(state, candidate, problem, context)
    return _go_on(state, candidate, strategy, health, ready=ready, context=context)


def _go_on(
    state: State, candidate: Candidate, strategy: Strategy, health: Health, *, ready: bool, context: Context
) -> State:
    if strategy == "Canary" and (ready or state.own_progress is not None):
        return walk(state, candidate, health, context)
    if strategy == "Shadow" and (ready or state.own_progress is not None):
        return shadow(state, candidate, health, context)
    if strategy == "Recreate":
        return start_when_free(state, candidate, context)
    return _not_ready(state, candidate, health, context)


def _after_the_last_one(state: State, candidate: Candidate) -> State:
    said = "waits until the stable revision has the pods to take back the traffic of the last rollout"
    waiting = candidate.model_copy(update={"reason": reasons.WAITING_FOR_OLD_PODS, "message": said})
    return replace(state, candidate=waiting, waiting_for_pods=True)


def _promote_or_hold(state: State, candidate: Candidate, context: Context) -> State:
    """Promote a ready candidate, unless a gate or a person holds it. While nothing answers, nothing holds it."""
    progress = state.own_progress
    if progress is not None and progress.strategy == "Recreate":
        return promote(state, candidate, context)
    judged = judge_gates(state, candidate, context)
    state = replace(state, gate_results=judged.results)
    if judged.problem is not None and judged.problem.fatal:
        return fail(state, judged.candidate, judged.problem, context)
    controls = controls_of(context.observed.resource)
    if judged.problem is not None and not controls.paused and not controls.promotes(candidate):
        held: Candidate | None = waiting_for_gate(judged.candidate, judged.problem, context)
    else:
        held = hold_promotion(state, judged.candidate, context)
    return (
        promote(state, judged.candidate, context) if held is None else replace(state, candidate=held, wake=judged.wake)
    )


def _end_of_waiting(candidate: Candidate, health: Health, context: Context) -> Problem | None:
    """Find why a candidate that is not ready has failed; None while it may still become ready."""
    if health.problem is not None and health.problem.fatal:
        return health.problem
    return deadline_exceeded(health, context) if context.now >= deadline_of(candidate, context) else None


def _not_ready(state: State, candidate: Candidate, health: Health, context: Context) -> State:
    """Tell what the candidate waits for."""
    problem = health.problem
    waiting = candidate.model_copy(
        update={
            "reason": problem.reason if problem else None,
            "message": problem.message if problem else None,
            "ready_since": None,
        }
    )
    auto = context.observed.resource.spec.rollout.strategy == "Auto" and state.stable is not None
    return replace(state, candidate=waiting, wake=crowded_at(candidate, context) if auto else state.wake)


def _better_than_nothing(health: Health, state: State, context: Context) -> bool:
    """Tell whether the candidate has a ready pod while the stable revision has none."""
    if state.stable is None or context.health(state.stable).available > 0:
        return False
    return health.current and health.updated > 0 and health.available > 0


def _remove_previous(state: State, context: Context) -> State:
    """Drop the previous revision when rollout.keepPrevious has passed, or when it has another role again."""
    previous = state.previous
    if previous is None:
        return state
    if state.rolling_back:
        return state
    busy = {revision.hash for revision in (state.stable, state.candidate) if revision is not None}
    gone = previous.hash in busy or context.now >= previous_expiry(previous, context)
    return replace(state, previous=None) if gone else state
