"""The children that a state asks for, and those that it no longer does."""

from typing import Any

from perennial.api.config import AgentConfigDefaults
from perennial.api.modeldeployment import AutoscalingMetric, ModelDeployment, ModelDeploymentSpec, Revision
from perennial.core.decision import Action, Apply, Delete
from perennial.core.kinds import AUTOSCALER, DEPLOYMENT, DISRUPTION_BUDGET, SERVICE, Raw
from perennial.core.names import REVISION_LABEL
from perennial.serving.build import HTTP_PORT, Plan, deployment, metadata_of
from perennial.serving.health import SERVER
from perennial.serving.marks import recorded_agent, recorded_port
from perennial.serving.revision import selector_of, traffic_port
from perennial.serving.walk import Scene, State, wanted_replicas

SCALE_MANAGER = "perennial-scale"
SERVICE_PORT = 80
_DEFAULT_CPU_PERCENT = 80


def actions_of(state: State, scene: Scene, agent: AgentConfigDefaults) -> tuple[Action, ...]:
    """Return all that is to be applied and deleted; the Service moves only to what is ready at this moment."""
    live = tuple(revision for revision in (state.stable, state.kept) if revision is not None)
    applied = [action for revision in live for action in _revision_actions(revision, state, scene, agent)]
    return (*applied, *_address_actions(state, scene), *_deletions(state, scene))


def autoscaled(spec: ModelDeploymentSpec) -> bool:
    """Tell whether a HorizontalPodAutoscaler decides how many pods there are."""
    return spec.replicas.most > spec.replicas.min


def _revision_actions(revision: Revision, state: State, scene: Scene, agent: AgentConfigDefaults) -> list[Action]:
    resource = scene.observed.resource
    known = scene.observed.deployment(revision.name)
    buildable = scene.shape is not None and scene.can_build(revision)
    if not buildable and known is None:
        return []
    actions: list[Action] = []
    if scene.shape is not None and buildable:
        # A new release of the operator must not restart every model that serves: a revision keeps its agent.
        image = (recorded_agent(known) if known is not None else None) or agent.image
        plan = Plan(resource, scene.shape.server, agent.model_copy(update={"image": image}))
        actions.append(Apply(deployment(plan, revision)))
    wanted = wanted_replicas(revision, state, scene)
    if autoscaled(resource.spec):
        actions.append(Apply(_autoscaler(resource, revision, wanted)))
    if known is None or not autoscaled(resource.spec):
        # An autoscaler owns the number from its first step on; a new Deployment need not wait for that.
        actions.append(Apply(_scale(resource, revision, wanted), manager=SCALE_MANAGER))
    return actions


def _scale(resource: ModelDeployment, revision: Revision, replicas: int) -> Raw:
    return {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.kind,
        "metadata": {"name": revision.name, "namespace": resource.metadata.namespace},
        "spec": {"replicas": replicas},
    }


def _autoscaler(resource: ModelDeployment, revision: Revision, least: int) -> Raw:
    spec = resource.spec
    metrics = spec.autoscaling or (AutoscalingMetric(cpu=_DEFAULT_CPU_PERCENT),)
    return {
        "apiVersion": AUTOSCALER.api_version,
        "kind": AUTOSCALER.kind,
        "metadata": metadata_of(resource, revision.name, labels={REVISION_LABEL: revision.hash}),
        "spec": {
            "scaleTargetRef": {
                "apiVersion": DEPLOYMENT.api_version,
                "kind": DEPLOYMENT.kind,
                "name": revision.name,
            },
            "minReplicas": least,
            "maxReplicas": spec.replicas.most,
            "metrics": [_metric(metric) for metric in metrics],
        },
    }


def _metric(metric: AutoscalingMetric) -> dict[str, Any]:
    """Return one metric. CPU and memory are the server's alone: what the sidecar uses says nothing about the load."""
    if metric.pods is not None:
        target = {"type": "AverageValue", "averageValue": metric.pods.average}
        return {"type": "Pods", "pods": {"metric": {"name": metric.pods.metric}, "target": target}}
    if metric.external is not None:
        found = metric.external
        selector = {"selector": {"matchLabels": found.selector}} if found.selector else {}
        target = (
            {"type": "AverageValue", "averageValue": found.average}
            if found.average is not None
            else {"type": "Value", "value": found.value or "0"}
        )
        return {"type": "External", "external": {"metric": {"name": found.metric, **selector}, "target": target}}
    name, percent = ("memory", metric.memory) if metric.memory is not None else ("cpu", metric.cpu)
    return {
        "type": "ContainerResource",
        "containerResource": {
            "name": name,
            "container": SERVER,
            "target": {"type": "Utilization", "averageUtilization": percent or _DEFAULT_CPU_PERCENT},
        },
    }


def _address_actions(state: State, scene: Scene) -> list[Action]:
    """Return the Service and the disruption budget, which follow the revision that serves."""
    revision = state.addressed
    port = _port_of(revision, scene) if revision is not None else None
    if revision is None or port is None:
        return []
    resource = scene.observed.resource
    selector = selector_of(resource.metadata.name, revision.hash)
    return [
        Apply(_service(resource, selector, port)),
        Apply(_disruption_budget(resource, selector)),
    ]


def _port_of(revision: Revision, scene: Scene) -> int | None:
    """Return the port that takes a revision's requests; one that the spec no longer describes has it on record."""
    if scene.shape is not None and scene.can_build(revision):
        return traffic_port(scene.observed.resource.spec, scene.shape.server)
    known = scene.observed.deployment(revision.name)
    return recorded_port(known) if known is not None else None


def _service(resource: ModelDeployment, selector: dict[str, str], port: int) -> Raw:
    return {
        "apiVersion": SERVICE.api_version,
        "kind": SERVICE.kind,
        "metadata": metadata_of(resource, resource.metadata.name),
        "spec": {
            "type": "ClusterIP",
            "selector": selector,
            "ports": [{"name": HTTP_PORT, "port": SERVICE_PORT, "targetPort": port, "protocol": "TCP"}],
        },
    }


def _disruption_budget(resource: ModelDeployment, selector: dict[str, str]) -> Raw:
    return {
        "apiVersion": DISRUPTION_BUDGET.api_version,
        "kind": DISRUPTION_BUDGET.kind,
        "metadata": metadata_of(resource, resource.metadata.name),
        "spec": {
            "selector": {"matchLabels": selector},
            # One at a time; also a single pod may go, or no node that holds it could ever be drained.
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def _deletions(state: State, scene: Scene) -> list[Action]:
    """Return what belongs to no revision any more; deletions come after the Service has moved."""
    observed = scene.observed
    kept = {revision.name for revision in (state.stable, state.kept, state.previous) if revision is not None}
    scaled = kept if autoscaled(observed.resource.spec) else set()
    deployments = [
        Delete(DEPLOYMENT, item.metadata.namespace, item.metadata.name, item.metadata.uid)
        for item in observed.deployments
        if item.metadata.name not in kept and item.metadata.deletion_timestamp is None
    ]
    autoscalers = [
        Delete(AUTOSCALER, meta.namespace, meta.name, meta.uid)
        for meta in observed.autoscalers
        if meta.name not in scaled and meta.deletion_timestamp is None
    ]
    return [*autoscalers, *deployments]
