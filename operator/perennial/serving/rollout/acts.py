"""What persons have done to a rollout, recorded in status so that the audit log can tell each act once.

Nothing here decides: that do the annotations themselves.
"""

from dataclasses import replace

from perennial.api.modeldeployment.rollout import Candidate, GivenApproval
from perennial.serving.rollout.approval import MOST_NAMES, needs_approval
from perennial.serving.rollout.approvers import Vote, count
from perennial.serving.rollout.context import Context, State

_NONE = {"approvals": None, "withdrawn_approvals": None}


def record_acts(state: State, context: Context) -> State:
    """Record the approvals of a candidate that count at present, and how many do not any more.

    The number tells an approval that is given again from the first: both are facts of the audit log.
    """
    candidate = state.progressing
    if candidate is None:
        failed = state.failed
        return state if failed is None else replace(state, candidate=failed.model_copy(update=_NONE))
    before = _before(candidate, context)
    known = {(item.by, item.digest): item for item in (before.approvals if before else None) or ()}
    votes = count(state, candidate, context).votes if needs_approval(state, context) else ()
    given = tuple(
        known.get((vote.by, vote.digest), GivenApproval(by=vote.by, digest=vote.digest, time=context.time))
        for vote in _shown(votes, frozenset(known))
    )
    gone = known.keys() - {(item.by, item.digest) for item in given}
    withdrawn = ((before.withdrawn_approvals if before else None) or 0) + len(gone)
    update = {"approvals": given or None, "withdrawn_approvals": withdrawn or None}
    return replace(state, candidate=candidate.model_copy(update=update))


def _before(candidate: Candidate, context: Context) -> Candidate | None:
    """Return what status knows of the same rollout."""
    known = context.observed.resource.status.candidate
    same = known is not None and known.phase == "Progressing" and known.name == candidate.name
    return known if same else None


def _shown(votes: tuple[Vote, ...], known: frozenset[tuple[str, str | None]]) -> tuple[Vote, ...]:
    """Choose the votes that status has room for: those that it knows stay, or they would look withdrawn."""
    chosen = sorted(votes, key=lambda vote: (vote.by, vote.digest) not in known)[: MOST_NAMES + 1]
    return tuple(sorted(chosen, key=lambda vote: vote.by))
