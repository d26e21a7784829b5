"""A room small enough to see through: one Job and one Service per resource."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from perennial.api.common.base import Resource
from perennial.api.common.status import BaseStatus
from perennial.api.contract.settings import OperatorConfig
from perennial.core.conditions import ready, settle
from perennial.core.decision import Apply, Controller, Create, Decision, EventNote, Gauge, World
from perennial.core.kinds import DRIFT_MONITOR, JOB, MODEL_DEPLOYMENT, SERVICE, TRAINING_JOB, Key, Kind, Raw
from perennial.core.names import owner_labels


class ToySpec(BaseModel):
    image: str = Field(min_length=1)
    follows: str = ""
    port: int = 80


class Toy(Resource):
    kind: str
    spec: ToySpec
    status: BaseStatus = BaseStatus()


@dataclass(frozen=True)
class Seen:
    toy: Toy
    jobs: tuple[Raw, ...]


def names(raw: Mapping[str, Any]) -> tuple[Key, ...]:
    follows = raw["spec"].get("follows")
    return (Key("TrainingJob", raw["metadata"]["namespace"], follows),) if follows else ()


def observe(toy: Toy, world: World) -> Seen:
    return Seen(toy, world.children(JOB, Key(toy.kind, toy.metadata.namespace, toy.metadata.name), toy.metadata.uid))


def decide(seen: Seen, config: OperatorConfig, now: datetime) -> Decision:
    meta = seen.toy.metadata
    conditions = settle(seen.toy.status.conditions, ready("Made", "all is made"), meta.generation, now)
    status = BaseStatus(observed_generation=meta.generation, conditions=conditions).dump()
    job = child(seen.toy, "batch/v1", "Job", {"suspend": True, "template": {"spec": pod(seen.toy.spec.image)}})
    service = child(seen.toy, "v1", "Service", {"ports": [{"port": seen.toy.spec.port}], "clusterIP": "None"})
    return Decision(
        status=status,
        status_first=seen.toy.kind == "TrainingJob",
        actions=(Create(job),) if seen.toy.kind == "TrainingJob" else (Apply(service),),
        events=(EventNote("Normal", "Made", "all is made"),),
    )


def gauges(toy: Toy) -> tuple[Gauge, ...]:
    return (Gauge("perennial_toy_generation", "Generation.", toy.metadata.generation),)


def child(toy: Toy, api_version: str, kind: str, spec: dict[str, Any]) -> Raw:
    meta = toy.metadata
    owner = {"apiVersion": "perennial.dev/v1alpha1", "kind": toy.kind, "name": meta.name, "uid": meta.uid}
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": meta.name,
            "namespace": meta.namespace,
            "labels": owner_labels(Key(toy.kind, meta.namespace, meta.name), "toy"),
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": False}],
        },
        "spec": spec,
    }


def pod(image: str) -> dict[str, Any]:
    return {"restartPolicy": "Never", "containers": [{"name": "main", "image": image}]}


def controller(kind: Kind, **changes: Any) -> Controller[Toy, Seen]:
    parts = {"parse": Toy.model_validate, "names": names, "observe": observe, "decide": decide, "metrics": gauges}
    return Controller(kind=kind, **{**parts, **changes})


def controllers(**changes: Any) -> dict[str, Controller[Toy, Seen]]:
    return {kind.kind: controller(kind, **changes) for kind in (TRAINING_JOB, MODEL_DEPLOYMENT, DRIFT_MONITOR)}


__all__ = ["SERVICE", "Seen", "Toy", "child", "controller", "controllers"]
