"""Worlds of a DriftMonitor, made of few words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from perennial.api.contract.settings import OperatorConfig
from perennial.core.decision import Decision
from perennial.core.kinds import Raw
from perennial.core.labels import JOB_NAME_LABEL, KIND_LABEL, MODEL_DIGEST_ANNOTATION, MODEL_RUN_ANNOTATION, NAME_LABEL
from perennial.drift.controller import CONTROLLER
from tests.support.memory import Store

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
_LABELS = {KIND_LABEL: "DriftMonitor", NAME_LABEL: "churn"}


def monitor(status: dict[str, Any] | None = None, **spec: Any) -> Raw:
    """Return a DriftMonitor of the ModelDeployment churn."""
    return {
        "apiVersion": "perennial.dev/v1alpha1",
        "kind": "DriftMonitor",
        "metadata": {"name": "churn", "namespace": "default", "uid": "dm-1", "generation": 1},
        "spec": {
            "target": {"modelDeployment": "churn"},
            "schedule": "0 * * * *",
            "reference": {"from": "TrainingRun"},
            **spec,
        },
        **({"status": status} if status is not None else {}),
    }


def target(digest: str | None = OLD, *, capture: bool = True) -> Raw:
    """Return the ModelDeployment that is watched."""
    stable = {"uri": "s3://models/churn/versions/1/", "digest": digest, "run": "churn-1"}
    return {
        "kind": "ModelDeployment",
        "metadata": {"name": "churn", "namespace": "default"},
        "spec": {"capture": {"uri": "s3://capture/churn/"}} if capture else {},
        "status": {"stable": stable} if digest else {},
    }


def cron_job() -> Raw:
    """Return the CronJob as far as it is looked at."""
    return {"kind": "CronJob", "metadata": {"name": "churn", "namespace": "default", "labels": _LABELS}}


def job(name: str, **status: Any) -> Raw:
    """Return a Job of the CronJob."""
    return {"kind": "Job", "metadata": {"name": name, "namespace": "default", "labels": _LABELS}, "status": status}


def failed_job(name: str, reason: str = "BackoffLimitExceeded", at: str = "2026-01-31T11:00:00Z") -> Raw:
    """Return a Job that has failed."""
    condition = {"type": "Failed", "status": "True", "reason": reason, "message": "m", "lastTransitionTime": at}
    return job(name, conditions=[condition])


def pod(
    name: str, message: Any, *, code: int = 0, at: str = "2026-01-31T11:00:00Z", digest: str = OLD, reason: str = ""
) -> Raw:
    """Return a pod of a Job whose container has ended."""
    text = message if isinstance(message, str) else json.dumps(message)
    ended = {"exitCode": code, "finishedAt": at, "message": text, "reason": reason}
    return {
        "kind": "Pod",
        "metadata": {
            "name": f"{name}-x",
            "namespace": "default",
            "labels": {**_LABELS, JOB_NAME_LABEL: name},
            "annotations": {MODEL_DIGEST_ANNOTATION: digest, MODEL_RUN_ANNOTATION: "churn-1"},
        },
        "status": {
            "phase": "Failed" if code else "Succeeded",
            "containerStatuses": [{"name": "drift", "state": {"terminated": ended}}],
        },
    }


def verdict(*, drifted: bool = True, **changes: Any) -> dict[str, Any]:
    """Return the agent's message of a verdict over four columns."""
    scores = {"age": "0.61", "income": "0.42", "region": "0.31", "tenure": "0.02"}
    features = [
        {"name": name, "method": "psi", "score": score, "threshold": "0.2", "drifted": drifted and score > "0.2"}
        for name, score in scores.items()
    ]
    return {
        "v": 1,
        "kind": "DriftVerdict",
        "drifted": drifted,
        "driftedFeatures": 3 if drifted else 0,
        "comparedFeatures": 4,
        "referenceRows": 1000,
        "currentRows": 500,
        "features": features,
        "reportUri": "s3://reports/churn/1/report.html",
        "time": "2026-01-31T11:00:00Z",
        **changes,
    }


def decide(resource: Raw, *world: Raw, now: datetime = NOW) -> Decision:
    """Return what the room decides."""
    parsed = CONTROLLER.parse(resource)
    config = OperatorConfig.model_validate({"agent": {"image": "perennial:1"}})
    return CONTROLLER.decide(CONTROLLER.observe(parsed, Store.of([resource, *world])), config, now)


def status_of(decision: Decision) -> dict[str, Any]:
    """Return the status that was decided."""
    assert decision.status is not None
    return decision.status


def conditions(decision: Decision) -> dict[str, tuple[str, str]]:
    """Return status and reason of each condition."""
    return {item["type"]: (item["status"], item["reason"]) for item in status_of(decision)["conditions"]}


def after(decision: Decision, resource: Raw) -> Raw:
    """Return the resource with the status that was decided."""
    return {**resource, "status": decision.status}
