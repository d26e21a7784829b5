"""Shadow: a ready candidate receives copies of live requests for a while, and is promoted if no gate objects."""

from dataclasses import replace
from datetime import datetime

from perennial.api.modeldeployment.revisions import Candidate, Progress
from perennial.core.decision import EventNote
from perennial.core.labels import PAUSE_ANNOTATION
from perennial.core.problem import Problem
from perennial.core.times import format_time, parse_duration
from perennial.serving import rollout_reasons as reasons
from perennial.serving.health import Health
from perennial.serving.rollout.approval import controls_of, hold_promotion
from perennial.serving.rollout.context import Context, State
from perennial.serving.rollout.deadline import moment
from perennial.serving.rollout.gates import judge_gates
from perennial.serving.rollout.mirror import is_mirrored, mirror_problem, refused_mirror
from perennial.serving.rollout.outcome import fail, promote
from perennial.serving.rollout.sizes import size_of, total_of


def shadow(state: State, candidate: Candidate, health: Health, context: Context) -> State:
    """Begin, go on with or end a shadow, or tell what it waits for. The candidate is ready, or has begun."""
    judged = judge_gates(state, candidate, context)
    state, candidate, waits = replace(state, gate_results=judged.results), judged.candidate, judged.problem
    progress = state.own_progress
    refused = refused_mirror(progress, context) if progress is not None else None
    ending = refused or (waits if waits is not None and waits.fatal else None)
    if ending is not None:
        return fail(state, candidate, ending, context)
    ready = health.reaches(size_of(candidate, state, context).least)
    if ready and controls_of(context.observed.resource).promotes(candidate):
        moved = _finish(state, candidate, context)
    elif progress is None:
        moved = _begin(state, candidate, waits, context)
    else:
        moved = _hold(state, candidate, _now(progress, health, context, ready=ready), waits, context)
    return moved if judged.wake is None else _awake(moved, judged.wake)


def _begin(state: State, candidate: Candidate, waits: Problem | None, context: Context) -> State:
    """Let the gateway copy requests, if it says that it can."""
    waits = _paused(context) or waits or mirror_problem(context)
    if waits is not None:
        return _wait(state, candidate, waits, context)
    total = total_of(None, state, context)
    begun = Progress(name=candidate.name, hash=candidate.hash, strategy="Shadow", total=total)
    percent = context.observed.resource.spec.rollout.mirroring.percent
    note = EventNote(
        "Normal", reasons.MIRROR_STARTED, f"{candidate.name} is to receive copies of {percent} % of the requests"
    )
    return _show(replace(state, progress=begun, events=(*state.events, note), wake=context.now), candidate, _MOVING)


def _now(progress: Progress, health: Health, context: Context, *, ready: bool) -> Progress:
    """Note since when the gateway copies requests; without a pod that receives them the time begins again."""
    if health.available == 0 or _paused(context) is not None:
        return progress.model_copy(update={"since": None})
    if progress.since is None and ready and is_mirrored(progress, context):
        return progress.model_copy(update={"since": context.time})
    return progress


def _hold(state: State, candidate: Candidate, progress: Progress, waits: Problem | None, context: Context) -> State:
    """Wait for the end of the hold, and for the gates."""
    state, paused = replace(state, progress=progress), _paused(context)
    if paused is not None:
        return _wait(state, candidate, paused, context)
    if progress.since is None:
        problem = context.health(candidate).problem
        return _show(state, candidate, problem or _MOVING)
    end = _end_of(progress.since, context)
    if context.now < end:
        percent = context.observed.resource.spec.rollout.mirroring.percent
        said = f"receiving copies of {percent} % of the requests, until {format_time(end)}"
        return _awake(_show(state, candidate, Problem(reasons.HOLDING, said)), end)
    if waits is not None:
        return _show(state, candidate, waits)
    return _finish(state, candidate, context)


_MOVING = Problem(reasons.MOVING_TRAFFIC, "waiting until the gateway copies requests")


def _finish(state: State, candidate: Candidate, context: Context) -> State:
    """Promote the candidate, unless a person holds it."""
    held = hold_promotion(state, candidate, context)
    return promote(state, candidate, context) if held is None else replace(state, candidate=held)


def _end_of(since: str, context: Context) -> datetime:
    return moment(since, context) + parse_duration(context.observed.resource.spec.rollout.mirroring.hold)


def _paused(context: Context) -> Problem | None:
    if not controls_of(context.observed.resource).paused:
        return None
    said = f"paused by the annotation {PAUSE_ANNOTATION}; remove it to go on"
    return Problem(reasons.PAUSED, said)


def _wait(state: State, candidate: Candidate, problem: Problem, context: Context) -> State:
    """Show a ready candidate that waits for a user or the gateway, and not for its pods."""
    ready = candidate.model_copy(update={"ready_since": candidate.ready_since or context.time})
    return replace(state, candidate=_said(ready, problem, state))


def _show(state: State, candidate: Candidate, problem: Problem) -> State:
    return replace(state, candidate=_said(candidate.model_copy(update={"ready_since": None}), problem, state))


def _said(candidate: Candidate, problem: Problem, state: State) -> Candidate:
    """Tell where the candidate is; a DriftMonitor of candidates compares only while there is a step."""
    step = 1 if state.own_progress is not None else None
    return candidate.model_copy(update={"reason": problem.reason, "message": problem.message, "step": step})


def _awake(state: State, time: datetime) -> State:
    return replace(state, wake=min(time, state.wake) if state.wake is not None else time)
