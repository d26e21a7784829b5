"""Ends an attempt: the next attempt, or the end of the run."""

from dataclasses import replace

from perennial.api.trainingjob.resource import TrainingJobStatus
from perennial.core.decision import EventNote
from perennial.training.attempt.outcomes import AttemptOutcome, end_event
from perennial.training.attempt.retry import seconds_until_attempt
from perennial.training.context import ActiveRun, Context
from perennial.training.run import records
from perennial.training.run.acceptance import unmet_criteria
from perennial.training.run.start import due_trigger, next_wakeup, start_if_due
from perennial.training.run.step import Step


def after_attempt(context: Context, status: TrainingJobStatus, active: ActiveRun, outcome: AttemptOutcome) -> Step:
    """End the run, or start its next attempt after a delay."""
    run, limit = active.run, context.spec.retry.limit
    if outcome.ending == "Succeeded":
        return accept_or_reject(context, status, active, outcome)
    if outcome.ending == "Fatal":
        return end_run(context, status, active, "Failed", outcome)
    if outcome.ending == "Failed" and run.failures >= limit:
        note = f"{outcome.message} ({run.failures + 1} of {limit + 1} attempts failed; see spec.retry.limit)"
        return end_run(context, status, active, "Failed", replace(outcome, message=note))
    if active.changed:
        return replace_run(context, status, active, outcome)  # the spec of the attempt to repeat is gone
    following = records.retry(context.resource.metadata.name, run, outcome, context.now)
    left = seconds_until_attempt(following.attempt_time, context.now)
    ended = f"attempt {run.attempt + 1} of run {run.name} ended: {outcome.message}"
    return Step(
        status.model_copy(update={"current_run": following}),
        events=(EventNote("Warning", outcome.reason, f"{ended}; the next attempt starts in {left:.0f} s"),),
        requeue_after=left,
    )


def accept_or_reject(context: Context, status: TrainingJobStatus, active: ActiveRun, outcome: AttemptOutcome) -> Step:
    """End a run that has published a model: the model becomes the artifact if it meets `spec.acceptance`."""
    published, artifact = outcome.published, status.artifact
    unmet = unmet_criteria(
        context.spec.acceptance,
        published.metrics if published else None,
        artifact.metrics if artifact else None,
    )
    if unmet is None:
        return end_run(context, status, active, "Succeeded", outcome)
    kept = f"the artifact is still that of run {artifact.run}" if artifact else "there is no artifact yet"
    message = f"{unmet}; {kept}. Change the training, its data, or spec.acceptance"
    return end_run(context, status, active, "Rejected", replace(outcome, reason="Rejected", message=message))


def end_run(
    context: Context, status: TrainingJobStatus, active: ActiveRun, result: records.Result, outcome: AttemptOutcome
) -> Step:
    """Record the end of the run; start the next one at once if it is due."""
    ended = records.end(context, status, active, result, outcome)
    event = end_event(active.run.name, result, outcome)
    wait = next_wakeup(context, ended) if due_trigger(context, ended) is None else 0
    return Step(ended, events=(event,), requeue_after=wait)


def replace_run(
    context: Context, status: TrainingJobStatus, active: ActiveRun, outcome: AttemptOutcome | None = None
) -> Step:
    """Record the run as replaced, because the spec has changed, and start its successor."""
    last = f"; its last attempt: {outcome.message}" if outcome is not None else ""
    message = f"run {active.run.name} is replaced because the spec changed{last}"
    replaced = AttemptOutcome("Fatal", "SpecChanged", message)
    ended = records.end(context, status, active, "Replaced", replaced)
    return start_if_due(context, ended, (EventNote("Normal", "RunReplaced", message),))
