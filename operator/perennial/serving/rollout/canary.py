"""The steps of a canary: from a ready candidate without traffic to one that may receive all of it."""

from dataclasses import replace
from datetime import datetime

from perennial.api.modeldeployment.revisions import Candidate, Progress
from perennial.api.modeldeployment.rollout import Step
from perennial.core.decision import EventNote
from perennial.core.labels import PAUSE_ANNOTATION
from perennial.core.problem import Problem
from perennial.core.times import format_time, parse_duration
from perennial.serving import rollout_reasons as reasons
from perennial.serving.health import Health
from perennial.serving.rollout.approval import controls_of, hold_promotion
from perennial.serving.rollout.arithmetic import reached
from perennial.serving.rollout.context import Context, State, outcomes_of
from perennial.serving.rollout.deadline import moment
from perennial.serving.rollout.gates import judge_gates
from perennial.serving.rollout.outcome import fail, promote
from perennial.serving.rollout.routing import is_current, route_problem, wanted_weight
from perennial.serving.rollout.sizes import carried, size_of, total_of

_FULL = 100


def walk(state: State, candidate: Candidate, health: Health, context: Context) -> State:
    """Take one step of a canary, or tell what it waits for. The candidate has not failed."""
    judged = judge_gates(state, candidate, context)
    state = replace(state, gate_results=judged.results)
    candidate, waits = judged.candidate, judged.problem
    if waits is not None and waits.fatal:
        return fail(state, candidate, waits, context)
    ready = health.reaches(size_of(candidate, state, context).least)
    progress = state.own_progress
    if progress is None:
        moved = _open(state, candidate, waits, context)
    elif progress.step >= len(_steps(context)):
        moved = _finish(state, candidate, waits, context) if ready else _grow(state, candidate, context)
    else:
        moved = _hold(state, candidate, progress, waits, ready=ready, context=context)
    return moved if judged.wake is None else _awake(moved, judged.wake)


def _steps(context: Context) -> tuple[Step, ...]:
    return context.observed.resource.spec.rollout.walk


def _open(state: State, candidate: Candidate, waits: Problem | None, context: Context) -> State:
    """Let the candidate take its first share, once no pod of a third revision would take one as well."""
    controls = controls_of(context.observed.resource)
    if controls.paused:
        said = f"ready, but paused before its first step by the annotation {PAUSE_ANNOTATION}; remove it to go on"
        return _wait(state, candidate, Problem(reasons.PAUSED, said), context)
    waits = waits or _gateway(context)
    if waits is not None:
        return _wait(state, candidate, waits, context)
    if _others(state, candidate, context):
        said = "waits for the last pods of an earlier revision to leave, which the Service would select as well"
        waiting = candidate.model_copy(update={"reason": reasons.WAITING_FOR_OLD_PODS, "message": said})
        return replace(state, previous=None, candidate=waiting)
    begun = Progress(name=candidate.name, hash=candidate.hash, strategy="Canary", total=total_of(None, state, context))
    if controls.promotes(candidate):
        return _advance(state, candidate, begun.model_copy(update={"step": len(_steps(context)) - 1}), context)
    return _enter(state, candidate, begun, context)


def _others(state: State, candidate: Candidate, context: Context) -> bool:
    """Tell whether pods of a third revision are left that could still take requests."""
    own = frozenset({candidate.hash, *((state.stable.hash,) if state.stable is not None else ())})
    names = {candidate.name, *((state.stable.name,) if state.stable is not None else ())}
    pods = context.observed.serving_pods(without=own)
    alive = any(pod.metadata.deletion_timestamp is None for pod in pods)
    return alive or any(item.metadata.name not in names for item in context.observed.deployments)


def _enter(state: State, candidate: Candidate, progress: Progress, context: Context) -> State:
    """Begin a step: its weight is to be reached now."""
    weight = _steps(context)[progress.step].weight
    said = f"{candidate.name} is to receive {weight} % of the requests: step {_place(progress.step, context)}"
    note = EventNote("Normal", reasons.STEP_STARTED, said)
    begun = replace(state, progress=progress, events=(*state.events, note), wake=context.now)
    return _show(begun, candidate, _moving(progress, context), context)


def _hold(
    state: State, candidate: Candidate, progress: Progress, waits: Problem | None, *, ready: bool, context: Context
) -> State:
    """Reach the weight of a step, hold it, and go on."""
    controls, waits = controls_of(context.observed.resource), waits or _gateway(context)
    if controls.paused:
        return _paused(state, candidate, progress, context)
    if context.health(candidate).available == 0:
        progress = progress.model_copy(update={"since": None})
    elif progress.since is None and ready and _is_there(state, progress, context):
        progress = progress.model_copy(update={"since": context.time})
    state = replace(state, progress=progress)
    if controls.promotes(candidate) and ready:
        return _advance(state, candidate, progress.model_copy(update={"step": len(_steps(context)) - 1}), context)
    if progress.since is None:
        return _show(
            state,
            candidate,
            _moving(progress, context, context.health(candidate).problem or route_problem(context)),
            context,
        )
    end = _end_of(progress, context)
    if waits is not None and (end is None or context.now >= end):
        return _show(state, candidate, waits, context)
    if end is None or context.now >= end:
        return _advance(state, candidate, progress, context)
    said = f"{_position(progress, context)}, until {format_time(end)}"
    return _awake(_show(state, candidate, Problem(reasons.HOLDING, said), context), end)


