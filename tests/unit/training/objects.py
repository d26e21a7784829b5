"""Raw objects as the API server sends them, for the tests of the training controller."""

from __future__ import annotations

import json
from typing import Any

from perennial.api.trainingjob.resource import TrainingJob
from perennial.core.kinds import Raw
from perennial.training.observe import OwnedJob, OwnedPod

NOW = "2026-01-31T12:00:00Z"
DIGEST = "sha256:" + "ab" * 32
OUTPUT = "s3://models/churn/"
VERSION = "s3://models/churn/versions/abababababab/"
LABELS = {"perennial.dev/kind": "TrainingJob", "perennial.dev/name": "churn"}


def resource(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **meta: Any) -> Raw:
    return {
        "apiVersion": "perennial.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": "churn", "namespace": "default", "uid": "tj-1", "generation": 1, **meta},
        "spec": {"image": "train:1", "output": {"uri": OUTPUT}, **(spec or {})},
        **({"status": status} if status is not None else {}),
    }


def parsed(spec: dict[str, Any] | None = None, **meta: Any) -> TrainingJob:
    return TrainingJob.model_validate(resource(spec, **meta))


def condition(kind: str, status: str = "True", *, time: str = NOW, **more: str) -> dict[str, str]:
    return {"type": kind, "status": status, "lastTransitionTime": time, **more}


def job(*conditions: dict[str, str], name: str = "churn-1-0") -> OwnedJob:
    return OwnedJob.model_validate({"metadata": {"name": name, "uid": "j1"}, "status": {"conditions": conditions}})


def complete(time: str = NOW) -> OwnedJob:
    return job(condition("Complete", time=time))


def failed(reason: str = "BackoffLimitExceeded", time: str = NOW) -> OwnedJob:
    return job(condition("Failed", reason=reason, message="Job has reached the specified backoff limit", time=time))


def ended(name: str, code: int = 0, reason: str = "", message: str = "", **more: Any) -> dict[str, Any]:
    reason = reason or ("Completed" if code == 0 else "Error")
    state = {"terminated": {"exitCode": code, "reason": reason, "message": message, "finishedAt": NOW}}
    return {"name": name, "image": "train:1", "state": state, **more}


def waiting(name: str, reason: str, message: str = "") -> dict[str, Any]:
    return {"name": name, "image": "train:1", "state": {"waiting": {"reason": reason, "message": message}}}


def running(name: str, since: str = NOW) -> dict[str, Any]:
    return {"name": name, "image": "train:1", "state": {"running": {"startedAt": since}}}


def pod(phase: str, *containers: dict[str, Any], meta: dict[str, Any] | None = None, **status: Any) -> OwnedPod:
    inits = [item for item in containers if item["name"] != "train"]
    mains = [item for item in containers if item["name"] == "train"]
    return OwnedPod.model_validate(
        {
            "metadata": {"name": "churn-1-0-0-x", "uid": "p1", "creationTimestamp": NOW, **(meta or {})},
            "status": {"phase": phase, "initContainerStatuses": inits, "containerStatuses": mains, **status},
        }
    )


def said(kind: str, **fields: Any) -> str:
    return json.dumps({"v": 1, "kind": kind, **fields})


def published(**fields: Any) -> str:
    whole = {"uri": VERSION, "digest": DIGEST, "files": 2, "bytes": 9, "metrics": {"auc": "0.9"}, "time": NOW}
    return said("Published", **{**whole, **fields})


def failure(reason: str, message: str = "words") -> str:
    return said("Failure", reason=reason, message=message)
