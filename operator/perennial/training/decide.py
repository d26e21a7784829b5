"""Decides the next step of a TrainingJob. Pure: it reads only observed objects, settings and time.

A run goes from trigger to `status.currentRun`, to a Job, to the Job's end, and then to a record or
to its next attempt. Every step follows from the objects that exist, not from the step before, so
the operator may stop at any point.
"""

from dataclasses import replace
from datetime import datetime

from perennial.api.contract.settings import OperatorConfig
from perennial.api.trainingjob.resource import TrainingJobStatus
from perennial.core.decision import Decision
from perennial.training.build import children
from perennial.training.conditions import poll_events, run_events, with_conditions
from perennial.training.context import Context, in_run
from perennial.training.job.plan import run_hash
from perennial.training.observe import Observed
from perennial.training.run.advance import advance_run
from perennial.training.run.data_poll import polls_of, with_baseline, with_pulled
from perennial.training.run.records import reconcile_records
from perennial.training.run.retention import delete_obsolete_jobs
from perennial.training.run.schedule import with_schedule
from perennial.training.run.start import start_or_wait
from perennial.training.run.step import Step
from perennial.training.sweep.advance import advance_sweep
from perennial.training.sweep.trials import sweep_of, with_sweep


def decide(observed: Observed, config: OperatorConfig, now: datetime) -> Decision:
    """Return the next step toward the spec."""
    spec = observed.resource.spec
    context = Context(observed, config, now, run_hash(spec), polls_of(spec, observed.pods))
    status = reconcile_records(observed.resource, observed.jobs, now)
    status, missed = with_schedule(spec, status, now)
    step = _next_step(context, with_pulled(context, with_baseline(status, context.polls)))
    events = (*missed, *poll_events(context), *step.events)
    known = step.status
    if known is None and status.current_run != observed.resource.status.current_run:
        known = status  # a run that only its Job still knew: written before that Job can go
    if known is None:
        return Decision(status=None, events=events, requeue_after=step.requeue_after)
    status = with_conditions(context, with_sweep(context, known), step.progress)
    events = (*events, *run_events(context, status))
    obsolete = delete_obsolete_jobs(context, status)
    return Decision(
        status=status.dump(),
        actions=(*children(context, step.new_attempts), *step.actions, *obsolete),
        events=events,
        requeue_after=step.requeue_after,
        reads=(step.read,) if step.read is not None else (),
        # A Job can hold what status has lost; it is deleted only once status has it.
        status_first=step.status_first or bool(obsolete),
    )


def _next_step(context: Context, status: TrainingJobStatus) -> Step:
    run = status.current_run
    if run is None:
        return start_or_wait(context, status)
    own = in_run(context, run)
    sweep = sweep_of(own, status)
    step = advance_run(own, status, run) if sweep is None else advance_sweep(own, status, run, sweep)
    ended = step.status is not None and step.status.current_run is None
    # Whether another run is due follows from the present spec.
    return replace(step, requeue_after=0) if ended and own is not context else step
