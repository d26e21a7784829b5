"""Builds the CronJob of a DriftMonitor. Each of its Jobs runs one `perennial agent drift` pod."""

from typing import Any

from perennial.api.common.pod import Storage
from perennial.api.contract.commands import (
    JOB_UID_VARIABLE,
    ROOT,
    CalendarPeriod,
    CaptureWindow,
    DriftConfig,
    RunReference,
)
from perennial.api.contract.settings import AgentConfigDefaults
from perennial.api.driftmonitor.resource import DriftMonitor, DriftMonitorSpec, Features
from perennial.core.agent_job import agent_job_spec
from perennial.core.kinds import CRON_JOB, DRIFT_MONITOR, JOB, Key, Raw
from perennial.core.labels import JOB_NAME_LABEL, JOB_UID_LABEL, MODEL_DIGEST_ANNOTATION, MODEL_RUN_ANNOTATION
from perennial.core.names import owner_labels
from perennial.core.podspec import (
    agent_container,
    hash_key_env,
    owner_reference,
    pod_options,
    resources_of,
    storage_volumes,
    workspace_volume,
)
from perennial.core.repeats import repeat_name
from perennial.core.termination import message_budget
from perennial.core.times import parse_duration
from perennial.drift.comparisons import CONTAINER
from perennial.drift.observe import ServedModel

COMPONENT = "drift"
SUSPEND_MANAGER = "perennial-suspend"
_VOLUME = "workspace"
_JOB_NAME_PATH = f"metadata.labels['{JOB_NAME_LABEL}']"
_JOB_UID_PATH = f"metadata.labels['{JOB_UID_LABEL}']"
_JOBS_KEPT = 10
"""Finished Jobs kept, so that an operator that was away for some schedules still finds their verdicts."""
_FEWEST_JOBS_KEPT = 3
_PODS_KEPT = 80
"""Pods of finished Jobs from which fewer Jobs are kept."""
_AGAIN_TTL_SECONDS = 86_400
_LATEST_START_SECONDS = 600


