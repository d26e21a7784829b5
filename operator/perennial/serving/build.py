"""The children of a rollout state: what to apply and what to delete."""

from dataclasses import replace

from perennial.api.contract.settings import OperatorConfig
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.modeldeployment.revisions import Revision, RolloutRecord
from perennial.core.decision import Action, Apply, Create, Delete
from perennial.core.kinds import (
    AUTOSCALER,
    DEPLOYMENT,
    HTTP_ROUTE,
    JOB,
    NETWORK_POLICY,
    SCALED_OBJECT,
    SERVICE,
    Raw,
)
from perennial.core.labels import ROLLOUT_ANNOTATION
from perennial.serving.annotations import recorded_agent, recorded_revision
from perennial.serving.children.autoscaler import autoscaler
from perennial.serving.children.deployment import deployment
from perennial.serving.children.gate_job import gate_job
from perennial.serving.children.metadata import selector_of, split_selector
from perennial.serving.children.network_policy import network_policy
from perennial.serving.children.route import Backend, Copies, http_route
from perennial.serving.children.scaled_object import scaled_object
from perennial.serving.children.server import Plan
from perennial.serving.children.service import Traffic, disruption_budget, revision_service, service
from perennial.serving.gates.jobs import has_job_gates
from perennial.serving.rollout.context import Context, State
from perennial.serving.rollout.gates import missing_jobs, outdated_jobs
from perennial.serving.rollout.mirror import mirrored_to
from perennial.serving.rollout.routing import beside_of, lingering, shares_of
from perennial.serving.rollout.sizes import Size, size_of
from perennial.serving.rollout.strategy import addressed

SCALE_MANAGER = "perennial-scale"
_ALL = 100


def actions_of(state: State, context: Context, config: OperatorConfig) -> tuple[Action, ...]:
    """List all children to apply and delete. The Service only ever selects revisions that are ready.

    Numbers of pods come first: the stable revision has asked for its pods before a failed candidate loses its traffic.
    """
    # Before a rollback the previous revision is scaled up.
    returning = state.previous if state.rolling_back else None
    starting = None if state.waiting_for_pods else state.active_candidate
    live = tuple(revision for revision in (state.stable, starting, returning) if revision is not None)
    applied = [action for revision in live for action in _revision_actions(revision, state, context, config)]
    traffic = _traffic_actions(state, context)
    return (*applied, *traffic, *_gate_actions(state, context, config), *_deletions(state, context))


def _revision_actions(revision: Revision, state: State, context: Context, config: OperatorConfig) -> list[Action]:
    resource = context.observed.resource
    known = context.observed.deployment(revision.name)
    buildable = context.shape is not None and context.can_build(revision)
    if not buildable and known is None:
        return []
    actions: list[Action] = []
    if context.shape is not None and buildable:
        # A new release of the operator must not restart every model: a revision keeps its agent image.
        image = (recorded_agent(known) if known is not None else None) or config.agent.image
        agent = config.agent.model_copy(update={"image": image})
        plan = Plan(resource, context.shape.server, agent, config.pods, context.shape.grpc_port)
        actions.append(Apply(deployment(plan, revision)))
    size = size_of(revision, state, context)
    actions += _scaler_actions(revision, size, context, config)
    if known is None or size.now is not None:
        # The autoscaler owns `replicas` from its first action on; a new Deployment does not wait for it.
        wanted = max(1, size.least) if size.now is None else size.now
        actions.append(Apply(_scale(resource, revision, wanted), manager=SCALE_MANAGER))
    return actions


def _scaler_actions(revision: Revision, size: Size, context: Context, config: OperatorConfig) -> list[Action]:
    """Apply what scales a revision: its ScaledObject or its HorizontalPodAutoscaler, once the other one is gone.

    KEDA refuses to scale what a HorizontalPodAutoscaler scales, and two of them would undo each other's work.
    """
    observed, spec = context.observed, context.observed.resource.spec
    bounds = (size.least, size.most)
    if not spec.replicas.autoscaled:
        return []
    if not spec.triggered:
        taken = any(item.metadata.name == revision.name for item in observed.scaled_objects)
        made = autoscaler(observed.resource, revision, (max(1, size.least), size.most), config.runtimes)
        return [] if taken else [Apply(made)]
    taken = any(item.metadata.name == revision.name for item in observed.autoscalers)
    if taken or not observed.keda:
        return []
    return [Apply(scaled_object(observed.resource, revision, bounds, stopped=size.stopped))]


