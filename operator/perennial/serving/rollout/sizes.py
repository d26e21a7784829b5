"""How many pods each revision needs at this point of a rollout."""

from dataclasses import dataclass

from perennial.api.modeldeployment.revisions import Progress, Revision
from perennial.serving.rollout.arithmetic import following, split
from perennial.serving.rollout.context import Context, State
from perennial.serving.rollout.sleep import may_sleep
from perennial.serving.rollout.strategy import strategy_of


@dataclass(frozen=True)
class Size:
    """Number of pods of a revision."""

    least: int
    most: int
    """Bounds of the autoscaler."""
    now: int | None = None
    """Number to write at once; None leaves it to the autoscaler."""

    @property
    def stopped(self) -> bool:
        """Whether there are to be no pods, whatever the autoscaler finds."""
        return self.now == 0


def size_of(revision: Revision, state: State, context: Context) -> Size:
    """Return how many pods a revision needs."""
    stable = state.stable
    if stable is not None and revision.hash == stable.hash:
        return _stable(stable, state, context)
    replicas = context.observed.resource.spec.replicas
    progress = state.own_progress
    candidate = state.active_candidate
    if stable is not None and candidate is not None and candidate.hash == revision.hash:
        canary = strategy_of(state, candidate, context) == "Canary"
        index = progress.step if progress is not None else 0
        if canary and index < len(context.observed.resource.spec.rollout.walk):
            number = _share(stable, index, progress, context)
            return Size(number, number, number)
    full = total_of(progress, state, context)
    if not replicas.autoscaled:
        return Size(full, full, full)
    known = context.observed.deployment(revision.name)
    if known is None:
        return Size(full, replicas.most)
    # The autoscaler would need seconds to follow a canary that goes to full size, and leaves one without pods alone.
    urgent = progress is not None or known.spec.replicas == 0
    return Size(full, replicas.most, max(full, known.spec.replicas) if urgent else None)


def total_of(progress: Progress | None, state: State, context: Context) -> int:
    """Pods that the whole load needs.

    A candidate takes over the whole load at once, so it starts with as many pods as the stable revision has, or had
    before the rollout scaled it down.
    """
    replicas = context.observed.resource.spec.replicas
    serving = context.observed.deployment(state.stable.name) if state.stable else None
    if serving is None:
        return replicas.least
    return replicas.within(max(progress.total if progress is not None else 0, serving.spec.replicas))


def carried(stable: Revision | None, progress: Progress, context: Context) -> int:
    """Pods that a load needs which both revisions share now: an autoscaler may have added some since it began."""
    replicas = context.observed.resource.spec.replicas
    if not replicas.autoscaled or progress.strategy != "Canary":
        return progress.total
    names = (progress.name, *((stable.name,) if stable is not None else ()))
    found = (context.observed.deployment(name) for name in names)
    return replicas.within(max(progress.total, sum(item.spec.replicas for item in found if item is not None)))


def _share(stable: Revision, index: int, progress: Progress | None, context: Context) -> int:
    """Pods of a canary at one of its steps.

    With an autoscaler, that of the stable revision follows the load of its pods, and the candidate follows the number
    of them: all pods receive the same load.
    """
    replicas = context.observed.resource.spec.replicas
    weight = context.observed.resource.spec.rollout.walk[index].weight
    if not replicas.autoscaled:
        return split(replicas.least, weight).candidate
    serving = context.observed.deployment(stable.name)
    beside = (
        serving.spec.replicas if serving is not None else progress.total if progress is not None else replicas.least
    )
    return following(beside, weight, replicas.most)


def _stable(stable: Revision, state: State, context: Context) -> Size:
    replicas = context.observed.resource.spec.replicas
    known = context.observed.deployment(stable.name)
    progress = state.progress if state.leaving else state.own_progress
    if progress is None or state.leaving:
        before = progress.total if progress is not None else state.restore
        if before is None and may_sleep(state, context):
            return Size(0, replicas.most)
        return _whole(before, known.spec.replicas if known is not None else 0, context)
    if progress.strategy == "Recreate":
        return Size(replicas.least, replicas.most, 0)
    if not context.is_split(progress):
        return _whole(None, known.spec.replicas if known is not None else 0, context)
    return _beside_canary(stable, progress, context)


def _whole(before: int | None, present: int, context: Context) -> Size:
    """Size of a revision that serves alone, or is to: as many pods as before the rollout, if one ends now."""
    replicas = context.observed.resource.spec.replicas
    if not replicas.autoscaled:
        return Size(replicas.least, replicas.least, replicas.least)
    if before is not None:
        wanted = max(replicas.within(before), present)
        return Size(replicas.least, replicas.most, wanted)
    # An autoscaler leaves a Deployment without pods alone.
    return Size(replicas.least, replicas.most, replicas.least if present == 0 else None)


def _beside_canary(stable: Revision, progress: Progress, context: Context) -> Size:
    """Size of the stable revision: what the candidate has, it need not have; it shrinks only as the candidate grows."""
    spec = context.observed.resource.spec
    candidate = context.observed.deployment(progress.name)
    available = candidate.status.available_replicas if candidate is not None else 0
    last = len(spec.rollout.walk) - 1
    if not spec.replicas.autoscaled:
        wanted = split(spec.replicas.least, spec.rollout.walk[min(progress.step, last)].weight).stable
        number = max(wanted, spec.replicas.least - available)
        return Size(number, number, number)
    if progress.step > last:
        return Size(1, spec.replicas.most)
    beside = _share(stable, progress.step, progress, context)
    most = max(1, spec.replicas.most - beside) if available >= beside else spec.replicas.most
    return Size(min(most, max(1, spec.replicas.least - available)), most)
