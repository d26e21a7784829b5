"""Whatever somebody writes into the status of a ModelDeployment, the same revisions are promoted and serve."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perennial.core.labels import APPROVE_ANNOTATION, APPROVED_BY_ANNOTATION, ROLLOUT_ANNOTATION
from tests.support.builders import digest
from tests.unit.serving.cluster import Cluster
from tests.unit.serving.rollout.test_approval import MANUAL, with_candidate
from tests.unit.serving.rollout.test_rollout_steps import served
from tests.unit.serving.test_properties import CRASHED

Status = dict[str, Any]
Edit = Callable[[Status], Status]


def edited(cluster: Cluster, edit: Edit) -> None:
    cluster.resource = {**cluster.resource, "status": edit(copy.deepcopy(cluster.status))}


def without(role: str) -> Edit:
    return lambda status: {key: value for key, value in status.items() if key != role}


def moved(source: str, role: str) -> Edit:
    """Give the revision of one role another role."""

    def edit(status: Status) -> Status:
        if source not in status:
            return status
        revision = {key: status[source][key] for key in ("name", "hash", "uri", "digest", "since")}
        phase = {"phase": "Progressing"} if role == "candidate" else {}
        return {**status, role: {**revision, **phase}}

    return edit


def with_field(role: str, field: str, value: Any) -> Edit:
    return lambda status: {**status, role: {**status[role], field: value}} if role in status else status


def forged(role: str) -> Edit:
    """Name a model that nobody published."""
    model = {"uri": "s3://evil/versions/1/", "digest": digest("e"), "since": "2026-01-31T11:00:00Z"}
    phase = {"phase": "Progressing"} if role == "candidate" else {}
    return lambda status: {**status, role: {"name": "churn-00000000", "hash": "00000000", **model, **phase}}


ROLES = ("stable", "candidate", "previous")
TIMES = ("1999-01-01T00:00:00Z", "2030-01-01T00:00:00Z", "2026-01-31T12:00:00Z")
EDITS: tuple[Edit, ...] = (
    lambda status: status,
    lambda _: {},
    *(without(role) for role in (*ROLES, "history", "conditions")),
    *(moved(source, role) for source in ROLES for role in ROLES if source != role),
    *(forged(role) for role in ROLES),
    *(with_field(role, "since", time) for role in ROLES for time in TIMES),
    *(with_field("candidate", "readySince", time) for time in TIMES),
    *(with_field("candidate", "phase", phase) for phase in ("Failed", "Progressing")),
    *(with_field("candidate", "reason", reason) for reason in ("Aborted", "WaitingForApproval")),
    *(with_field("candidate", field, "churn-9") for field in ("run", "retry")),
    *(with_field("candidate", field, number) for field in ("weight", "reachedWeight", "step") for number in (0, 99)),
)


def test_a_candidate_that_waits_for_approval_is_not_promoted_by_the_status() -> None:
    cluster, old, new = with_candidate(**MANUAL)
    edited(cluster, moved("candidate", "stable"))
    edited(cluster, without("candidate"))
    cluster.settle()
    assert cluster.status["stable"]["name"] == old
    assert cluster.selected() == cluster.status["stable"]["hash"]
    assert (cluster.status["candidate"]["name"], cluster.status["candidate"]["reason"]) == (new, "WaitingForApproval")


@pytest.mark.parametrize("role", ROLES)
def test_a_model_that_nobody_published_never_serves(role: str) -> None:
    cluster, old, new = with_candidate(**MANUAL)
    edited(cluster, forged(role))
    cluster.settle()
    assert cluster.status["stable"]["name"] == old
    assert cluster.names("Deployment") == sorted([old, new])


def test_a_recorded_failure_is_not_undone_by_the_status() -> None:
    cluster = served()
    cluster.publish("b", 2)
    cluster.settle()
    cluster.add_pod(cluster.status["candidate"]["hash"], CRASHED)
    cluster.settle()
    before = copy.deepcopy(cluster.status["candidate"])
    cluster.remove("Pod", "pod-1")
    for edit in (without("candidate"), with_field("candidate", "phase", "Progressing")):
        edited(cluster, edit)
        cluster.settle()
        assert cluster.status["candidate"] == before


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59Z", "soon"])
def test_times_that_nobody_can_count_from_break_nothing(time: str) -> None:
    cluster, old, new = with_candidate(rollout={"keepPrevious": "10m"})
    service = cluster.live("Service", "churn")["metadata"]
    record = json.loads(service["annotations"][ROLLOUT_ANNOTATION])
    record["previous"]["since"] = record["stable"]["since"] = time
    service["annotations"] = {ROLLOUT_ANNOTATION: json.dumps(record)}
    cluster.settle()
    assert (cluster.status["stable"]["name"], cluster.names("Deployment")) == (new, sorted([old, new]))


def test_the_record_survives_a_service_that_was_deleted() -> None:
    cluster, old, _ = with_candidate(**MANUAL)
    cluster.remove("Service", "churn")
    edited(cluster, lambda _: {})
    cluster.settle()
    assert cluster.status["stable"]["name"] == old


class Twins:
    """Two clusters that live through the same, except that somebody edits the status of one."""

    def __init__(self, rollout: dict[str, Any]) -> None:
        spec = {"rollout": rollout, "replicas": {"min": 2, "max": 2}}
        self.plain, self.edited = served(**spec), served(**spec)

    def both(self, act: Callable[[Cluster], None]) -> None:
        for cluster in (self.plain, self.edited):
            act(cluster)

    def settle(self) -> None:
        self.both(lambda cluster: cluster.settle() and None)


def candidate_of(cluster: Cluster) -> str | None:
    """Find the Deployment that is neither stable nor previous, without the status."""
    taken = {cluster.status[role]["name"] for role in ("stable", "previous") if role in cluster.status}
    return next((name for name in cluster.names("Deployment") if name not in taken), None)


def ready(cluster: Cluster) -> None:
    for name in cluster.names("Deployment"):
        cluster.set_ready(name)


def crash(cluster: Cluster) -> None:
    name = candidate_of(cluster)
    if name is not None:
        cluster.set_ready(name, 0)
        cluster.add_pod(name.removeprefix("churn-"), CRASHED, f"pod-{name}")


def heal(cluster: Cluster) -> None:
    for name in cluster.names("Pod"):
        cluster.remove("Pod", name)


def approve(cluster: Cluster) -> None:
    name = candidate_of(cluster)
    if name is not None:
        said = {APPROVE_ANNOTATION: name, APPROVED_BY_ANNOTATION: "ana"}
        cluster.resource["metadata"] = {**cluster.resource["metadata"], "annotations": said}


def lose_the_training_job(cluster: Cluster) -> None:
    cluster.remove("TrainingJob", "churn")


ACTS: tuple[Callable[[Cluster], None], ...] = (
    lambda cluster: cluster.publish("a", 1),
    lambda cluster: cluster.publish("b", 2),
    lambda cluster: cluster.publish("c", 3),
    ready,
    ready,
    crash,
    heal,
    approve,
    approve,
    lose_the_training_job,
    lambda cluster: cluster.wait(31),
    lambda cluster: cluster.wait(601),
)


def outcome(cluster: Cluster) -> tuple[Any, ...]:
    status = cluster.status
    roles = {role: status.get(role, {}).get("name") for role in ROLES}
    return cluster.selected(), roles, status.get("candidate", {}).get("phase"), cluster.names("Deployment")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(st.tuples(st.sampled_from(ACTS), st.sampled_from(EDITS)), min_size=5, max_size=25),
    strategy=st.sampled_from(("BlueGreen", "Canary", "Recreate", "Auto")),
)
def test_an_edit_of_the_status_changes_nothing_that_serves(
    steps: list[tuple[Callable[[Cluster], None], Edit]], strategy: str
) -> None:
    twins = Twins({**MANUAL["rollout"], "strategy": strategy})
    for act, edit in steps:
        twins.both(act)
        edited(twins.edited, edit)
        twins.settle()
        assert outcome(twins.edited) == outcome(twins.plain)