def _scale(resource: ModelDeployment, revision: Revision, replicas: int) -> Raw:
    return {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.kind,
        "metadata": {"name": revision.name, "namespace": resource.metadata.namespace},
        "spec": {"replicas": replicas},
    }


def _traffic_actions(state: State, context: Context) -> list[Action]:
    """Apply the Services, the disruption budget and the NetworkPolicy of what serves."""
    revision = state.service_target
    traffic = _traffic(state, revision, context) if revision is not None else None
    if traffic is None:
        return []
    resource = context.observed.resource
    return [
        *_address_actions(state, context),
        Apply(service(resource, traffic)),
        Apply(disruption_budget(resource, traffic)),
        *_access_actions(state, context),
        *_route_actions(state, context),
    ]


def _traffic(state: State, revision: Revision, context: Context) -> Traffic | None:
    """Find the pods that take requests: those of one revision, or of two while a canary shares the traffic."""
    record, name = _record(state, context), context.observed.resource.metadata.name
    secure, beside = context.speaks_tls(revision), _beside(state, context)
    shared = context.shared_port(revision, beside) if beside is not None else None
    if beside is not None and shared is not None:
        return Traffic(split_selector(name), shared, secure, context.shared_grpc_port(revision, beside), record)
    port, grpc = context.port_of(revision), context.grpc_port_of(revision)
    return Traffic(selector_of(name, revision.hash), port, secure, grpc, record) if port is not None else None


def _beside(state: State, context: Context) -> Revision | None:
    """Find the revision with which the stable one shares the requests; None while only one takes requests."""
    if state.splitting is None or state.stable is None:
        return None
    if state.active_candidate is not None and not state.leaving:
        return state.active_candidate
    known = context.observed.deployment(state.splitting.name)
    return recorded_revision(known, context.time) if known is not None else None


def _address_actions(state: State, context: Context) -> list[Action]:
    """Apply the Services of single revisions."""
    resource, found = context.observed.resource, addressed(state, context)
    ports = [(revision, context.port_of(revision)) for revision in found]
    direct = has_job_gates(resource.spec.rollout.gates)
    return [
        Apply(
            revision_service(
                resource,
                revision,
                Traffic(selector_of(resource.metadata.name, revision.hash), port, context.speaks_tls(revision)),
                direct=direct,
            )
        )
        for revision, port in ports
        if port is not None
    ]


def _gate_actions(state: State, context: Context, config: OperatorConfig) -> list[Action]:
    """Create the Jobs of gates, behind the Services by which they reach the revisions."""
    candidate, stable = state.progressing, state.stable
    if candidate is None or stable is None:
        return []
    resource = context.observed.resource
    return [
        Create(gate_job(resource, wanted, candidate, stable, config.agent)) for wanted in missing_jobs(state, context)
    ]


def _route_actions(state: State, context: Context) -> list[Action]:
    """Apply the HTTPRoute, after the Services that it names and the record of what was promoted."""
    resource, asked, shares = context.observed.resource, context.observed.resource.spec.route, shares_of(state, context)
    if asked is None or not shares or not context.observed.gateway_api:
        return []
    backends = [Backend(item.revision.name, item.weight, context.speaks_tls(item.revision)) for item in shares]
    beside = beside_of(state, context) if not state.leaving else None
    tested = next((item for item in backends if beside is not None and item.service == beside.name), None)
    marked = replace(tested, weight=_ALL) if tested is not None else None
    every = [*backends, *_idle(backends, state, context)]
    return [Apply(http_route(resource, asked, every, marked, _copies(state, context)))]


def _idle(answering: list[Backend], state: State, context: Context) -> list[Backend]:
    """List the revisions that have an address and receive no requests.

    A gateway may learn of weights and of backends in any order, and one that forgets a backend before it has the new
    weights answers requests with an error. So a backend is in the route before it has a weight, and leaves it after.
    """
    route = context.observed.route
    # One that the route no longer names never comes back, however slowly its pods go.
    known = (route.named if route is not None else frozenset()) & {meta.name for meta in context.observed.services}
    reached = (context.observed.deployment(name) for name in sorted(lingering(context) & known))
    leaving = (recorded_revision(item, context.time) for item in reached if item is not None)
    found = {item.name: item for item in (*leaving, *addressed(state, context)) if item is not None}
    names = {item.service for item in answering}
    others = (item for name, item in found.items() if name not in names and context.port_of(item) is not None)
    return [Backend(item.name, 0, context.speaks_tls(item)) for item in others]


