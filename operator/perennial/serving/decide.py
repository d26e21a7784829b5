"""Decides about a ModelDeployment: a pure function from the observed state to status, actions and Events."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from perennial.api.contract.settings import OperatorConfig
from perennial.api.keda import ScaledObject
from perennial.api.kubernetes import HorizontalPodAutoscaler
from perennial.api.modeldeployment.resource import ModelDeployment, ModelDeploymentStatus
from perennial.api.modeldeployment.revisions import Revision
from perennial.core.conditions import READY, RECONCILING, STALLED, Wanted, find, settle
from perennial.core.decision import Decision, EventNote
from perennial.core.problem import Problem
from perennial.core.times import format_time
from perennial.serving import reasons
from perennial.serving.annotations import HTTPS
from perennial.serving.build import actions_of
from perennial.serving.children.autoscaler import scaling_problems, without_metrics
from perennial.serving.children.metadata import selector_text_of
from perennial.serving.children.scaled_object import keda_problem
from perennial.serving.conditions import ConditionInputs, conditions_of, metrics_deadline, scaling_deadline
from perennial.serving.observe import Observed
from perennial.serving.restrictions import refused_annotations, refused_pods, without_refused
from perennial.serving.revision import Shape, find_model, revision_of, shape_of, with_preset
from perennial.serving.rollout.context import Context, State
from perennial.serving.rollout.deadline import deadline_of, previous_expiry
from perennial.serving.rollout.gates import gate_reads
from perennial.serving.rollout.mirror import mirror_reads
from perennial.serving.rollout.routing import route_problem
from perennial.serving.rollout.steps import next_state
from perennial.serving.rollout.strategy import split_problem


def decide(observed: Observed, config: OperatorConfig, now: datetime) -> Decision:
    """Decide one step toward the spec."""
    context = _context(observed, config, now)
    state = next_state(context)
    spec = context.observed.resource.spec
    inputs = ConditionInputs(
        state,
        context,
        context.health(state.stable),
        scaling_problems(spec, config.runtimes),
        split_problem(state, context),
        keda_problem(spec, _scaled_object(observed, state), served=observed.keda),
        without_metrics(_scaler(observed, state)),
    )
    wanted = conditions_of(inputs)
    return Decision(
        status=_status(inputs, wanted, config).dump(),
        actions=actions_of(state, context, config),
        events=(*state.events, *_stop_event(observed.resource, wanted, state)),
        requeue_after=_requeue_after(inputs, wanted),
        reads=(*gate_reads(state, context), *mirror_reads(state, context)),
    )


def _scaler(observed: Observed, state: State) -> HorizontalPodAutoscaler | None:
    name = state.stable.name if state.stable is not None else None
    return next((item for item in observed.autoscalers if item.metadata.name == name), None)


def _scaled_object(observed: Observed, state: State) -> ScaledObject | None:
    name = state.stable.name if state.stable is not None else None
    return next((item for item in observed.scaled_objects if item.metadata.name == name), None)


def _context(observed: Observed, config: OperatorConfig, now: datetime) -> Context:
    asked = observed.resource.spec
    refused = refused_annotations(asked, config.allowed_annotations) or refused_pods(asked, config.pods)
    resource = without_refused(with_preset(observed.resource, config.runtimes), config.allowed_annotations)
    observed = replace(observed, resource=resource)
    shape, version = refused or shape_of(resource.spec, config), find_model(observed)
    problem = next((item for item in (shape, version) if isinstance(item, Problem)), None)
    target: Revision | None = None
    if isinstance(shape, Shape) and not isinstance(version, Problem):
        target = revision_of(resource.metadata.name, version, shape, format_time(now))
    return Context(
        observed,
        shape if isinstance(shape, Shape) else None,
        target,
        problem,
        now,
        has_prometheus=bool(config.prometheus.url),
    )


def _status(inputs: ConditionInputs, wanted: tuple[Wanted, ...], config: OperatorConfig) -> ModelDeploymentStatus:
    resource, state, health, beside = inputs.resource, inputs.state, inputs.health, inputs.beside
    meta = resource.metadata
    return ModelDeploymentStatus(
        observed_generation=meta.generation,
        conditions=settle(resource.status.conditions, wanted, meta.generation, inputs.context.now),
        phase=_phase(inputs),
        url=_url(inputs, config.cluster_domain),
        replicas=health.replicas + beside.replicas,
        ready_replicas=health.ready + beside.ready,
        selector=_selector(inputs),
        stable=state.stable,
        candidate=state.candidate,
        previous=state.previous,
        history=state.history,
    )


def _selector(inputs: ConditionInputs) -> str | None:
    stable = inputs.state.stable
    if stable is None:
        return None
    return selector_text_of(inputs.resource.metadata.name, None if inputs.state.splitting is not None else stable.hash)


def _phase(inputs: ConditionInputs) -> str:
    state = inputs.state
    if state.progressing is not None:
        return "Progressing"
    if inputs.as_wanted:
        return "Stable"
    if inputs.waking:
        return "Pending"
    return "Failed" if state.failed is not None or state.stable is not None else "Pending"


def _url(inputs: ConditionInputs, domain: str) -> str | None:
    """Address of what serves: https only once the serving revision terminates TLS.

    With a route it is that of the first host name without a wildcard, as soon as the gateway has accepted it.
    """
    outside = _routed_url(inputs)
    if outside is not None:
        return outside
    revision, meta = inputs.state.service_target, inputs.resource.metadata
    if revision is None:
        return None
    host = f"{meta.name}.{meta.namespace}.svc"
    scheme = HTTPS if inputs.context.speaks_tls(revision) else "http"
    return f"{scheme}://{host}.{domain}" if domain else f"{scheme}://{host}"


def _routed_url(inputs: ConditionInputs) -> str | None:
    asked = inputs.resource.spec.route
    if asked is None or route_problem(inputs.context) is not None:
        return None
    host = next((item for item in asked.hostnames or () if not item.startswith("*.")), None)
    return f"{asked.scheme}://{host}{asked.path.rstrip('/')}" if host is not None else None


def _stop_event(resource: ModelDeployment, wanted: Iterable[Wanted], state: State) -> tuple[EventNote, ...]:
    """Build an Event when the resource stalls for a new reason; failed rollouts have Events of their own."""
    stops = (item for item in wanted if item.type == STALLED or (item.type == READY and item.status == "False"))
    stop = max(stops, key=lambda item: item.type == STALLED, default=None)
    if stop is None or state.failed is not None or stop.reason in reasons.QUIET:
        return ()
    before = find(resource.status.conditions, stop.type)
    known = before is not None and before.reason == stop.reason
    return () if known else (EventNote("Warning", stop.reason, stop.message),)


def _requeue_after(inputs: ConditionInputs, wanted: tuple[Wanted, ...]) -> float | None:
    """Seconds until the passing of time changes the decision."""
    state, context = inputs.state, inputs.context
    moments = []
    if state.progressing is not None and state.progressing.ready_since is None:  # else it waits for gates or a user
        moments.append((deadline_of(state.progressing, context) - context.now).total_seconds())
    if state.wake is not None:
        moments.append((state.wake - context.now).total_seconds())
    if state.previous is not None:
        moments.append((previous_expiry(state.previous, context) - context.now).total_seconds())
    if any(item.type == RECONCILING and item.reason == reasons.SCALING_UP for item in wanted):
        moments.append(scaling_deadline(inputs) or 0.0)
    if (metrics := metrics_deadline(inputs)) is not None and metrics > 0:
        moments.append(metrics)
    return max(0.0, min(moments)) if moments else None
