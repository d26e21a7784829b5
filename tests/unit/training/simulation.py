"""A simulated cluster that carries out the decisions of the training controller, and Kubernetes around it.

Decisions are carried out as by the runtime: status by version, Jobs created once, deletions last. The operator can be
killed after any write, and after every write the invariants are checked.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from perennial.adapters.errors import ApiError
from perennial.api.contract.settings import OperatorConfig
from perennial.api.trainingjob.resource import TrainingJobStatus
from perennial.core.decision import Apply, Create, Decision, Delete
from perennial.core.kinds import CRON_JOB, DRIFT_MONITOR, JOB, POD, SERVICE, Raw
from perennial.core.times import format_time
from perennial.training.controller import CONTROLLER
from perennial.training.job.plan import read_plan, run_hash
from tests.support.builders import condition, ended, pod, published, training_job
from tests.support.memory import Store

CONFIG = OperatorConfig()
ALIVE = re.compile(r"^(.+-\d+?)(?:-t\d+)?-\d+$")
"""A Job's name, and the run in it."""


def is_queued(job: Raw) -> bool:
    return "kueue.x-k8s.io/queue-name" in job["metadata"]["labels"]


class Killed(Exception):
    """The operator was stopped between two writes."""


class Cluster:
    """A store with one TrainingJob; carries decisions out and plays Jobs, pods, the queue and users."""

    def __init__(self, resource: Raw | None = None, most_alive: int = 2) -> None:
        self.store = Store()
        self.store.put(resource or training_job())
        self.most_alive = most_alive
        self.writes = 0
        self.made = 0
        self.hashes: dict[str, str] = {}
        """What each run, or trial of one, runs on."""
        self.past: list[Raw] = []
        """The resource as it was before its newest changes."""

    @property
    def resource(self) -> Raw:
        return self.store.live("TrainingJob", "churn")

    @property
    def jobs(self) -> dict[str, Raw]:
        return self.store.named(JOB)

    @property
    def services(self) -> dict[str, Raw]:
        return self.store.named(SERVICE)

    @property
    def cron_jobs(self) -> dict[str, Raw]:
        return self.store.named(CRON_JOB)

    @property
    def monitors(self) -> list[Raw]:
        return list(self.store.named(DRIFT_MONITOR).values())

    @property
    def now(self) -> datetime:
        return self.store.now

    # The runtime.

    def decide(self, raw: Raw | None = None) -> Decision:
        parsed = CONTROLLER.parse(raw or self.resource)
        return CONTROLLER.decide(CONTROLLER.observe(parsed, self.store), CONFIG, self.now)

    def reconcile(self, killed_after: int | None = None, seen: Raw | None = None) -> Decision:
        """Carry out one decision, on the resource as it was `seen`; raise Killed after so many writes."""
        left = [killed_after]
        seen = seen or self.resource
        decision = self.decide(seen)
        if decision.status_first and not self._put_status(decision, seen, left):
            return decision
        for action in sorted(decision.actions, key=lambda item: isinstance(item, Delete)):
            if self._carry_out(action):
                self._written(left)
        if not decision.status_first:
            self._put_status(decision, seen, left)
        return decision

    def _put_status(self, decision: Decision, seen: Raw, left: list[int | None]) -> bool:
        """Write the status; tell whether the resource was still the one that was seen."""
        if decision.status is None:
            return True
        TrainingJobStatus.model_validate(decision.status)
        before = self.resource
        with suppress(ApiError):
            if self.store.replace_status(seen, decision.status) is not before:
                self._remember(before)
                self._written(left)
            return True
        return False

    def _carry_out(self, action: Create | Apply | Delete) -> bool:
        """Carry out an action; tell whether it changed anything."""
        before = self.store.version
        match action:
            case Create(manifest):
                with suppress(ApiError):
                    self.store.create({**manifest, "status": {}})
                    self.made += 1
                return self.store.version != before
            case Delete(kind, namespace, name, uid):
                with suppress(ApiError):
                    self.store.delete(kind.kind, namespace, name, uid)
                    self.lose_pod(name)
                    return True
                return False
            case Apply(manifest, manager):
                if manifest["kind"] == JOB.kind:
                    name = manifest["metadata"]["name"]
                    assert not is_queued(self.jobs[name]), "a Job in a queue is written"
                    assert manager in ("perennial-repair", "perennial-suspend")
                self.store.apply(manifest, manager)
                if manager == "perennial-suspend" and self.store.version != before:
                    self.lose_pod(manifest["metadata"]["name"])
                return self.store.version != before

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
                self.lose_pod(name)

    def busy(self) -> list[str]:
        return [name for name in self.alive() if not self.jobs[name]["spec"].get("suspend")]

    # The environment.

    def change(self, *, spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None) -> None:
        """Change fields of the spec, or replace the status."""
        before = self.resource
        changed = {**before, "spec": {**before["spec"], **(spec or {})}}
        self.store.update(changed if status is None else {**changed, "status": status})
        self._remember(before)

    def annotate(self, name: str, value: str) -> None:
        metadata = {**self.resource["metadata"], "annotations": {name: value}}
        self.store.update({**self.resource, "metadata": metadata})

    def _remember(self, before: Raw) -> None:
        self.past = [*self.past[-3:], before]

    def wait(self, seconds: float) -> None:
        self.store.now += timedelta(seconds=seconds)

    def remove_job(self, name: str) -> None:
        """Delete a Job and its pod, as a user does."""
        self.store.remove("Job", name)
        self.lose_pod(name)

    def lose_pod(self, job: str) -> None:
        self.store.remove("Pod", f"{job}-0-x")

    def run_pod(self, name: str, phase: str, *containers: dict[str, Any], **status: Any) -> None:
        """Set the pod of a Job."""
        uid = self.jobs[name]["metadata"]["uid"]
        owner = {"kind": "Job", "name": name, "uid": uid, "controller": True}
        meta = {"uid": f"pod-{uid}", "ownerReferences": [owner]}
        self.store.put(pod(f"{name}-0-x", phase, *containers, meta=meta, **status))

    def show_polls(self, *pods: Raw) -> None:
        """Set the pods that have listed the inputs."""
        for name in [name for name in self.store.named(POD) if name.startswith("churn-poll-")]:
            self.store.remove("Pod", name)
        for item in pods:
            self.store.put(item)

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
