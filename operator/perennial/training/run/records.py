"""Records of runs in status: started, retried, ended, and repaired if status was edited or lost.

Every function takes a status or a run and returns the next one; nothing is changed in place.
"""

import re
from datetime import datetime
from typing import Literal

from perennial.api.common.status import InputRecord
from perennial.api.contract.messages import Fetched, Published
from perennial.api.kubernetes import Pod
from perennial.api.trainingjob.resource import (
    Artifact,
    CurrentRun,
    RunRecord,
    TrainingJob,
    TrainingJobStatus,
    Trigger,
)
from perennial.core.conditions import shorten
from perennial.core.termination import BadMessage, parse_message
from perennial.core.times import canonical_time, format_time
from perennial.training.attempt.outcomes import AttemptOutcome, version_uri
from perennial.training.attempt.retry import retry_delay, retry_time
from perennial.training.context import ActiveRun, Context
from perennial.training.job.build import FETCH, TRAIN
from perennial.training.job.plan import MAX_NUMBER, Lineage, job_name, run_name
from perennial.training.observe import AttemptJob
from perennial.training.run.retention import kept_records

Result = Literal["Succeeded", "Failed", "Rejected", "Replaced"]

_IMAGE_DIGEST = re.compile(r"^(?:[a-z-]+://)?((?:[^\s@]+@)?sha256:[0-9a-f]{64})$")


def highest_record(status: TrainingJobStatus) -> int:
    """Return the number of the newest run that has ended; 0 if none has."""
    return max((record.number for record in status.runs), default=0)


def newest(status: TrainingJobStatus) -> RunRecord | None:
    """Return the record of the newest run that has ended."""
    return max(status.runs, key=lambda record: record.number, default=None)


def newest_success(status: TrainingJobStatus) -> RunRecord | None:
    """Return the record of the newest run that succeeded."""
    found = [record for record in status.runs if record.result == "Succeeded"]
    return max(found, key=lambda record: record.number, default=None)


def reconcile_records(resource: TrainingJob, jobs: tuple[AttemptJob, ...], now: datetime) -> TrainingJobStatus:
    """Return the status without expired records and with a current run that matches the Jobs.

    A Job newer than anything in status belongs to a run that status has lost. The run is restored
    from the plan on the Job, so that it continues instead of starting a second time.
    """
    status = resource.status
    records = tuple(item for item in status.runs if _is_valid(item.number))
    status = status.model_copy(update={"runs": kept_records(records, resource.spec.history, now)})
    ended = highest_record(status)
    run = status.current_run
    unrecorded = [item for item in jobs if item.number > ended and not item.deleting]
    last = max(unrecorded, key=lambda item: item.order, default=None)
    if run is not None and not (ended < run.number <= MAX_NUMBER and 0 <= run.attempt <= MAX_NUMBER):
        run = None
    if last is not None and (run is None or (run.number, run.attempt) < last.order):
        run = _restored(last, now)
    if run is not None:
        owner = resource.metadata.name
        name, job = run_name(owner, run.number), job_name(owner, run.number, run.attempt)
        run = run.model_copy(update={"name": name, "job": job})
    counted = status.run_count if _is_valid(status.run_count) else 0
    count = max(counted, ended, run.number if run else 0)
    return status.model_copy(update={"current_run": run, "run_count": count})


def next_number(status: TrainingJobStatus, jobs: tuple[AttemptJob, ...]) -> int:
    """Return the number of the next run: higher than any in status and of any existing Job."""
    return 1 + max(status.run_count, highest_record(status), *(item.number for item in jobs), 0)


def start(
    resource: str, trigger: Trigger, *, number: int, spec_hash: str, generation: int, now: datetime
) -> CurrentRun:
    """Return a new run before its first attempt."""
    moment, name = format_time(now), run_name(resource, number)
    chain = trigger.chain or trigger.verdict or name
    return CurrentRun(
        name=name,
        number=number,
        trigger=trigger.model_copy(update={"chain": chain}),
        spec_hash=spec_hash,
        generation=generation,
        job=job_name(resource, number, 0),
        start_time=moment,
        attempt_time=moment,
    )


def with_new(status: TrainingJobStatus, run: CurrentRun) -> TrainingJobStatus:
    """Return the status with a new run as the current one."""
    return status.model_copy(update={"current_run": run, "run_count": run.number, "last_run_time": run.start_time})


