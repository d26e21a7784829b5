"""Input and result of a rollout step: `steps` moves the rollout on, `approval` handles manual control."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from perennial.api.kubernetes import PodSpec
from perennial.api.modeldeployment.gates import GateOutcome, GateResult
from perennial.api.modeldeployment.revisions import Approval, Asked, Candidate, HistoryEntry, Progress, Revision
from perennial.core.decision import EventNote
from perennial.core.problem import Problem
from perennial.core.times import format_time
from perennial.serving import rollout_reasons as reasons
from perennial.serving.annotations import recorded_grpc_port, recorded_port, recorded_tls
from perennial.serving.health import Health, assess
from perennial.serving.observe import Observed
from perennial.serving.revision import Shape, traffic_port, traffic_port_name

HISTORY_LIMIT = 10

Result = Literal["Promoted", "Failed", "Superseded", "RolledBack"]


@dataclass(frozen=True)
class Context:
    """Input of one rollout step."""

    observed: Observed
    shape: Shape | None
    target: Revision | None
    problem: Problem | None
    now: datetime
    has_prometheus: bool = False
    """The settings name a Prometheus server, so that gates can query it."""

    @property
    def time(self) -> str:
        """Time of the decision, as written to status."""
        return format_time(self.now)

    @property
    def routed(self) -> bool:
        """Tell whether a gateway divides the requests."""
        return self.observed.resource.spec.route is not None

    def routed_weight(self, name: str) -> int:
        """Weight that a revision has in the route as it was last applied, by the name of its Service; 0 if none."""
        return self.observed.route.weight_of(name) if self.observed.route is not None else 0

    def is_split(self, progress: Progress) -> bool:
        """Tell whether the revision of a canary may receive requests: from the Service, or from a gateway."""
        return self.observed.split or self.routed_weight(progress.name) > 0

    def health(self, revision: Revision | None) -> Health:
        """Health of the pods of a revision."""
        if revision is None:
            return Health()
        return assess(self.observed.deployment(revision.name), self.observed.pods_of(revision.hash))

    def speaks_tls(self, revision: Revision) -> bool:
        """Tell whether the server of the revision terminates TLS, also where the spec has changed since."""
        if self.can_build(revision):
            return self.observed.resource.spec.tls is not None
        known = self.observed.deployment(revision.name)
        return known is not None and recorded_tls(known)

    def port_of(self, revision: Revision) -> int | None:
        """Find the port that takes requests: from the spec, or as recorded of a revision it no longer describes."""
        if self.shape is not None and self.can_build(revision):
            return traffic_port(self.observed.resource.spec, self.shape.server)
        known = self.observed.deployment(revision.name)
        return recorded_port(known) if known is not None else None

    def grpc_port_of(self, revision: Revision) -> int | None:
        """Find the port of gRPC: from the spec, or as recorded of a revision that it no longer describes."""
        if self.shape is not None and self.can_build(revision):
            return self.shape.grpc_port
        known = self.observed.deployment(revision.name)
        return recorded_grpc_port(known) if known is not None else None

    def shared_grpc_port(self, first: Revision, second: Revision) -> int | None:
        """Find the port of gRPC that both revisions have."""
        numbers = self.grpc_port_of(first), self.grpc_port_of(second)
        return numbers[0] if numbers[0] == numbers[1] else None

    def shared_port(self, first: Revision, second: Revision) -> int | str | None:
        """Find a port by which one Service reaches both revisions: the same number, or else the same name."""
        numbers = self.port_of(first), self.port_of(second)
        if None in numbers or self.speaks_tls(first) is not self.speaks_tls(second):
            return None
        if numbers[0] == numbers[1]:
            return numbers[0]
        names = self._port_name(first, numbers[0]), self._port_name(second, numbers[1])
        return names[0] if names[0] == names[1] else None

    def _port_name(self, revision: Revision, number: int | None) -> str | None:
        if self.can_build(revision):
            return traffic_port_name(self.observed.resource.spec)
        known = self.observed.deployment(revision.name)
        pod = known.spec.template.spec if known is not None else PodSpec()
        ports = (port for container in (*pod.containers, *pod.init_containers) for port in container.ports)
        return next((port.name for port in ports if port.container_port == number and port.name), None)

    def can_build(self, revision: Revision) -> bool:
        """Tell whether the Deployment of the revision can be built from the present spec."""
        return self.shape is not None and self.shape.makes(revision)


@dataclass(frozen=True)
class State:
    """Which revision has which role, and the Events of this step."""

    stable: Revision | None = None
    candidate: Candidate | None = None
    previous: Revision | None = None
    history: tuple[HistoryEntry, ...] = ()
    events: tuple[EventNote, ...] = ()
    rolling_back: bool = False
    """The stable revision is aborted, and the previous one is scaled up before it serves again."""
    ignored_abort: str | None = None
    """Why the abort of the stable revision has no effect."""
    progress: Progress | None = None
    """How far the candidate is; or, while `leaving`, how far the revision was whose rollout has ended."""
    leaving: bool = False
    """The rollout has ended, but its pods take requests until enough pods of the stable revision are available."""
    waiting_for_pods: bool = False
    """The candidate is not created before the pods of other revisions are gone."""
    restore: int | None = None
    """Pods that the stable revision had before this rollout, which ends now."""
    gate_results: tuple[GateResult, ...] = ()
    """Verdicts of Jobs about the present candidate."""
    asked: Asked | None = None
    """Since when the candidate waits for approval, if that expires."""
    generation: int | None = None
    """Generation of the spec when the stable revision was promoted; None: not recorded."""
    wake: datetime | None = None
    """When the passing of time changes the decision: the end of a hold, for example."""

    @property
    def progressing(self) -> Candidate | None:
        """The candidate, unless it has failed."""
        return self.candidate if self.candidate is not None and self.candidate.phase == "Progressing" else None

    @property
    def failed(self) -> Candidate | None:
        """The candidate, if it has failed."""
        return self.candidate if self.candidate is not None and self.candidate.phase == "Failed" else None

    @property
    def active_candidate(self) -> Candidate | None:
        """The candidate while its pods are kept: after a failure, only if nothing else serves and it can recover."""
        failed = self.failed
        if failed is None:
            return self.progressing
        return failed if self.stable is None and failed.reason not in reasons.UNRECOVERABLE else None

    @property
    def own_progress(self) -> Progress | None:
        """How far the candidate is; None before it takes traffic or the stable revision stops."""
        candidate, progress = self.active_candidate, self.progress
        return progress if candidate is not None and progress is not None and progress.hash == candidate.hash else None

    @property
    def splitting(self) -> Progress | None:
        """The progress of the canary whose pods share the traffic with those of the stable revision."""
        progress = self.progress if self.leaving else self.own_progress
        return progress if progress is not None and progress.strategy == "Canary" else None

    @property
    def service_target(self) -> Revision | None:
        """The revision that the Service selects: the stable one, or the first candidate before anything serves."""
        return self.stable or self.active_candidate


def history_entry(
    revision: Revision, result: Result, reason: str | None, context: Context, approval: Approval | None = None
) -> tuple[HistoryEntry, ...]:
    """Build the history entry of a rollout that has ended."""
    return (
        HistoryEntry(
            name=revision.name,
            digest=revision.digest,
            run=revision.run,
            chain=revision.chain,
            result=result,
            reason=reason,
            approval=approval,
            gates=outcomes_of(revision),
            time=context.time,
        ),
    )


def outcomes_of(revision: Revision) -> tuple[GateOutcome, ...] | None:
    """Last verdicts of the gates, without the explanations: history is kept for ten rollouts."""
    judged = revision.gates if isinstance(revision, Candidate) else None
    return tuple(GateOutcome(**item.model_dump(exclude={"message"})) for item in judged or ()) or None
