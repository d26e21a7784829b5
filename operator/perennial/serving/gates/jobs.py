"""Gates that a Job judges once: which Job a gate needs, and what became of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from perennial.api.contract.messages import Evaluated, Failure, Replayed
from perennial.api.kubernetes import Job, Pod, Terminated, condition
from perennial.api.modeldeployment.evaluation import EvaluationGate, FairnessGate, ReplayGate
from perennial.api.modeldeployment.gates import Gate, Verdict
from perennial.api.modeldeployment.resource import ModelDeploymentSpec
from perennial.core.container_exit import WRONG_CPU_HELP, ExitKind, judge_agent
from perennial.core.failures import by_reason
from perennial.core.labels import GATE_ANNOTATION, JOB_NAME_LABEL
from perennial.core.names import child_name, digest_of
from perennial.core.termination import BadMessage, agent_words, failure_words, parse_message
from perennial.core.times import moment_of
from perennial.core.waiting import clean, waiting_problem
from perennial.serving.gates.judgement import Judgement
from perennial.serving.gates.quality import judge_evaluation, judge_fairness
from perennial.serving.gates.replay import judge_replay

CONTAINER = "gate"
JOB_NAME_LIMIT = 57
"""Most characters of a Job's name: its pods add six."""
_ID_LENGTH = 12
_GRACE = timedelta(seconds=60)
"""Time after a Job's completion within which the last state of its pod may still arrive."""

JobGate = EvaluationGate | FairnessGate | ReplayGate


@dataclass(frozen=True)
class GateJob:
    """The Job that a gate needs.

    Attributes:
        name: name of the gate.
        gate: what to judge.
        id: hash of the gate and of the revisions that it compares; a result with another id is not about them.
        job: name of the Job.
    """

    name: str
    gate: JobGate
    id: str
    job: str


@dataclass(frozen=True)
class JobEnd:
    """How a Job ended, or what keeps it from that.

    Attributes:
        state: Running; Done, with a message of the agent; Failed; or Lost, if its pod is gone with its message.
        message: figures of a Job that is done.
        said: why it failed or waits.
    """

    state: Literal["Running", "Done", "Failed", "Lost"]
    message: Evaluated | Replayed | None = None
    said: str = ""


def job_gate(gate: Gate) -> JobGate | None:
    """The part of a gate that a Job judges; None for other gates."""
    return gate.evaluation or gate.fairness or gate.replay


def has_job_gates(gates: Iterable[Gate]) -> bool:
    """Tell whether any gate is judged by a Job."""
    return any(job_gate(gate) is not None for gate in gates)


def unfit(gate: JobGate, spec: ModelDeploymentSpec) -> str | None:
    """Say why a Job cannot judge a gate under this spec. The CRD refuses such a spec, unless it was stored before."""
    if spec.tls is not None:
        return "it asks the pods without TLS, but spec.tls is set"
    if isinstance(gate, ReplayGate) and (spec.capture is None or spec.capture.redact or spec.capture.hash):
        return (
            "it sends captured requests: set spec.capture, without redact or hash, whose fields they lack and a model "
            "may need; or replace the gate by evaluation, errorRate, latency or drift"
        )
    return None


def gate_jobs(gates: Iterable[tuple[str, Gate]], candidate: tuple[str, str], stable: str) -> tuple[GateJob, ...]:
    """List the Jobs that gates need.

    Args:
        gates: gates by name.
        candidate: name and hash of the candidate.
        stable: hash of the stable revision.
    """
    revision, hash8 = candidate
    return tuple(
        GateJob(
            name=name,
            gate=wanted,
            id=digest_of({"gate": wanted.dump(), "candidate": hash8, "stable": stable}, _ID_LENGTH),
            job=child_name(revision, name, JOB_NAME_LIMIT),
        )
        for name, gate in gates
        if (wanted := job_gate(gate)) is not None
    )


