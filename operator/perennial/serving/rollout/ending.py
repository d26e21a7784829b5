"""What follows when a rollout ends before its candidate is promoted: the stable revision takes everything again."""

from dataclasses import replace

from perennial.api.modeldeployment.revisions import Progress
from perennial.serving.rollout.context import Context, State

_OVERLOAD = 2
"""By how much the load of the stable revision's pods may grow at once when the candidate loses its share."""


def end_progress(state: State, context: Context) -> State:
    """Give up the progress of a candidate that has failed, is no longer wanted, or serves.

    The traffic goes back to the stable revision at once, while its missing pods start. Only if its present pods would
    get more than double their load, they are waited for first; the candidate's pods answer so long.
    """
    progress = state.progress
    if progress is not None and progress.strategy == "Shadow":
        return _end_shadow(state, context)
    if progress is None or state.own_progress is not None:
        return state
    if state.stable is None or progress.hash == state.stable.hash:
        return replace(state, progress=None)
    if progress.strategy == "Canary" and context.is_split(progress) and not _can_carry(state, progress, context):
        return replace(state, leaving=True)
    ended = replace(state, progress=None, leaving=False, restore=progress.total)
    # Pods of a newer candidate would take requests as long as the Service selects all revisions.
    return replace(ended, waiting_for_pods=True, wake=context.now) if context.observed.split else ended


def _end_shadow(state: State, context: Context) -> State:
    """End the copies with their candidate, and when the spec asks for another strategy; no request is affected."""
    wanted = context.routed and context.observed.resource.spec.rollout.strategy == "Shadow"
    return state if wanted and state.own_progress is not None else replace(state, progress=None)


def _can_carry(state: State, progress: Progress, context: Context) -> bool:
    health, replicas = context.health(state.stable), context.observed.resource.spec.replicas
    beside = context.observed.deployment(progress.name)
    if beside is None or beside.status.available_replicas == 0 or health.problem is not None:
        return True  # there is nothing to wait for
    return health.available * _OVERLOAD >= (progress.total if replicas.autoscaled else replicas.least)
