"""Names, hashes, triggers and records: the rules that every step of a run builds on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.api.contract.settings import OperatorConfig
from perennial.api.trainingjob.resource import RunRecord, TrainingJobSpec, TrainingJobStatus
from perennial.core.kinds import Key, Kind, Raw
from perennial.core.times import parse_time
from perennial.training.context import Context
from perennial.training.job.plan import job_name, numbers_of, read_plan, run_hash
from perennial.training.observe import Observed, RetrainRequest, observe
from perennial.training.run.records import image_digest, reconcile_records
from perennial.training.run.triggers import MAX_VERDICTS, Standing, acknowledge, due, requests_by_standing
from tests.support.builders import DIGEST, NOW, ended, job, retraining_monitor
from tests.support.memory import Store
from tests.unit.training.objects import parsed, pod

NOON = parse_time(NOW)


def record(number: int, result: str = "Succeeded", **more: Any) -> dict[str, Any]:
    times = {"startTime": NOW, "completionTime": NOW}
    base = {"name": f"churn-{number}", "number": number, "result": result, "reason": "X", "attempts": 1, **times}
    return {**base, "trigger": {"kind": "Created"}, "specHash": "h", "generation": 1, **more}


def status(*records: dict[str, Any], **more: Any) -> TrainingJobStatus:
    return TrainingJobStatus.model_validate({"runs": records, **more})


# Names.


@given(
    name=st.from_regex(r"\A[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z"),
    number=st.integers(1, 10**9 - 1),
    attempt=st.integers(0, 10**9 - 1),
)
def test_a_jobs_name_tells_its_numbers_and_whose_it_is(name: str, number: int, attempt: int) -> None:
    job = job_name(name, number, attempt)

    assert numbers_of(name, job) == (number, attempt)
    assert len(job) <= 57
    assert numbers_of(f"{name[:40]}x", job) is None


@pytest.mark.parametrize(
    "job", ["churn", "churn-1", "churn-01-0", "churn-1-x", "other-1-0", "churn-1-0-0", "churn--1-0"]
)
def test_other_names_are_not_ours(job: str) -> None:
    assert numbers_of("churn", job) is None


# The hash.

SHAPING: list[dict[str, Any]] = [
    {"image": "train:2"},
    {"command": ["a"]},
    {"args": ["a"]},
    {"workingDir": "/a"},
    {"env": [{"name": "A", "value": "1"}]},
    {"envFrom": [{"secretRef": {"name": "s"}}]},
    {"parameters": {"a": "1"}},
    {"seed": 0},
    {"source": {"commit": "abc"}},
    {"inputs": [{"name": "a", "uri": "s3://data/a/"}]},
    {"output": {"uri": "s3://models/other/"}},
    {"storage": {"endpoint": "http://s3"}},
    {"workspace": {"sizeLimit": "1Gi"}},
    {"resources": {"limits": {"cpu": "1"}}},
    {"nodeSelector": {"a": "b"}},
    {"activeDeadlineSeconds": 5},
]
NOT_SHAPING: list[dict[str, Any]] = [
    {"queue": {"name": "team-a", "priorityClass": "high"}},
    {"schedule": "@daily", "timeZone": "Europe/Berlin", "startingDeadlineSeconds": 60},
    {"newData": {"poll": "10m"}},
    {"acceptance": [{"metric": "auc", "min": "0.9"}]},
    {"suspend": True},
    {"onChange": "Wait"},
    {"retry": {"limit": 9}},
    {"history": {"runs": 1}},
]


def test_the_hash_changes_with_all_that_shapes_a_run_and_with_nothing_else() -> None:
    plain = run_hash(parsed().spec)

    assert len({plain, *(run_hash(parsed(spec).spec) for spec in SHAPING)}) == len(SHAPING) + 1
    assert {run_hash(parsed(spec).spec) for spec in NOT_SHAPING} == {plain}


def test_the_hash_does_not_change_with_a_release_that_writes_defaults_out() -> None:
    assert run_hash(parsed({"storage": {"addressing": "auto", "endpoint": "http://s3"}}).spec) == run_hash(
        parsed({"storage": {"endpoint": "http://s3"}}).spec
    )
    # A release that computed it otherwise would retrain every model of every cluster at its upgrade.
    assert run_hash(TrainingJobSpec(image="train:1")) == "2dea8a0985"


# Triggers.

WISH = RetrainRequest("watch", "v1", DIGEST)
ARTIFACT = {"artifact": {"uri": "s3://m/", "digest": DIGEST, "run": "churn-1", "time": NOW}}
DUE: list[tuple[str, dict[str, Any], TrainingJobStatus, tuple[RetrainRequest, ...], str | None]] = [
    ("never ran", {}, status(), (), "Created"),
    ("never ran, to be ignored", {"onChange": "Ignore"}, status(), (), "Created"),
    ("done", {}, status(record(1)), (), None),
    ("failed", {}, status(record(1, "Failed")), (), None),
    ("changed", {}, status(record(1, specHash="old")), (), "SpecChanged"),
    ("changed, waiting", {"onChange": "Wait"}, status(record(1, specHash="old")), (), "SpecChanged"),
    ("changed, ignored", {"onChange": "Ignore"}, status(record(1, specHash="old")), (), None),
    ("replaced and taken back", {}, status(record(2, "Replaced"), record(1)), (), "Created"),
    ("drift", {}, status(record(1), **ARTIFACT), (WISH,), "Drift"),
    ("drift without a digest", {}, status(record(1)), (RetrainRequest("watch", "v1", None),), "Drift"),
    ("drift of another model", {}, status(record(1), **ARTIFACT), (RetrainRequest("watch", "v1", "sha256:x"),), None),
    ("drift seen", {}, status(record(1), **ARTIFACT, verdicts={"watch": "v1"}), (WISH,), None),
    ("drift anew", {}, status(record(1), **ARTIFACT, verdicts={"watch": "v0"}), (WISH,), "Drift"),
    ("drift after a failed retraining", {}, status(record(2, "Failed"), record(1), **ARTIFACT), (WISH,), "Drift"),
    ("drift under Ignore", {"onChange": "Ignore"}, status(record(1, specHash="old"), **ARTIFACT), (WISH,), "Drift"),
]


@pytest.mark.parametrize(("spec", "status", "requests", "kind"), [row[1:] for row in DUE], ids=[row[0] for row in DUE])
def test_when_a_run_is_due(
    spec: dict[str, Any], status: TrainingJobStatus, requests: tuple[RetrainRequest, ...], kind: str | None
) -> None:
    observed = Observed(parsed(spec), requests=requests)
    trigger = due(Context(observed, OperatorConfig(), NOON, "h"), status)

    assert (trigger.kind if trigger else None) == kind
    if kind == "Drift":
        assert trigger is not None
        assert (trigger.monitor, trigger.verdict) == ("watch", "v1")


def test_verdicts_are_told_apart_by_the_model_they_speak_of() -> None:
    other = RetrainRequest("elder", "v7", "sha256:x")
    seen = status(record(1), **ARTIFACT)

    context = Context(Observed(parsed(), requests=(other, WISH)), OperatorConfig(), NOON, "h")

    assert requests_by_standing(context, seen, Standing.OPEN) == (WISH,)
    assert requests_by_standing(context, seen, Standing.OUTDATED) == (other,)


def test_no_more_verdicts_are_remembered_than_a_status_may_hold() -> None:
    full = status(verdicts={f"m{number}": "v" for number in range(MAX_VERDICTS)})

    found = acknowledge(full, (WISH,)).verdicts

    assert found is not None
    assert len(found) == MAX_VERDICTS
    assert found["watch"] == "v1"


# Records.


def reconciled(found: TrainingJobStatus, keep: int = 10) -> TrainingJobStatus:
    resource = parsed({"history": {"runs": keep}}).model_copy(update={"status": found})
    return reconcile_records(resource, (), NOON)


def kept(found: TrainingJobStatus, keep: int = 10) -> list[int]:
    return [item.number for item in reconciled(found, keep).runs]


def test_the_newest_records_stay_and_the_newest_success_with_them() -> None:
    failures = [record(number, "Failed") for number in (5, 4, 3)]

    assert kept(status(*failures, record(2), record(1)), keep=2) == [5, 4, 2]
    assert kept(status(record(2), record(1)), keep=1) == [2]


def test_a_full_history_never_outgrows_what_status_may_hold() -> None:
    failures = tuple(RunRecord.model_validate(record(number, "Failed")) for number in range(60, 1, -1))
    found = TrainingJobStatus(runs=()).model_copy(update={"runs": (*failures, RunRecord.model_validate(record(1)))})

    numbers = kept(found, keep=50)

    assert len(numbers) == 50
    assert numbers[-1] == 1


def test_records_with_numbers_that_no_run_has_are_dropped() -> None:
    assert kept(status(record(-1), record(10**15), record(3))) == [3]
    assert reconciled(status(runCount=10**15)).run_count == 0


@pytest.mark.parametrize(
    ("image_id", "expected"),
    [
        ("docker-pullable://registry.example/a@sha256:" + "1" * 64, "registry.example/a@sha256:" + "1" * 64),
        ("registry.example/a@sha256:" + "1" * 64, "registry.example/a@sha256:" + "1" * 64),
        ("sha256:" + "1" * 64, "sha256:" + "1" * 64),
        ("docker://sha256:" + "1" * 64, "sha256:" + "1" * 64),
        ("", None),
        ("registry.example/a:latest", None),
        ("x\n@sha256:" + "1" * 64, None),
    ],
)
def test_the_image_that_ran_is_recorded_by_digest(image_id: str, expected: str | None) -> None:
    assert image_digest(pod("Succeeded", ended("train", imageID=image_id))) == expected
    assert image_digest(None) is None


# What is observed.


class Unfiltered(Store):
    """Leaves nothing out: `observe` itself must tell which Jobs and monitors are meant."""

    def children(self, kind: Kind, owner: Key, uid: str) -> tuple[Raw, ...]:
        return tuple(self.named(kind).values())

    def naming(self, kind: Kind, upstream: Key) -> tuple[Raw, ...]:
        return tuple(self.named(kind).values())


def raw_job(name: str, uid: str = "tj-1") -> Raw:
    return job(name, ownerReferences=[{"kind": "TrainingJob", "name": "churn", "uid": uid, "controller": True}])


def test_only_own_jobs_count_whatever_their_labels_say() -> None:
    jobs = [raw_job("churn-1-0"), raw_job("churn-2-0", uid="tj-0"), raw_job("my-own"), raw_job("churn-3-1")]

    found = observe(parsed(), Unfiltered.of(jobs))

    assert [item.order for item in found.jobs] == [(1, 0), (3, 1)]


def test_only_standing_requests_of_monitors_that_name_it_count() -> None:
    asks = {"retrain": {"verdict": "v1", "time": NOW}}
    monitors = [
        retraining_monitor(asks, name="asks"),
        retraining_monitor(name="watches"),
        retraining_monitor(asks, "fraud", name="other"),
        {**retraining_monitor(asks, name="broken"), "spec": {}},
    ]

    found = observe(parsed(), Unfiltered.of(monitors))

    assert found.requests == (RetrainRequest("asks", "v1", None),)


@pytest.mark.parametrize("text", [None, "", "{}", "no JSON", '{"run": 1}', "[" * 5000])
def test_a_plan_that_was_edited_into_something_else_is_none(text: str | None) -> None:
    assert read_plan(text) is None
