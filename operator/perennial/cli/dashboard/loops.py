"""Which resources make up one model's loop: the ModelDeployment, the TrainingJob it follows, and the monitors."""

from dataclasses import dataclass

from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.trainingjob.resource import TrainingJob
from perennial.cli.loop import resource_state, verdict_findings
from perennial.cli.nodes import State
from perennial.cli.snapshot import AnyResource, Snapshot
from perennial.core.kinds import DRIFT_MONITOR, MODEL_DEPLOYMENT, TRAINING_JOB, Key

WORDS: dict[State, str] = {
    "ok": "Ready",
    "working": "In progress",
    "waiting": "Waiting",
    "failed": "Needs attention",
    "unknown": "Unknown",
}
"""States in words."""
_WORST_FIRST: tuple[State, ...] = ("failed", "waiting", "working", "unknown", "ok")


@dataclass(frozen=True)
class Loop:
    """One model: what trains, serves and watches it. `key` names the resource that the page is about."""

    key: Key
    job: TrainingJob | None = None
    deployment: ModelDeployment | None = None
    monitors: tuple[DriftMonitor, ...] = ()

    @property
    def resources(self) -> tuple[tuple[Key, AnyResource], ...]:
        """The resources of the loop with their keys, those that train first."""
        named: tuple[tuple[str, AnyResource | None], ...] = (
            (TRAINING_JOB.kind, self.job),
            (MODEL_DEPLOYMENT.kind, self.deployment),
            *((DRIFT_MONITOR.kind, monitor) for monitor in self.monitors),
        )
        return tuple(
            (Key(kind, item.metadata.namespace, item.metadata.name), item) for kind, item in named if item is not None
        )


def model_loops(snapshot: Snapshot) -> tuple[Loop, ...]:
    """One loop for each ModelDeployment, then one for each TrainingJob and DriftMonitor that belongs to none."""
    served = tuple(_served(deployment, snapshot) for deployment in snapshot.model_deployments)
    followed = {key for loop in served for key, _ in loop.resources}
    trained = tuple(
        Loop(key, job=item) for key, item in snapshot.resources if isinstance(item, TrainingJob) and key not in followed
    )
    watched = tuple(
        Loop(key, monitors=(item,))
        for key, item in snapshot.resources
        if isinstance(item, DriftMonitor) and key not in followed
    )
    return (*served, *trained, *watched)


def _served(deployment: ModelDeployment, snapshot: Snapshot) -> Loop:
    meta = deployment.metadata
    followed = deployment.spec.model.training_job
    return Loop(
        Key(MODEL_DEPLOYMENT.kind, meta.namespace, meta.name),
        job=next((job for job in snapshot.training_jobs if job.metadata.name == followed), None),
        deployment=deployment,
        monitors=tuple(
            monitor for monitor in snapshot.drift_monitors if monitor.spec.target.model_deployment == meta.name
        ),
    )


def state_of(resource: AnyResource) -> tuple[State, str]:
    """State of a resource for a list: also failed if it is ready but a rollout, run or verdict needs a person."""
    state, text = resource_state(resource.status)
    if isinstance(resource, ModelDeployment) and resource.status.candidate is not None:
        candidate = resource.status.candidate
        if candidate.phase == "Failed":
            return "failed", f"rollout of {candidate.name} failed: {candidate.message or candidate.reason or ''}"
        if candidate.ready_since is not None and state != "failed":
            return "waiting", f"{candidate.name}: {candidate.message or 'waits for a person'}"
    if isinstance(resource, DriftMonitor) and state == "ok" and resource.status.last_verdict is not None:
        found = verdict_findings(resource.status.last_verdict)
        if found:
            return "failed", f"DriftMonitor {resource.metadata.name} found: {', '.join(found)}"
    return state, text


def worst(states: tuple[State, ...]) -> State:
    """The state that most needs a person; unknown if there is none."""
    return next((state for state in _WORST_FIRST if state in states), "unknown")


def summary(loop: Loop) -> tuple[State, str]:
    """State of a whole loop, with the text of the resource that decides it."""
    states = tuple(state_of(resource) for _, resource in loop.resources)
    state = worst(tuple(item for item, _ in states))
    return state, next((text for item, text in states if item == state), "")
