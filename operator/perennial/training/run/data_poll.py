"""Polls the inputs for new data: builds the CronJob that lists them, and reads the results of its pods.

The operator never accesses the storage; it compares digests. New data counts once two polls in a
row agree on it, so that an upload in progress does not start a run on part of the data.
"""

from collections.abc import Iterable
from typing import Any

from perennial.api.common.pod import Storage
from perennial.api.contract.commands import PollConfig
from perennial.api.contract.messages import Failure, Fetched, Polled
from perennial.api.contract.settings import OperatorConfig
from perennial.api.kubernetes import Pod, Terminated
from perennial.api.trainingjob.policies import DataSeen
from perennial.api.trainingjob.resource import TrainingJob, TrainingJobSpec, TrainingJobStatus
from perennial.core import failures
from perennial.core.kinds import CRON_JOB, TRAINING_JOB, Key, Raw
from perennial.core.labels import POLLED_INPUTS_ANNOTATION
from perennial.core.names import child_name, digest_of, owner_labels
from perennial.core.podspec import agent_container, agent_pod_spec, owner_reference, pod_options, storage_volumes
from perennial.core.termination import BadMessage, message_budget, parse_message
from perennial.core.times import canonical_time, moment_of, parse_duration
from perennial.core.waiting import clean
from perennial.training.context import NO_POLLS, Context, PollError, Polls
from perennial.training.job.build import FETCH
from perennial.training.observe import AttemptJob

POLL = "poll"
COMPONENT = "polling"

_MAX_CRON_JOB_NAME_LENGTH = 52
"""A CronJob appends eleven characters to its name for its Jobs."""

_MAX_POLL_SECONDS = 600
_POD_FIELDS = ("imagePullSecrets", "tolerations")


def poll_name(resource: str) -> str:
    """Return the name of the CronJob, `<name>-poll`."""
    return child_name(resource, POLL, _MAX_CRON_JOB_NAME_LENGTH)


def inputs_hash(spec: TrainingJobSpec) -> str:
    """Return a hash of the URIs of the inputs."""
    return digest_of([item.uri for item in spec.inputs or ()])


def build_poll_cron_job(resource: TrainingJob, config: OperatorConfig) -> Raw | None:
    """Return the CronJob that polls; None if new data does not start runs."""
    meta, spec = resource.metadata, resource.spec
    if spec.new_data is None or not spec.inputs:
        return None
    labels = owner_labels(Key(TRAINING_JOB.kind, meta.namespace, meta.name), COMPONENT)
    seconds = int(parse_duration(spec.new_data.poll).total_seconds())
    return {
        "apiVersion": CRON_JOB.api_version,
        "kind": CRON_JOB.kind,
        "metadata": {
            "name": poll_name(meta.name),
            "namespace": meta.namespace,
            "labels": labels,
            "ownerReferences": [owner_reference(TRAINING_JOB, meta)],
        },
        "spec": {
            # Counted from the CronJob's creation, so that many of them do not all poll on the hour.
            "schedule": f"@every {seconds}s",
            "suspend": spec.suspend,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": _MAX_POLL_SECONDS,
            "successfulJobsHistoryLimit": 2,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": {"metadata": {"labels": labels}, "spec": _job(spec, labels, config)},
        },
    }


def _job(spec: TrainingJobSpec, labels: dict[str, str], config: OperatorConfig) -> dict[str, Any]:
    poll = PollConfig(
        storage=spec.storage or Storage(), inputs=spec.inputs or (), message_bytes=message_budget(containers=1)
    )
    options = pod_options(spec)
    return {
        "backoffLimit": 0,
        "activeDeadlineSeconds": _MAX_POLL_SECONDS,
        "template": {
            "metadata": {
                "labels": {**(spec.pod_labels or {}), **labels},
                "annotations": {**(spec.pod_annotations or {}), POLLED_INPUTS_ANNOTATION: inputs_hash(spec)},
            },
            "spec": agent_pod_spec(
                agent_container(POLL, "poll", poll, storage=spec.storage, agent=config.agent, mounts=[]),
                volumes=storage_volumes(spec.storage),
                options={name: options[name] for name in _POD_FIELDS if name in options},
                account=spec.service_account_name,
            ),
        },
    }


