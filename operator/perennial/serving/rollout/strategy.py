"""By which strategy a candidate is rolled out, and what stands in the way of a split."""

from datetime import datetime, timedelta
from typing import Literal

from perennial.api.kubernetes import condition
from perennial.api.modeldeployment.revisions import Candidate, Revision
from perennial.core.problem import Problem
from perennial.core.waiting import UNSCHEDULABLE, waiting_problem
from perennial.serving import rollout_reasons as reasons
from perennial.serving.annotations import recorded_revision
from perennial.serving.gates.jobs import has_job_gates
from perennial.serving.rollout.arithmetic import TOLERANCE, enough, reached, split
from perennial.serving.rollout.context import Context, State
from perennial.serving.rollout.deadline import moment

Strategy = Literal["BlueGreen", "Canary", "Recreate", "Shadow"]

_CROWDED = timedelta(minutes=2)
"""How long a pod must find no node before the stable revision is stopped for it: a node may be on its way."""


def strategy_of(state: State, candidate: Candidate, context: Context) -> Strategy:
    """Find the strategy of a rollout; the first revision replaces nothing, and simply starts."""
    if state.stable is None:
        return "BlueGreen"
    progress = state.own_progress
    if progress is not None:
        return progress.strategy
    asked = context.observed.resource.spec.rollout.strategy
    if asked == "Canary":
        # A gateway reaches each revision by its own Service, so that the ports may differ.
        splits = context.routed or context.shared_port(state.stable, candidate) is not None
        return "Canary" if splits else "BlueGreen"
    if asked == "Auto":
        since = crowded_at(candidate, context)
        return "Recreate" if since is not None and context.now >= since else "BlueGreen"
    return asked


def crowded_at(candidate: Revision, context: Context) -> datetime | None:
    """When `Auto` gives up waiting for a node that has room for the candidate; None while its pods have one."""
    since: list[datetime] = []
    for pod in context.observed.pods_of(candidate.hash):
        problem, scheduled = waiting_problem(pod), condition(pod.status.conditions, "PodScheduled")
        if problem is None or problem.reason != UNSCHEDULABLE or scheduled is None:
            continue
        since.append(moment(scheduled.last_transition_time or context.time, context))
    if not since:
        return None
    deadline = timedelta(seconds=context.observed.resource.spec.rollout.progress_deadline_seconds)
    return min(since) + min(_CROWDED, deadline / 2)


def addressed(state: State, context: Context) -> tuple[Revision, ...]:
    """List the revisions that need an address of their own.

    These are both of a canary, both that a Job of a gate asks, and all that a gateway may reach.
    """
    if context.routed:
        return _routed(state, context)
    stable, candidate = state.stable, state.progressing
    if stable is None or candidate is None:
        return ()
    strategy = strategy_of(state, candidate, context)
    asked = strategy == "BlueGreen" and has_job_gates(context.observed.resource.spec.rollout.gates)
    if strategy != "Canary" and not asked:
        return ()
    return (stable,) if state.waiting_for_pods or state.leaving else (stable, candidate)


def _routed(state: State, context: Context) -> tuple[Revision, ...]:
    """List the revisions in the route, and those that come into it: their endpoints must be known before it changes."""
    starting = None if state.waiting_for_pods else state.active_candidate
    known = context.observed.deployment(state.progress.name) if state.leaving and state.progress is not None else None
    leaving = recorded_revision(known, context.time) if known is not None else None
    found = (state.stable, starting, state.previous, leaving)
    return tuple({item.name: item for item in found if item is not None}.values())


def split_problem(state: State, context: Context) -> Problem | None:
    """Find what keeps the requests from being split as spec.rollout.steps asks."""
    stable, candidate = state.stable, state.progressing
    rollout = context.observed.resource.spec.rollout
    if stable is None or candidate is None or rollout.strategy != "Canary":
        return None
    shared = context.shared_port(stable, candidate) is not None
    if state.own_progress is None and not context.routed and not shared:
        return Problem(
            reasons.PORTS_DIFFER,
            f"one Service cannot split the requests between {stable.name} and {candidate.name}: their ports or their "
            "use of TLS differ. The candidate receives all requests once it is ready, as with BlueGreen",
        )
    progress = state.own_progress
    if progress is None or progress.step >= len(rollout.walk):
        return None
    problem = _too_few_pods(rollout.walk[progress.step].weight, state, context)
    if problem is None or not context.routed:
        return problem
    if not shared:
        return None  # the Service selects the stable revision until the promotion
    address = context.observed.resource.metadata.name
    said = f"the gateway gives the weight, but the Service {address} spreads connections by pods: {problem.message}"
    return Problem(problem.reason, said)


def _too_few_pods(weight: int, state: State, context: Context) -> Problem | None:
    """Compare the weight with what the pods give when all are ready."""
    spec = context.observed.resource.spec
    pods = split(spec.replicas.least, weight)
    if spec.replicas.autoscaled:
        numbers = [context.observed.deployment(item.name) for item in (state.progressing, state.stable) if item]
        present = [item.spec.replicas if item is not None else 0 for item in numbers]
        given = reached(*present) if all(present) else weight
        said = f"{present[0]} of {sum(present)}"
    else:
        given, said = pods.weight, f"{pods.candidate} of {pods.candidate + pods.stable}"
    if abs(given - weight) <= TOLERANCE:
        return None
    field = "spec.replicas.min" if not spec.replicas.autoscaled else "spec.replicas"
    return Problem(
        reasons.TOO_FEW_PODS,
        f"step {weight} % cannot be met by the number of pods: {said} give {given} %. {field} of {enough(weight)} or "
        f"more comes within {TOLERANCE} points",
    )
