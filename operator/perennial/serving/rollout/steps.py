"""The rollout of a revision: candidate, then stable or failed, then previous, then deleted. Pure, one step at a time.

The state is read from the children: the Service records which revision was promoted. Of status only the history and
the progress of a candidate are read, so that nobody promotes a revision by editing it. The wanted revision is compared
by hash with the stable revision and the candidate. If it differs it becomes the candidate, and only a candidate whose
pods are ready is promoted to stable.
"""

from collections.abc import Callable, Set
from dataclasses import replace
from datetime import datetime, timedelta
from functools import reduce

from perennial.api.kubernetes import condition
from perennial.api.modeldeployment.rollout import Approval, Candidate, HistoryEntry, Revision, RolloutRecord
from perennial.core.conditions import shorten
from perennial.core.decision import EventNote
from perennial.core.labels import ABORT_ANNOTATION
from perennial.core.problem import Problem
from perennial.core.times import parse_duration, parse_time
from perennial.serving import reasons
from perennial.serving.annotations import recorded_revision
from perennial.serving.health import Health
from perennial.serving.revision import model_title
from perennial.serving.rollout.approval import approval_of, controls_of, hold_promotion, roll_back
from perennial.serving.rollout.context import HISTORY_LIMIT, Context, State, history_entry

_ABORTED = Problem(reasons.ABORTED, f"aborted by the annotation {ABORT_ANNOTATION}", fatal=True)


def next_state(context: Context) -> State:
    """Take one step of the rollout."""
    steps: tuple[Callable[[State, Context], State], ...] = (
        _load,
        roll_back,
        _select_candidate,
        _evaluate,
        _remove_previous,
    )
    return reduce(lambda state, step: step(state, context), steps, State())


def _load(state: State, context: Context) -> State:
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
    )
    return _with_latest(loaded, record.latest)


def _with_latest(state: State, latest: HistoryEntry | None) -> State:
    """Add the newest entry of the history where the write of the status was lost after the Service had moved."""
    if latest is None or latest in state.history:
        return state
    stable = state.stable
    promoted = stable is not None and latest.result == "Promoted" and latest.name == stable.name
    notes = (_promotion_note(stable, latest.approval),) if promoted and stable is not None else ()
    return replace(state, history=(latest, *state.history)[:HISTORY_LIMIT], events=(*state.events, *notes))


def _can_serve(stable: Revision, context: Context) -> bool:
    """Tell whether the stable revision exists or can be built again."""
    if context.shape is None:
        return True  # the spec is invalid: keep what serves
    return context.can_build(stable) or context.observed.deployment(stable.name) is not None


def _selected_revision(context: Context) -> Revision | None:
    """Find another revision that answers behind the Service, where nothing valid is recorded."""
    selected, candidate = context.observed.selected, context.target or context.observed.resource.status.candidate
    if selected is None or (candidate is not None and candidate.hash == selected):
        return None  # before the first promotion the Service selects the candidate
    found = (recorded_revision(item, context.time) for item in context.observed.deployments)
    return next(
        (item for item in found if item is not None and item.hash == selected and context.health(item).available > 0),
        None,
    )


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
    confirmed = known.model_copy(update=origin.model_dump(exclude={"since"}))
    # Beside a stable revision a failure is recorded with it. The Deployment of an unrecoverable one is deleted.
    deployed = context.observed.deployment(origin.name) is not None
    if known.phase == "Failed" and (stable is not None or (deployed and known.reason in reasons.UNRECOVERABLE)):
        return confirmed.model_copy(update={"phase": "Progressing", "reason": None, "message": None})
    return confirmed


def _select_candidate(state: State, context: Context) -> State:
    """Make the wanted revision the candidate; unchanged while the wanted revision is unknown."""
    target = context.target
    if target is None:
        return state
    if state.stable is not None and target.hash == state.stable.hash:
        return _drop_candidate(state, context)
    if state.candidate is not None and target.hash == state.candidate.hash and not _is_retried(state, target, context):
        return state
    cleared = _drop_candidate(state, context)
    candidate = Candidate(**target.model_dump(), phase="Progressing")
    again = " again" if state.failed is not None and state.failed.hash == target.hash else ""
    note = EventNote("Normal", "RolloutStarted", f"{candidate.name} starts{again} with {model_title(candidate)}")
    previous = None if cleared.previous and cleared.previous.hash == candidate.hash else cleared.previous
    return replace(cleared, candidate=candidate, previous=previous, events=(*cleared.events, note))


def _is_retried(state: State, target: Revision, context: Context) -> bool:
    """Tell whether a failed revision is wanted again: by annotation, or by a new run that made the same model."""
    failed, controls = state.failed, controls_of(context.observed.resource)
    if failed is None or controls.aborts(failed):
        return False
    asked = controls.retries(failed)
    return (asked is not None and asked != failed.retry) or (target.run is not None and target.run != failed.run)


def _drop_candidate(state: State, context: Context) -> State:
    dropped = state.progressing
    history = history_entry(dropped, "Superseded", None, context) + state.history if dropped else state.history
    return replace(state, candidate=None, history=history[:HISTORY_LIMIT])


