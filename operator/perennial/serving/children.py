"""The children that a state asks for, and those that it no longer does."""

from perennial.api.contract.settings import OperatorConfig
from perennial.api.modeldeployment.resource import ModelDeployment, Revision
from perennial.core.decision import Action, Apply, Delete
from perennial.core.kinds import AUTOSCALER, DEPLOYMENT, DISRUPTION_BUDGET, NETWORK_POLICY, SERVICE, Raw
from perennial.serving.access import network_policy
from perennial.serving.annotations import recorded_agent, recorded_port
from perennial.serving.build import deployment, metadata_of
from perennial.serving.revision import selector_of, traffic_port
from perennial.serving.rollout.context import Context, State
from perennial.serving.rollout.steps import wanted_replicas
from perennial.serving.scaling import autoscaled, autoscaler
from perennial.serving.server import HTTP_PORT, Plan

SCALE_MANAGER = "perennial-scale"
SERVICE_PORT = 80
SECURE_PORT = 443


def actions_of(state: State, context: Context, config: OperatorConfig) -> tuple[Action, ...]:
    """Return all that is to be applied and deleted; the Service moves only to what is ready at this moment."""
    live = tuple(revision for revision in (state.stable, state.kept) if revision is not None)
    applied = [action for revision in live for action in _revision_actions(revision, state, context, config)]
    return (*applied, *_address_actions(state, context), *_deletions(state, context))


def _revision_actions(revision: Revision, state: State, context: Context, config: OperatorConfig) -> list[Action]:
    resource = context.observed.resource
    known = context.observed.deployment(revision.name)
    buildable = context.shape is not None and context.can_build(revision)
    if not buildable and known is None:
        return []
    actions: list[Action] = []
    if context.shape is not None and buildable:
        # A new release of the operator must not restart every model that serves: a revision keeps its agent.
        image = (recorded_agent(known) if known is not None else None) or config.agent.image
        plan = Plan(resource, context.shape.server, config.agent.model_copy(update={"image": image}), config.pods)
        actions.append(Apply(deployment(plan, revision)))
    wanted = wanted_replicas(revision, state, context)
    if autoscaled(resource.spec):
        actions.append(Apply(autoscaler(resource, revision, wanted, config.runtimes)))
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


def _address_actions(state: State, context: Context) -> list[Action]:
    """Return the Service and the disruption budget, which follow the revision that serves."""
    revision = state.addressed
    port = _port_of(revision, context) if revision is not None else None
    if revision is None or port is None:
        return []
    resource = context.observed.resource
    selector = selector_of(resource.metadata.name, revision.hash)
    return [
        Apply(_service(resource, selector, port)),
        Apply(_disruption_budget(resource, selector)),
        *_access_actions(state, context),
    ]


def _access_actions(state: State, context: Context) -> list[Action]:
    """Return the NetworkPolicy, where the spec asks for one: over every revision that there is."""
    resource = context.observed.resource
    access = resource.spec.network_policy
    if access is None:
        return []
    live = (revision for revision in (state.stable, state.kept, state.previous) if revision is not None)
    ports = [port for port in (_port_of(revision, context) for revision in live) if port is not None]
    server = context.shape.server if context.shape is not None else None
    metrics = [server.metrics_port] if server is not None and server.metrics_port is not None else []
    health = [port + 1 for port in ports] if resource.spec.capture is not None else []
    return [Apply(network_policy(resource, access, ports, [*metrics, *health]))]


def _port_of(revision: Revision, context: Context) -> int | None:
    """Return the port that takes a revision's requests; one that the spec no longer describes has it on record."""
    if context.shape is not None and context.can_build(revision):
        return traffic_port(context.observed.resource.spec, context.shape.server)
    known = context.observed.deployment(revision.name)
    return recorded_port(known) if known is not None else None


def _service(resource: ModelDeployment, selector: dict[str, str], port: int) -> Raw:
    options, secure = resource.spec.service, resource.spec.tls is not None
    numbers = {HTTP_PORT: SERVICE_PORT, **({"https": SECURE_PORT} if secure else {})}
    return {
        "apiVersion": SERVICE.api_version,
        "kind": SERVICE.kind,
        "metadata": metadata_of(
            resource, resource.metadata.name, annotations=options.annotations if options is not None else None
        ),
        "spec": {
            "type": "ClusterIP",
            "selector": selector,
            "ports": [
                {"name": name, "port": number, "targetPort": port, "protocol": "TCP"}
                for name, number in numbers.items()
            ],
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


def _deletions(state: State, context: Context) -> list[Action]:
    """Return what belongs to no revision any more; deletions come after the Service has moved."""
    observed = context.observed
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
    policies = [
        Delete(NETWORK_POLICY, meta.namespace, meta.name, meta.uid)
        for meta in observed.policies
        if observed.resource.spec.network_policy is None and meta.deletion_timestamp is None
    ]
    return [*policies, *autoscalers, *deployments]
