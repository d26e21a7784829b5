"""Whole rollouts through the real reconcile loop, and the same with the operator killed around every write."""

from __future__ import annotations

import copy
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from perennial.core.kinds import (
    AUTOSCALER,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    HTTP_ROUTE,
    MODEL_DEPLOYMENT,
    SERVICE,
    TRAINING_JOB,
    Key,
    Kind,
    Raw,
)
from perennial.core.labels import ABORT_ANNOTATION, APPLIED_ANNOTATION, REVISION_LABEL
from perennial.core.reads import GatewayFeatures, GatewayRead, Poll
from perennial.runtime.controller.cache import Cache
from perennial.runtime.controller.children import Children
from perennial.runtime.controller.reconcile import Reconciler, ReconcileResult, Record
from perennial.runtime.controller.world import CachedWorld
from perennial.serving.rollout.mirror import MIRROR, PERCENTAGE
from tests.golden.compare import differences as compared
from tests.support.builders import artifact, digest, model_deployment, training_job
from tests.support.memory import CONTROLLERS, FakeCluster, Store
from tests.unit.serving.cluster import CONFIG

KINDS: tuple[Kind, ...] = (
    MODEL_DEPLOYMENT,
    TRAINING_JOB,
    DEPLOYMENT,
    SERVICE,
    AUTOSCALER,
    DISRUPTION_BUDGET,
    HTTP_ROUTE,
)
KEY = Key("ModelDeployment", "default", "churn")
STEPS = [{"weight": 25, "hold": "5m"}, {"weight": 50}, {"weight": 75, "hold": "1m"}]
SERVERS = {"uid", "generation", "resourceVersion", "creationTimestamp", "ownerReferences"}
MOST = 60
"""Rounds after which a story that has not come to rest never will."""


class Killed(Exception):
    """The operator is killed at a write."""


@dataclass
class Mortal(FakeCluster):
    """A cluster on which the operator dies after one write. Before the next one is the same: it has no other memory."""

    dies_after: int | None = None
    created: list[str] = field(default_factory=list)
    number: int = 0

    def _send(self, verb: str, raw: Raw, write: Callable[[], Raw]) -> Raw:
        self.number += 1
        known = Key(raw["kind"], "default", raw["metadata"]["name"]) in self.objects
        answer = super()._send(verb, raw, write)
        if verb == "apply" and not known:
            self.created.append(f"{raw['kind']}/{raw['metadata']['name']}")
        if self.number == self.dies_after:
            raise Killed
        return answer


class Answers:
    """Answers to reads: every gateway copies requests."""

    def answer(self, read: Poll[Any]) -> Any:
        return GatewayFeatures(frozenset((MIRROR, PERCENTAGE))) if isinstance(read, GatewayRead) else None


class Operator:
    """The control loop on such a cluster. Killed, it starts again with an empty cache."""

    def __init__(self, cluster: Mortal) -> None:
        self.cluster = cluster
        self.start()

    def start(self) -> None:
        self.cache = Cache({kind: controller.names for kind, controller in CONTROLLERS.items()})
        children = Children(
            self.cluster, self.cache, self.accept, on_created=lambda _: None, on_unsettled=lambda _: None
        )
        self.reconciler = Reconciler(
            controllers=CONTROLLERS,
            cache=self.cache,
            world=CachedWorld(self.cache, Answers()),
            api=self.cluster,
            children=children,
            accept=self.accept,
            config=CONFIG,
            now=lambda: self.cluster.store.now,
            tell=lambda _raw, _notes: None,
            record=self.record(),
        )
        self.see()

    def record(self) -> Record | None:
        """There is no audit log, unless a test has one."""
        return None

    def accept(self, kind: Kind, raw: Raw) -> None:
        self.cache.put(kind, raw)

    def see(self) -> None:
        """Let the watch tell of everything."""
        for kind in KINDS:
            for raw in self.cluster.store.named(kind).values():
                self.cache.put(kind, json.loads(json.dumps(raw)))

    async def reconcile(self) -> ReconcileResult | None:
        """Reconcile once; None if the operator was killed and is back."""
        try:
            return await self.reconciler.reconcile(KEY)
        except Killed:
            self.start()
            return None