def _paused(state: State, candidate: Candidate, progress: Progress, context: Context) -> State:
    """Stay at a step; its hold begins again afterwards."""
    said = f"{_position(progress, context)}, paused by the annotation {PAUSE_ANNOTATION}; remove it to go on"
    stopped = replace(state, progress=progress.model_copy(update={"since": None}))
    waiting = candidate.model_copy(update={"ready_since": candidate.ready_since or context.time})
    return _show(stopped, waiting, Problem(reasons.PAUSED, said), context, keep=True)


def _advance(state: State, candidate: Candidate, progress: Progress, context: Context) -> State:
    """Go to the next step; after the last one, ask for approval and grow to full size."""
    total = carried(state.stable, progress, context)
    following = progress.model_copy(update={"step": progress.step + 1, "since": None, "total": total})
    if following.step < len(_steps(context)):
        return _enter(state, candidate, following, context)
    held = hold_promotion(state, candidate, context)
    if held is not None:
        return _show(state, held, Problem(held.reason or "", held.message or ""), context, keep=True)
    note = EventNote("Normal", reasons.STEP_STARTED, f"{candidate.name} has passed all steps, and grows to full size")
    passed = following.model_copy(update={"gates": outcomes_of(candidate)})
    full = replace(state, progress=passed, events=(*state.events, note), wake=context.now)
    return _grow(full, candidate, context)


def _grow(state: State, candidate: Candidate, context: Context) -> State:
    said = "has passed all steps, and grows to the number of pods that all requests need"
    return _show(state, candidate, Problem(reasons.MOVING_TRAFFIC, said), context)


def _finish(state: State, candidate: Candidate, waits: Problem | None, context: Context) -> State:
    """Promote a candidate that has passed all steps and has all its pods."""
    held = hold_promotion(state, candidate, context)
    if held is not None:
        return _show(state, held, Problem(held.reason or "", held.message or ""), context, keep=True)
    return _wait(state, candidate, waits, context) if waits is not None else promote(state, candidate, context)


def _gateway(context: Context) -> Problem | None:
    """Find why the gateway holds a canary: what it does not serve cannot be divided."""
    problem = route_problem(context)
    return Problem(problem.reason, f"waiting for the gateway: {problem.message}") if problem is not None else None


def _is_there(state: State, progress: Progress, context: Context) -> bool:
    """Tell whether the weight is reached: the gateway has taken it up, or else the Service selects the right pods.

    The stable revision has then no more pods than the step gives it.
    """
    if context.routed:
        return is_current(context) and context.routed_weight(progress.name) == wanted_weight(progress, context)
    if state.stable is None or not context.observed.split:
        return False
    size = size_of(state.stable, state, context)
    return size.now is None or context.health(state.stable).replicas <= size.now


def _end_of(progress: Progress, context: Context) -> datetime | None:
    hold = _steps(context)[progress.step].hold
    if hold is None or progress.since is None:
        return None
    return moment(progress.since, context) + parse_duration(hold)


def _moving(progress: Progress, context: Context, problem: Problem | None = None) -> Problem:
    if problem is not None:
        return Problem(problem.reason, f"{_position(progress, context)}, which is not reached: {problem.message}")
    return Problem(reasons.MOVING_TRAFFIC, f"{_position(progress, context)}; its pods are being brought there")


def _position(progress: Progress, context: Context) -> str:
    weight = _steps(context)[progress.step].weight
    return f"at step {_place(progress.step, context)} with {weight} % of the requests"


def _place(index: int, context: Context) -> str:
    return f"{index + 1} of {len(_steps(context))}"


def _wait(state: State, candidate: Candidate, problem: Problem, context: Context) -> State:
    waiting = candidate.model_copy(update={"ready_since": candidate.ready_since or context.time})
    return _show(state, waiting, problem, context, keep=True)


def _show(
    state: State, candidate: Candidate, problem: Problem | None, context: Context, *, keep: bool = False
) -> State:
    """Show where the candidate is; `keep` where it waits for a user, and not for its pods."""
    progress, steps = state.own_progress, _steps(context)
    shown = candidate.model_copy(
        update={
            "reason": problem.reason if problem is not None else None,
            "message": problem.message if problem is not None else None,
            "ready_since": candidate.ready_since if keep else None,
            "weight": _asked(progress, context) if progress is not None else 0,
            "reached_weight": _reached(state, candidate, context) if progress is not None else 0,
            "step": min(progress.step + 1, len(steps)) if progress is not None else None,
        }
    )
    return replace(state, candidate=shown)


def _asked(progress: Progress, context: Context) -> int:
    """Weight that the candidate should have now: behind one Service it takes over as it grows after the last step."""
    passed = progress.step >= len(_steps(context))
    return _FULL if passed and not context.routed else wanted_weight(progress, context)


def _reached(state: State, candidate: Candidate, context: Context) -> int:
    """Weight that the candidate has; through a gateway the last known one, until that has taken up the newest route."""
    if context.routed:
        return context.routed_weight(candidate.name) if is_current(context) else candidate.reached_weight or 0
    if not context.observed.split:
        return 0
    return reached(context.health(candidate).available, context.health(state.stable).available)


def _awake(state: State, moment_: datetime) -> State:
    return replace(state, wake=min(moment_, state.wake) if state.wake is not None else moment_)
