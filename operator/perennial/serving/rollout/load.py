"""Finds the roles of the revisions from what the children record.

The Service records which revision was promoted and how far a rollout is. Of status only the history and the words about
a candidate are read, so that nobody promotes a revision by editing it.
"""

from collections.abc import Set
from dataclasses import replace

from perennial.api.modeldeployment.revisions import Candidate, HistoryEntry, Revision, RolloutRecord
from perennial.serving import rollout_reasons as reasons
from perennial.serving.annotations import recorded_revision
from perennial.serving.rollout.context import HISTORY_LIMIT, Context, State
from perennial.serving.rollout.outcome import promotion_note


def load(state: State, context: Context) -> State:
    """Find the roles of the revisions. Only what the children record decides; status adds the history.

    A status that somebody edits or empties thus neither promotes a revision nor loses the one that serves.
    """
    status, record = context.observed.resource.status, context.observed.record
    stable = record.stable if record is not None and _can_serve(record.stable, context) else _selected_revision(context)
    if record is None or record.stable != stable:
        return replace(state, stable=stable, candidate=_known_candidate(None, stable, context), history=status.history)
    loaded = replace(
        state,
        stable=stable,
        candidate=_known_candidate(record, stable, context),
        previous=record.previous,
        history=status.history,
        progress=record.progress,
        gate_results=record.gates or (),
        asked=record.asked,
        generation=record.generation,
    )
    return _with_latest(loaded, record.latest)


def _with_latest(state: State, latest: HistoryEntry | None) -> State:
    """Add the newest entry of the history where the write of the status was lost after the Service had moved."""
    if latest is None or latest in state.history:
        return state
    stable = state.stable
    promoted = stable is not None and latest.result == "Promoted" and latest.name == stable.name
    notes = (promotion_note(stable, latest.approval),) if promoted and stable is not None else ()
    return replace(state, history=(latest, *state.history)[:HISTORY_LIMIT], events=(*state.events, *notes))


def _can_serve(stable: Revision, context: Context) -> bool:
    """Tell whether the stable revision exists or can be built again."""
    if context.shape is None:
        return True  # the spec is invalid: keep what serves
    return context.can_build(stable) or context.observed.deployment(stable.name) is not None


def _selected_revision(context: Context) -> Revision | None:
    """Find another revision that answers behind the Service, where nothing valid is recorded."""
    selected, candidate = context.observed.selected, context.target or context.observed.resource.status.candidate
    if candidate is not None and candidate.hash == selected:
        return None  # before the first promotion the Service selects the candidate
    hashes = {candidate.hash} if candidate is not None else set()
    recorded = (recorded_revision(item, context.time) for item in context.observed.deployments)
    found = [item for item in recorded if item is not None and context.health(item).available > 0]
    if context.observed.split:  # it selects two revisions, and the wanted one is not promoted yet
        found = sorted(found, key=lambda item: -context.health(item).available)
        return next((item for item in found if item.hash not in hashes), None)
    return next((item for item in found if item.hash == selected), None)


def _known_candidate(record: RolloutRecord | None, stable: Revision | None, context: Context) -> Candidate | None:
    """Find the candidate of the last step: the recorded failure, or the revision whose Deployment has no other role."""
    if record is not None and record.failed is not None:
        return record.failed
    previous = record.previous if record is not None else None
    taken = {revision.hash for revision in (stable, previous) if revision is not None}
    known, target = context.observed.resource.status.candidate, context.target
    if known is not None and known.hash in taken:
        known = None
    if known is not None and target is not None and known.hash == target.hash:
        return _confirmed(known, target, stable, context)
    origin = _unassigned(taken, (known, target), context)
    if origin is None:
        return None
    if known is None or known.hash != origin.hash:
        return Candidate(**origin.model_dump(), phase="Progressing")
    return _confirmed(known, origin, stable, context)


def _unassigned(taken: Set[str], expected: tuple[Revision | None, ...], context: Context) -> Revision | None:
    """Find an expected revision by its Deployment, if it has no role yet.

    Any other Deployment without a role is left from a rollout that has ended, such as that of a previous revision whose
    deletion was interrupted. Only while the wanted revision is unknown may it be the candidate.
    """
    deployments = (item for item in context.observed.deployments if item.metadata.deletion_timestamp is None)
    found = (recorded_revision(item, item.metadata.creation_timestamp or context.time) for item in deployments)
    free = {item.hash: item for item in found if item is not None and item.hash not in taken}
    named = (free[revision.hash] for revision in expected if revision is not None and revision.hash in free)
    return next(named, next(iter(free.values()), None) if context.target is None else None)


def _confirmed(known: Candidate, origin: Revision, stable: Revision | None, context: Context) -> Candidate:
    """Take the progress of a candidate from status, and what it is from its origin."""
    # What is to be approved is told anew by each decision that asks for it.
    confirmed = known.model_copy(update=origin.model_dump(exclude={"since"}) | {"gates_digest": None})
    # Beside a stable revision a failure is recorded with it. The Deployment of an unrecoverable one is deleted.
    deployed = context.observed.deployment(origin.name) is not None
    if known.phase == "Failed" and (stable is not None or (deployed and known.reason in reasons.UNRECOVERABLE)):
        return confirmed.model_copy(update={"phase": "Progressing", "reason": None, "message": None})
    return confirmed