def _copies(state: State, context: Context) -> Copies | None:
    """Find who receives copies of requests."""
    shadow = mirrored_to(state, context)
    if shadow is None:
        return None
    percent = context.observed.resource.spec.rollout.mirroring.percent
    return Copies(Backend(shadow.name, _ALL, context.speaks_tls(shadow)), percent)


def _record(state: State, context: Context) -> dict[str, str]:
    if state.stable is None:
        # A stable revision that is gone for good is no longer what was promoted.
        return {ROLLOUT_ANNOTATION: ""} if context.observed.record is not None else {}
    latest = state.history[0] if state.history else None
    record = RolloutRecord(
        stable=state.stable,
        previous=state.previous,
        failed=state.failed,
        progress=state.progress,
        # A candidate that has failed and is tried again is judged again.
        gates=(state.gate_results or None) if state.progressing is not None else None,
        asked=state.asked,
        generation=state.generation,
        latest=latest,
    )
    return {ROLLOUT_ANNOTATION: record.model_dump_json(by_alias=True, exclude_none=True)}


def _access_actions(state: State, context: Context) -> list[Action]:
    """Apply the NetworkPolicy, if the spec has one, for the ports of all revisions that have pods."""
    resource = context.observed.resource
    access = resource.spec.network_policy
    if access is None:
        return []
    live = [revision for revision in (state.stable, state.active_candidate, state.previous) if revision is not None]
    ports = [port for port in map(context.port_of, live) if port is not None]
    calls = [*ports, *(port for port in map(context.grpc_port_of, live) if port is not None)]
    server = context.shape.server if context.shape is not None else None
    metrics = [server.metrics_port] if server is not None and server.metrics_port is not None else []
    health = [port + 1 for port in ports] if resource.spec.capture is not None else []
    asked = has_job_gates(resource.spec.rollout.gates)
    return [Apply(network_policy(resource, access, calls, [*metrics, *health], gates=asked))]


def _deletions(state: State, context: Context) -> list[Action]:
    """Delete what belongs to no revision any more, after the Service has moved."""
    observed = context.observed
    kept = {
        revision.name for revision in (state.stable, state.active_candidate, state.previous) if revision is not None
    }
    if state.leaving and state.progress is not None:
        kept.add(state.progress.name)
    # A trigger tells the load of the whole model, to which a previous revision would scale in vain.
    past = {state.previous.name} if state.previous is not None and not state.rolling_back else set()
    triggered = kept - past
    reached = lingering(context)
    kept |= reached
    services = {observed.resource.metadata.name, *reached, *(item.name for item in addressed(state, context))}
    spec = observed.resource.spec
    scaled = kept if spec.replicas.autoscaled and not spec.triggered else set()
    woken = triggered if spec.triggered else set()
    deployments = [
        Delete(DEPLOYMENT, item.metadata.namespace, item.metadata.name, item.metadata.uid)
        for item in observed.deployments
        if item.metadata.name not in kept and item.metadata.deletion_timestamp is None
    ]
    autoscalers = [
        Delete(AUTOSCALER, meta.namespace, meta.name, meta.uid)
        for meta in (item.metadata for item in observed.autoscalers)
        if meta.name not in scaled and meta.deletion_timestamp is None
    ]
    scaled_objects = [
        Delete(SCALED_OBJECT, meta.namespace, meta.name, meta.uid)
        for meta in (item.metadata for item in observed.scaled_objects)
        if meta.name not in woken and meta.deletion_timestamp is None
    ]
    addresses = [
        Delete(SERVICE, meta.namespace, meta.name, meta.uid)
        for meta in observed.services
        if meta.name not in services and meta.deletion_timestamp is None
    ]
    policies = [
        Delete(NETWORK_POLICY, meta.namespace, meta.name, meta.uid)
        for meta in observed.policies
        if observed.resource.spec.network_policy is None and meta.deletion_timestamp is None
    ]
    jobs = [Delete(JOB, meta.namespace, meta.name, meta.uid) for meta in outdated_jobs(state, context)]
    routes = [
        Delete(HTTP_ROUTE, item.metadata.namespace, item.metadata.name, item.metadata.uid)
        for item in (observed.route,)
        if item is not None and not context.routed and item.metadata.deletion_timestamp is None
    ]
    return [*routes, *policies, *jobs, *addresses, *autoscalers, *scaled_objects, *deployments]
