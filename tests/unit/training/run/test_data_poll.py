"""New data in the inputs: results of polls, when they start a run, and the poll CronJob."""

from __future__ import annotations

from typing import Any

import pytest

from perennial.api.contract.settings import OperatorConfig
from perennial.core.failures import ACCESS_DENIED
from perennial.training.run.data_poll import build_poll_cron_job, inputs_hash, polls_of
from tests.support import builders
from tests.support.builders import ended, failure, running, said, training_job
from tests.unit.training.objects import parsed, pod
from tests.unit.training.simulation import Cluster

SPEC: dict[str, Any] = {"inputs": [{"name": "train", "uri": "s3://data/churn/"}], "newData": {"poll": "10m"}}
INPUTS = inputs_hash(parsed(SPEC).spec)
A, B, C = (builders.digest(letter) for letter in "abc")


def listed(digest: str, files: int = 3) -> str:
    return said("Polled", digest=digest, files=files, bytes=30)


def polled(number: int, code: int = 0, message: str = "", inputs: str = INPUTS) -> dict[str, Any]:
    """Return a pod that has polled, the later the greater the number."""
    container = ended("poll", code, message=message, time=f"2026-01-31T12:{number:02}:00Z")
    name = f"churn-poll-{number}"
    meta = {"uid": name, "annotations": {"perennial.dev/polled-inputs": inputs}}
    return builders.pod(name, "Failed" if code else "Succeeded", container, meta=meta)


def settled(*pods: dict[str, Any]) -> str | None:
    found = polls_of(parsed(SPEC).spec, [pod("Succeeded").model_validate(item) for item in pods]).settled
    return found.digest if found is not None else None


BEFORE = (polled(1, message=listed(B)), polled(2, message=listed(A)))

CASES = [
    ("nothing yet", [], None),
    ("one poll", [polled(1, message=listed(A))], None),
    ("two agree", [polled(1, message=listed(A)), polled(2, message=listed(A))], A),
    (
        "the newest two count",
        [polled(3, message=listed(A)), polled(1, message=listed(B)), polled(2, message=listed(A))],
        A,
    ),
    ("an upload under way", [polled(1, message=listed(A)), polled(2, message=listed(B))], None),
    ("nothing there", [polled(1, message=listed(A, 0)), polled(2, message=listed(A, 0))], None),
    ("of other inputs", [polled(1, message=listed(A)), polled(2, message=listed(A), inputs="other")], None),
    ("a failure between", [polled(1, message=listed(A)), polled(2, 70), polled(3, message=listed(A))], A),
    ("hostile", [polled(1, message=listed(A)), polled(2, message='{"v":1,"kind":"Polled","digest":"x"}')], None),
    ("another kind", [polled(1, message=said("NothingToPublish")), polled(2, message=listed(A))], None),
]


