"""What persons have done to a rollout, recorded in status so that the audit log can tell each act once.

Nothing here decides: that do the annotations themselves.
"""

from dataclasses import replace
from typing import Any

from perennial.api.modeldeployment.revisions import Candidate, GivenApproval
from perennial.serving.rollout.approval import MOST_NAMES, controls_of, needs_approval
from perennial.serving.rollout.approvers import Vote, count
from perennial.serving.rollout.context import Context, State

_NONE = {
    "approvals": None,
    "withdrawn_approvals": None,
    "paused_since": None,
    "pauses": None,
    "promotion_requested": None,
}


def record_acts(state: State, context: Context) -> State:
    """Record which approvals of a candidate count at present, since when it is paused, and how often that changed.

    The numbers tell an approval that is given again, or another pause, from the first one: each is a fact of its own.
    """
    candidate = state.progressing
    if candidate is None:
        failed = state.failed
        return state if failed is None else replace(state, candidate=failed.model_copy(update=_NONE))
    before = _before(candidate, context)
    update = {**_approvals(state, candidate, before, context), **_controls(candidate, before, context)}
    return replace(state, candidate=candidate.model_copy(update=update))


def _approvals(state: State, candidate: Candidate, before: Candidate | None, context: Context) -> dict[str, Any]:
    known = {(item.by, item.digest): item for item in (before.approvals if before else None) or ()}
    votes = count(state, candidate, context).votes if needs_approval(state, context) else ()
    given = tuple(
        known.get((vote.by, vote.digest), GivenApproval(by=vote.by, digest=vote.digest, time=context.time))
        for vote in _shown(votes, frozenset(known))
    )
    gone = known.keys() - {(item.by, item.digest) for item in given}
    withdrawn = ((before.withdrawn_approvals if before else None) or 0) + len(gone)
    return {"approvals": given or None, "withdrawn_approvals": withdrawn or None}


def _controls(candidate: Candidate, before: Candidate | None, context: Context) -> dict[str, Any]:
    controls = controls_of(context.observed.resource)
    since, pauses = (before.paused_since, before.pauses or 0) if before is not None else (None, 0)
    asked = before.promotion_requested if before is not None else None
    return {
        "paused_since": (since or context.time) if controls.paused else None,
        "pauses": pauses + (controls.paused and since is None) or None,
        "promotion_requested": asked or (context.time if controls.promotes(candidate) else None),
    }


def _before(candidate: Candidate, context: Context) -> Candidate | None:
    """Return what status knows of the same rollout."""
    known = context.observed.resource.status.candidate
    same = known is not None and known.phase == "Progressing" and known.name == candidate.name
    return known if same else None


def _shown(votes: tuple[Vote, ...], known: frozenset[tuple[str, str | None]]) -> tuple[Vote, ...]:
    """Choose the votes that status has room for: those that it knows stay, or they would look withdrawn."""
    chosen = sorted(votes, key=lambda vote: (vote.by, vote.digest) not in known)[: MOST_NAMES + 1]
    return tuple(sorted(chosen, key=lambda vote: vote.by))
