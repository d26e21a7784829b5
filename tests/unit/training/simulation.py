"""A simulated cluster that carries out the decisions of the training controller, and Kubernetes around it.

Decisions are carried out as by the runtime: status by version, Jobs created once, deletions last. The operator can be
killed after any write, and after every write the invariants are checked.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from perennial.api.contract.settings import OperatorConfig
from perennial.api.trainingjob.resource import TrainingJobStatus
from perennial.core.decision import Apply, Create, Decision, Delete
from perennial.core.kinds import CRON_JOB, DRIFT_MONITOR, JOB, MODEL_DEPLOYMENT, POD, SERVICE, Key, Kind, Raw
from perennial.core.times import format_time, parse_time
from perennial.training.controller import CONTROLLER
from perennial.training.job.plan import read_plan, run_hash
from tests.support.builders import NOW, condition, ended, labels_of, published, training_job

CONFIG = OperatorConfig()
ALIVE = re.compile(r"^(.+-\d+?)(?:-t\d+)?-\d+$")
"""A Job's name, and the run in it."""


def is_queued(job: Raw) -> bool:
    return "kueue.x-k8s.io/queue-name" in job["metadata"]["labels"]


class Killed(Exception):
    """The operator was stopped between two writes."""


@dataclass
class Cluster:
    """One TrainingJob and what surrounds it."""

    resource: Raw = field(default_factory=lambda: training_job(resourceVersion="1"))
    jobs: dict[str, Raw] = field(default_factory=dict)
    pods: dict[str, Raw] = field(default_factory=dict)
    cron_jobs: dict[str, Raw] = field(default_factory=dict)
    services: dict[str, Raw] = field(default_factory=dict)
    polls: dict[str, Raw] = field(default_factory=dict)
    """Pods that have listed the inputs."""
    said: dict[str, str] = field(default_factory=dict)
    """Answers of pods, by address."""
    monitors: list[Raw] = field(default_factory=list)
    deployment: Raw | None = None
    """The ModelDeployment that the monitors watch."""
    now: datetime = field(default_factory=lambda: parse_time(NOW))
    writes: int = 0
    version: int = 1
    made: int = 0
    most_alive: int = 2
    hashes: dict[str, str] = field(default_factory=dict)
    """What each run, or trial of one, runs on."""
    past: list[Raw] = field(default_factory=list)

    # What the controller reads.

    def get(self, kind: Kind, namespace: str, name: str) -> Raw | None:
        return self.deployment if kind == MODEL_DEPLOYMENT else None

    def children(self, kind: Kind, owner: Key, uid: str) -> tuple[Raw, ...]:
        pods = {**self.pods, **self.polls}
        found = {JOB: self.jobs, POD: pods, CRON_JOB: self.cron_jobs, SERVICE: self.services}[kind]
        return tuple(found[name] for name in sorted(found))

    def answer(self, url: str) -> str | None:
        """Return what a pod says of its progress."""
        return self.said.get(url)

    def naming(self, kind: Kind, upstream: Key) -> tuple[Raw, ...]:
        return tuple(self.monitors) if kind == DRIFT_MONITOR else ()

    # The runtime.

    def decide(self, raw: Raw | None = None) -> Decision:
        parsed = CONTROLLER.parse(copy.deepcopy(raw or self.resource))
        return CONTROLLER.decide(CONTROLLER.observe(parsed, self), CONFIG, self.now)

    def reconcile(self, killed_after: int | None = None, seen: Raw | None = None) -> Decision:
        """Carry out one decision, on the resource as it was `seen`; raise Killed after so many writes."""
        left = [killed_after]
        version = int((seen or self.resource)["metadata"]["resourceVersion"])
        decision = self.decide(seen)
        if decision.status_first and not self._put_status(decision, version, left):
            return decision
        version = self.version if decision.status_first else version
        for action in sorted(decision.actions, key=lambda item: isinstance(item, Delete)):
            self._act(action, left)
        if not decision.status_first:
            self._put_status(decision, version, left)
        return decision

    def _put_status(self, decision: Decision, version: int, left: list[int | None]) -> bool:
        if decision.status is None:
            return True
        TrainingJobStatus.model_validate(decision.status)
        if version != self.version:
            return False
        if decision.status != self.resource.get("status"):
            self.change(status=copy.deepcopy(decision.status))
            self._written(left)
        return True

    def _act(self, action: Create | Apply | Delete, left: list[int | None]) -> None:
        if self._carry_out(action):
            self._written(left)

    def _carry_out(self, action: Create | Apply | Delete) -> bool:
        """Carry out an action; tell whether it changed anything."""
        match action:
            case Create(manifest):
                return self._create(manifest)
            case Delete(kind=kind, name=name) if kind != JOB:
                del {CRON_JOB: self.cron_jobs, SERVICE: self.services}[kind][name]
                return True
            case Delete(name=name, uid=uid):
                known = self.jobs.get(name)
                if known is None or known["metadata"]["uid"] != uid:
                    return False
                self.remove_job(name)
                return True
            case Apply(manifest, manager):
                return self._apply_job(manifest, manager) if manifest["kind"] == JOB.kind else self._apply(manifest)

    def _create(self, manifest: Raw) -> bool:
        name = manifest["metadata"]["name"]
        if name in self.jobs:
            return False
        self.made += 1
        meta = {**manifest["metadata"], "uid": f"job-{self.made}", "creationTimestamp": self._time()}
        self.jobs[name] = {**copy.deepcopy(manifest), "metadata": meta, "status": {}}
        return True

    def _apply(self, manifest: Raw) -> bool:
        held = {CRON_JOB.kind: self.cron_jobs, SERVICE.kind: self.services}[manifest["kind"]]
        meta = manifest["metadata"]
        known = held.get(meta["name"])
        if known is not None and known["spec"] == manifest["spec"]:
            return False
        references = [{"kind": "TrainingJob", "uid": "tj-1", "controller": True}]
        held[meta["name"]] = {**manifest, "metadata": {**meta, "uid": "child-1", "ownerReferences": references}}
        return True

    def _apply_job(self, manifest: Raw, manager: str) -> bool:
        job = self.jobs[manifest["metadata"]["name"]]
        assert not is_queued(job), "a Job in a queue is written"
        if manager == "perennial-repair":
            job["spec"].update(manifest["spec"])
            return True
        assert manager == "perennial-suspend"
        if bool(job["spec"].get("suspend")) == manifest["spec"]["suspend"]:
            return False
        job["spec"]["suspend"] = manifest["spec"]["suspend"]
        self.pods.pop(job["metadata"]["name"], None)
        return True

    def _written(self, left: list[int | None]) -> None:
        self.writes += 1
        self.check()
        if left[0] is not None:
            left[0] -= 1
            if left[0] <= 0:
                raise Killed

    # Invariants.

    def check(self) -> None:
        runs = {ALIVE.match(name)[1] for name in self.alive()}  # type: ignore[index]
        assert len(runs) <= 1, f"Jobs alive at once: {self.alive()}"
        assert len({name.rsplit("-", 1)[0] for name in self.alive()}) == len(self.alive()), self.alive()
        assert len(self.alive()) <= self.most_alive, self.alive()
        for job in self.jobs.values():
            plan = read_plan(job["metadata"]["annotations"]["perennial.dev/plan"])
            assert plan is not None
            runs_on = f"{plan.run.spec_hash} {plan.lineage.model_dump_json()}"
            known = self.hashes.setdefault(plan.run.name, runs_on)
            assert known == runs_on, f"run {plan.run.name} runs on two specs"

    def alive(self) -> list[str]:
        return sorted(name for name, job in self.jobs.items() if not job["status"].get("conditions"))

    def admit(self) -> None:
        """Let the queue admit what waits in it."""
        for job in self.jobs.values():
            if is_queued(job):
                job["spec"]["suspend"] = False

    def evict(self) -> None:
        """Let the queue take back what it admitted."""
        for name in self.busy():
            if is_queued(self.jobs[name]):
                self.jobs[name]["spec"]["suspend"] = True
                self.pods.pop(name, None)

    def busy(self) -> list[str]:
        return [name for name in self.alive() if not self.jobs[name]["spec"].get("suspend")]

    # The environment.

    def change(self, *, spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None) -> None:
        self.past = [*self.past[-3:], copy.deepcopy(self.resource)]
        self.version += 1
        meta = {**self.resource["metadata"], "resourceVersion": str(self.version)}
        if spec is not None:
            meta["generation"] = meta["generation"] + 1
        self.resource = {
            **self.resource,
            "metadata": meta,
            "spec": self.resource["spec"] if spec is None else {**self.resource["spec"], **spec},
            **({"status": status} if status is not None else {}),
        }

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def remove_job(self, name: str) -> None:
        del self.jobs[name]
        self.pods.pop(name, None)

    def run_pod(self, name: str, phase: str, *containers: dict[str, Any], **status: Any) -> None:
        job = self.jobs[name]["metadata"]
        self.pods[name] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{name}-0-x",
                "namespace": "default",
                "uid": f"pod-{job['uid']}",
                "labels": labels_of(),
                "creationTimestamp": self._time(),
                "ownerReferences": [{"kind": "Job", "name": name, "uid": job["uid"], "controller": True}],
            },
            "status": {
                "phase": phase,
                "initContainerStatuses": [item for item in containers if item["name"] != "train"],
                "containerStatuses": [item for item in containers if item["name"] == "train"],
                **status,
            },
        }

    def end_job(self, name: str, kind: str, **more: str) -> None:
        self.jobs[name]["status"] = {"conditions": [condition(kind, time=self._time(), **more)]}

    def succeed(self, name: str, **metrics: str) -> None:
        digest = f"sha256:{sha256(name.encode()).hexdigest()}"
        uri = f"s3://models/churn/versions/{digest[7:19]}/"
        said = published(digest=digest, uri=uri, **({"metrics": metrics} if metrics else {}))
        self.run_pod(name, "Succeeded", ended("fetch"), ended("agent", message=said), ended("train"))
        self.end_job(name, "Complete")

    def _time(self) -> str:
        return format_time(self.now)

    def settle(self, limit: int = 400) -> None:
        """Let the environment be kind, and time pass, until nothing happens any more."""
        for _ in range(limit):
            before = self.writes
            decision = self.reconcile()
            if self.writes != before:
                continue
            self.admit()
            if decision.requeue_after is not None:
                self.wait(decision.requeue_after or 1)
                busy = self.busy()
            else:
                busy = self.busy()
                if not busy:
                    return
            for name in busy:
                self.succeed(name)
        raise AssertionError(f"does not come to rest: {self.decide()}")

    @property
    def wanted_hash(self) -> str:
        return run_hash(CONTROLLER.parse(self.resource).spec)
