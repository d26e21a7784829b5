"""Raw objects as the API server sends them, each with the fields that controllers read."""

from __future__ import annotations

import json
from typing import Any

from perennial.api.common.base import GROUP, VERSION
from perennial.core.kinds import DRIFT_MONITOR, JOB, MODEL_DEPLOYMENT, POD, TRAINING_JOB, Kind, Raw
from perennial.core.labels import KIND_LABEL, NAME_LABEL

NOW = "2026-01-31T12:00:00Z"
EARLIER = "2026-01-31T11:00:00Z"
DIGEST = "sha256:" + "ab" * 32
OUTPUT = "s3://models/churn/"
VERSION_URI = f"{OUTPUT}versions/abababababab/"
MAIN_CONTAINERS = ("train", "server", "drift", "poll")
"""All other containers of a pod are init containers."""


def digest(letter: str) -> str:
    """A digest of one repeated hexadecimal digit."""
    return "sha256:" + letter * 64


# Resources, all named churn.


def training_job(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **meta: Any) -> Raw:
    return _resource(
        TRAINING_JOB, "tj-1", {"image": "train:1", "output": {"uri": OUTPUT}, **(spec or {})}, status, meta
    )


def model_deployment(**spec: Any) -> Raw:
    """A ModelDeployment that follows TrainingJob churn."""
    return _resource(
        MODEL_DEPLOYMENT, "md-1", {"model": {"trainingJob": "churn"}, "runtime": {"name": "sklearn"}, **spec}
    )


def drift_monitor(status: dict[str, Any] | None = None, **spec: Any) -> Raw:
    """A DriftMonitor of ModelDeployment churn that compares with the data of the training run."""
    base = {"target": {"modelDeployment": "churn"}, "schedule": "0 * * * *", "reference": {"from": "TrainingRun"}}
    return _resource(DRIFT_MONITOR, "dm-1", {**base, **spec}, status)


def retraining_monitor(status: dict[str, Any] | None = None, training_job: str = "churn", **meta: Any) -> Raw:
    """DriftMonitor watch, which requests a retraining of a TrainingJob."""
    retrain = {"retrain": {"trainingJob": training_job}}
    monitor = drift_monitor(status, reference={"uri": "s3://data/churn/"}, onDrift=retrain)
    return {**monitor, "metadata": {**monitor["metadata"], "name": "watch", **meta}}


def _resource(
    kind: Kind, uid: str, spec: Raw, status: dict[str, Any] | None = None, meta: dict[str, Any] | None = None
) -> Raw:
    metadata = {"name": "churn", "namespace": "default", "uid": uid, "generation": 1, **(meta or {})}
    whole = {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind.kind, "metadata": metadata, "spec": spec}
    return {**whole, "status": status} if status is not None else whole


def artifact(letter: str, number: int = 1) -> dict[str, Any]:
    """A TrainingJob's `status.artifact`."""
    return {
        "uri": f"{OUTPUT}versions/{letter * 12}/",
        "digest": digest(letter),
        "run": f"churn-{number}",
        "time": EARLIER,
    }


# Jobs and pods.


def labels_of(kind: Kind = TRAINING_JOB) -> dict[str, str]:
    """Labels on the children of resource churn."""
    return {KIND_LABEL: kind.kind, NAME_LABEL: "churn"}


def condition(kind: str, status: str = "True", *, time: str = NOW, **more: str) -> dict[str, str]:
    return {"type": kind, "status": status, "lastTransitionTime": time, **more}


def job_failed(reason: str = "BackoffLimitExceeded", time: str = NOW) -> dict[str, str]:
    """The condition of a failed Job."""
    return condition("Failed", reason=reason, message="Job has reached the specified backoff limit", time=time)


def job(name: str, owner: Kind = TRAINING_JOB, *, status: dict[str, Any] | None = None, **meta: Any) -> Raw:
    metadata = {"name": name, "namespace": "default", "labels": labels_of(owner), **meta}
    return {"apiVersion": JOB.api_version, "kind": JOB.kind, "metadata": metadata, "status": status or {}}


def pod(
    name: str,
    phase: str,
    *containers: dict[str, Any],
    owner: Kind = TRAINING_JOB,
    labels: dict[str, str] | None = None,
    meta: dict[str, Any] | None = None,
    **status: Any,
) -> Raw:
    """A pod of resource churn; `meta` and `status` add fields or replace them."""
    metadata = {"name": name, "namespace": "default", "labels": {**labels_of(owner), **(labels or {})}, **(meta or {})}
    return {
        "apiVersion": POD.api_version,
        "kind": POD.kind,
        "metadata": metadata,
        "status": {
            "phase": phase,
            "initContainerStatuses": [item for item in containers if item["name"] not in MAIN_CONTAINERS],
            "containerStatuses": [item for item in containers if item["name"] in MAIN_CONTAINERS],
            **status,
        },
    }


# Containers.


def terminated(code: int, reason: str = "", message: str = "", time: str = NOW) -> dict[str, Any]:
    """The state of a container that has ended."""
    reason = reason or ("Completed" if code == 0 else "Error")
    return {"terminated": {"exitCode": code, "reason": reason, "message": message, "finishedAt": time}}


def ended(
    name: str, code: int = 0, reason: str = "", message: str = "", *, time: str = NOW, **more: Any
) -> dict[str, Any]:
    return {"name": name, "image": "train:1", "state": terminated(code, reason, message, time), **more}


def waiting(name: str, reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    return {"name": name, "image": "train:1", "state": {"waiting": {"reason": reason, "message": message}}, **more}


def looping(name: str, count: int, last: dict[str, Any]) -> dict[str, Any]:
    """A container in CrashLoopBackOff after so many restarts; `last` is its last state."""
    return waiting(name, "CrashLoopBackOff", restartCount=count, lastState=last)


def running(name: str, since: str = NOW, **more: Any) -> dict[str, Any]:
    return {"name": name, "image": "train:1", "state": {"running": {"startedAt": since}}, **more}


# Termination messages of the agent.


def said(kind: str, **fields: Any) -> str:
    return json.dumps({"v": 1, "kind": kind, **fields})


def published(**fields: Any) -> str:
    whole = {"uri": VERSION_URI, "digest": DIGEST, "files": 2, "bytes": 9, "metrics": {"auc": "0.9"}, "time": NOW}
    return said("Published", **{**whole, **fields})


def failure(reason: str, message: str = "words") -> str:
    return said("Failure", reason=reason, message=message)
