"""The loop of a model as a tree: monitor and verdict, run with attempt and pods, artifact, revisions."""

from datetime import datetime

from perennial.api.common.status import BaseStatus
from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.driftmonitor.status import Verdict
from perennial.api.kubernetes import Pod
from perennial.api.modeldeployment.gates import GateStatus
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.modeldeployment.revisions import Candidate
from perennial.api.trainingjob.resource import TrainingJob
from perennial.api.trainingjob.status import CurrentRun
from perennial.cli.nodes import Node, State
from perennial.cli.snapshot import AnyResource, Snapshot
from perennial.cli.words import ago, joined, pairs, short_digest, span
from perennial.core.conditions import READY, RECONCILING, STALLED, find
from perennial.core.kinds import DRIFT_MONITOR, MODEL_DEPLOYMENT, TRAINING_JOB, Key
from perennial.core.labels import JOB_NAME_LABEL, REVISION_LABEL


def loops(snapshot: Snapshot, now: datetime) -> tuple[Node, ...]:
    """Build one tree for each group of resources that refer to each other, largest loop first."""
    groups = sorted(_groups(snapshot), key=lambda group: (-len(group), group[0].name))
    return tuple(_loop(group, snapshot, now) for group in groups)


def _groups(snapshot: Snapshot) -> list[list[Key]]:
    """Join resources that refer to each other."""
    groups: list[list[Key]] = []
    for key, resource in snapshot.resources:
        linked = {key, *upstreams(key, resource)}
        touched = [group for group in groups if linked & set(group)]
        merged = sorted({key, *(item for group in touched for item in group), *linked})
        groups = [group for group in groups if group not in touched] + [merged]
    existing = {key for key, _ in snapshot.resources}
    return [kept for group in groups if (kept := [key for key in group if key in existing])]


def upstreams(key: Key, resource: AnyResource) -> tuple[Key, ...]:
    """Resources that a resource reads or asks."""

    def named(kind: str, name: str | None) -> tuple[Key, ...]:
        return (Key(kind, key.namespace, name),) if name else ()

    if isinstance(resource, ModelDeployment):
        return named(TRAINING_JOB.kind, resource.spec.model.training_job)
    if isinstance(resource, DriftMonitor):
        retrain = resource.spec.on_drift.retrain if resource.spec.on_drift else None
        return (
            *named(MODEL_DEPLOYMENT.kind, resource.spec.target.model_deployment),
            *named(TRAINING_JOB.kind, retrain.training_job if retrain else None),
        )
    return ()


def _loop(group: list[Key], snapshot: Snapshot, now: datetime) -> Node:
    order = [DRIFT_MONITOR.kind, TRAINING_JOB.kind, MODEL_DEPLOYMENT.kind]
    nodes = tuple(
        node
        for key in sorted(group, key=lambda item: (order.index(item.kind), item.name))
        if (node := _resource_node(key, snapshot, now)) is not None
    )
    worst: State = next(
        (state for state in ("failed", "waiting", "working", "unknown") if any(node.state == state for node in nodes)),
        "ok",
    )
    name = next((key.name for key in group if key.kind == MODEL_DEPLOYMENT.kind), group[0].name)
    return Node("loop", name, worst, "", nodes)


def _resource_node(key: Key, snapshot: Snapshot, now: datetime) -> Node | None:
    resource = snapshot.resource(key)
    if isinstance(resource, TrainingJob):
        children = _training(resource, key, snapshot, now)
    elif isinstance(resource, ModelDeployment):
        children = _serving(resource, key, snapshot, now)
    elif isinstance(resource, DriftMonitor):
        children = _drift(resource, now)
    else:
        return None
    state, text = resource_state(resource.status)
    return Node(key.kind, key.name, state, text, children)


