"""Starts a run if one is due, and creates the Job of an attempt."""

from perennial.api.trainingjob.resource import CurrentRun, TrainingJobStatus, Trigger
from perennial.core.decision import EventNote
from perennial.core.pod_options import refusal, refused_keys
from perennial.core.times import soonest
from perennial.training.attempt.outcomes import AttemptOutcome, end_event
from perennial.training.context import ActiveRun, Context
from perennial.training.job.build import build_job
from perennial.training.job.limits import oversize
from perennial.training.job.plan import lineage_of
from perennial.training.run import records, retention, schedule, triggers
from perennial.training.run.step import NewAttempt, Step


def start_or_wait(context: Context, status: TrainingJobStatus) -> Step:
    """Start a run if one is due, after setting aside the drift verdicts on models that no longer serve."""
    outdated = triggers.requests_by_standing(context, status, triggers.Standing.OUTDATED)
    events = tuple(
        EventNote(
            "Normal",
            "VerdictSetAside",
            f"verdict {request.verdict} of DriftMonitor {request.monitor} starts no run: another model serves now",
        )
        for request in outdated
    )
    return start_if_due(context, triggers.acknowledge(status, outdated), events)


def start_if_due(context: Context, status: TrainingJobStatus, events: tuple[EventNote, ...]) -> Step:
    """Start a run if one is due; otherwise wait until a schedule or a `ttl` requires the next step."""
    trigger = due_trigger(context, status)
    if trigger is None:
        return Step(status, events=events, requeue_after=next_wakeup(context, status))
    meta = context.resource.metadata
    run = records.start(
        meta.name,
        trigger,
        number=records.next_number(status, context.observed.jobs),
        spec_hash=context.spec_hash,
        generation=meta.generation,
        now=context.now,
    )
    status = records.with_new(triggers.mark_handled(context, status, trigger), run)
    started = EventNote("Normal", "RunStarted", f"run {run.name} started: {triggers.describe(trigger)}")
    refused = _refusal(context, run)
    if refused is not None:
        return _refused(context, status, run, refused)
    if context.spec.sweep is not None:
        return Step(status, events=(*events, started), requeue_after=0)
    return create_job(context, status, run, (*events, started))


def create_job(context: Context, status: TrainingJobStatus, run: CurrentRun, events: tuple[EventNote, ...]) -> Step:
    """Write the attempt to status, then create its Job; first wait until other Jobs are deleted."""
    if retention.conflicting_jobs(context.observed.jobs, run):
        return Step(status, events=events, requeue_after=0, status_first=True)
    refused = _refusal(context, run)
    if refused is not None:
        return _refused(context, status, run, refused)
    return Step(status, new_attempts=(NewAttempt(run, context.spec),), events=events, status_first=True)


def due_trigger(context: Context, status: TrainingJobStatus) -> Trigger | None:
    """Return the trigger of the run that should start now; None if none is due or under suspend."""
    return None if context.spec.suspend else triggers.due(context, status)


def next_wakeup(context: Context, status: TrainingJobStatus) -> float | None:
    """Return the seconds until the next scheduled run, the next look at a held request, or the expiry of a record."""
    scheduled = None if context.spec.suspend else schedule.seconds_until_next(status, context.now)
    held = triggers.requests_by_standing(context, status, triggers.Standing.HELD)
    recheck = triggers.HELD_RECHECK_SECONDS if held else None
    return soonest(scheduled, recheck, retention.next_expiry(status, context.spec.history, context.now))


def forbidden_options(context: Context) -> str | None:
    """Return which options of the pods the operator's settings forbid, and what to do; None if they allow them."""
    spec, config = context.spec, context.config
    asked = {"spec.podAnnotations": spec.pod_annotations or {}, "spec.podLabels": spec.pod_labels or {}}
    return refusal(spec, config.pods) or refused_keys(asked, config.allowed_annotations)


def _refusal(context: Context, run: CurrentRun) -> AttemptOutcome | None:
    """Return why no Job of the run may exist: the operator's settings forbid its pods, or it would be too large."""
    forbidden = forbidden_options(context)
    if forbidden is not None:
        return AttemptOutcome("Fatal", "NotAllowed", forbidden)
    too_large = oversize(build_job(context.resource, run, context.config))
    return AttemptOutcome("Fatal", "SpecTooLarge", too_large) if too_large is not None else None


def _refused(context: Context, status: TrainingJobStatus, run: CurrentRun, outcome: AttemptOutcome) -> Step:
    """End a run before any pod exists."""
    active = ActiveRun(run, None, lineage_of(context.spec), changed=False)
    ended = records.end(context, status, active, "Failed", outcome)
    return Step(ended, events=(end_event(run.name, "Failed", outcome),))
