"""Gates in a rollout: judged during the steps of a canary, and while a ready candidate waits to be promoted."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from perennial.api.modeldeployment.rollout import Candidate
from perennial.core.problem import Problem
from perennial.core.reads import Poll
from perennial.serving import reasons
from perennial.serving.gates.evaluate import Subject, evaluate, reads_of
from perennial.serving.rollout.context import Context, State
from perennial.serving.rollout.strategy import strategy_of

_EVERY = timedelta(seconds=10)
"""Gates are judged at least this often, also without a new answer: time alone can change a verdict."""


@dataclass(frozen=True)
class Judged:
    """A candidate with the verdicts of its gates, and what follows from them."""

    candidate: Candidate
    problem: Problem | None = None
    """Why it may not go on; a fatal one ends the rollout, another one holds it."""
    wake: datetime | None = None
    """When the gates are judged again; None: there are none now."""


def judge_gates(state: State, candidate: Candidate, context: Context) -> Judged:
    """Judge the gates of a candidate, where there are any to judge now."""
    if _has_passed(state, context):
        return Judged(candidate)
    subject = _subject(state, candidate, context)
    if subject is None:
        return Judged(candidate.model_copy(update={"gates": None}))
    verdicts = evaluate(subject)
    failed = verdicts.failed
    wake = context.now + _EVERY
    if failed is not None:
        # What the rollout failed by is recorded with its figures, whatever was shown before.
        shown = candidate.model_copy(update={"gates": verdicts.fresh})
        return Judged(shown, Problem(reasons.GATE_FAILED, f"gate {failed.name}: {failed.message}", fatal=True), wake)
    shown = candidate.model_copy(update={"gates": verdicts.shown})
    return Judged(shown, _hold(shown), wake)


def _hold(judged: Candidate) -> Problem | None:
    """Find a gate that has not passed; one that cannot be judged comes first."""
    waiting = [gate for gate in judged.gates or () if gate.verdict != "Passed"]
    unclear = [gate for gate in waiting if gate.verdict == "Inconclusive"]
    if unclear:
        said = f"held by gate {unclear[0].name}, which is inconclusive: {unclear[0].message}"
        return Problem(reasons.GATE_INCONCLUSIVE, said)
    if waiting:
        return Problem(reasons.WAITING_FOR_GATES, f"waiting for gate {waiting[0].name}: {waiting[0].message}")
    return None


def waiting_for_gate(candidate: Candidate, problem: Problem, context: Context) -> Candidate:
    """Show that a ready candidate waits for a gate."""
    since = candidate.ready_since or context.time
    return candidate.model_copy(update={"ready_since": since, "reason": problem.reason, "message": problem.message})


def gate_reads(state: State, context: Context) -> tuple[Poll[Any], ...]:
    """What to read for the gates that are judged now."""
    candidate = state.progressing
    if candidate is None or _has_passed(state, context):
        return ()
    if state.own_progress is None and candidate.ready_since is None:
        return ()  # not ready
    subject = _subject(state, candidate, context)
    return reads_of(subject) if subject is not None else ()


def _has_passed(state: State, context: Context) -> bool:
    """Tell whether a canary has passed all steps and only grows; its last verdicts stay as they are."""
    progress = state.own_progress
    return progress is not None and progress.step >= len(context.observed.resource.spec.rollout.walk)


def _subject(state: State, candidate: Candidate, context: Context) -> Subject | None:
    """What the gates judge; None without gates, before the first step of a canary, and where nothing else serves."""
    stable, progress = state.stable, state.own_progress
    if stable is None or not context.observed.resource.spec.rollout.gates or context.health(stable).available == 0:
        return None
    strategy = strategy_of(state, candidate, context)
    if strategy == "Recreate" or (strategy == "Canary" and progress is None):
        return None
    return Subject(
        observed=context.observed,
        candidate=candidate,
        stable=stable,
        began=(progress.since or "") if progress is not None else candidate.ready_since or context.time,
        step=progress.step if progress is not None else None,
        now=context.now,
        has_prometheus=context.has_prometheus,
    )