def resource_state(status: BaseStatus) -> tuple[State, str]:
    """State of a resource from its conditions, with the message of the condition that decides."""
    for kind, state in ((STALLED, "failed"), (RECONCILING, "working")):
        found = find(status.conditions, kind)
        if found is not None and found.status == "True":
            return state, f"{found.reason}: {found.message}"  # type: ignore[return-value]
    ready = find(status.conditions, READY)
    if ready is None:
        return "unknown", "the operator has not looked at it yet: is it running?"
    return ("ok" if ready.status == "True" else "waiting"), f"{ready.reason}: {ready.message}"


def _training(resource: TrainingJob, key: Key, snapshot: Snapshot, now: datetime) -> tuple[Node, ...]:
    status = resource.status
    current = (_run(status.current_run, key, snapshot, now),) if status.current_run else ()
    ended = status.runs[0] if status.runs else None
    last = (
        (
            Node(
                "run",
                ended.name,
                "ok" if ended.result == "Succeeded" else "failed",
                f"{ended.result} {ago(ended.completion_time, now)}: {ended.message or ended.reason}",
            ),
        )
        if ended is not None
        else ()
    )
    artifact = status.artifact
    made = (
        (
            Node(
                "artifact",
                short_digest(artifact.digest),
                "ok",
                joined(f"run {artifact.run}", ago(artifact.time, now), pairs(artifact.metrics)),
            ),
        )
        if artifact is not None
        else ()
    )
    return (*current, *last, *made)


def _run(run: CurrentRun, key: Key, snapshot: Snapshot, now: datetime) -> Node:
    progress = run.progress
    steps = f"step {progress.step}{f' of {progress.total}' if progress.total else ''}" if progress else ""
    left = f"about {span(progress.eta_seconds)} left" if progress and progress.eta_seconds is not None else ""
    pods = (pod for pod in snapshot.pods_of(key) if pod.metadata.labels.get(JOB_NAME_LABEL) == run.job)
    attempt = Node(
        "attempt",
        str(run.attempt),
        "working",
        joined(
            ago(run.attempt_time, now),
            *_checkpoints(run, now),
            f"before: {run.last_failure}" if run.last_failure else "",
        ),
        tuple(_pod(pod) for pod in pods),
    )
    cause = f"{run.trigger.kind}{f' by {run.trigger.monitor}' if run.trigger.monitor else ''}"
    return Node("run", run.name, "working", joined(cause, steps, left), (attempt,))


def _checkpoints(run: CurrentRun, now: datetime) -> tuple[str, ...]:
    """Say what an attempt goes on from, and how old the checkpoint is that another one would go on from."""
    known = run.checkpoint
    if known is None:
        return ()
    resumed = f"resumed from a checkpoint of {ago(known.resumed_from, now)}" if known.resumed_from else ""
    kept = f"newest checkpoint {ago(known.time, now)}" if known.time else "no checkpoint yet"
    return (resumed, kept)


def _serving(resource: ModelDeployment, key: Key, snapshot: Snapshot, now: datetime) -> tuple[Node, ...]:
    status = resource.status
    nodes = []
    if status.candidate is not None:
        candidate = status.candidate
        failed = candidate.phase == "Failed"
        waits = candidate.ready_since is not None
        nodes.append(
            Node(
                "candidate",
                candidate.name,
                "failed" if failed else "waiting" if waits else "working",
                joined(_model(candidate.digest, candidate.run), _weight(candidate), candidate.message or "starting"),
                (
                    *(_gate(gate) for gate in candidate.gates or ()),
                    *(() if failed else _revision_pods(candidate.hash, key, snapshot)),
                ),
            )
        )
    if status.stable is not None:
        stable = status.stable
        nodes.append(
            Node(
                "stable",
                stable.name,
                "ok" if status.ready_replicas else "failed",
                joined(
                    _model(stable.digest, stable.run),
                    f"{status.ready_replicas} of {status.replicas} pods ready",
                    f"since {ago(stable.since, now)}",
                ),
                _revision_pods(stable.hash, key, snapshot),
            )
        )
    return tuple(nodes)