class Story:
    """What users and the Deployment controller do, round by round."""

    def __init__(self, cluster: Mortal, operator: type[Operator] = Operator) -> None:
        self.cluster = cluster
        self.operator = operator(cluster)
        self.least: list[tuple[int, int]] = []

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.cluster.live("ModelDeployment", "churn").get("status", {})
        return found

    def publish(self, letter: str, number: int) -> None:
        self.cluster.put(training_job(status={"artifact": artifact(letter, number)}))

    def abort(self, name: str) -> None:
        live = self.cluster.live("ModelDeployment", "churn")
        self.cluster.put({**live, "metadata": {**live["metadata"], "annotations": {ABORT_ANNOTATION: name}}})

    async def until(self, holds: Callable[[], bool]) -> None:
        """Let everyone act until something holds."""
        for _ in range(MOST):
            self.run_pods()
            self.operator.see()
            before = self.cluster.store.version
            result = await self.operator.reconcile()
            if holds():
                return
            if result is not None and self.cluster.store.version == before and not self.run_pods():
                assert result.requeue_after is not None, f"it waits for nothing: {self.status}"
                self.cluster.store.now += timedelta(seconds=result.requeue_after)
        raise AssertionError(f"it never comes to that: {self.status}")

    def run_pods(self) -> bool:
        """Let all pods do as their Deployments say; tell whether anything changed."""
        changed = False
        for raw in self.cluster.store.named(DEPLOYMENT).values():
            wanted = raw["spec"].get("replicas", 1)
            status = {
                "observedGeneration": raw["metadata"]["generation"],
                **{f"{name}eplicas": wanted for name in ("r", "updatedR", "readyR", "availableR")},
            }
            if raw.get("status") != status:
                self.cluster.store.put({**raw, "status": status})
                changed = True
        changed |= self.run_gateway()
        self.least.append(self.serving())
        return changed

    def run_gateway(self) -> bool:
        """Let the gateway take up the route as it is; tell whether anything changed."""
        raw = self.cluster.store.get(HTTP_ROUTE, "default", "churn")
        if raw is None:
            return False
        said = {"status": "True", "reason": "Accepted", "observedGeneration": raw["metadata"]["generation"]}
        conditions = [{"type": kind, **said} for kind in ("Accepted", "ResolvedRefs")]
        status = {"parents": [{"parentRef": {"name": "public"}, "conditions": conditions}]}
        if raw.get("status") == status:
            return False
        self.cluster.store.put({**raw, "status": status})
        return True

    def serving(self) -> tuple[int, int]:
        """Available pods behind the Service, and how many revisions they are of."""
        service = self.cluster.store.get(SERVICE, "default", "churn")
        selected = service["spec"]["selector"] if service else {REVISION_LABEL: ""}
        pods = {
            name: raw["status"]["availableReplicas"]
            for name, raw in self.cluster.store.named(DEPLOYMENT).items()
            if selected.get(REVISION_LABEL) in (None, raw["metadata"]["labels"][REVISION_LABEL])
        }
        return sum(pods.values()), len([number for number in pods.values() if number])


Play = Callable[[Story], Awaitable[None]]


async def promoted(story: Story) -> None:
    story.publish("b", 2)
    await story.until(lambda: story.status["stable"]["digest"] == digest("b") and "previous" not in story.status)


async def aborted(story: Story) -> None:
    story.publish("b", 2)
    await story.until(lambda: story.status.get("candidate", {}).get("step") == 3)
    story.abort(story.status["candidate"]["name"])
    await story.until(lambda: story.status["candidate"]["phase"] == "Failed" and len(deployments(story)) == 1)


async def overtaken(story: Story) -> None:
    story.publish("b", 2)
    await story.until(lambda: story.status.get("candidate", {}).get("step") == 2)
    story.publish("c", 3)
    await story.until(lambda: story.status["stable"]["digest"] == digest("c") and "previous" not in story.status)


def deployments(story: Story) -> list[str]:
    return list(story.cluster.store.named(DEPLOYMENT))


async def shadow_aborted(story: Story) -> None:
    story.publish("b", 2)
    await story.until(lambda: story.status.get("candidate", {}).get("reason") == "Holding")
    story.abort(story.status["candidate"]["name"])
    await story.until(lambda: story.status["candidate"]["phase"] == "Failed" and len(deployments(story)) == 1)


