"""How long a candidate may wait for approval."""

from dataclasses import replace

from perennial.api.modeldeployment.revisions import Asked
from perennial.core.problem import Problem
from perennial.core.times import parse_duration
from perennial.serving import rollout_reasons as reasons
from perennial.serving.rollout.context import Context, State
from perennial.serving.rollout.deadline import moment
from perennial.serving.rollout.outcome import fail


def expire(state: State, context: Context) -> State:
    """Fail a candidate that has waited for approval longer than rollout.approvalExpires.

    The beginning is recorded with the rollout, since a time in status could be edited.
    """
    limit, candidate = context.observed.resource.spec.rollout.approval_expires, state.progressing
    if limit is None or candidate is None or candidate.reason != reasons.WAITING_FOR_APPROVAL:
        return replace(state, asked=None)
    known = state.asked is not None and state.asked.hash == candidate.hash
    asked = state.asked if known and state.asked is not None else Asked(hash=candidate.hash, since=context.time)
    end = moment(asked.since, context) + parse_duration(limit)
    if context.now >= end:
        said = f"not approved within {limit} (spec.rollout.approvalExpires): {candidate.message}"
        expired = Problem(reasons.APPROVAL_EXPIRED, said, fatal=True)
        return fail(replace(state, asked=None), candidate, expired, context)
    return replace(state, asked=asked, wake=min(end, state.wake) if state.wake is not None else end)
