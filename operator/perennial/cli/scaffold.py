"""A first set of three resources from a few answers: `kubectl perennial init`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import ValidationError

from perennial.api.common.base import API_VERSION
from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.trainingjob.resource import TrainingJob
from perennial.cli.errors import CliError


@dataclass(frozen=True)
class Answers:
    """What `init` asks for."""

    name: str
    image: str
    data: str
    """URI of the training data."""
    bucket: str
    """URI below which models, captures and reports are written."""
    runtime: str
    endpoint: str
    """Address of the S3-compatible storage; empty for AWS."""
    secret: str
    """Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; empty for a cloud identity of the pods."""


def manifests(answers: Answers) -> tuple[dict[str, Any], ...]:
    """Build and validate the three resources.

    Raises:
        CliError: an answer is not valid; the message names the field.
    """
    built = (_training(answers), _deployment(answers), _monitor(answers))
    for manifest, model in zip(built, (TrainingJob, ModelDeployment, DriftMonitor), strict=True):
        try:
            model.model_validate(manifest)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise CliError(f"{manifest['kind']} {where}: {first['msg']} (got {first['input']!r})") from error
    return built


def as_yaml(built: tuple[Mapping[str, Any], ...]) -> str:
    """One file with all resources."""
    return "---\n".join(yaml.safe_dump(dict(item), sort_keys=False, width=100) for item in built)


def _storage(answers: Answers) -> dict[str, Any]:
    chosen = {"endpoint": answers.endpoint, "secretName": answers.secret}
    found = {name: value for name, value in chosen.items() if value}
    return {"storage": found} if found else {}


def _resource(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _below(answers: Answers, folder: str) -> str:
    return f"{answers.bucket.rstrip('/')}/{folder}/"


def _training(answers: Answers) -> dict[str, Any]:
    return _resource(
        "TrainingJob",
        answers.name,
        {
            "image": answers.image,
            "inputs": [{"name": "train", "uri": answers.data}],
            "output": {"uri": _below(answers, "models")},
            **_storage(answers),
        },
    )


def _deployment(answers: Answers) -> dict[str, Any]:
    return _resource(
        "ModelDeployment",
        answers.name,
        {
            "model": {"trainingJob": answers.name},
            "runtime": {"name": answers.runtime},
            "replicas": {"min": 2},
            "capture": {"uri": _below(answers, "capture")},
            **_storage(answers),
        },
    )


def _monitor(answers: Answers) -> dict[str, Any]:
    return _resource(
        "DriftMonitor",
        answers.name,
        {
            "target": {"modelDeployment": answers.name},
            "schedule": "0 * * * *",
            "reference": {"from": "TrainingRun", "input": "train"},
            "current": {"window": "24h"},
            "onDrift": {"retrain": {"trainingJob": answers.name}},
            "report": {"uri": _below(answers, "reports")},
            **_storage(answers),
        },
    )
