"""Judges all gates of a candidate, and lists what must be read for that."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.api.modeldeployment.gates import Gate, GateResult, GateStatus
from perennial.api.modeldeployment.rollout import Candidate, Revision
from perennial.core.reads import Poll, QueryRead
from perennial.serving.gates.jobs import (
    GateJob,
    JobGate,
    conclusive,
    end_of,
    gate_jobs,
    is_about,
    job_gate,
    judge_job,
    unfit,
)
from perennial.serving.gates.judgement import Judgement, Window, entry, names_of
from perennial.serving.gates.prometheus import READ_SECONDS, judge_query, query_of
from perennial.serving.observe import Observed

_NO_SERVER = (
    "the installation names no Prometheus server: ask the administrator to set config.prometheus.url in the chart's "
    "values, or remove the gate"
)


@dataclass(frozen=True)
class Subject:
    """What the gates judge: a candidate beside the stable revision, since a moment."""

    observed: Observed
    candidate: Candidate
    stable: Revision
    began: str
    """When the weight of the step was reached, or the candidate was ready; empty: not yet."""
    step: int | None
    """Index of the step of a canary."""
    now: datetime
    has_prometheus: bool
    """The settings name a Prometheus server."""
    results: tuple[GateResult, ...] = ()
    """Recorded verdicts of Jobs."""
    before_traffic: bool = False
    """The candidate is a canary before its first step: only Jobs can judge it."""

    @property
    def window(self) -> Window:
        """Time that the gates judge."""
        return Window(self.began, self.now)

    @property
    def name(self) -> str:
        """Name of the window: what was read for another step, or before the candidate was ready again, is forgotten."""
        part = self.began if self.step is None else f"step-{self.step}"
        return f"{self.observed.resource.metadata.namespace}/{self.candidate.name}/{part}"


@dataclass(frozen=True)
class Verdicts:
    """Verdicts of all gates: as they are now, and as status shows them."""

    fresh: tuple[GateStatus, ...]
    """What decisions follow."""
    shown: tuple[GateStatus, ...]
    """The same verdicts, with figures that change no more often than every half minute."""
    results: tuple[GateResult, ...] = ()
    """Verdicts of Jobs, to be recorded."""

    @property
    def failed(self) -> GateStatus | None:
        """The first gate that has failed."""
        return next((gate for gate in self.fresh if gate.verdict == "Failed"), None)


def evaluate(subject: Subject) -> Verdicts:
    """Judge the gates of the spec that have something to judge now."""
    known = subject.candidate.gates or ()
    judged = tuple((gate, name, _judge(gate, name, subject)) for name, gate in _gates_of(subject))
    fresh = tuple(entry(gate, name, item, (), subject.now) for gate, name, item in judged)
    return Verdicts(
        fresh=fresh,
        shown=tuple(entry(gate, name, item, known, subject.now) for gate, name, item in judged),
        results=_results(fresh, subject),
    )


def _gates_of(subject: Subject) -> tuple[tuple[str, Gate], ...]:
    gates = subject.observed.resource.spec.rollout.gates
    named = zip(names_of(gates), gates, strict=True)
    return tuple(item for item in named if not subject.before_traffic or job_gate(item[1]) is not None)


def _jobs_of(subject: Subject) -> dict[str, GateJob]:
    candidate = subject.candidate.name, subject.candidate.hash
    return {job.name: job for job in gate_jobs(_gates_of(subject), candidate, subject.stable.hash)}


def _results(fresh: tuple[GateStatus, ...], subject: Subject) -> tuple[GateResult, ...]:
    """What is to be recorded: known results, and new ones that decide."""
    known, jobs = {result.id: result for result in subject.results}, _jobs_of(subject)
    ours = ((jobs[status.name], status) for status in fresh if status.name in jobs)
    return tuple(
        known.get(job.id) or GateResult(**status.model_dump(), id=job.id)
        for job, status in ours
        if job.id in known or conclusive(status.verdict)
    )


def reads_of(subject: Subject) -> tuple[Poll[Any], ...]:
    """What the gates need to be read."""
    found = (_query_read(gate, subject) for _, gate in _gates_of(subject))
    return tuple(dict.fromkeys(read for read in found if read is not None))


def _judge(gate: Gate, name: str, subject: Subject) -> Judgement:
    by_job = job_gate(gate)
    if by_job is not None:
        return _judge_by_job(by_job, _jobs_of(subject)[name], subject)
    read = _query_read(gate, subject)
    if gate.prometheus is None or read is None:
        return Judgement("Inconclusive", _NO_SERVER)
    return judge_query(gate, gate.prometheus, subject.observed.answer(read), subject.window)


def _judge_by_job(gate: JobGate, wanted: GateJob, subject: Subject) -> Judgement:
    """Judge by what is recorded, or else by the Job. A Job about another gate or revision is being replaced."""
    why = unfit(gate, subject.observed.resource.spec)
    if why is not None:
        return Judgement("Inconclusive", why)
    known = next((result for result in subject.results if result.id == wanted.id), None)
    if known is not None:
        return Judgement(known.verdict, known.message, known.figures or {})
    job = next((job for job in subject.observed.jobs if job.metadata.name == wanted.job), None)
    if job is None or not is_about(job, wanted) or job.metadata.deletion_timestamp is not None:
        return judge_job(gate, None, wanted.job)
    return judge_job(gate, end_of(job, subject.observed.pods, subject.now), wanted.job)


def _query_read(gate: Gate, subject: Subject) -> QueryRead | None:
    """Read of a PromQL gate; None for other gates, and without a Prometheus server."""
    if gate.prometheus is None or not subject.has_prometheus:
        return None
    meta = subject.observed.resource.metadata
    query = query_of(
        gate.prometheus,
        namespace=meta.namespace,
        name=meta.name,
        revision=subject.candidate.name,
        stable=subject.stable.name,
    )
    return QueryRead(query, READ_SECONDS, window=subject.name)