def retry(resource: str, run: CurrentRun, outcome: AttemptOutcome, now: datetime) -> CurrentRun:
    """Return the run with its next attempt, which starts after a delay that doubles each time."""
    failures = run.failures + (outcome.ending == "Failed")
    disruptions = run.disruptions + (outcome.ending == "Disrupted")
    attempt = run.attempt + 1
    return run.model_copy(
        update={
            "attempt": attempt,
            "failures": failures,
            "disruptions": disruptions,
            "job": job_name(resource, run.number, attempt),
            "attempt_time": retry_time(now, retry_delay(failures + disruptions)),
            "last_failure": shorten(outcome.message),
            "progress": None,
            "output_warnings": None,
            "checkpoint": None,
        }
    )


def restart(resource: str, run: CurrentRun, now: datetime) -> CurrentRun:
    """Return the run with its next attempt, without a delay and without counting a failure or a disruption."""
    attempt = run.attempt + 1
    name = job_name(resource, run.number, attempt)
    fresh = {"progress": None, "output_warnings": None, "checkpoint": None}
    return run.model_copy(update={"attempt": attempt, "job": name, "attempt_time": format_time(now), **fresh})


def end(
    context: Context, status: TrainingJobStatus, active: ActiveRun, result: Result, outcome: AttemptOutcome
) -> TrainingJobStatus:
    """Return the status with the run recorded as ended and, if it succeeded, with its artifact."""
    run, lineage, now = active.run, active.lineage, context.now
    pod = context.observed.leader_pod(active.job.job) if active.job is not None else None
    published = outcome.published if result in ("Succeeded", "Rejected") else None
    uri = version_uri(lineage.output.uri, published.digest) if published and lineage and lineage.output else None
    record = RunRecord(
        name=run.name,
        number=run.number,
        result=result,
        reason=outcome.reason,
        message=shorten(outcome.message) or None,
        trigger=run.trigger,
        attempts=run.attempt + 1,
        start_time=run.start_time,
        completion_time=format_time(now),
        spec_hash=run.spec_hash,
        generation=run.generation,
        parameters=lineage.parameters if lineage else None,
        seed=lineage.seed if lineage else None,
        image=lineage.image if lineage else None,
        image_digest=image_digest(pod),
        source=lineage.source if lineage else None,
        inputs=_inputs(lineage, pod) if lineage else None,
        metrics=published.metrics or None if published else None,
        artifact_uri=uri,
        artifact_digest=published.digest if published else None,
    )
    runs = kept_records((record, *status.runs), context.spec.history, now)
    update: dict[str, object] = {"current_run": None, "runs": runs}
    if result == "Succeeded":
        update["last_success_time"] = record.completion_time
    if published and uri and result == "Succeeded":
        update["artifact"] = _artifact(published, uri, run)
    return status.model_copy(update=update)


def image_digest(pod: Pod | None) -> str | None:
    """Return the digest of the image that ran: `registry/name@sha256:...`, or `sha256:...` of a local image."""
    train = pod.container(TRAIN) if pod is not None else None
    match = _IMAGE_DIGEST.match(train.image_id) if train is not None else None
    return match[1] if match else None


def _is_valid(number: int) -> bool:
    """Tell whether a run can have this number: status may have been edited."""
    return 0 < number <= MAX_NUMBER


def _restored(last: AttemptJob, now: datetime) -> CurrentRun:
    plan = last.plan
    if plan is not None and not last.trial and (plan.run.number, plan.run.attempt) == last.order:
        return plan.run
    # The plan on the Job is missing. A hash that no spec has makes the run be replaced.
    moment = last.job.metadata.creation_timestamp or format_time(now)
    return CurrentRun(
        name="",
        number=last.number,
        attempt=last.attempt,
        trigger=Trigger(kind="Created"),
        spec_hash="unknown",
        generation=0,
        job=last.job.metadata.name,
        start_time=moment,
        attempt_time=moment,
    )


def _artifact(published: Published, uri: str, run: CurrentRun) -> Artifact:
    return Artifact(
        uri=uri,
        digest=published.digest,
        run=run.name,
        chain=run.trigger.chain,
        metrics=published.metrics or None,
        time=canonical_time(published.time) or published.time,
    )


def _inputs(lineage: Lineage, pod: Pod | None) -> tuple[InputRecord, ...] | None:
    """Return the digests of the inputs that `fetch` reports, limited to the inputs of the spec."""
    fetch = pod.container(FETCH) if pod is not None else None
    try:
        message = parse_message(fetch.ended.message) if fetch is not None and fetch.ended is not None else None
    except BadMessage:
        return None
    if not isinstance(message, Fetched):
        return None
    digests = {item.name: item.digest for item in message.inputs}
    found = tuple(
        InputRecord(name=item.name, uri=item.uri, digest=digests[item.name])
        for item in lineage.inputs or ()
        if item.name in digests
    )
    return found or None
