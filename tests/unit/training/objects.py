"""A TrainingJob, its Jobs and its pods as the training controller parses them."""

from __future__ import annotations

from typing import Any

from perennial.api.trainingjob.resource import TrainingJob
from perennial.training.observe import OwnedJob, OwnedPod
from tests.support import builders
from tests.support.builders import NOW, condition, job_failed, training_job


def parsed(spec: dict[str, Any] | None = None, **meta: Any) -> TrainingJob:
    return TrainingJob.model_validate(training_job(spec, **meta))


def job(*conditions: dict[str, str], name: str = "churn-1-0") -> OwnedJob:
    return OwnedJob.model_validate(builders.job(name, status={"conditions": conditions}, uid="j1"))


def complete(time: str = NOW) -> OwnedJob:
    return job(condition("Complete", time=time))


def failed(reason: str = "BackoffLimitExceeded", time: str = NOW) -> OwnedJob:
    return job(job_failed(reason, time))


def pod(phase: str, *containers: dict[str, Any], meta: dict[str, Any] | None = None, **status: Any) -> OwnedPod:
    made = {"uid": "p1", "creationTimestamp": NOW, **(meta or {})}
    return OwnedPod.model_validate(builders.pod("churn-1-0-0-x", phase, *containers, meta=made, **status))
