"""Until when a candidate must be ready, and the pods of a replaced revision are kept."""

from dataclasses import replace
from datetime import datetime, timedelta

from perennial.api.kubernetes import condition
from perennial.api.modeldeployment.revisions import Revision
from perennial.core.problem import Problem
from perennial.core.times import parse_duration, parse_time
from perennial.serving import reasons
from perennial.serving.health import Health
from perennial.serving.rollout.context import Context


def deadline_of(candidate: Revision, context: Context) -> datetime:
    """Time by which a revision must be ready: counted from its creation, or since it last lost its ready pods."""
    seconds = context.observed.resource.spec.rollout.progress_deadline_seconds
    deployment = context.observed.deployment(candidate.name)
    if deployment is None:
        return context.now + timedelta(seconds=seconds)
    available = condition(deployment.status.conditions, "Available")
    if available is not None and available.status == "True":
        return context.now + timedelta(seconds=seconds)  # all its pods are ready, and more are wanted since
    lost = available.last_transition_time if available is not None else None
    moments = (deployment.metadata.creation_timestamp or candidate.since, lost)
    return max(moment(text, context) for text in moments if text) + timedelta(seconds=seconds)


def deadline_exceeded(health: Health, context: Context) -> Problem:
    """Describe what keeps a candidate from being ready after its deadline."""
    seconds = context.observed.resource.spec.rollout.progress_deadline_seconds
    if health.problem is not None:
        known = health.problem
        return replace(known, message=f"not ready within {seconds} s: {known.message}")
    return Problem(
        reasons.PROGRESS_DEADLINE_EXCEEDED,
        f"not ready within {seconds} s: {health.slow}. Correct it, or raise spec.rollout.progressDeadlineSeconds",
    )


def previous_expiry(previous: Revision, context: Context) -> datetime:
    """Time at which the pods of the previous revision are deleted."""
    return moment(previous.since, context) + parse_duration(context.observed.resource.spec.rollout.keep_previous)


def moment(text: str, context: Context) -> datetime:
    """Parse a time; one that was edited into something invalid or into the future counts as now."""
    try:
        return min(parse_time(text), context.now)
    except ValueError:
        return context.now