def end_of(job: Job, pods: Iterable[Pod], now: datetime) -> JobEnd:
    """Tell how a Job ended, by its pods. Their messages are untrusted: `core.termination` validates them."""
    own = [pod for pod in pods if pod.metadata.labels.get(JOB_NAME_LABEL) == job.metadata.name]
    ended = [found for pod in own if (found := _ended(pod)) is not None]
    done = [item for item in ended if item.exit_code == 0]
    newest = max(done or ended, key=lambda item: item.finished_at or "", default=None)
    if done and newest is not None:
        return _of_message(newest)
    failed = job.failed
    if failed is not None:
        return JobEnd("Failed", said=_of_exit(newest) if newest is not None else _of_job(failed.reason, failed.message))
    if job.complete and not ended:
        return _lost(job, now)
    problem = next((item for item in map(waiting_problem, own) if item is not None), None)
    last = f"; the last try failed: {_of_exit(newest)}" if newest is not None else ""
    return JobEnd("Running", said=(problem.message if problem is not None else "") + last)


def judge_job(gate: JobGate, end: JobEnd | None, job: str) -> Judgement:
    """Judge a gate by the end of its Job; None: it has none yet."""
    if end is None or end.state == "Lost":
        return Judgement("Pending", f"Job {job} is being started")
    if end.state == "Running":
        return Judgement("Pending", f"Job {job} is running{f': {end.said}' if end.said else ''}")
    if end.state == "Failed":
        again = f"delete the Job {job} to run it again"
        return Judgement("Inconclusive", f"Job {job} failed: {end.said}; {again}")
    return _judge_message(gate, end, job)


def _judge_message(gate: JobGate, end: JobEnd, job: str) -> Judgement:
    match gate, end.message:
        case FairnessGate(), Evaluated() as found:
            return judge_fairness(gate, found)
        case EvaluationGate(), Evaluated() as found:
            return judge_evaluation(gate, found)
        case ReplayGate(), Replayed() as found:
            return judge_replay(gate, found)
    return Judgement("Inconclusive", f"Job {job} left another result than this gate asks for; see its log")


def is_about(job: Job, wanted: GateJob) -> bool:
    """Tell whether a Job was made for this gate as it is now, and for these revisions."""
    return job.metadata.annotations.get(GATE_ANNOTATION) == wanted.id


def conclusive(verdict: Verdict) -> bool:
    """Tell whether a verdict is recorded: one that needs a decision of a person stays with its Job."""
    return verdict in ("Passed", "Failed")


def _ended(pod: Pod) -> Terminated | None:
    status = pod.container(CONTAINER)
    return status.state.terminated if status is not None else None


def _lost(job: Job, now: datetime) -> JobEnd:
    complete = condition(job.status.conditions, "Complete")
    time = moment_of(complete.last_transition_time) if complete is not None else None
    return JobEnd("Running" if time is not None and now < time + _GRACE else "Lost")


def _of_message(ended: Terminated) -> JobEnd:
    try:
        message = parse_message(ended.message)
    except BadMessage as error:
        return JobEnd("Failed", said=f"{error}; see its log")
    if isinstance(message, Evaluated | Replayed):
        return JobEnd("Done", message)
    if isinstance(message, Failure):
        failure = by_reason(message.reason)
        said = failure_words(message, failure) if failure is not None else clean(message.message)
        return JobEnd("Failed", said=said)
    return JobEnd("Failed", said="its message is not one of a gate; see its log")


def _of_exit(ended: Terminated) -> str:
    found = judge_agent(ended)
    if found.failure is not None:
        return agent_words(ended.message, found.failure)
    if found.kind is ExitKind.OUT_OF_MEMORY:
        return "it exceeded its memory limit: score fewer rows, or raise config.agent.resources in the chart's values"
    if found.kind is ExitKind.WRONG_ARCHITECTURE:
        return f"the container cannot start: {WRONG_CPU_HELP}"
    if found.kind in (ExitKind.COMMAND_NOT_FOUND, ExitKind.START_FAILED):
        return f"the container cannot start: {found.said}; check config.agent.image in the chart's values"
    return f"the container exited with code {found.exit_code}; see its log"


def _of_job(reason: str | None, message: str | None) -> str:
    if reason == "DeadlineExceeded":
        return "it took longer than an hour: score fewer rows, or replay fewer requests"
    return clean(message or reason or "for an unknown reason")
