"""Gates in a rollout: judged during the steps of a canary, during a shadow, and while a ready candidate waits."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from perennial.api.common.base import ObjectMeta
from perennial.api.kubernetes import Job
from perennial.api.modeldeployment.gates import GateResult, GateStatus
from perennial.api.modeldeployment.revisions import Candidate
from perennial.core.problem import Problem
from perennial.core.reads import Poll
from perennial.serving import rollout_reasons as reasons
from perennial.serving.gates.evaluate import Subject, evaluate, reads_of
from perennial.serving.gates.jobs import GateJob, end_of, gate_jobs, has_job_gates, is_about, unfit
from perennial.serving.gates.judgement import names_of
from perennial.serving.rollout.context import Context, State, outcomes_of
from perennial.serving.rollout.strategy import strategy_of

_EVERY = timedelta(seconds=10)
"""Gates are judged at least this often, also without a new answer: time alone can change a verdict."""
_BEFORE = "judged when the candidate passed all steps"


@dataclass(frozen=True)
class Judged:
    """A candidate with the verdicts of its gates, and what follows from them."""

    candidate: Candidate
    problem: Problem | None = None
    """Why it may not go on; a fatal one ends the rollout, another one holds it."""
    wake: datetime | None = None
    """When the gates are judged again; None: there are none now."""
    results: tuple[GateResult, ...] = ()
    """Verdicts of Jobs, to be recorded."""


def judge_gates(state: State, candidate: Candidate, context: Context) -> Judged:
    """Judge the gates of a candidate, where there are any to judge now."""
    if _has_passed(state, context):
        return Judged(_as_recorded(candidate, state), results=state.gate_results)
    subject = _subject(state, candidate, context)
    if subject is None:
        return Judged(candidate.model_copy(update={"gates": None}), results=state.gate_results)
    verdicts = evaluate(subject)
    failed = verdicts.failed
    wake = context.now + _EVERY
    if failed is not None:
        # What the rollout failed by is recorded with its figures, whatever was shown before.
        shown = candidate.model_copy(update={"gates": verdicts.fresh})
        return Judged(shown, Problem(reasons.GATE_FAILED, f"gate {failed.name}: {failed.message}", fatal=True), wake)
    shown = candidate.model_copy(update={"gates": verdicts.shown})
    return Judged(shown, _hold(shown), wake, verdicts.results)


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


def wanted_jobs(state: State, context: Context) -> tuple[GateJob, ...]:
    """List the Jobs that judge the present candidate, also those whose verdicts are recorded."""
    candidate, stable = state.progressing, state.stable
    if candidate is None or stable is None or strategy_of(state, candidate, context) == "Recreate":
        return ()
    spec = context.observed.resource.spec
    named = zip(names_of(spec.rollout.gates), spec.rollout.gates, strict=True)
    found = gate_jobs(named, (candidate.name, candidate.hash), stable.hash)
    return tuple(job for job in found if unfit(job.gate, spec) is None)


def missing_jobs(state: State, context: Context) -> tuple[GateJob, ...]:
    """List the Jobs to create: of gates that were judged in this decision and have neither verdict nor Job."""
    candidate = state.progressing
    asked = {gate.name for gate in (candidate.gates if candidate is not None else None) or ()}
    known = {result.id for result in state.gate_results}
    taken = {job.metadata.name for job in context.observed.jobs}
    wanted = wanted_jobs(state, context)
    return tuple(job for job in wanted if job.name in asked and job.id not in known and job.job not in taken)


def outdated_jobs(state: State, context: Context) -> tuple[ObjectMeta, ...]:
    """List the Jobs to delete: of other candidates, of gates that have changed, and those whose result is lost."""
    wanted = {job.job: job for job in wanted_jobs(state, context)}
    known = {result.id for result in state.gate_results}
    return tuple(
        job.metadata
        for job in context.observed.jobs
        if job.metadata.deletion_timestamp is None and not _is_kept(job, wanted, known, context)
    )


def _is_kept(job: Job, wanted: Mapping[str, GateJob], known: Set[str], context: Context) -> bool:
    needed = wanted.get(job.metadata.name)
    if needed is None or not is_about(job, needed):
        return False
    return needed.id in known or end_of(job, context.observed.pods, context.now).state != "Lost"


def _has_passed(state: State, context: Context) -> bool:
    """Tell whether a canary has passed all steps and only grows; its last verdicts stay as they are."""
    progress = state.own_progress
    canary = progress is not None and progress.strategy == "Canary"
    return canary and progress is not None and progress.step >= len(context.observed.resource.spec.rollout.walk)


def _as_recorded(candidate: Candidate, state: State) -> Candidate:
    """Show the verdicts by which a canary has passed, also where the write of the status was lost after that."""
    recorded = (state.own_progress.gates if state.own_progress is not None else None) or ()
    if not recorded or outcomes_of(candidate) == recorded:
        return candidate
    gates = tuple(GateStatus(**item.model_dump(), message=_BEFORE) for item in recorded)
    return candidate.model_copy(update={"gates": gates})


def _subject(state: State, candidate: Candidate, context: Context) -> Subject | None:
    """What the gates judge; None without gates, and where nothing else serves.

    Before the first step of a canary, or before requests are copied, only gates with Jobs have something to judge.
    """
    stable, progress = state.stable, state.own_progress
    if stable is None or not context.observed.resource.spec.rollout.gates or context.health(stable).available == 0:
        return None
    strategy = strategy_of(state, candidate, context)
    before = strategy in ("Canary", "Shadow") and progress is None
    if strategy == "Recreate" or (before and not has_job_gates(context.observed.resource.spec.rollout.gates)):
        return None
    return Subject(
        observed=context.observed,
        candidate=candidate,
        stable=stable,
        began=(progress.since or "") if progress is not None else candidate.ready_since or context.time,
        step=progress.step if progress is not None else None,
        now=context.now,
        has_prometheus=context.has_prometheus,
        results=state.gate_results,
        before_traffic=before,
        metrics=context.shape.metrics if context.shape is not None else None,
    )
