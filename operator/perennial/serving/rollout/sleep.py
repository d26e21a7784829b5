"""When the stable revision may have no pods, and how a rollout wakes it."""

from dataclasses import replace

from perennial.api.modeldeployment.revisions import Candidate
from perennial.serving import rollout_reasons as reasons
from perennial.serving.rollout.context import Context, State
from perennial.serving.rollout.deadline import deadline_of


def may_sleep(state: State, context: Context) -> bool:
    """Tell whether KEDA may remove the last pod of the stable revision: not while a rollout needs its answers."""
    spec = context.observed.resource.spec
    if spec.replicas.min > 0 or not spec.triggered or not context.observed.keda:
        return False
    moving = state.progress is not None or state.rolling_back or state.waiting_for_pods
    return not moving and (state.progressing is None or not _is_compared(context))


def waits_for_stable(state: State, context: Context) -> bool:
    """Tell whether a candidate waits for the stable revision, which slept when the rollout began.

    Without its pods nothing could be compared, and the candidate would take all requests unproven. One that has a
    problem, or does not wake within rollout.progressDeadlineSeconds, is not waited for.
    """
    spec, stable = context.observed.resource.spec, state.stable
    if stable is None or spec.replicas.min > 0 or state.progress is not None or not _is_compared(context):
        return False
    known, health = context.observed.deployment(stable.name), context.health(stable)
    waking = known is not None and health.available == 0 and health.problem is None
    return waking and context.now < deadline_of(stable, context)


def wait_for_stable(state: State, candidate: Candidate, context: Context) -> State:
    """Tell that a ready candidate waits for the stable revision to wake."""
    name = state.stable.name if state.stable is not None else "the stable revision"
    said = f"ready, and waits for {name} to wake, with which it is compared"
    waiting = candidate.model_copy(
        update={"reason": reasons.WAITING_FOR_STABLE, "message": said, "ready_since": None, "gates": None}
    )
    wake = deadline_of(state.stable, context) if state.stable is not None else None
    return replace(state, candidate=waiting, wake=wake)


def _is_compared(context: Context) -> bool:
    """Tell whether rollouts need the stable revision: for its share of the requests, its copies, or a gate."""
    rollout = context.observed.resource.spec.rollout
    return rollout.strategy in ("Canary", "Shadow") or bool(rollout.gates)