CANARY = {"strategy": "Canary", "steps": STEPS}
SHADOW = {"strategy": "Shadow", "mirror": {"hold": "5m"}}
ROUTE = {"gateway": {"name": "public"}}
STORIES: dict[str, tuple[Play, dict[str, Any], int]] = {
    "canary": (promoted, CANARY, 4),
    "canary aborted": (aborted, CANARY, 8),
    "canary overtaken": (overtaken, CANARY, 4),
    "recreate": (promoted, {"strategy": "Recreate"}, 2),
    "shadow": (promoted, SHADOW, 2),
    "shadow aborted": (shadow_aborted, SHADOW, 2),
}


async def served(name: str) -> Store:
    """Return a cluster in which model a serves."""
    _, rollout, replicas = STORIES[name]
    cluster = Mortal()
    route = {"route": ROUTE} if rollout["strategy"] == "Shadow" else {}
    spec = {"replicas": {"min": replicas}, "rollout": {"keepPrevious": "10s", **rollout}, **route}
    cluster.put(model_deployment(**spec))
    story = Story(cluster)
    story.publish("a", 1)
    await story.until(lambda: story.status.get("phase") == "Stable")
    await rest(story)
    return cluster.store


async def play(name: str, store: Store, dies_after: int | None = None) -> Story:
    story = Story(Mortal(store=copy.deepcopy(store), dies_after=dies_after))
    await STORIES[name][0](story)
    await rest(story)
    return story


async def rest(story: Story) -> None:
    """Reconcile until nothing is written any more."""
    for _ in range(MOST):
        story.run_pods()
        story.operator.see()
        before = story.cluster.store.version
        if await story.operator.reconcile() is not None and story.cluster.store.version == before:
            return
    raise AssertionError("it never comes to rest")


def end_of(story: Story) -> dict[str, Any]:
    """Everything that is there, without what the API server sets."""
    return {f"{key.kind}/{key.name}": timeless(raw) for key, raw in story.cluster.objects.items()}


def timeless(raw: Raw) -> Any:
    metadata = {key: value for key, value in raw["metadata"].items() if key not in SERVERS}
    annotations = {key: text for key, text in metadata.get("annotations", {}).items() if key != APPLIED_ANNOTATION}
    status = {key: value for key, value in raw.get("status", {}).items() if key != "observedGeneration"}
    if "parents" in status:
        status["parents"] = [current(parent, raw["metadata"]["generation"]) for parent in status["parents"]]
    return json.loads(json.dumps({**raw, "metadata": {**metadata, "annotations": annotations}, "status": status}))


def current(parent: Raw, generation: int) -> Raw:
    """Say whether the gateway knows the newest route: how many there were depends on where the operator was killed."""
    conditions = parent["conditions"]
    newest = [{**item, "observedGeneration": item["observedGeneration"] == generation} for item in conditions]
    return {**parent, "conditions": newest}


async def test_a_canary_never_has_fewer_pods_than_the_load_needs() -> None:
    story = await play("canary", await served("canary"))
    assert min(number for number, _ in story.least) == 4
    assert max(revisions for _, revisions in story.least) == 2
    assert [entry["result"] for entry in story.status["history"]] == ["Promoted", "Promoted"]


async def test_a_converged_canary_writes_nothing() -> None:
    story = await play("canary", await served("canary"))
    story.cluster.writes.clear()
    story.operator.start()
    await rest(story)
    assert story.cluster.writes == []


@pytest.mark.parametrize("name", STORIES)
async def test_a_crash_after_any_write_changes_nothing_in_the_end(name: str) -> None:
    store = await served(name)
    reference = await play(name, store)
    assert reference.cluster.created
    failures = [
        f"killed after write {number} ({reference.cluster.writes[number - 1]}): {what}"
        for number in range(1, len(reference.cluster.writes) + 1)
        for what in differences(reference, await play(name, store, number))
    ]
    assert not failures, "\n".join(failures[:20])


def differences(reference: Story, story: Story) -> Iterable[str]:
    if sorted(story.cluster.created) != sorted(reference.cluster.created):
        yield f"made {sorted(story.cluster.created)}"
    yield from compared(end_of(reference), end_of(story), "end")
