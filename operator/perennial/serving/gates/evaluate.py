"""Judges all gates of a candidate, and lists what must be read for that."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.api.modeldeployment.gates import Gate, GateStatus
from perennial.api.modeldeployment.rollout import Candidate, Revision
from perennial.core.reads import Poll, QueryRead
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

    @property
    def failed(self) -> GateStatus | None:
        """The first gate that has failed."""
        return next((gate for gate in self.fresh if gate.verdict == "Failed"), None)


def evaluate(subject: Subject) -> Verdicts:
    """Judge every gate of the spec."""
    gates = subject.observed.resource.spec.rollout.gates
    known = subject.candidate.gates or ()
    judged = tuple((gate, name, _judge(gate, subject)) for gate, name in zip(gates, names_of(gates), strict=True))
    return Verdicts(
        fresh=tuple(entry(gate, name, item, (), subject.now) for gate, name, item in judged),
        shown=tuple(entry(gate, name, item, known, subject.now) for gate, name, item in judged),
    )


def reads_of(subject: Subject) -> tuple[Poll[Any], ...]:
    """What the gates need to be read."""
    gates = subject.observed.resource.spec.rollout.gates
    found = (_query_read(gate, subject) for gate in gates)
    return tuple(dict.fromkeys(read for read in found if read is not None))


def _judge(gate: Gate, subject: Subject) -> Judgement:
    read = _query_read(gate, subject)
    if gate.prometheus is None or read is None:
        return Judgement("Inconclusive", _NO_SERVER)
    return judge_query(gate, gate.prometheus, subject.observed.answer(read), subject.window)


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