def polls_of(spec: TrainingJobSpec, pods: Iterable[Pod]) -> Polls:
    """Return the results of the pods that polled the present inputs."""
    if spec.new_data is None:
        return NO_POLLS
    wanted = inputs_hash(spec)
    ended = [
        (status.state.terminated.finished_at or "", status.state.terminated)
        for pod in pods
        if pod.metadata.annotations.get(POLLED_INPUTS_ANNOTATION) == wanted
        and (status := pod.container(POLL)) is not None
        and status.state.terminated is not None
    ]
    newest_first = [end for _, end in sorted(ended, key=lambda item: item[0], reverse=True)]
    error = _error(newest_first[0]) if newest_first else None
    seen = [(found, end.finished_at) for end in newest_first if (found := _seen(end, wanted)) is not None]
    if len(seen) > 1 and seen[0][0].digest == seen[1][0].digest and seen[0][0].files > 0:
        return Polls(seen[0][0], seen[1][1], error)
    return Polls(error=error)


def with_pulled(context: Context, status: TrainingJobStatus) -> TrainingJobStatus:
    """Return the status with what the current run has pulled as the baseline for later polls.

    Data that arrives between the run's listing and the next polls is then seen as new. Of a sweep, the trial that
    started first counts.
    """
    run, spec = status.current_run, context.spec
    if run is None or spec.new_data is None or run.spec_hash != context.spec_hash:
        return status
    jobs = sorted((item for item in context.observed.jobs if item.number == run.number), key=_first_trial_newest_first)
    found = (_pulled(context.observed.leader_pod(item.job), inputs_hash(spec)) for item in jobs)
    pulled = next((item for item in found if item is not None), None)
    return status if pulled is None else status.model_copy(update={"data": pulled})


def _first_trial_newest_first(item: AttemptJob) -> tuple[int, int]:
    return item.trial, -item.attempt


def _pulled(pod: Pod | None, inputs: str) -> DataSeen | None:
    """Return what the pod of an attempt has pulled, as its `fetch` container reports it."""
    container = pod.container(FETCH) if pod is not None else None
    ended = container.ended if container is not None else None
    if ended is None or ended.exit_code != 0:
        return None
    try:
        message = parse_message(ended.message)
    except BadMessage:
        return None
    if not isinstance(message, Fetched) or message.listing is None:
        return None
    return DataSeen(
        inputs=inputs,
        digest=message.listing,
        files=message.files,
        bytes=message.bytes,
        time=canonical_time(ended.finished_at or ""),
    )


def with_baseline(status: TrainingJobStatus, polls: Polls) -> TrainingJobStatus:
    """Return the status with the first poll of these inputs as baseline for later polls."""
    if polls.settled is None or _has_same_inputs(status, polls.settled):
        return status
    return status.model_copy(update={"data": polls.settled})


def with_data(status: TrainingJobStatus, polls: Polls) -> TrainingJobStatus:
    """Return the status with the present data as the baseline: a run on it has started."""
    return status if polls.settled is None else status.model_copy(update={"data": polls.settled})


def new_data(status: TrainingJobStatus, polls: Polls) -> DataSeen | None:
    """Return the present data if it differs from the baseline; polls from before the baseline do not count."""
    settled = polls.settled
    if settled is None or status.data is None or not _has_same_inputs(status, settled):
        return None
    pulled, polled = moment_of(status.data.time), moment_of(polls.since)
    if pulled is not None and (polled is None or polled <= pulled):
        return None
    return settled if settled.digest != status.data.digest else None


def _has_same_inputs(status: TrainingJobStatus, seen: DataSeen) -> bool:
    return status.data is not None and status.data.inputs == seen.inputs


def _seen(ended: Terminated, inputs: str) -> DataSeen | None:
    if ended.exit_code != 0:
        return None
    try:
        message = parse_message(ended.message)
    except BadMessage:
        return None
    if not isinstance(message, Polled):
        return None
    return DataSeen(inputs=inputs, digest=message.digest, files=message.files, bytes=message.bytes)


def _error(ended: Terminated) -> PollError | None:
    """Return why a poll failed; None if it succeeded. The exit code gives the reason, the pod the message."""
    try:
        message = parse_message(ended.message)
    except BadMessage as error:
        message, said = None, str(error)
    else:
        said = clean(message.message).rstrip(".; ") if isinstance(message, Failure) else ""
    if ended.exit_code == 0:
        if isinstance(message, Polled):
            return None
        return PollError(
            "BadTerminationMessage", f"{said or 'the termination message is not a poll result'}; check agent.image"
        )
    failure = failures.by_code(ended.exit_code) or failures.UNEXPECTED
    step = "" if failure.next_step in said else f"; {failure.next_step}"
    return PollError(failure.reason, f"listing the inputs failed: {said or failure.reason}{step}")