def _evaluate(state: State, context: Context) -> State:
    """Promote a candidate that is ready; fail one that cannot become ready."""
    candidate = state.candidate
    if candidate is None or (state.failed and not state.active_candidate):
        return state
    health = context.health(candidate)
    if not state.failed and controls_of(context.observed.resource).aborts(candidate):
        health = replace(health, available=0, problem=_ABORTED)
    if health.reaches(wanted_replicas(candidate, state, context)) or _better_than_nothing(health, state, context):
        held = hold_promotion(state, candidate, context)
        return _promote(state, candidate, context) if held is None else replace(state, candidate=held)
    if state.failed:
        return state
    problem = health.problem
    if problem is not None and problem.fatal:
        return _fail(state, candidate, problem, context)
    if context.now >= deadline_of(candidate, context):
        return _fail(state, candidate, _deadline_exceeded(health, context), context)
    waiting = candidate.model_copy(
        update={
            "reason": problem.reason if problem else None,
            "message": problem.message if problem else None,
            "ready_since": None,
        }
    )
    return replace(state, candidate=waiting)


def wanted_replicas(revision: Revision, state: State, context: Context) -> int:
    """Minimum number of pods of a revision.

    A candidate takes over the whole load at once, so it starts with as many pods as the stable revision has.
    """
    replicas = context.observed.resource.spec.replicas
    serving = context.observed.deployment(state.stable.name) if state.stable else None
    if serving is None or (state.stable and revision.hash == state.stable.hash):
        return replicas.min
    return max(replicas.min, min(replicas.most, serving.spec.replicas))


def _better_than_nothing(health: Health, state: State, context: Context) -> bool:
    """Tell whether the candidate has a ready pod while the stable revision has none."""
    if state.stable is None or context.health(state.stable).available > 0:
        return False
    return health.current and health.updated > 0 and health.available > 0


def deadline_of(candidate: Candidate, context: Context) -> datetime:
    """Time by which a candidate must be ready: counted from its creation, or since it last lost its ready pods."""
    seconds = context.observed.resource.spec.rollout.progress_deadline_seconds
    deployment = context.observed.deployment(candidate.name)
    if deployment is None:
        return context.now + timedelta(seconds=seconds)
    available = condition(deployment.status.conditions, "Available")
    if available is not None and available.status == "True":
        return context.now + timedelta(seconds=seconds)  # all its pods are ready, and more are wanted since
    lost = available.last_transition_time if available is not None else None
    moments = (deployment.metadata.creation_timestamp or candidate.since, lost)
    return max(_moment(text, context) for text in moments if text) + timedelta(seconds=seconds)


def _deadline_exceeded(health: Health, context: Context) -> Problem:
    seconds = context.observed.resource.spec.rollout.progress_deadline_seconds
    if health.problem is not None:
        known = health.problem
        return replace(known, message=f"not ready within {seconds} s: {known.message}")
    return Problem(
        reasons.PROGRESS_DEADLINE_EXCEEDED,
        f"not ready within {seconds} s: {health.slow}. Correct it, or raise spec.rollout.progressDeadlineSeconds",
    )


def _promote(state: State, candidate: Candidate, context: Context) -> State:
    stable = Revision.model_validate(candidate.model_dump() | {"since": context.time})
    previous = state.stable.model_copy(update={"since": context.time}) if state.stable else None
    approval = approval_of(state, candidate, context)
    note = _promotion_note(stable, approval)
    return State(
        stable=stable,
        candidate=None,
        previous=previous,
        history=(history_entry(stable, "Promoted", None, context, approval) + state.history)[:HISTORY_LIMIT],
        events=(*state.events, note),
    )


def _promotion_note(stable: Revision, approval: Approval | None) -> EventNote:
    said = f", approved by {approval.by}" if approval else ""
    return EventNote("Normal", "Promoted", f"{stable.name} serves {model_title(stable)}{said}")


def _fail(state: State, candidate: Candidate, problem: Problem, context: Context) -> State:
    said = f" (last message: {problem.detail})" if problem.detail else ""
    message = shorten(f"{problem.message}{said}")
    retry = controls_of(context.observed.resource).retries(candidate)
    failed = candidate.model_copy(
        update={"phase": "Failed", "reason": problem.reason, "message": message, "retry": retry}
    )
    serving = f"; {state.stable.name} keeps serving" if state.stable else ""
    note = EventNote("Warning", "RolloutFailed", f"{candidate.name} failed: {message}{serving}")
    return replace(
        state,
        candidate=failed,
        history=(history_entry(candidate, "Failed", problem.reason, context) + state.history)[:HISTORY_LIMIT],
        events=(*state.events, note),
    )


def _remove_previous(state: State, context: Context) -> State:
    """Drop the previous revision when rollout.keepPrevious has passed, or when it has another role again."""
    previous = state.previous
    if previous is None:
        return state
    if state.rolling_back:
        return state
    busy = {revision.hash for revision in (state.stable, state.candidate) if revision is not None}
    gone = previous.hash in busy or context.now >= previous_expiry(previous, context)
    return replace(state, previous=None) if gone else state


def previous_expiry(previous: Revision, context: Context) -> datetime:
    """Time at which the pods of the previous revision are deleted."""
    return _moment(previous.since, context) + parse_duration(context.observed.resource.spec.rollout.keep_previous)


def _moment(text: str, context: Context) -> datetime:
    """Parse a time; one that was edited into something invalid or into the future counts as now."""
    try:
        return min(parse_time(text), context.now)
    except ValueError:
        return context.now
