"""A cluster in memory, with one ModelDeployment: carries decisions out, and lets a test play all other parts."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from perennial.adapters.errors import ApiError
from perennial.api.contract.settings import OperatorConfig
from perennial.core.decision import Action, Apply, Create, Decision, Delete, EventNote
from perennial.core.kinds import MODEL_DEPLOYMENT, SERVICE, Key, Raw
from perennial.core.labels import REVISION_LABEL
from perennial.core.names import FIELD_MANAGER
from perennial.core.times import format_time
from perennial.serving.controller import CONTROLLER
from tests.support.builders import artifact, model_deployment, pod, training_job
from tests.support.memory import START, Store, key_of

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
                "batching": {"maxSize": "MOST", "maxDelaySeconds": "DELAY"},
            }
        },
    }
)
SERVICE_KEY = Key("Service", "default", "churn")


class Cluster:
    """A store with one ModelDeployment; carries decisions out and plays pods, the Deployment controller and users."""

    def __init__(self, resource: Raw | None = None, config: OperatorConfig = CONFIG) -> None:
        self.store = Store(now=START, admit=_with_defaults)
        self._key = key_of(self.store.put(resource or model_deployment()))
        self.config = config
        self.events: list[EventNote] = []
        self.switches: list[str] = []
        self.last: Decision | None = None

    @property
    def resource(self) -> Raw:
        """The ModelDeployment as it is stored."""
        return self.store.objects[self._key]

    @resource.setter
    def resource(self, raw: Raw) -> None:
        self.store.put(raw)

    @property
    def now(self) -> datetime:
        """The time that the next decision is made at."""
        return self.store.now

    # What tests do.

    def live(self, kind: str, name: str = "churn") -> Raw:
        """One object as it is stored, to read or to edit in place."""
        return self.store.live(kind, name)

    def remove(self, kind: str, name: str) -> None:
        """Delete an object, as a user does."""
        self.store.remove(kind, name)

    def publish(self, letter: str, number: int = 1) -> None:
        """Let the TrainingJob publish a model."""
        self.store.put(training_job(status={"artifact": artifact(letter, number)}))

    def edit(self, **spec: Any) -> None:
        """Change fields of the spec, as a user does."""
        self.store.update({**self.resource, "spec": {**self.resource["spec"], **spec}})

    def children(self) -> dict[tuple[str, str], Raw]:
        """Everything but the resource and its TrainingJob, by kind and name."""
        others = ("ModelDeployment", "TrainingJob")
        return {(key.kind, key.name): raw for key, raw in self.store.objects.items() if key.kind not in others}

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.store.now += timedelta(seconds=seconds)

    def set_ready(self, name: str, count: int | None = None) -> None:
        """Let the Deployment controller and the pods do as the Deployment says, with so many of them answering."""
        raw = self.live("Deployment", name)
        wanted = raw["spec"]["replicas"]
        answering = wanted if count is None else count
        truth = "True" if answering >= wanted else "False"
        before: dict[str, Any] = next(iter(raw.get("status", {}).get("conditions", ())), {})
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
        made = pod(name, "Pending", owner=MODEL_DEPLOYMENT, labels={REVISION_LABEL: revision})
        self.store.put({**made, "status": status})

    def names(self, kind: str) -> list[str]:
        """Return the names of what there is of a kind."""
        return list(self.store.named(kind))

    @property
    def status(self) -> dict[str, Any]:
        """Return the status as last written."""
        found: dict[str, Any] = self.resource.get("status", {})
        return found

    def condition(self, kind: str) -> dict[str, Any] | None:
        """Return a condition of the status."""
        return next((item for item in self.status.get("conditions", ()) if item["type"] == kind), None)

    def truth(self, kind: str) -> str | None:
        """Return a condition's status, or None while there is no such condition."""
        found = self.condition(kind)
        return found["status"] if found else None

    def selected(self) -> str | None:
        """Return the revision that the Service selects."""
        service = self.store.get(SERVICE, "default", "churn")
        return service["spec"]["selector"].get(REVISION_LABEL) if service else None

    # What the runtime does.

    def decide(self) -> Decision:
        """Return what the room decides now."""
        resource = CONTROLLER.parse(self.resource)
        return CONTROLLER.decide(CONTROLLER.observe(resource, self.store), self.config, self.now)

    def reconcile(self) -> int:
        """Carry out one decision; return the number of writes."""
        self.last = self.decide()
        writes = sum(self._carry_out(action) for action in self.last.actions)
        if self.last.status is not None and self.last.status != self.resource.get("status"):
            self.store.replace_status(self.resource, self.last.status)
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

    def _carry_out(self, action: Action) -> bool:
        """Carry out an action; tell whether it changed anything."""
        before = self.store.version
        match action:
            case Delete(kind, namespace, name, uid):
                with suppress(ApiError):
                    self.store.delete(kind.kind, namespace, name, uid)
                    return True
                return False
            case Create(manifest) if key_of(manifest) not in self.store.objects:
                self.store.put({**manifest, "metadata": {**manifest["metadata"], "uid": f"job-{self.store.version}"}})
            case Apply(manifest, manager) if manager == FIELD_MANAGER or key_of(manifest) in self.store.objects:
                live = self.store.apply(manifest, manager)
                if key_of(live) == SERVICE_KEY and self.store.version != before:
                    self.switches.append(live["spec"]["selector"].get(REVISION_LABEL))
        return self.store.version != before


def _with_defaults(raw: Raw) -> Raw:
    """Default what the API server does and the controller reads."""
    return {**raw, "spec": {"replicas": 1, **raw["spec"]}} if raw["kind"] == "Deployment" else raw
