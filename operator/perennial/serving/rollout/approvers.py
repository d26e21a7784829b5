"""Whose approvals of a candidate count, and why others do not.

Annotations are untrusted text: compared and cleaned, never executed. That each names the user who has set it is the
work of the chart's admission policies.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from perennial.api.modeldeployment.gates import Gate, GateStatus
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.modeldeployment.revisions import Candidate, Revision
from perennial.core.labels import (
    APPROVAL_PREFIX,
    APPROVE_ANNOTATION,
    APPROVED_BY_ANNOTATION,
    APPROVED_DIGEST_ANNOTATION,
    CHANGED_BY_ANNOTATION,
)
from perennial.core.names import digest_of
from perennial.core.waiting import clean
from perennial.serving.rollout.context import Context, State

LONGEST = 253
"""Characters of a name in an annotation that are read."""
_DIGITS = 16
_LONGEST_NUMBER = 19
_MOVING = frozenset({"drift", "errorRate", "latency", "prometheus"})
"""Kinds of gates whose figures change all the time: an approval of them would be void before it is given."""

REMOVED = "its annotation was removed or changed"
"""Why an approval is gone that its user, or somebody else, took away."""


@dataclass(frozen=True)
class Vote:
    """The approval of one user."""

    by: str
    digest: str | None = None
    """Gates and verdicts that the user has seen; None: not said."""


@dataclass(frozen=True)
class Count:
    """The approvals of a candidate."""

    needed: int
    by: tuple[str, ...] = ()
    """Users whose approval counts."""
    void: tuple[str, ...] = ()
    """Why other approvals do not count, by user."""
    digest: str | None = None
    """What those say they have seen whose approval counts."""
    votes: tuple[Vote, ...] = ()
    """The approvals that count, one for each user."""

    @property
    def enough(self) -> bool:
        """Tell whether as many users have approved as must."""
        return len(self.by) >= self.needed


def count(state: State, candidate: Candidate, context: Context) -> Count:
    """Count the different users who have approved the candidate."""
    resource = context.observed.resource
    votes = votes_for(resource.metadata.annotations, candidate.name)
    authors = _authors(state, context)
    seen = digest_to_approve(candidate, resource)
    valid = [vote for vote in votes if vote.by not in authors and not _is_outdated(vote, candidate, resource)]
    by = tuple(sorted({vote.by for vote in valid}))
    others = sorted({vote.by for vote in votes} - set(by))
    void = tuple(
        f"{user} has changed the spec since the last promotion"
        if user in authors
        else f"{user} has seen other gates or verdicts than those of now ({seen or 'there are none'})"
        for user in others
    )
    told = any(vote.digest is not None for vote in valid)
    # Of two approvals by one user, the one that says what was seen.
    single = {vote.by: vote for vote in sorted(valid, key=lambda vote: (vote.by, vote.digest is not None))}
    return Count(resource.spec.rollout.approvals, by, void, seen if told else None, tuple(single.values()))


def votes_for(annotations: Mapping[str, str], revision: str) -> tuple[Vote, ...]:
    """Read the approvals of a revision, by its name, from annotations: the one of the pair, and those of users."""
    pair = f"{annotations.get(APPROVE_ANNOTATION, '')}/{annotations.get(APPROVED_DIGEST_ANNOTATION, '')}"
    said = [(pair, annotations.get(APPROVED_BY_ANNOTATION, ""))]
    said += [
        (what, by)
        for key, text in sorted(annotations.items())
        if key.startswith(APPROVAL_PREFIX)
        for what, _, by in (text.partition(" "),)
    ]
    parsed = ((what.partition("/"), clean(by, LONGEST)) for what, by in said)
    return tuple(
        Vote(by, clean(digest, LONGEST) or None) for (name, _, digest), by in parsed if by and name.strip() == revision
    )


def why_gone(given: Vote, candidate: Candidate, resource: ModelDeployment) -> str:
    """Tell why an approval that counted does not any more, as far as annotations and spec show it."""
    if given not in votes_for(resource.metadata.annotations, candidate.name):
        return REMOVED
    if resource.spec.rollout.approval != "Manual":
        return "spec.rollout.approval asks for no approval any more"
    if _is_outdated(given, candidate, resource):
        seen = digest_to_approve(candidate, resource)
        return f"the gates or their verdicts are others than the user has seen ({seen or 'there are none'} now)"
    if given.by in {user for _, user in _changes(resource)}:
        return "the user has changed the spec since"
    return "no revision serves that the candidate could replace"


def digest_to_approve(candidate: Candidate, resource: ModelDeployment) -> str | None:
    """Digest of the gates of a candidate, their limits, verdicts and figures; None without gates."""
    return gates_digest(candidate, resource.spec.rollout.gates, candidate.gates) if candidate.gates else None


def gates_digest(revision: Revision, gates: tuple[Gate, ...], verdicts: tuple[GateStatus, ...]) -> str:
    """Digest of what an approver sees of gates, without figures that move."""
    figures = [
        (item.name, item.verdict, None if item.type in _MOVING else dict(sorted((item.figures or {}).items())))
        for item in verdicts
    ]
    return digest_of([revision.hash, [gate.dump() for gate in gates], figures], _DIGITS)


def _is_outdated(vote: Vote, candidate: Candidate, resource: ModelDeployment) -> bool:
    """Tell whether a user has seen other gates. Gates that are not judged, as while nothing serves, do not matter."""
    if vote.digest is None or (resource.spec.rollout.gates and not candidate.gates):
        return False
    return vote.digest != digest_to_approve(candidate, resource)


def _authors(state: State, context: Context) -> frozenset[str]:
    """Users who have changed the spec since the last promotion, as far as that is recorded."""
    changes = _changes(context.observed.resource)
    return frozenset(user for generation, user in changes if not _is_settled(generation, state))


def _changes(resource: ModelDeployment) -> tuple[tuple[str, str], ...]:
    """Read who has changed the spec: generation and user name, of each user the newest."""
    recorded = resource.metadata.annotations.get(CHANGED_BY_ANNOTATION, "")
    parsed = (line.partition(" ") for line in recorded.split("\n"))
    return tuple((generation, clean(user, LONGEST)) for generation, _, user in parsed)


def last_author(resource: ModelDeployment) -> str | None:
    """Return who has changed the spec last; None if that is not recorded."""
    known = [(number, user) for text, user in _changes(resource) if user and (number := _generation(text)) is not None]
    return max(known)[1] if known else None


def _is_settled(generation: str, state: State) -> bool:
    """Tell whether what a user changed was part of the last promotion."""
    number = _generation(generation)
    return state.generation is not None and number is not None and number <= state.generation


def _generation(text: str) -> int | None:
    """Read a generation; None if the text is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER else None
