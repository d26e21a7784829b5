"""How a gateway divides the requests between two revisions, and whether it has taken up what the route says."""

from dataclasses import dataclass

from perennial.api.gateway import ParentStatus
from perennial.api.kubernetes import condition
from perennial.api.modeldeployment.revisions import Progress, Revision
from perennial.core.problem import Problem
from perennial.core.waiting import clean
from perennial.serving import rollout_reasons as reasons
from perennial.serving.annotations import recorded_revision
from perennial.serving.rollout.context import Context, State
from perennial.serving.rollout.sizes import size_of

_ALL = 100
_WANTED = ("Accepted", "ResolvedRefs")


@dataclass(frozen=True)
class Share:
    """Percentage of the requests that a revision receives."""

    revision: Revision
    weight: int


def shares_of(state: State, context: Context) -> tuple[Share, ...]:
    """Divide the requests between the revision that serves and that of a canary; empty before anything serves."""
    target = state.service_target
    if target is None:
        return ()
    beside = beside_of(state, context)
    weight = _weight(beside, state, context) if beside is not None else 0
    both = (Share(target, _ALL - weight), *((Share(beside, weight),) if beside is not None else ()))
    return tuple(share for share in both if share.weight > 0)


def beside_of(state: State, context: Context) -> Revision | None:
    """Find the revision that shares the requests with the stable one."""
    progress = state.splitting
    if progress is None or state.stable is None:
        return None
    if not state.leaving:
        return state.active_candidate
    known = context.observed.deployment(progress.name)
    return recorded_revision(known, context.time) if known is not None else None


def _weight(beside: Revision, state: State, context: Context) -> int:
    """Weight that the pods of the candidate can carry: that of its step only once they are ready."""
    progress, live = state.splitting, context.routed_weight(beside.name)
    health = context.health(beside)
    if progress is None or health.available == 0:
        return 0
    if context.health(state.stable).available == 0:
        return _ALL
    wanted = wanted_weight(progress, context)
    if state.leaving:
        return min(live, wanted)
    if progress.since is not None or health.reaches(size_of(beside, state, context).least):
        return wanted
    before = wanted_weight(progress.model_copy(update={"step": progress.step - 1}), context) if progress.step else 0
    return max(before, min(live, wanted))


def wanted_weight(progress: Progress, context: Context) -> int:
    """Weight of a step; after the last one it stays until the candidate is promoted."""
    steps = context.observed.resource.spec.rollout.walk
    return steps[min(progress.step, len(steps) - 1)].weight


def route_problem(context: Context) -> Problem | None:
    """Find why the gateway does not serve the route; None where it does, or where there is no spec.route.

    A change that the gateway has not seen yet is no problem.
    """
    asked = context.observed.resource.spec.route
    if asked is None:
        return None
    if not context.observed.gateway_api:
        return Problem(
            reasons.GATEWAY_API_MISSING,
            "the cluster has no HTTPRoute of gateway.networking.k8s.io/v1, so spec.route has no effect: install the "
            "Gateway API and a gateway, or remove spec.route",
        )
    gateway = f"Gateway {asked.gateway.namespace or context.observed.resource.metadata.namespace}/{asked.gateway.name}"
    parent = _parent(context)
    accepted = condition(parent.conditions, "Accepted") if parent is not None else None
    if parent is None or accepted is None:
        return Problem(
            reasons.ROUTE_NOT_ACCEPTED,
            f"{gateway} has not answered to HTTPRoute {context.observed.resource.metadata.name}: check that it exists, "
            "that its listener allows routes from this namespace, and that its controller runs",
        )
    found = (condition(parent.conditions, kind) for kind in _WANTED)
    refused = next((item for item in found if item is not None and item.status != "True"), None)
    if refused is None:
        return None
    why = clean(f"{refused.reason}: {refused.message}")
    return Problem(reasons.ROUTE_NOT_ACCEPTED, f"{gateway} does not serve the route, {refused.type} is false: {why}")


def is_current(context: Context) -> bool:
    """Tell whether the gateway serves the route as it is now, and not an earlier generation of it."""
    route, parent = context.observed.route, _parent(context)
    if route is None or parent is None or route_problem(context) is not None:
        return False
    found = [condition(parent.conditions, kind) for kind in _WANTED]
    return all(item is None or item.observed_generation == route.metadata.generation for item in found)


def lingering(context: Context) -> frozenset[str]:
    """Names of Deployments that the gateway may still send requests to; their pods are not deleted before it stops.

    A gateway that has never taken up the route is not waited for.
    """
    route, parent = context.observed.route, _parent(context)
    if route is None or parent is None or route.metadata.deletion_timestamp is not None:
        return frozenset()
    names = frozenset(item.metadata.name for item in context.observed.deployments)
    accepted = condition(parent.conditions, "Accepted")
    if accepted is None or accepted.status != "True":
        return frozenset()
    return names if accepted.observed_generation < route.metadata.generation else names & route.backends


def _parent(context: Context) -> ParentStatus | None:
    """Find what the gateway of spec.route says; a route can have the status of other gateways as well."""
    asked, route = context.observed.resource.spec.route, context.observed.route
    if asked is None or route is None:
        return None
    own = route.metadata.namespace
    wanted = (asked.gateway.name, asked.gateway.namespace or own, asked.gateway.section_name)
    refs = ((item.parent_ref, item) for item in route.status.parents)
    return next((item for ref, item in refs if (ref.name, ref.namespace or own, ref.section_name) == wanted), None)
