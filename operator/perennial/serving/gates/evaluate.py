"""Judges all gates of a candidate, and lists what must be read for that."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.api.modeldeployment.gates import DriftGate, Gate, GateResult, GateStatus, LatencyGate
from perennial.api.modeldeployment.revisions import Candidate, Revision
from perennial.core.reads import Poll, QueryRead
from perennial.core.times import moment_of
from perennial.core.traffic import TrafficRead
from perennial.serving.gates.drift import judge_drift
from perennial.serving.gates.error_rate import judge_error_rate
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
from perennial.serving.gates.latency import judge_latency
from perennial.serving.gates.prometheus import READ_SECONDS, judge_query, query_of
from perennial.serving.gates.sample import MOST_PODS, Sample, sample_of
from perennial.serving.gates.sample import READ_SECONDS as POD_SECONDS
from perennial.serving.observe import Observed
from perennial.serving.revision import Endpoint

_NO_SERVER = (
    "the installation names no Prometheus server: ask the administrator to set config.prometheus.url in the chart's "
    "values, or remove the gate"
)
_NO_LIVE_TRAFFIC = (
    "the candidate gets no requests before it is promoted: live traffic is judged only of a canary or a shadow"
)
_NAME_THEM = "set runtime.container.metrics, or traffic of the runtime's preset in the chart's values"


@dataclass(frozen=True)
class Subject:
    """What the gates judge: a candidate beside the stable revision, since a moment."""

    observed: Observed
    candidate: Candidate
    stable: Revision
    began: str
    """When the weight of the step was reached, copies began, or the candidate was ready; empty: not yet."""
    step: int | None
    """Index of the step of a canary; 0 for a shadow."""
    now: datetime
    has_prometheus: bool
    """The settings name a Prometheus server."""
    results: tuple[GateResult, ...] = ()
    """Recorded verdicts of Jobs."""
    before_traffic: bool = False
    """The candidate is a canary before its first step, or a shadow before any copy: only Jobs can judge it."""
    metrics: Endpoint | None = None
    """Where the servers tell their requests."""

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
    gates = tuple(gate for _, gate in _gates_of(subject))
    queries = (_query_read(gate, subject) for gate in gates)
    live = any(gate.error_rate is not None or gate.latency is not None for gate in gates)
    pods = (*_pod_reads(subject.candidate, subject), *_pod_reads(subject.stable, subject)) if live else ()
    return tuple(dict.fromkeys((*(read for read in queries if read is not None), *pods)))


def _judge(gate: Gate, name: str, subject: Subject) -> Judgement:
    by_job = job_gate(gate)
    if by_job is not None:
        return _judge_by_job(by_job, _jobs_of(subject)[name], subject)
    if gate.drift is not None:
        return _judge_drift(gate.drift, subject)
    if gate.error_rate is not None or gate.latency is not None:
        return _judge_live(gate, subject)
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


def _judge_live(gate: Gate, subject: Subject) -> Judgement:
    """Judge by the requests that both revisions have answered during this step."""
    if subject.step is None:
        return Judgement("Inconclusive", _NO_LIVE_TRAFFIC)
    traffic = subject.metrics.traffic if subject.metrics is not None else None
    wanted = None if traffic is None else traffic.errors if gate.error_rate is not None else traffic.latency
    if wanted is None:
        what = "failed requests" if gate.error_rate is not None else "latency"
        return Judgement("Inconclusive", f"no series of the server's metrics are named for {what}: {_NAME_THEM}")
    samples = _sample(subject.candidate, subject), _sample(subject.stable, subject)
    if gate.error_rate is not None:
        return judge_error_rate(gate, gate.error_rate, *samples, subject.window)
    return judge_latency(gate, gate.latency or LatencyGate(), *samples, subject.window)


def _sample(revision: Revision, subject: Subject) -> Sample:
    return sample_of(tuple(subject.observed.answer(read) for read in _pod_reads(revision, subject)))


def _pod_reads(revision: Revision, subject: Subject) -> tuple[TrafficRead, ...]:
    """Reads of the running pods of a revision during a step; pods that come later in the order of names are left."""
    metrics = subject.metrics
    if metrics is None or subject.step is None:
        return ()
    running = [pod for pod in subject.observed.pods_of(revision.hash) if pod.status.phase == "Running"]
    addresses = [pod.status.pod_ip for pod in running if pod.status.pod_ip][:MOST_PODS]
    hosts = [f"[{address}]" if ":" in address else address for address in addresses]
    urls = [f"http://{host}:{metrics.port}{metrics.path}" for host in hosts]
    return tuple(TrafficRead(url, POD_SECONDS, metrics.traffic, window=subject.name) for url in urls)


def _judge_drift(gate: DriftGate, subject: Subject) -> Judgement:
    if subject.step is None:
        return Judgement("Inconclusive", _NO_LIVE_TRAFFIC)
    observed, candidate = subject.observed, subject.candidate
    monitor = next((item for item in observed.monitors if item.metadata.name == gate.monitor), None)
    deployment = observed.deployment(candidate.name)
    began = moment_of(deployment.metadata.creation_timestamp) if deployment is not None else None
    return judge_drift(gate, monitor, observed.resource.metadata.name, candidate, began or subject.now)


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
