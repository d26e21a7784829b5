"""How the record of runs grows: a run is started, repeated, ended; and a status that was edited by hand is put right.

Every function takes a status and returns the next one; nothing is changed in place.
"""

import re
from datetime import datetime
from typing import Literal

from perennial.api.common.status import InputRecord
from perennial.api.contract.messages import Fetched, Published
from perennial.api.kubernetes import Pod
from perennial.api.trainingjob.resource import Artifact, CurrentRun, History, RunRecord, TrainingJobStatus, Trigger
from perennial.core.clock import after, pause, written_time
from perennial.core.conditions import shorten
from perennial.core.termination import BadMessage, parse_message
from perennial.core.times import format_time
from perennial.training.attempt.outcomes import AttemptOutcome, version_uri
from perennial.training.job.build import FETCH, TRAIN
from perennial.training.job.plan import LARGEST, Lineage, job_name, run_name
from perennial.training.observe import AttemptJob
from perennial.training.run.retention import kept_records

Result = Literal["Succeeded", "Failed", "Rejected", "Replaced"]

_IMAGE_DIGEST = re.compile(r"^(?:[a-z-]+://)?((?:[^\s@]+@)?sha256:[0-9a-f]{64})$")


def highest_record(status: TrainingJobStatus) -> int:
    """Return the number of the newest run that has ended, 0 if none has."""
    return max((record.number for record in status.runs), default=0)


def newest(status: TrainingJobStatus) -> RunRecord | None:
    """Return the record of the newest run that has ended."""
    return max(status.runs, key=lambda record: record.number, default=None)


def newest_success(status: TrainingJobStatus) -> RunRecord | None:
    """Return the record of the newest run that succeeded."""
    found = [record for record in status.runs if record.result == "Succeeded"]
    return max(found, key=lambda record: record.number, default=None)


def put_right(
    resource: str, status: TrainingJobStatus, jobs: tuple[AttemptJob, ...], history: History, now: datetime
) -> TrainingJobStatus:
    """Return the status with its current run held against the Jobs that are there, and its records to what is kept.

    A Job newer than anything in status belongs to a run whose status was wiped or set back by hand: the plan that it
    carries is taken over, so that what runs goes on instead of running twice.
    """
    records = tuple(item for item in status.runs if _is_number(item.number))
    status = status.model_copy(update={"runs": kept_records(records, history, now)})
    done = highest_record(status)
    run = status.current_run
    standing = [item for item in jobs if item.number > done and not item.leaving]
    last = max(standing, key=lambda item: item.place, default=None)
    if run is not None and not (done < run.number <= LARGEST and 0 <= run.attempt <= LARGEST):
        run = None
    if last is not None and (run is None or (run.number, run.attempt) < last.place):
        run = _taken_over(last, now)
    if run is not None:
        name, job = run_name(resource, run.number), job_name(resource, run.number, run.attempt)
        run = run.model_copy(update={"name": name, "job": job})
    counted = status.run_count if _is_number(status.run_count) else 0
    count = max(counted, done, run.number if run else 0)
    return status.model_copy(update={"current_run": run, "run_count": count})


def next_number(status: TrainingJobStatus, jobs: tuple[AttemptJob, ...]) -> int:
    """Return the number of the next run: beyond everything in status, and beyond every Job that is there."""
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


def repeat(resource: str, run: CurrentRun, outcome: AttemptOutcome, now: datetime) -> CurrentRun:
    """Return the run with its next attempt, which starts after a pause that doubles each time."""
    failures = run.failures + (outcome.ending == "Failed")
    disruptions = run.disruptions + (outcome.ending == "Disrupted")
    attempt = run.attempt + 1
    return run.model_copy(
        update={
            "attempt": attempt,
            "failures": failures,
            "disruptions": disruptions,
            "job": job_name(resource, run.number, attempt),
            "attempt_time": after(now, pause(failures + disruptions)),
            "last_failure": shorten(outcome.message),
            "progress": None,
        }
    )


def set_aside(resource: str, run: CurrentRun, now: datetime) -> CurrentRun:
    """Return the run with its next attempt, which starts when the run may go on; it counts as nothing."""
    attempt = run.attempt + 1
    name = job_name(resource, run.number, attempt)
    return run.model_copy(update={"attempt": attempt, "job": name, "attempt_time": format_time(now), "progress": None})


def end(
    status: TrainingJobStatus,
    run: CurrentRun,
    result: Result,
    outcome: AttemptOutcome,
    *,
    lineage: Lineage | None,
    pod: Pod | None,
    history: History,
    now: datetime,
) -> TrainingJobStatus:
    """Return the status with the current run recorded as ended, and its artifact, if it made one, as the newest."""
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
    update: dict[str, object] = {"current_run": None, "runs": kept_records((record, *status.runs), history, now)}
    if result == "Succeeded":
        update["last_success_time"] = record.completion_time
    if published and uri and result == "Succeeded":
        update["artifact"] = _artifact(published, uri, run)
    return status.model_copy(update=update)


def image_digest(pod: Pod | None) -> str | None:
    """Return the image that really ran, by digest: `registry/name@sha256:...`, or `sha256:...` of a local one."""
    train = pod.container(TRAIN) if pod is not None else None
    match = _IMAGE_DIGEST.match(train.image_id) if train is not None else None
    return match[1] if match else None


def _is_number(number: int) -> bool:
    """Tell whether a number may be that of a run: anything may have been written into a status by hand."""
    return 0 < number <= LARGEST


def _taken_over(last: AttemptJob, now: datetime) -> CurrentRun:
    plan = last.plan
    if plan is not None and not last.trial and (plan.run.number, plan.run.attempt) == last.place:
        return plan.run
    # Nobody knows what this Job was made for; a hash that no spec has makes it be replaced.
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
        time=written_time(published.time) or published.time,
    )


def _inputs(lineage: Lineage, pod: Pod | None) -> tuple[InputRecord, ...] | None:
    """Return what was pulled, of what the agent says only that which the spec asked for."""
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