@pytest.mark.parametrize(("pods", "expected"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_what_counts_as_settled(pods: list[dict[str, Any]], expected: str | None) -> None:
    assert settled(*pods) == expected


def cluster_with(*pods: dict[str, Any], **spec: Any) -> Cluster:
    cluster = Cluster()
    cluster.change(spec={**SPEC, **spec})
    see(cluster, *pods)
    cluster.settle()
    return cluster


def see(cluster: Cluster, *pods: dict[str, Any]) -> None:
    cluster.show_polls(*pods)


def triggers(cluster: Cluster) -> list[str]:
    return [record["trigger"]["kind"] for record in cluster.resource["status"]["runs"]]


def both(digest: str, first: int = 1) -> tuple[dict[str, Any], dict[str, Any]]:
    return polled(first, message=listed(digest)), polled(first + 1, message=listed(digest))


def test_what_was_there_first_is_no_news_and_each_change_is_one_run() -> None:
    cluster = cluster_with()
    see(cluster, *both(A))
    cluster.settle()
    assert triggers(cluster) == ["Created"]
    assert cluster.resource["status"]["data"]["digest"] == A

    for number, digest in enumerate((A, B, B, C)):
        see(cluster, *both(digest, 3 + 2 * number))
        cluster.settle()
        cluster.settle()

    assert triggers(cluster) == ["NewData", "NewData", "Created"]
    assert cluster.resource["status"]["runs"][0]["trigger"]["digest"] == C


def test_a_run_for_another_reason_answers_the_new_data_too() -> None:
    cluster = cluster_with(*both(A))
    see(cluster, *both(B, 3))
    cluster.change(spec={"seed": 3})
    cluster.settle()

    assert triggers(cluster) == ["SpecChanged", "Created"]
    assert cluster.resource["status"]["data"]["digest"] == B


def test_other_inputs_start_with_what_they_hold() -> None:
    cluster = cluster_with(*both(A))
    moved = {"inputs": [{"name": "train", "uri": "s3://data/other/"}]}
    cluster.change(spec=moved)
    cluster.settle()
    other = inputs_hash(parsed({**SPEC, **moved}).spec)
    see(cluster, *(polled(number, message=listed(C), inputs=other) for number in (5, 6)))
    cluster.settle()

    assert triggers(cluster) == ["SpecChanged", "Created"]
    assert cluster.resource["status"]["data"]["digest"] == C


def test_polls_that_fail_are_told_of_once_and_until_they_succeed() -> None:
    cluster = cluster_with(*both(A))
    see(cluster, polled(3, ACCESS_DENIED.code, failure(ACCESS_DENIED.reason, "403 for s3://data/churn/")))
    events = cluster.reconcile().events
    found = {item["type"]: item for item in cluster.resource["status"]["conditions"]}
    assert [event.reason for event in events] == [ACCESS_DENIED.reason]
    assert found["PollFailed"]["reason"] == ACCESS_DENIED.reason
    assert "403 for s3://data/churn/" in found["PollFailed"]["message"]
    assert ACCESS_DENIED.next_step in found["PollFailed"]["message"]
    assert found["Ready"]["status"] == "True"

    see(cluster, polled(4, ACCESS_DENIED.code))
    assert cluster.reconcile().events == ()
    see(cluster, *both(A, 5))
    cluster.settle()
    assert "PollFailed" not in {item["type"] for item in cluster.resource["status"]["conditions"]}


def test_the_cronjob_comes_and_goes_with_the_field_and_rests_while_suspended() -> None:
    cluster = cluster_with()
    assert cluster.cron_jobs["churn-poll"]["spec"]["suspend"] is False
    cluster.change(spec={"suspend": True})
    cluster.settle()
    assert cluster.cron_jobs["churn-poll"]["spec"]["suspend"] is True

    cluster.change(spec={"newData": None})
    cluster.settle()
    assert cluster.cron_jobs == {}


def test_the_pod_that_polls_needs_none_of_what_the_training_needs() -> None:
    spec = {
        **SPEC,
        "nodeSelector": {"accelerator": "nvidia"},
        "resources": {"limits": {"nvidia.com/gpu": "8"}},
        "storage": {"secretName": "s3", "caConfigMap": "ca"},
    }
    made = build_poll_cron_job(parsed(spec), OperatorConfig())
    assert made is not None
    template = made["spec"]["jobTemplate"]["spec"]["template"]["spec"]

    assert "nodeSelector" not in template
    assert template["automountServiceAccountToken"] is False
    assert "nvidia.com/gpu" not in template["containers"][0]["resources"].get("limits", {})
    assert [volume["name"] for volume in template["volumes"]] == ["storage-ca"]
    assert made["spec"]["schedule"] == "@every 600s"


def test_the_longest_name_leaves_room_for_the_jobs_of_a_cronjob() -> None:
    made = build_poll_cron_job(parsed(SPEC, name="a" * 63), OperatorConfig())

    assert made is not None
    assert len(made["metadata"]["name"]) <= 52


# What a run has pulled is the baseline.


def pulls(cluster: Cluster, digest: str, at: str) -> None:
    """Let the fetch container of the busy Jobs end with a listing."""
    for name in cluster.busy():
        message = said("Fetched", inputs=[], listing=digest)
        fetched = ended("fetch", message=message, time=f"2026-01-31T{at}Z")
        cluster.run_pod(name, "Running", fetched, running("train"))
    cluster.reconcile()


def running_cluster(**spec: Any) -> Cluster:
    cluster = Cluster(resource=training_job({**SPEC, **spec}))
    for _ in range(3):
        cluster.reconcile()
    return cluster


def test_data_that_arrives_between_fetch_and_the_second_poll_starts_a_run() -> None:
    cluster = running_cluster()
    see(cluster, polled(1, message=listed(A)))
    pulls(cluster, A, "12:02:00")
    see(cluster, *both(B, 3))
    cluster.settle()
    cluster.settle()

    assert triggers(cluster) == ["NewData", "Created"]
    assert cluster.resource["status"]["runs"][0]["trigger"]["digest"] == B


def test_polls_from_before_the_run_pulled_its_inputs_are_no_news() -> None:
    cluster = running_cluster()
    see(cluster, *both(A))
    pulls(cluster, B, "12:05:00")
    cluster.settle()
    cluster.settle()
    assert triggers(cluster) == ["Created"]

    see(cluster, *both(B, 6))
    cluster.settle()
    assert triggers(cluster) == ["Created"]


def test_the_trial_that_pulled_first_is_the_baseline_of_a_sweep() -> None:
    sweep = {"grid": {"depth": ["1", "2"]}, "parallel": 2, "objective": {"metric": "auc"}}
    cluster = running_cluster(sweep=sweep)
    for number, digest in ((1, A), (2, B)):
        fetched = ended("fetch", message=said("Fetched", inputs=[], listing=digest))
        cluster.run_pod(f"churn-1-t{number}-0", "Running", fetched, running("train"))
    cluster.reconcile()

    assert cluster.resource["status"]["data"]["digest"] == A