GATE_STATES: dict[str, State] = {
    "Passed": "ok",
    "Failed": "failed",
    "Pending": "working",
    "Inconclusive": "waiting",
}


def _gate(gate: GateStatus) -> Node:
    """One gate with what was measured."""
    figures = " ".join(f"{name}={value}" for name, value in (gate.figures or {}).items())
    return Node("gate", gate.name, GATE_STATES[gate.verdict], joined(gate.verdict, figures, gate.message))


def _weight(candidate: Candidate) -> str:
    """Share of the requests at the present step of a canary."""
    if candidate.weight is None:
        return ""
    reached = candidate.reached_weight
    short = f" ({reached} % reached)" if reached is not None and reached != candidate.weight else ""
    return f"step {candidate.step or 0}: {candidate.weight} % of requests{short}"


def _revision_pods(revision: str, key: Key, snapshot: Snapshot) -> tuple[Node, ...]:
    pods = (pod for pod in snapshot.pods_of(key) if pod.metadata.labels.get(REVISION_LABEL) == revision)
    return tuple(_pod(pod) for pod in pods)


def _pod(pod: Pod) -> Node:
    """One pod with the reason why it does not run."""
    waiting = next((item.state.waiting for item in pod.containers if item.state.waiting), None)
    ended = next((item for item in pod.containers if item.state.terminated and item.state.terminated.exit_code), None)
    if pod.unschedulable:
        return Node("pod", pod.metadata.name, "waiting", pod.unschedulable)
    if ended is not None and ended.state.terminated is not None:
        return Node("pod", pod.metadata.name, "failed", f"{ended.name} ended with {ended.state.terminated.exit_code}")
    if waiting is not None and pod.status.phase != "Running":
        return Node("pod", pod.metadata.name, "working", joined(waiting.reason, waiting.message))
    restarts = sum(item.restart_count for item in pod.containers)
    ready = bool(pod.status.container_statuses) and all(item.ready for item in pod.status.container_statuses)
    done = pod.status.phase == "Succeeded"
    text = f"{pod.status.phase}{f', {restarts} restarts' if restarts else ''}"
    return Node("pod", pod.metadata.name, "ok" if ready or done else "working", text)


def _drift(resource: DriftMonitor, now: datetime) -> tuple[Node, ...]:
    verdict = resource.status.last_verdict
    if verdict is None:
        return ()
    found = verdict_findings(verdict)
    state: State = "failed" if found else "ok"
    return (Node("verdict", verdict.id, state, joined(verdict_text(verdict), ago(verdict.time, now))),)


def verdict_findings(verdict: Verdict) -> tuple[str, ...]:
    """Names of what the verdict found."""
    drift = ("drift",) if verdict.drifted else ()
    quality = ("data quality",) if verdict.quality_findings else ()
    return (*drift, *failed_checks(verdict), *quality)


def failed_checks(verdict: Verdict) -> tuple[str, ...]:
    """Names of what the verdict found beside drift of the columns and quality of the data."""
    named = (
        ("degraded", verdict.degraded),
        ("likely degraded", verdict.likely_degraded),
        ("unfair", verdict.unfair),
        ("a segment deviates", verdict.segments is not None and verdict.segments.deviate),
        ("predictions drift", verdict.prediction_drift),
        ("multivariate drift", verdict.multivariate_drift),
    )
    return tuple(name for name, holds in named if holds)


def verdict_text(verdict: Verdict) -> str:
    """Findings of a verdict, or that there are none, with the number of columns."""
    found = ", ".join(verdict_findings(verdict)) or "no finding"
    worst = ", ".join(feature.name for feature in verdict.features[:3] if feature.drifted)
    columns = f"{verdict.drifted_features} of {verdict.compared_features} columns drifted"
    return f"{found}: {columns}{f' ({worst})' if worst else ''}"


def _model(digest: str, run: str | None) -> str:
    return f"run {run}" if run else short_digest(digest)