def cron_job(resource: DriftMonitor, model: ServedModel, capture: str | None, agent: AgentConfigDefaults) -> Raw:
    """Build the CronJob. Pod annotations name the model, so that each verdict is attributed to the right one."""
    spec = resource.spec
    labels = _labels(resource)
    kept = max(_FEWEST_JOBS_KEPT, min(_JOBS_KEPT, _PODS_KEPT // spec.shards))
    zone = {"timeZone": spec.time_zone} if spec.time_zone else {}
    return {
        "apiVersion": CRON_JOB.api_version,
        "kind": CRON_JOB.kind,
        "metadata": {
            **_name(resource),
            "labels": labels,
            "ownerReferences": [owner_reference(DRIFT_MONITOR, resource.metadata)],
        },
        "spec": {
            "schedule": spec.schedule,
            **zone,
            "suspend": spec.suspend,
            # Concurrent comparisons would count one window twice; after an outage only the newest window matters.
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": _LATEST_START_SECONDS,
            "successfulJobsHistoryLimit": kept,
            "failedJobsHistoryLimit": kept,
            "jobTemplate": {"metadata": {"labels": labels}, "spec": _job(resource, model, capture, agent)},
        },
    }


def repeated_job(
    resource: DriftMonitor, model: ServedModel, capture: str | None, agent: AgentConfigDefaults, lost: str
) -> Raw:
    """Build the Job that repeats a comparison whose verdict was lost. Its name follows from the lost Job's."""
    labels = _labels(resource)
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.kind,
        "metadata": {
            "name": repeat_name(resource.metadata.name, lost),
            "namespace": resource.metadata.namespace,
            "labels": labels,
            "ownerReferences": [owner_reference(DRIFT_MONITOR, resource.metadata)],
        },
        "spec": {**_job(resource, model, capture, agent), "ttlSecondsAfterFinished": _AGAIN_TTL_SECONDS},
    }


def suspension(resource: DriftMonitor) -> Raw:
    """Build the patch that suspends a CronJob whose target is missing. It is applied with a separate field manager."""
    return {
        "apiVersion": CRON_JOB.api_version,
        "kind": CRON_JOB.kind,
        "metadata": _name(resource),
        "spec": {"suspend": True},
    }


def _name(resource: DriftMonitor) -> dict[str, str]:
    return {"name": resource.metadata.name, "namespace": resource.metadata.namespace}


def _labels(resource: DriftMonitor) -> dict[str, str]:
    meta = resource.metadata
    return owner_labels(Key(DRIFT_MONITOR.kind, meta.namespace, meta.name), COMPONENT)


def _job(resource: DriftMonitor, model: ServedModel, capture: str | None, agent: AgentConfigDefaults) -> dict[str, Any]:
    spec = resource.spec
    run = {MODEL_RUN_ANNOTATION: model.run} if model.run else {}
    return agent_job_spec(
        _container(resource, model, capture, agent),
        metadata={
            "labels": _labels(resource),
            "annotations": {MODEL_DIGEST_ANNOTATION: model.digest, **run},
        },
        volumes=[workspace_volume(_VOLUME, spec.workspace), *storage_volumes(spec.storage)],
        options=pod_options(spec),
        account=spec.service_account_name,
        deadline=spec.active_deadline_seconds,
        shards=spec.shards,
    )


def _container(
    resource: DriftMonitor, model: ServedModel, capture: str | None, agent: AgentConfigDefaults
) -> dict[str, Any]:
    spec = resource.spec
    container = agent_container(
        CONTAINER,
        "drift",
        drift_config(resource, model, capture),
        storage=spec.storage,
        agent=agent,
        mounts=[{"name": _VOLUME, "mountPath": ROOT}],
        env=[_label("PERENNIAL_JOB", _JOB_NAME_PATH), *_shard_env(spec), *_hash_key(spec)],
    )
    return {**container, **resources_of(spec)}


def _shard_env(spec: DriftMonitorSpec) -> list[dict[str, Any]]:
    return [_label(JOB_UID_VARIABLE, _JOB_UID_PATH)] if spec.shards > 1 else []


def _label(variable: str, path: str) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _hash_key(spec: DriftMonitorSpec) -> list[dict[str, Any]]:
    if spec.privacy is None or spec.privacy.hash is None:
        return []
    return hash_key_env(spec.privacy.hash.key_secret)


def drift_config(resource: DriftMonitor, model: ServedModel, capture: str | None) -> DriftConfig:
    """Build the agent's configuration.

    Raises:
        ValueError: spec.current.window or calendar is set, but the target captures no requests.
    """
    spec = resource.spec
    return DriftConfig(
        storage=spec.storage or Storage(),
        namespace=resource.metadata.namespace,
        monitor=resource.metadata.name,
        deployment=spec.target.model_deployment,
        run=model.run,
        digest=model.digest,
        reference=spec.reference.uri or RunReference(uri=model.uri, digest=model.digest, input=spec.reference.input),
        reference_digest=spec.reference.digest,
        current=_current(spec, model, capture),
        features=spec.features or Features(),
        checks=spec.checks,
        segments=spec.segments,
        privacy=spec.privacy,
        ground_truth=spec.ground_truth,
        predictions=spec.predictions,
        report=spec.report.uri if spec.report else None,
        formats=(spec.report.formats or None) if spec.report else None,
        keep_seconds=int(parse_duration(spec.report.keep).total_seconds()) if spec.report else None,
        shards=spec.shards if spec.shards > 1 else None,
        message_bytes=message_budget(containers=1),
    )


def _current(spec: DriftMonitorSpec, model: ServedModel, capture: str | None) -> str | CaptureWindow:
    if spec.current.uri is not None:
        return spec.current.uri
    if capture is None:
        raise ValueError("spec.current.window and calendar need a ModelDeployment with spec.capture")
    calendar = spec.current.calendar
    if calendar is not None:
        delay = int(parse_duration(calendar.delay).total_seconds())
        period = CalendarPeriod(unit=calendar.unit, time_zone=spec.time_zone or "UTC", delay_seconds=delay)
        return CaptureWindow(uri=capture, calendar=period, digest=model.digest)
    if spec.current.window is None:
        raise ValueError("spec.current names no data")
    seconds = int(parse_duration(spec.current.window).total_seconds())
    return CaptureWindow(uri=capture, seconds=max(1, seconds), period=spec.current.window, digest=model.digest)
