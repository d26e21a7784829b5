"""The three CustomResourceDefinitions, from the models of `perennial.api`."""

import json
from dataclasses import dataclass
from typing import Any

from perennial.api.common.base import GROUP, VERSION, Model
from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.trainingjob.resource import TrainingJob
from perennial.core.kinds import DRIFT_MONITOR, MODEL_DEPLOYMENT, TRAINING_JOB, Kind
from perennial.generate.structural import Schema, structural, without_defaults

MOST_BYTES = 200 * 1024
"""Client-side `kubectl apply` stores the whole object in an annotation, which is limited to 256 KiB."""


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`; priority 1 is shown with `-o wide` only."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0
    description: str = ""

    def dump(self) -> dict[str, Any]:
        """Return the column in the form of `additionalPrinterColumns`."""
        shown = {"name": self.name, "jsonPath": self.path, "type": self.type}
        shown |= {"description": self.description} if self.description else {}
        return {**shown, **({"priority": self.priority} if self.priority else {})}


def _condition(kind: str, part: str) -> str:
    return f".status.conditions[?(@.type=='{kind}')].{part}"


READY = Column("Ready", _condition("Ready", "status"), description="Whether the resource does what its spec says.")
REASON = Column("Reason", _condition("Ready", "reason"), description="Why it is ready, or not.")
MESSAGE = Column("Message", _condition("Ready", "message"), priority=1)
AGE = Column("Age", ".metadata.creationTimestamp", "date")


@dataclass(frozen=True)
class Definition:
    """A CRD without its schema: names, printer columns and subresources."""

    kind: Kind
    model: type[Model]
    short_name: str
    columns: tuple[Column, ...]
    scale: bool = False


DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        TRAINING_JOB,
        TrainingJob,
        "tj",
        (
            Column("Phase", ".status.phase", description="Summary for people."),
            READY,
            REASON,
            Column("Runs", ".status.runCount", "integer", description="Runs started so far."),
            Column("Step", ".status.currentRun.progress.step", "integer", priority=1),
            Column("Of", ".status.currentRun.progress.total", "integer", priority=1),
            Column("Next run", ".status.nextScheduleTime", priority=1),
            Column("Artifact", ".status.artifact.digest", priority=1),
            Column("Last success", ".status.lastSuccessTime", "date"),
            MESSAGE,
            AGE,
        ),
    ),
    Definition(
        MODEL_DEPLOYMENT,
        ModelDeployment,
        "md",
        (
            READY,
            REASON,
            Column("Phase", ".status.phase", description="Summary for people."),
            Column("Replicas", ".status.readyReplicas", "integer", description="Number of ready pods."),
            Column(
                "Weight",
                ".status.candidate.weight",
                "integer",
                description="Percentage of the requests that a canary gets.",
            ),
            Column("Run", ".status.stable.run", priority=1, description="Training run of the stable revision."),
            Column("URL", ".status.url", priority=1, description="Address for predictions."),
            Column("Digest", ".status.stable.digest", priority=1),
            MESSAGE,
            AGE,
        ),
        scale=True,
    ),
    Definition(
        DRIFT_MONITOR,
        DriftMonitor,
        "dm",
        (
            READY,
            Column("Phase", ".status.phase", description="Summary of the conditions."),
            REASON,
            Column("Drifted", _condition("Drifted", "status"), description="Whether the newest verdict found drift."),
            Column("Trend", ".status.lastVerdict.trend", description="Direction of the share of drifted columns."),
            Column("Last run", ".status.lastRun.time", "date"),
            Column("Schedule", ".spec.schedule", priority=1),
            Column("Report", ".status.reportUri", priority=1),
            MESSAGE,
            AGE,
        ),
    ),
)


def definition(item: Definition, annotations: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the CustomResourceDefinition of one resource.

    Raises:
        ValueError: the CRD exceeds `MOST_BYTES`.
    """
    kind = item.kind
    crd: dict[str, Any] = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}", **({"annotations": annotations} if annotations else {})},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": [item.short_name],
                "categories": ["perennial", "ml"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": _subresources(item),
                    "additionalPrinterColumns": [column.dump() for column in item.columns],
                    "schema": {"openAPIV3Schema": root_schema(item.model)},
                }
            ],
        },
    }
    size = len(json.dumps(crd, separators=(",", ":")))
    if size > MOST_BYTES:
        raise ValueError(
            f"the CRD of {kind.kind} has {size} bytes; client-side kubectl apply supports at most {MOST_BYTES}"
        )
    return crd


def root_schema(model: type[Model]) -> Schema:
    """Return the schema of a whole object. The API server adds the fields of metadata."""
    schema = structural(model)
    properties = schema["properties"]
    properties["apiVersion"] = {"type": "string", "description": "Version of the schema: perennial.dev/v1alpha1."}
    properties["kind"] = {"type": "string", "description": "Kind of the resource."}
    properties["metadata"] = {"type": "object"}
    # With -1, kstatus does not consider an object current before the operator has processed it. Status has no other
    # default, so that it holds only what the operator wrote.
    properties["status"] = {**without_defaults(properties["status"]), "default": {"observedGeneration": -1}}
    schema["required"] = ["spec"]
    return schema


def _subresources(item: Definition) -> dict[str, Any]:
    scale = {
        "specReplicasPath": ".spec.replicas.min",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    return {"status": {}, **({"scale": scale} if item.scale else {})}
