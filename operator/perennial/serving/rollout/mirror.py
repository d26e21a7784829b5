"""Copies of live requests for a shadow: whether the gateway can make them, and whether it does.

A gateway that does not know the filter RequestMirror answers the requests of the whole rule with an error, and need not
say so in the status of the route. So the filter is set only where the GatewayClass lists the feature, or an
administrator does so in its annotation: some controllers list nothing.
"""

from typing import Any

from perennial.api.modeldeployment.revisions import Progress, Revision
from perennial.core.labels import FEATURES_ANNOTATION
from perennial.core.problem import Problem
from perennial.core.reads import GatewayFeatures, GatewayRead, Poll
from perennial.core.waiting import clean
from perennial.serving import rollout_reasons as reasons
from perennial.serving.rollout.context import Context, State
from perennial.serving.rollout.routing import is_current, route_problem

MIRROR = "HTTPRouteRequestMirror"
PERCENTAGE = "HTTPRouteRequestPercentageMirror"
"""Names of features, from sigs.k8s.io/gateway-api/pkg/features."""
_EVERY = 30.0
_ALL = 100


def mirrored_to(state: State, context: Context) -> Revision | None:
    """Find the revision that is to receive copies: a shadow with a pod that could answer, beside a live stable one."""
    progress, candidate = state.own_progress, state.active_candidate
    if progress is None or progress.strategy != "Shadow" or candidate is None:
        return None
    both = context.health(candidate).available > 0 and context.health(state.stable).available > 0
    return candidate if both else None


def mirror_problem(context: Context) -> Problem | None:
    """Find why no request can be copied; None where the gateway says that it can."""
    broken = route_problem(context)
    if broken is not None:
        return Problem(broken.reason, f"waiting for the gateway: {broken.message}")
    read = _read(context)
    if read is None:
        return _unsupported("spec.route is not set")
    found = context.observed.answer(read)
    if found is None:
        return Problem(reasons.MOVING_TRAFFIC, f"waiting to learn whether Gateway {read.address} can copy requests")
    return _missing(found, read.address, context)


def _missing(found: GatewayFeatures, address: str, context: Context) -> Problem | None:
    if found.problem:
        return _unsupported(clean(found.problem))
    percent = context.observed.resource.spec.rollout.mirroring.percent
    wanted = (MIRROR,) if percent == _ALL else (MIRROR, PERCENTAGE)
    absent = next((name for name in wanted if name not in found.names), None)
    if absent is None:
        return None
    places = f"status.supportedFeatures or its annotation {FEATURES_ANNOTATION}"
    return _unsupported(f"the GatewayClass of Gateway {address} does not list {absent} in {places}")


def _unsupported(why: str) -> Problem:
    said = f"{why}, so no request is copied: use a gateway that can, or rollout.strategy Canary"
    return Problem(reasons.MIRROR_NOT_SUPPORTED, said)


def mirror_reads(state: State, context: Context) -> tuple[Poll[Any], ...]:
    """List what must be read before a shadow begins."""
    asked = context.observed.resource.spec.rollout.strategy == "Shadow" and state.stable is not None
    read = _read(context) if asked and state.progressing is not None and state.own_progress is None else None
    return (read,) if read is not None else ()


def is_mirrored(progress: Progress, context: Context) -> bool:
    """Tell whether the gateway has taken up that the wanted share of the requests is copied."""
    route, wanted = context.observed.route, context.observed.resource.spec.rollout.mirroring.percent
    return is_current(context) and route is not None and route.mirrored(progress.name) == wanted


def refused_mirror(progress: Progress, context: Context) -> Problem | None:
    """Find why the gateway does not serve a route that copies requests; then nobody may be answered."""
    route, broken = context.observed.route, route_problem(context)
    if broken is None or route is None or route.mirrored(progress.name) == 0:
        return None
    return Problem(
        reasons.MIRROR_NOT_SUPPORTED, f"copying was ended for the sake of live requests: {broken.message}", fatal=True
    )


def _read(context: Context) -> GatewayRead | None:
    asked = context.observed.resource.spec.route
    if asked is None:
        return None
    namespace = asked.gateway.namespace or context.observed.resource.metadata.namespace
    return GatewayRead(f"{namespace}/{asked.gateway.name}", _EVERY)
