"""What the audit log records of a TrainingJob: each run's start and end, and whether its model became the artifact."""

from collections.abc import Iterator
from datetime import datetime

from perennial.api.contract.audit import AuditEntry, AuditEvent
from perennial.api.trainingjob.policies import Criterion, Trigger
from perennial.api.trainingjob.resource import TrainingJob, TrainingJobStatus
from perennial.api.trainingjob.status import CurrentRun, RunRecord
from perennial.core.decision import Decision
from perennial.core.facts import Facts, figures, items
from perennial.core.kinds import TRAINING_JOB
from perennial.training.observe import Observed

_ENDED: dict[str, tuple[AuditEvent, ...]] = {
    "Succeeded": ("RunSucceeded", "ArtifactAccepted"),
    "Rejected": ("RunSucceeded", "ArtifactRejected"),
    "Failed": ("RunFailed",),
    "Replaced": ("RunFailed",),
}


def facts(observed: Observed, decision: Decision, now: datetime) -> tuple[AuditEntry, ...]:
    """Return the facts that the status of a decision adds."""
    if decision.status is None:
        return ()
    resource, before = observed.resource, observed.resource.status
    after = TrainingJobStatus.model_validate(decision.status)
    return tuple(_facts(resource, before, after, now))


def _facts(
    resource: TrainingJob, before: TrainingJobStatus, after: TrainingJobStatus, now: datetime
) -> Iterator[AuditEntry]:
    recorded = {record.name for record in before.runs}
    started = recorded | ({before.current_run.name} if before.current_run is not None else set())
    for record in reversed(after.runs):
        if record.name in recorded:
            continue
        if record.name not in started:
            yield _started(resource, record, now)
        yield from _ended(resource, record, now)
    run = after.current_run
    if run is not None and run.name and run.name not in started:
        yield _started(resource, run, now)


def _started(resource: TrainingJob, run: CurrentRun | RunRecord, now: datetime) -> AuditEntry:
    return Facts(TRAINING_JOB, resource.metadata, now).entry(
        "RunStarted",
        (run.name,),
        run.start_time,
        generation=run.generation,
        spec_hash=run.spec_hash,
        run=run.name,
        figures=_trigger(run.trigger),
        message=f"started by trigger {run.trigger.kind}",
    )


def _trigger(trigger: Trigger) -> dict[str, str]:
    return figures(
        (
            ("trigger", trigger.kind),
            ("monitor", trigger.monitor),
            ("verdict", trigger.verdict),
            ("token", trigger.token),
        )
    )


def _ended(resource: TrainingJob, record: RunRecord, now: datetime) -> Iterator[AuditEntry]:
    published = record.artifact_digest is not None
    for event in _ENDED[record.result]:
        if event == "ArtifactAccepted" and not published:
            continue
        about_model = event.startswith("Artifact")
        # The limits are those of the run only while the spec is the one that it was started with.
        same_spec = record.generation == resource.metadata.generation
        criteria = resource.spec.acceptance if about_model and same_spec else None
        yield Facts(TRAINING_JOB, resource.metadata, now).entry(
            event,
            (record.name,),
            record.completion_time,
            generation=record.generation,
            spec_hash=record.spec_hash,
            run=record.name,
            model_digest=record.artifact_digest,
            artifact_uri=record.artifact_uri,
            figures=figures(items(record.metrics)) if about_model else None,
            thresholds=figures((item.metric, _limit(item)) for item in criteria or ()) or None,
            message=_words(record, event),
        )


def _limit(criterion: Criterion) -> str:
    if criterion.min is not None:
        return f"min {criterion.min}"
    if criterion.max is not None:
        return f"max {criterion.max}"
    return f"worse by at most {criterion.not_worse_than_current_by}"


def _words(record: RunRecord, event: AuditEvent) -> str:
    if event in ("RunFailed", "ArtifactRejected"):
        return f"{record.reason}: {record.message or ''}"
    if event != "RunSucceeded":
        return ""
    inputs = (f"input {item.name} {item.digest}" for item in record.inputs or ())
    image = (f"image {record.image_digest}",) if record.image_digest else ()
    return ", ".join((*image, *inputs))
