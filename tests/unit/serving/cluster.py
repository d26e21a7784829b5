"""A cluster in memory, with one ModelDeployment: carries decisions out, and lets a test play all other parts."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from perennial.api.contract.settings import OperatorConfig
from perennial.core.decision import Apply, Decision, Delete, EventNote
from perennial.core.kinds import Raw
from perennial.core.labels import KIND_LABEL, NAME_LABEL, REVISION_LABEL
from perennial.core.times import format_time
from perennial.runtime.controller.diff import covers
from perennial.serving.controller import CONTROLLER
from tests.support.listed import ListedWorld

START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
CONFIG = OperatorConfig.model_validate(
    {
        "agent": {"image": "perennial:1"},
        "runtimes": {
            "sklearn": {
                "image": "mlserver:1",
                "env": [{"name": "MODEL", "value": "$(PERENNIAL_MODEL_DIR)"}],
                "readiness": {"path": "/v2/health/ready"},
                "liveness": {"path": "/v2/health/live"},
                "metricsPort": 8082,
                "scalingMetrics": {"queue": "waiting"},
            }
        },
    }
)


def digest(letter: str) -> str:
    """Return a digest made of one hexadecimal digit."""
    return "sha256:" + letter * 64


def artifact(letter: str, number: int = 1) -> dict[str, Any]:
    """Return a TrainingJob's `status.artifact`."""
    return {
        "uri": f"s3://models/churn/versions/{letter * 12}/",
        "digest": digest(letter),
        "run": f"churn-{number}",
        "time": "2026-01-31T11:00:00Z",
    }


def model_deployment(**spec: Any) -> Raw:
    """Return a ModelDeployment that follows TrainingJob churn."""
    return {
        "apiVersion": "perennial.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "churn", "namespace": "default", "uid": "md-1", "generation": 1},
        "spec": {"model": {"trainingJob": "churn"}, "runtime": {"name": "sklearn"}, **spec},
    }


@dataclass
class Cluster:
    """Mutable on purpose: it stands for the API server and the controllers behind it."""

    resource: Raw = field(default_factory=model_deployment)
    config: OperatorConfig = CONFIG
    now: datetime = START
    objects: dict[tuple[str, str], Raw] = field(default_factory=dict)
    events: list[EventNote] = field(default_factory=list)
    switches: list[str] = field(default_factory=list)
    last: Decision | None = None
    _uids: int = 0

    # What tests do.

    def publish(self, letter: str, number: int = 1) -> None:
        """Let the TrainingJob publish a model."""
        self.objects["TrainingJob", "churn"] = {
            "kind": "TrainingJob",
            "metadata": {"name": "churn", "namespace": "default"},
            "status": {"artifact": artifact(letter, number)},
        }

    def edit(self, **spec: Any) -> None:
        """Change the spec, as a user does."""
        self.resource = copy.deepcopy(self.resource)
        self.resource["spec"].update(spec)
        self.resource["metadata"]["generation"] += 1

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    def set_ready(self, name: str, count: int | None = None) -> None:
        """Let the Deployment controller and the pods do as the Deployment says, with so many of them answering."""
        raw = self.objects["Deployment", name]
        wanted = raw["spec"]["replicas"]
        answering = wanted if count is None else count
        truth = "True" if answering >= wanted else "False"
        before = next(iter(raw.get("status", {}).get("conditions", ())), {})
        since = before["lastTransitionTime"] if before.get("status") == truth else format_time(self.now)
        raw["status"] = {
            "conditions": [{"type": "Available", "status": truth, "lastTransitionTime": since}],
            "observedGeneration": raw["metadata"]["generation"],
            "replicas": wanted,
            "updatedReplicas": wanted,
            "readyReplicas": answering,
            "availableReplicas": answering,
        }

    def add_pod(self, revision: str, status: dict[str, Any], name: str = "pod-1") -> None:
        """Put a pod of a revision there, in the given state."""
        labels = {KIND_LABEL: "ModelDeployment", NAME_LABEL: "churn", REVISION_LABEL: revision}
        metadata = {"name": name, "namespace": "default", "labels": labels}
        self.objects["Pod", name] = {"kind": "Pod", "metadata": metadata, "status": status}

    def names(self, kind: str) -> list[str]:
        """Return the names of what there is of a kind."""
        return sorted(name for found, name in self.objects if found == kind)

    @property
    def status(self) -> dict[str, Any]:
        """Return the status as last written."""
        return self.resource.get("status", {})

    def condition(self, kind: str) -> dict[str, Any] | None:
        """Return a condition of the status."""
        return next((item for item in self.status.get("conditions", ()) if item["type"] == kind), None)

    def truth(self, kind: str) -> str | None:
        """Return a condition's status, or None while there is no such condition."""
        found = self.condition(kind)
        return found["status"] if found else None

    def selected(self) -> str | None:
        """Return the revision that the Service selects."""
        service = self.objects.get(("Service", "churn"))
        return service["spec"]["selector"][REVISION_LABEL] if service else None

    # What the runtime does.

    def decide(self) -> Decision:
        """Return what the room decides now."""
        resource = CONTROLLER.parse(self.resource)
        world = ListedWorld([self.resource, *self.objects.values()])
        return CONTROLLER.decide(CONTROLLER.observe(resource, world), self.config, self.now)

    def reconcile(self) -> int:
        """Carry out one decision; return the number of writes."""
        self.last = self.decide()
        writes = sum(self._carry_out(action) for action in self.last.actions)
        if self.last.status != self.resource.get("status"):
            self.resource = {**self.resource, "status": self.last.status}
            self.events.extend(self.last.events)
            writes += 1
        return writes

    def settle(self, limit: int = 10) -> int:
        """Reconcile until there is nothing left to write; return the number of writes."""
        total = 0
        for _ in range(limit):
            writes = self.reconcile()
            if not writes:
                return total
            total += writes
        raise AssertionError("no rest after so many reconciles")

    def _carry_out(self, action: Any) -> bool:
        if isinstance(action, Delete):
            raw = self.objects.get((action.kind.kind, action.name))
            if raw is None or raw["metadata"]["uid"] != action.uid:
                return False
            del self.objects[action.kind.kind, action.name]
            return True
        assert isinstance(action, Apply)
        return self._apply(action.manifest)

    def _apply(self, manifest: Raw) -> bool:
        key = (manifest["kind"], manifest["metadata"]["name"])
        live = self.objects.get(key)
        if live is not None and covers(live, manifest):
            return False
        if live is None:
            self._uids += 1
            made = {"uid": f"uid-{self._uids}", "generation": 1, "creationTimestamp": format_time(self.now)}
            live = {"metadata": made, "spec": {"replicas": 1}}
        merged = _merge(live, manifest)
        if merged["spec"] != live["spec"]:
            merged["metadata"]["generation"] += 1
        if key == ("Service", "churn"):
            self.switches.append(merged["spec"]["selector"][REVISION_LABEL])
        self.objects[key] = merged
        return True


def _merge(live: Any, manifest: Any) -> Any:
    if isinstance(live, dict) and isinstance(manifest, dict):
        return {**live, **{key: _merge(live.get(key), value) for key, value in manifest.items()}}
    return copy.deepcopy(manifest)
