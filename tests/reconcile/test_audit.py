"""What the operator decides is in the audit log exactly once, wherever the operator is killed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from perennial.adapters.errors import ApiError
from perennial.api.contract.settings import AgentConfigDefaults, Audit
from perennial.core.kinds import CONFIG_MAP, JOB
from perennial.core.labels import APPROVAL_PREFIX, PAUSE_ANNOTATION, PROMOTE_ANNOTATION
from perennial.runtime.audit.delivery import Delivery
from perennial.runtime.audit.outbox import Outbox
from perennial.runtime.controller.reconcile import Record
from tests.reconcile.test_rollout import STORIES, Killed, Mortal, Operator, Story, rest, served
from tests.support.audit import LOG, NAMESPACE, AuditSite
from tests.support.builders import digest
from tests.support.memory import Store, refusal

MOST = 30


class Audited(Operator):
    """An operator with an audit log."""

    outbox: Outbox
    delivery: Delivery

    def record(self) -> Record | None:
        now = lambda: self.cluster.store.now  # noqa: E731
        self.outbox = Outbox(self.cluster, NAMESPACE, now, lambda _: None)
        self.delivery = Delivery(
            self.cluster,
            self.outbox,
            Audit(uri=LOG),
            AgentConfigDefaults(),
            NAMESPACE,
            on_failure=lambda _: None,
        )
        self.outbox.unsure = True
        return self.outbox.record


async def deliver(story: Story, site: AuditSite) -> None:
    """Hand everything over; killed on the way, the operator starts again."""
    operator = story.operator
    assert isinstance(operator, Audited)
    for _ in range(MOST):
        site.run_jobs(story.cluster.store)
        try:
            if await operator.delivery.step() is None:
                return
        except Killed:
            operator.start()
    raise AssertionError("the outbox is never empty")


async def play(name: str, store: Store, site: AuditSite, dies_after: int | None = None) -> Story:
    """Play a story of a rollout, and hand over in the midst of it and at its end."""
    story = Story(Mortal(store=copy.deepcopy(store), dies_after=dies_after), Audited)
    story.publish("b", 2)
    await story.until(lambda: "candidate" in story.status)
    await deliver(story, site)
    await STORIES[name][0](story)
    await rest(story)
    await deliver(story, site)
    return story


def told(site: AuditSite) -> list[tuple[str, str]]:
    return [(entry["event"], entry.get("modelDigest", "")[7:9]) for entry in site.entries]


async def test_a_rollout_is_told_from_its_start_to_its_end(tmp_path: Path) -> None:
    site = AuditSite(tmp_path / "outbox")

    story = await play("canary", await served("canary"), site)

    assert told(site) == [("RolloutStarted", "bb"), ("RolloutPromoted", "bb")]
    promoted = site.entries[-1]
    assert promoted["revision"] == story.status["stable"]["name"]
    assert (promoted["modelDigest"], promoted["run"]) == (digest("b"), "churn-2")
    assert site.verified().result == "Intact"
    assert [at and at.sequence for at in site.expected] == [None, 1]


OWN = {"ConfigMap", "Job", "ModelDeployment", "Service"}
"""Kinds that tell how far a fact has come; crashes after writes of others are played without a log."""


async def test_killed_after_any_write_the_log_has_every_fact_once(tmp_path: Path) -> None:
    name = "recreate"
    store = await served(name)
    site = AuditSite(tmp_path / "outbox")
    reference = await play(name, store, site)
    wanted = sorted(entry["id"] for entry in site.entries)
    assert len(wanted) >= 2
    writes = reference.cluster.writes
    for number in [index for index, (_, kind, _) in enumerate(writes, start=1) if kind in OWN]:
        again = AuditSite(tmp_path / "outbox")
        story = await play(name, store, again, number)
        where = f"killed after write {number} ({writes[number - 1]})"
        assert sorted(entry["id"] for entry in again.entries) == wanted, f"{where}: {told(again)}"
        assert again.verified().result == "Intact", where
        assert not story.cluster.store.named(JOB, NAMESPACE), where
        assert list(story.cluster.store.named(CONFIG_MAP, NAMESPACE)) == ["perennial-audit-head"], where


async def approvals(store: Store, site: AuditSite, dies_after: int | None = None) -> Story:
    """Play a rollout that is paused, while a user approves, takes it back, and approves again before another does."""
    story = Story(Mortal(store=copy.deepcopy(store), dies_after=dies_after), Audited)
    live = story.cluster.live("ModelDeployment", "churn")
    story.cluster.put({**live, "spec": {**live["spec"], "rollout": {"approval": "Manual", "approvals": 2}}})
    story.publish("b", 2)
    await story.until(lambda: story.status.get("candidate", {}).get("reason") == "WaitingForApproval")
    for users in (["ana"], [], ["ana"], ["ana", "bo"]):
        say(story, *users, paused=not users)
        await rest(story)
    await deliver(story, site)
    return story


def say(story: Story, *users: str, paused: bool) -> None:
    live = story.cluster.live("ModelDeployment", "churn")
    name = story.status["candidate"]["name"]
    said = {f"{APPROVAL_PREFIX}{user}": f"{name} {user}" for user in users}
    said |= {PAUSE_ANNOTATION: "true"} if paused else {PROMOTE_ANNOTATION: name}
    story.cluster.put({**live, "metadata": {**live["metadata"], "annotations": said}})


async def test_killed_after_any_write_each_act_of_a_person_and_each_end_of_one_is_told_once(tmp_path: Path) -> None:
    store, site = await served("recreate"), AuditSite(tmp_path / "outbox")
    reference = await approvals(store, site)
    wanted = sorted(entry["id"] for entry in site.entries)
    assert [(event, entry.get("actor")) for (event, _), entry in zip(told(site), site.entries, strict=True)] == [
        ("RolloutStarted", None),
        ("PromotionRequested", None),
        ("RolloutApproved", "ana"),
        ("RolloutPaused", None),
        ("ApprovalWithdrawn", None),
        ("RolloutResumed", None),
        ("RolloutApproved", "ana"),
        ("RolloutApproved", "bo"),
        ("RolloutPromoted", None),
    ]
    writes = reference.cluster.writes
    for number in [index for index, (_, kind, _) in enumerate(writes, start=1) if kind in OWN]:
        again = AuditSite(tmp_path / "outbox")
        await approvals(store, again, number)
        where = f"killed after write {number} ({writes[number - 1]})"
        assert sorted(entry["id"] for entry in again.entries) == wanted, f"{where}: {told(again)}"


async def test_a_fact_is_stored_before_the_status_that_makes_it_true(tmp_path: Path) -> None:
    story = Story(Mortal(store=await served("canary")), Audited)
    story.publish("b", 2)
    story.cluster.writes.clear()
    await story.until(lambda: "candidate" in story.status)

    kinds = [kind for verb, kind, _ in story.cluster.writes if (verb, kind) != ("apply", "Deployment")]

    assert "ConfigMap" in kinds
    assert kinds.index("ConfigMap") < kinds.index("ModelDeployment")


async def test_without_room_for_the_fact_its_status_is_not_written() -> None:
    story = Story(Mortal(store=await served("canary")), Audited)
    story.publish("b", 2)
    story.operator.see()
    before = story.status
    story.cluster.fault = lambda _verb, kind: refusal(403, message="no") if kind == "ConfigMap" else None

    with pytest.raises(ApiError, match="no"):
        await story.operator.reconcile()

    assert story.status == before


async def test_at_rest_nothing_is_written(tmp_path: Path) -> None:
    site = AuditSite(tmp_path / "outbox")
    story = await play("canary", await served("canary"), site)
    story.cluster.writes.clear()

    story.operator.start()
    await rest(story)
    await deliver(story, site)

    assert story.cluster.writes == []


async def test_the_pods_have_no_rights_and_the_secret_by_name_only(tmp_path: Path) -> None:
    story = Story(Mortal(store=await served("canary")), Audited)
    story.publish("b", 2)
    await story.until(lambda: "candidate" in story.status)
    operator = story.operator
    assert isinstance(operator, Audited)
    await operator.delivery.step()

    (job,) = story.cluster.store.named(JOB, NAMESPACE).values()
    pod: dict[str, Any] = job["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["containers"][0]["args"] == ["agent", "audit"]
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
