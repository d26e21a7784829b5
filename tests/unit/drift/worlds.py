"""Worlds of a DriftMonitor, made of few words."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from perennial.api.contract.settings import OperatorConfig
from perennial.core.decision import Decision
from perennial.core.kinds import DRIFT_MONITOR, Raw
from perennial.core.labels import JOB_NAME_LABEL, MODEL_DIGEST_ANNOTATION, MODEL_RUN_ANNOTATION
from perennial.drift.controller import CONTROLLER
from tests.support import builders
from tests.support.builders import EARLIER, digest, ended, job_failed, labels_of, model_deployment
from tests.support.memory import START, Store

OLD, NEW = digest("a"), digest("b")


def target(version: str | None = OLD, *, capture: bool = True) -> Raw:
    """Build the monitored ModelDeployment, with a stable version or none."""
    stable = {"uri": "s3://models/churn/versions/1/", "digest": version, "run": "churn-1"}
    made = model_deployment(**({"capture": {"uri": "s3://capture/churn/"}} if capture else {}))
    return {**made, "status": {"stable": stable} if version else {}}


def cron_job() -> Raw:
    """Build the CronJob with the fields that are read."""
    metadata = {"name": "churn", "namespace": "default", "labels": labels_of(DRIFT_MONITOR)}
    return {"kind": "CronJob", "metadata": metadata}


def job(name: str, **status: Any) -> Raw:
    """Build a Job of the CronJob."""
    return builders.job(name, DRIFT_MONITOR, status=status)


def failed_job(name: str, reason: str = "BackoffLimitExceeded", at: str = EARLIER) -> Raw:
    """Build a Job that has failed."""
    return job(name, conditions=[job_failed(reason, at)])


def pod(name: str, message: Any, *, code: int = 0, at: str = EARLIER, digest: str = OLD, reason: str = "") -> Raw:
    """Build a pod of a Job whose container has ended."""
    text = message if isinstance(message, str) else json.dumps(message)
    return builders.pod(
        f"{name}-x",
        "Failed" if code else "Succeeded",
        ended("drift", code, reason, text, time=at),
        owner=DRIFT_MONITOR,
        labels={JOB_NAME_LABEL: name},
        meta={"annotations": {MODEL_DIGEST_ANNOTATION: digest, MODEL_RUN_ANNOTATION: "churn-1"}},
    )


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


def decide(resource: Raw, *world: Raw, now: datetime = START) -> Decision:
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
