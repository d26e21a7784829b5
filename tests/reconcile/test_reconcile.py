"""The reconcile loop, case by case: what is in the cluster, what a reconcile writes, and what comes next."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from perennial.adapters.errors import ApiError, NotLeader
from perennial.api.contract.settings import OperatorConfig
from perennial.core.decision import Decision, Delete
from perennial.core.kinds import JOB, MODEL_DEPLOYMENT, SERVICE, TRAINING_JOB, Key, Kind, Raw
from perennial.core.labels import APPLIED_ANNOTATION
from perennial.runtime.controller.engine import Engine
from perennial.runtime.controller.reconcile import ReconcileOutcome, ReconcileResult
from perennial.runtime.process.metrics import Metrics
from tests.support.memory import FakeCluster, refusal
from tests.support.toy import Toy as ToyModel
from tests.support.toy import child, controllers, decide

JOB_KEY = Key("TrainingJob", "default", "a")
MODEL_KEY = Key("ModelDeployment", "default", "a")


class Bench:
    """An engine on a cluster in memory."""

    def __init__(self, **changes: Any) -> None:
        self.cluster = FakeCluster()
        self.metrics = Metrics()
        self.engine = Engine(
            controllers=controllers(**changes),
            api=self.cluster,
            config=OperatorConfig(),
            metrics=self.metrics,
            clock=asyncio.get_running_loop(),
            instance="test",
        )

    def add(self, kind: Kind, raw: Raw) -> Raw:
        """Put an object into the cluster and let the watch tell of it."""
        live = self.cluster.put(raw)
        self.see(kind)
        return live

    def see(self, *kinds: Kind) -> None:
        """Let the watch tell of everything."""
        for kind in kinds or (TRAINING_JOB, MODEL_DEPLOYMENT, JOB, SERVICE):
            for (name, _, _), raw in list(self.cluster.objects.items()):
                if name == kind.kind:
                    self.engine.on_event(kind, "MODIFIED", {**raw, "metadata": dict(raw["metadata"])})

    async def reconcile(self, key: Key) -> ReconcileResult:
        return await self.engine.reconciler.reconcile(key)

    async def writes_of(self, key: Key) -> list[tuple[str, str, str]]:
        self.cluster.writes.clear()
        await self.reconcile(key)
        return list(self.cluster.writes)

    def condition(self, key: Key, kind: str) -> dict[str, Any]:
        status = self.cluster.live(*key[::2])["status"]
        return next(item for item in status["conditions"] if item["type"] == kind)


def resource(kind: str = "TrainingJob", name: str = "a", **spec: Any) -> Raw:
    return {
        "apiVersion": "perennial.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"image": "i", **spec},
    }


def of(owner: Raw, kind: str, **changes: Any) -> Raw:
    """Return a child as the toy room makes it."""
    toy = ToyModel.model_validate(owner)
    made = child(toy, *(("batch/v1", "Job") if kind == "Job" else ("v1", "Service")), {})
    return {**made, "metadata": {**made["metadata"], **changes}}


async def test_status_goes_before_the_child_and_a_second_look_writes_nothing() -> None:
    bench = Bench()
    bench.add(TRAINING_JOB, resource())
    assert await bench.writes_of(JOB_KEY) == [("status", "TrainingJob", "a"), ("create", "Job", "a")]
    assert await bench.writes_of(JOB_KEY) == []


async def test_apply_then_status_and_then_quiet() -> None:
    bench = Bench()
    bench.add(MODEL_DEPLOYMENT, resource("ModelDeployment"))
    assert await bench.writes_of(MODEL_KEY) == [("apply", "Service", "a"), ("status", "ModelDeployment", "a")]
    bench.see()
    assert await bench.writes_of(MODEL_KEY) == []
    assert APPLIED_ANNOTATION in bench.cluster.live("Service", "a")["metadata"]["annotations"]


async def test_events_wait_for_the_status_and_are_not_repeated() -> None:
    bench = Bench()
    bench.add(TRAINING_JOB, resource())
    await bench.reconcile(JOB_KEY)
    await bench.reconcile(JOB_KEY)
    await bench.engine.events.flush()
    assert [(item["reason"], item["involvedObject"]["name"]) for item in bench.cluster.events] == [("Made", "a")]


async def test_a_restart_on_a_converged_cluster_writes_nothing() -> None:
    first = Bench()
    first.add(TRAINING_JOB, resource())
    first.add(MODEL_DEPLOYMENT, resource("ModelDeployment"))
    await first.reconcile(JOB_KEY)
    await first.reconcile(MODEL_KEY)
    second = Bench()
    second.cluster = first.cluster
    second.engine = Engine(
        controllers=controllers(), api=first.cluster, config=OperatorConfig(), metrics=Metrics(),
        clock=asyncio.get_running_loop(), instance="test",
    )  # fmt: skip
    second.see()
    assert await second.writes_of(JOB_KEY) + await second.writes_of(MODEL_KEY) == []


async def test_an_edited_child_is_put_right_and_so_is_a_deleted_one() -> None:
    bench = Bench()
    bench.add(MODEL_DEPLOYMENT, resource("ModelDeployment", port=80))
    await bench.reconcile(MODEL_KEY)
    service = bench.cluster.live("Service", "a")
    bench.add(SERVICE, {**service, "spec": {**service["spec"], "ports": [{"port": 81}]}})
    assert await bench.writes_of(MODEL_KEY) == [("apply", "Service", "a")]
    assert bench.cluster.live("Service", "a")["spec"]["ports"] == [{"port": 80}]
    gone = bench.cluster.objects.pop(("Service", "default", "a"))
    bench.engine.on_event(SERVICE, "DELETED", gone)
    assert await bench.writes_of(MODEL_KEY) == [("apply", "Service", "a")]


async def test_a_field_that_is_not_wanted_any_more_is_applied_away() -> None:
    bench = Bench()
    bench.add(MODEL_DEPLOYMENT, resource("ModelDeployment"))
    await bench.reconcile(MODEL_KEY)
    service = bench.cluster.live("Service", "a")
    annotations = {APPLIED_ANNOTATION: "of another manifest"}
    bench.add(SERVICE, {**service, "metadata": {**service["metadata"], "annotations": annotations}})
    assert await bench.writes_of(MODEL_KEY) == [("apply", "Service", "a")]


async def test_a_child_that_others_change_back_is_not_fought_over() -> None:
    bench = Bench()
    bench.cluster.store.admit = lambda raw: {**raw, "spec": {**raw["spec"], "ports": [{"port": 1}]}}
    bench.add(MODEL_DEPLOYMENT, resource("ModelDeployment"))
    assert ("apply", "Service", "a") in await bench.writes_of(MODEL_KEY)
    bench.see()
    assert await bench.writes_of(MODEL_KEY) == []
    assert bench.metrics.registry.get_sample_value("perennial_unsettled_children_total", {"kind": "Service"}) == 1
    service = bench.cluster.live("Service", "a")
    bench.add(SERVICE, {**service, "spec": {"ports": [{"port": 2}]}})
    assert await bench.writes_of(MODEL_KEY) == [("apply", "Service", "a")]


@dataclass(frozen=True)
class Taken:
    """A name that is held already, and what comes of it."""

    id: str
    owner: dict[str, Any] | None
    result: ReconcileOutcome
    deleting: bool = False


BLOCKED, WAITING = ReconcileOutcome.BLOCKED, ReconcileOutcome.WAITING
TAKEN = [
    Taken("nobody's", None, BLOCKED),
    Taken(
        "another kind's",
        {"kind": "CronJob", "name": "a", "uid": "x", "apiVersion": "batch/v1"},
        BLOCKED,
    ),
    Taken("another resource's", {"kind": "TrainingJob", "name": "b", "uid": "x"}, BLOCKED),
    Taken("a predecessor's", {"kind": "TrainingJob", "name": "a", "uid": "older"}, WAITING),
    Taken("our own, leaving", {"kind": "TrainingJob", "name": "a", "uid": "ours"}, WAITING, deleting=True),
    Taken("our own", {"kind": "TrainingJob", "name": "a", "uid": "ours"}, ReconcileOutcome.DONE),
]


@pytest.mark.parametrize("case", TAKEN, ids=lambda case: case.id)
@pytest.mark.parametrize("watched", [True, False], ids=["in the cache", "unknown to the cache"])
async def test_a_name_that_is_taken(case: Taken, watched: bool) -> None:
    bench = Bench()
    owner = bench.add(TRAINING_JOB, {**resource(), "metadata": {**resource()["metadata"], "uid": "ours"}})
    references = [{"apiVersion": "perennial.dev/v1alpha1", **case.owner, "controller": True}] if case.owner else []
    held = of(owner, "Job", ownerReferences=references, **({"deletionTimestamp": "now"} if case.deleting else {}))
    bench.cluster.put(held)
    if watched:
        bench.see(JOB)
    result = await bench.reconcile(JOB_KEY)
    assert result.outcome is case.result
    assert bench.cluster.live("Job", "a")["metadata"]["ownerReferences"] == references
    if case.result is ReconcileOutcome.BLOCKED:
        stalled = bench.condition(JOB_KEY, "Stalled")
        assert stalled["reason"] == "ChildNameTaken"
        assert "Job a is needed" in stalled["message"]
        assert result.requeue_after == 60
    else:
        assert result.backoff is (case.result is ReconcileOutcome.WAITING)


async def test_a_foreign_child_is_never_applied_to() -> None:
    bench = Bench()
    bench.add(MODEL_DEPLOYMENT, resource("ModelDeployment"))
    bench.cluster.put({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "default"}})
    result = await bench.reconcile(MODEL_KEY)
    assert result.outcome is ReconcileOutcome.BLOCKED
    assert "spec" not in bench.cluster.live("Service", "a")
    assert "no controller owns" in bench.condition(MODEL_KEY, "Stalled")["message"]


async def test_trouble_is_told_once_and_ends_when_the_name_is_free() -> None:
    bench = Bench()
    bench.add(TRAINING_JOB, resource())
    bench.cluster.put({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a", "namespace": "default"}})
    assert await bench.writes_of(JOB_KEY) == [("status", "TrainingJob", "a"), ("status", "TrainingJob", "a")]
    assert await bench.writes_of(JOB_KEY) == []
    assert await bench.writes_of(JOB_KEY) == []
    del bench.cluster.objects["Job", "default", "a"]
    assert await bench.writes_of(JOB_KEY) == [("create", "Job", "a"), ("status", "TrainingJob", "a")]
    conditions = bench.cluster.live("TrainingJob", "a")["status"]["conditions"]
    assert [(item["type"], item["status"]) for item in conditions] == [("Ready", "True")]


async def test_labels_that_were_taken_off_a_child_come_back() -> None:
    bench = Bench()
    owner = bench.add(TRAINING_JOB, resource())
    bench.cluster.put({**of(owner, "Job"), "metadata": {**of(owner, "Job")["metadata"], "labels": {"x": "y"}}})
    assert ("apply", "Job", "a") in await bench.writes_of(JOB_KEY)
    labels = bench.cluster.live("Job", "a")["metadata"]["labels"]
    assert labels["perennial.dev/name"] == "a"
    assert labels["x"] == "y"


@pytest.mark.parametrize(
    ("error", "reason", "condition"),
    [
        (refusal(422, "Invalid", "limits.cpu: must be at least the request"), "ChildRejected", "Stalled"),
        (refusal(400, "BadRequest", "admission webhook x denied the request"), "ChildRejected", "Stalled"),
        (refusal(403, "Forbidden", "admission webhook x denied the request: no"), "ChildRejected", "Stalled"),
        (refusal(403, "Forbidden", "exceeded quota: q, requested: count/jobs=1"), "QuotaExceeded", "Reconciling"),
        (refusal(413, "RequestEntityTooLarge", "limit is 3145728"), "ChildTooLarge", "Stalled"),
        (refusal(500, "InternalError", "etcdserver: request is too large"), "ChildTooLarge", "Stalled"),
    ],
)
async def test_a_child_that_is_refused(error: ApiError, reason: str, condition: str) -> None:
    bench = Bench()
    bench.add(TRAINING_JOB, resource())
    bench.cluster.fault = lambda verb, kind: error if (verb, kind) == ("create", "Job") else None
    result = await bench.reconcile(JOB_KEY)
    assert (result.outcome, result.backoff) == (ReconcileOutcome.BLOCKED, True)
    found = bench.condition(JOB_KEY, condition)
    assert (found["reason"], found["status"]) == (reason, "True")
    assert error.message in found["message"]
    assert bench.cluster.live("TrainingJob", "a")["status"]["observedGeneration"] == 1
    assert await bench.writes_of(JOB_KEY) == []


@pytest.mark.parametrize(
    "error",
    [
        refusal(413, "RequestEntityTooLarge", "limit is 3145728"),
        refusal(500, "InternalError", "etcdserver: request is too large"),
        refusal(422, "Invalid", "status.phase: Unsupported value"),
    ],
)
async def test_a_status_that_is_not_stored_becomes_a_condition(error: ApiError) -> None:
    bench = Bench()
    bench.add(TRAINING_JOB, resource())
    refused = 0

    def fault(verb: str, kind: str) -> ApiError | None:
        nonlocal refused
        refused += verb == "status"
        return error if verb == "status" and refused % 2 else None  # what is decided is refused, the condition fits

    bench.cluster.fault = fault
    result = await bench.reconcile(JOB_KEY)
    assert (result.outcome, result.backoff) == (ReconcileOutcome.BLOCKED, True)
    found = bench.condition(JOB_KEY, "Stalled")
    assert (found["reason"], found["status"]) == ("StatusRejected", "True")
    assert error.message in found["message"]

    bench.cluster.fault = lambda verb, kind: error if verb == "status" else None
    result = await bench.reconcile(JOB_KEY)
    assert (result.outcome, result.backoff) == (ReconcileOutcome.BLOCKED, True)
    assert await bench.writes_of(JOB_KEY) == [], "a retry that is refused alike writes nothing"

    bench.cluster.fault = lambda verb, kind: None
    await bench.reconcile(JOB_KEY)
    conditions = bench.cluster.live("TrainingJob", "a")["status"]["conditions"]
    assert [(item["type"], item["status"]) for item in conditions] == [("Ready", "True")]


@pytest.mark.parametrize(
    "error",
    [
        refusal(403, "Forbidden", "unable to create: it is being terminated", causes=("NamespaceTerminating",)),
        refusal(404, "NotFound", 'namespaces "default" not found'),
    ],
)
async def test_a_namespace_that_goes_is_left_in_peace(error: ApiError) -> None:
    bench = Bench()
    bench.add(TRAINING_JOB, resource())
    bench.cluster.fault = lambda verb, kind: error if kind == "Job" else None
    assert await bench.reconcile(JOB_KEY) == ReconcileResult(ReconcileOutcome.GONE)


@pytest.mark.parametrize("status", [0, 401, 429, 500, 503])
async def test_other_errors_are_the_engines_to_retry(status: int) -> None:
    bench = Bench()
    bench.add(TRAINING_JOB, resource())
    error = ApiError("TEST /", status, "X", "x")
    bench.cluster.fault = lambda verb, kind: error if kind == "Job" else None
    with pytest.raises(ApiError):
        await bench.reconcile(JOB_KEY)


async def test_a_resource_that_is_gone_or_going_is_left_alone() -> None:
    bench = Bench()
    assert await bench.reconcile(JOB_KEY) == ReconcileResult(ReconcileOutcome.GONE)
    leaving = resource()
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    bench.add(TRAINING_JOB, leaving)
    assert await bench.writes_of(JOB_KEY) == []


async def test_an_invalid_spec_says_which_fields_and_waits_for_a_change() -> None:
    bench = Bench()
    bench.add(TRAINING_JOB, resource(image="", port="x"))
    assert await bench.reconcile(JOB_KEY) == ReconcileResult(ReconcileOutcome.INVALID)
    stalled = bench.condition(JOB_KEY, "Stalled")
    assert stalled["reason"] == "InvalidSpec"
    assert "spec.image: " in stalled["message"]
    assert "spec.port: " in stalled["message"]
    assert bench.condition(JOB_KEY, "Ready")["status"] == "False"
    assert await bench.writes_of(JOB_KEY) == []


async def test_a_status_broken_by_hand_is_made_anew() -> None:
    bench = Bench()
    bench.add(TRAINING_JOB, {**resource(), "status": {"conditions": "none", "observedGeneration": "x"}})
    assert (await bench.reconcile(JOB_KEY)).outcome is ReconcileOutcome.DONE
    assert bench.condition(JOB_KEY, "Ready")["status"] == "True"


async def test_a_stale_resource_is_read_again_and_looked_at_at_once() -> None:
    bench = Bench()
    bench.add(MODEL_DEPLOYMENT, resource("ModelDeployment"))
    live = bench.cluster.live("ModelDeployment", "a")
    bench.cluster.put({**live, "spec": {**live["spec"], "port": 90}})
    assert await bench.reconcile(MODEL_KEY) == ReconcileResult(ReconcileOutcome.CONFLICT, requeue_after=0)
    assert (await bench.reconcile(MODEL_KEY)).outcome is ReconcileOutcome.DONE
    assert bench.cluster.live("Service", "a")["spec"]["ports"] == [{"port": 90}]


async def test_a_resource_deleted_meanwhile_does_not_come_back() -> None:
    bench = Bench()
    bench.add(MODEL_DEPLOYMENT, resource("ModelDeployment"))
    bench.cluster.fault = lambda verb, kind: refusal(409, "Conflict") if verb == "status" else None
    del bench.cluster.objects["ModelDeployment", "default", "a"]
    assert (await bench.reconcile(MODEL_KEY)).outcome is ReconcileOutcome.CONFLICT
    assert await bench.reconcile(MODEL_KEY) == ReconcileResult(ReconcileOutcome.GONE)


async def test_a_deposed_leader_writes_nothing_and_says_so() -> None:
    bench = Bench()
    bench.add(TRAINING_JOB, resource())

    def refuse(verb: str, kind: str) -> ApiError | None:
        raise NotLeader

    bench.cluster.fault = refuse
    with pytest.raises(NotLeader):
        await bench.reconcile(JOB_KEY)
    assert bench.cluster.writes == []


def deleting(uid: str) -> Callable[..., Decision]:
    def act(*arguments: Any) -> Decision:
        return replace(decide(*arguments), actions=(Delete(JOB, "default", "old", uid),))

    return act


@pytest.mark.parametrize(("uid", "left"), [("right", False), ("of an older one", True)])
async def test_only_the_very_object_that_was_meant_is_deleted(uid: str, left: bool) -> None:
    bench = Bench(decide=deleting(uid))
    owner = bench.add(TRAINING_JOB, resource())
    bench.add(JOB, of(owner, "Job", name="old", uid="right"))
    assert (await bench.reconcile(JOB_KEY)).outcome is ReconcileOutcome.DONE
    assert (("Job", "default", "old") in bench.cluster.objects) is left
    assert (bench.engine.cache.get(JOB, "default", "old") is not None) is left
