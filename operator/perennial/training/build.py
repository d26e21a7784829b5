"""All children of a TrainingJob: Jobs of attempts, Service of workers, CronJob for polls."""

from perennial.core.decision import Action, Apply, Create, Delete
from perennial.core.kinds import CRON_JOB, SERVICE
from perennial.training.context import Context
from perennial.training.job.build import build_job
from perennial.training.job.rendezvous import build_service
from perennial.training.run.data_poll import build_poll_cron_job
from perennial.training.run.start import forbidden_options
from perennial.training.run.step import NewAttempt


def children(context: Context, new_attempts: tuple[NewAttempt, ...]) -> tuple[Action, ...]:
    """Return the actions that create or update the children; Jobs only for new attempts."""
    return (
        *_worker_service(context, new_attempts),
        *(_job(context, attempt) for attempt in new_attempts),
        *_poll_cron_job(context),
    )


def _job(context: Context, attempt: NewAttempt) -> Create:
    resource = context.resource.model_copy(update={"spec": attempt.spec})
    return Create(build_job(resource, attempt.run, context.config, attempt.parameters))


def _worker_service(context: Context, new_attempts: tuple[NewAttempt, ...]) -> tuple[Action, ...]:
    """Apply the headless Service while the spec or an attempt has several workers, and delete it after that."""
    running = (item.workers for item in context.observed.jobs if not item.ended)
    if max((context.spec.workers, *(attempt.spec.workers for attempt in new_attempts), *running)) > 1:
        return (Apply(build_service(context.resource)),)
    return tuple(Delete(SERVICE, meta.namespace, meta.name, meta.uid) for meta in context.observed.services)


def _poll_cron_job(context: Context) -> tuple[Action, ...]:
    """Apply the CronJob, or delete it once the spec wants no polls or its pods are not allowed."""
    allowed = forbidden_options(context) is None
    cron_job = build_poll_cron_job(context.resource, context.config) if allowed else None
    if cron_job is not None:
        return (Apply(cron_job),)
    return tuple(Delete(CRON_JOB, meta.namespace, meta.name, meta.uid) for meta in context.observed.cron_jobs)
