"""The commands as a person runs them, on a cluster in memory."""

from __future__ import annotations

import base64
import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from perennial.api.contract.messages import SHOWN_PREFIX
from perennial.cli import main as plugin
from perennial.cli.commands import shared
from perennial.cli.errors import CliError
from perennial.core.kinds import MODEL_DEPLOYMENT, TRAINING_JOB
from perennial.core.labels import ATTEMPT_LABEL, REVISION_LABEL, RUN_LABEL
from tests.support import builders
from tests.support.builders import EARLIER, NOW, drift_monitor, ended, model_deployment, pod, running, training_job
from tests.unit.cli.world import FakeCluster, ready, reconciling, revision, run_record, stalled, status


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the plugin on objects; return the result and the cluster."""

    def invoke(cluster: FakeCluster, *arguments: str, text: str | None = None) -> Result:
        monkeypatch.setattr(shared, "connect", lambda *_: cluster)
        return CliRunner().invoke(plugin.app, list(arguments), input=text)

    return invoke


def loop() -> tuple[dict[str, Any], ...]:
    """A trained, served and monitored model with a candidate that waits for approval."""
    training = training_job(
        status=status(*ready("Succeeded", "run churn-2 has published"), runs=[run_record(2), run_record(1)])
    )
    serving = model_deployment()
    serving["status"] = status(
        *ready("Serving", "churn-aaa serves"),
        stable=revision("aaa", "a", run="churn-1"),
        candidate=revision(
            "bbb", "b", run="churn-2", phase="Progressing", readySince=NOW, message="waits for approval"
        ),
        replicas=2,
        readyReplicas=2,
    )
    verdict = {
        "id": "churn-29",
        "time": NOW,
        "drifted": True,
        "driftedFeatures": 3,
        "comparedFeatures": 8,
        "referenceRows": 100,
        "currentRows": 100,
        "features": [{"name": "age", "method": "linf", "score": "0.4", "threshold": "0.1", "drifted": True}],
    }
    monitor = drift_monitor(status(*ready("Watching"), lastVerdict=verdict))
    served = pod(
        "churn-aaa-1", "Running", running("server", ready=True), owner=MODEL_DEPLOYMENT, labels={REVISION_LABEL: "aaa"}
    )
    return training, serving, monitor, served


def test_status_shows_the_whole_loop_as_one_tree(run: Any) -> None:
    done = run(FakeCluster(*loop()), "status")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0].startswith("loop churn: ")
    told = [line.strip().partition(":")[0] for line in lines]
    assert told == [
        "loop churn",
        "DriftMonitor churn",
        "verdict churn-29",
        "TrainingJob churn",
        "run churn-2",
        "ModelDeployment churn",
        "candidate churn-bbb",
        "stable churn-aaa",
        "pod churn-aaa-1",
    ]
    assert "3 of 8 columns drifted (age)" in done.output
    assert "candidate churn-bbb: waiting, run churn-2, waits for approval" in done.output


def test_status_as_json_has_the_same_tree(run: Any) -> None:
    (tree,) = json.loads(run(FakeCluster(*loop()), "status", "-o", "json").output)
    assert [child["kind"] for child in tree["children"]] == ["DriftMonitor", "TrainingJob", "ModelDeployment"]
    assert tree["children"][2]["children"][1]["children"][0]["name"] == "churn-aaa-1"


@pytest.mark.parametrize(
    ("checkpoint", "told"),
    [
        ({"resumedFrom": EARLIER, "time": NOW}, "resumed from a checkpoint of "),
        ({"time": NOW}, "newest checkpoint "),
        ({}, "no checkpoint yet"),
    ],
)
def test_status_tells_of_the_checkpoints_of_an_attempt(run: Any, checkpoint: dict[str, Any], told: str) -> None:
    current = {
        "name": "churn-2",
        "number": 2,
        "attempt": 1,
        "trigger": {"kind": "Created"},
        "specHash": "a",
        "generation": 1,
        "job": "churn-2-1",
        "startTime": EARLIER,
        "attemptTime": EARLIER,
    }
    without = run(FakeCluster(training_job(status={"currentRun": current})), "status").output
    shown = run(
        FakeCluster(training_job(status={"currentRun": {**current, "checkpoint": checkpoint}})), "status"
    ).output
    assert told in shown
    assert "checkpoint" not in without


def test_a_canary_shows_its_step_and_what_the_pods_give(run: Any) -> None:
    serving = model_deployment()
    steps = {"step": 2, "weight": 25, "reachedWeight": 20, "message": "holds for 3 min"}
    serving["status"] = status(candidate=revision("bbb", "b", phase="Progressing", **steps))
    told = run(FakeCluster(serving), "status").output
    assert "step 2: 25 % of requests (20 % reached), holds for 3 min" in told


def test_gates_show_their_verdict_and_figures(run: Any) -> None:
    serving = model_deployment()
    gate = {
        "name": "errors",
        "type": "errorRate",
        "verdict": "Inconclusive",
        "figures": {"candidate": "0.02", "max": "0.01"},
        "message": "120 more requests are needed",
        "time": NOW,
    }
    serving["status"] = status(candidate=revision("bbb", "b", phase="Progressing", gates=[gate]))
    told = run(FakeCluster(serving), "status").output
    assert "gate errors: waiting, Inconclusive, candidate=0.02 max=0.01, 120 more requests are needed" in told


def test_resources_that_do_not_refer_to_each_other_are_separate_loops(run: Any) -> None:
    lone = training_job(status=status(*ready("Succeeded")))
    lone["metadata"] = {**lone["metadata"], "name": "alone"}
    trees = json.loads(run(FakeCluster(*loop(), lone), "status", "-o", "json").output)
    assert [tree["name"] for tree in trees] == ["churn", "alone"]
    only = json.loads(run(FakeCluster(*loop(), lone), "status", "tj/alone", "-o", "json").output)
    assert [tree["name"] for tree in only] == ["alone"]


def test_status_of_an_empty_namespace_says_what_to_do(run: Any) -> None:
    assert "init" in run(FakeCluster(), "status").output


def test_why_follows_the_chain_to_the_training_that_failed(run: Any) -> None:
    training = training_job(status=status(*stalled("OutOfMemory", "train used more than 1Gi; raise the limit")))
    serving = model_deployment()
    serving["status"] = status(*reconciling("WaitingForModel", "TrainingJob churn has published nothing yet"))
    monitor = drift_monitor(status(*reconciling("TargetNotReady", "ModelDeployment churn serves nothing yet")))
    crashed = pod("churn-1-0-x", "Failed", ended("train", 137, "OOMKilled"))
    event = {
        "kind": "Event",
        "metadata": {"name": "e", "namespace": "default"},
        "type": "Warning",
        "reason": "BackOff",
        "message": "restarting",
        "count": 4,
        "involvedObject": {"kind": "Pod", "name": "churn-1-0-x"},
    }
    cluster = FakeCluster(training, serving, monitor, crashed, event)
    answer = json.loads(run(cluster, "why", "dm/churn", "-o", "json").output)
    assert [link["object"] for link in answer["links"]] == [
        "driftmonitor/churn",
        "modeldeployment/churn",
        "trainingjob/churn",
    ]
    last = answer["links"][-1]
    assert (last["reason"], bool(last["next_step"])) == ("OutOfMemory", True)
    assert last["evidence"] == [
        "pod churn-1-0-x, train ended with 137",
        "Pod churn-1-0-x: BackOff: restarting (4 times)",
    ]
    text = run(cluster, "why", "dm/churn").output
    assert "because trainingjob/churn: OutOfMemory" in text
    assert text.splitlines()[-1].startswith("next: ")


def test_why_names_a_missing_upstream(run: Any) -> None:
    serving = model_deployment()
    serving["status"] = status(*reconciling("WaitingForModel", "there is no TrainingJob churn"))
    answer = json.loads(run(FakeCluster(serving), "why", "churn", "-o", "json").output)
    assert answer["links"][-1]["reason"] == "NotFound"


def test_why_says_that_nothing_is_wrong_only_where_nothing_failed(run: Any) -> None:
    assert "nothing is wrong" in run(FakeCluster(*loop()), "why", "md/churn").output
    training, serving, *rest = loop()
    serving["status"]["conditions"].append(builders.condition("RolloutFailed", reason="Aborted", message="aborted"))
    assert "Aborted" in run(FakeCluster(training, serving, *rest), "why", "md/churn").output
    unseen = {**training_job(), "status": {}}
    assert "has not looked" in run(FakeCluster(unseen), "why", "tj/churn").output


@pytest.mark.parametrize(
    ("name", "told"),
    [("churn", "several"), ("md/other", "it has: "), ("pod/churn", "unknown kind pod")],
)
def test_a_name_that_names_nothing_says_what_there_is(run: Any, name: str, told: str) -> None:
    done = run(FakeCluster(*loop()), "why", name)
    assert isinstance(done.exception, CliError)
    assert told in str(done.exception)


def test_logs_of_a_run_are_merged_by_time_across_attempts_and_sidecars(run: Any) -> None:
    def worker(name: str, attempt: int) -> dict[str, Any]:
        labels = {RUN_LABEL: "2", ATTEMPT_LABEL: str(attempt)}
        return pod(name, "Running", running("agent"), running("train"), labels=labels)

    other = pod("churn-1-0-z", "Running", running("train"), labels={RUN_LABEL: "1", ATTEMPT_LABEL: "0"})
    logs = {
        ("churn-2-0-x", "train"): "2026-01-31T11:00:01Z one\n2026-01-31T11:00:04Z four\n",
        ("churn-2-0-x", "agent"): "2026-01-31T11:00:02Z two\n",
        ("churn-2-1-y", "train"): "2026-01-31T11:00:03Z three\n",
        ("churn-1-0-z", "train"): "2026-01-31T11:00:00Z never\n",
    }
    cluster = FakeCluster(training_job(), worker("churn-2-0-x", 0), worker("churn-2-1-y", 1), other, logs=logs)
    done = run(cluster, "logs", "churn-2")
    assert done.output.splitlines() == [
        "2026-01-31T11:00:01 [run 2 attempt 0 train] one",
        "2026-01-31T11:00:02 [run 2 attempt 0 agent] two",
        "2026-01-31T11:00:03 [run 2 attempt 1 train] three",
        "2026-01-31T11:00:04 [run 2 attempt 0 train] four",
    ]
    followed = run(cluster, "logs", "churn-2", "-f", "-c", "train")
    assert sorted(line.split()[-1] for line in followed.output.splitlines()) == ["four", "one", "three"]


def test_runs_and_their_comparison(run: Any) -> None:
    left = run_record(1, parameters={"eta": "0.1"}, metrics={"auc": "0.90"}, image="train:1", seed=1)
    right = run_record(2, parameters={"eta": "0.3"}, metrics={"auc": "0.93"}, image="train:1", seed=1)
    cluster = FakeCluster(training_job(status=status(runs=[right, left])))
    assert [row["run"] for row in json.loads(run(cluster, "runs", "churn", "-o", "json").output)] == [
        "churn-2",
        "churn-1",
    ]
    rows = json.loads(run(cluster, "compare", "churn-1", "churn-2", "-o", "json").output)
    assert rows == [
        {"group": "parameters", "name": "eta", "churn-1": "0.1", "churn-2": "0.3"},
        {"group": "metrics", "name": "auc", "churn-1": "0.90", "churn-2": "0.93"},
    ]
    page = run(cluster, "compare", "churn-1", "churn-2", "-o", "html").output
    assert page.count("<svg") == 1
    assert "http" not in page
    missing = run(cluster, "compare", "churn-1", "churn-9")
    assert "no ended run churn-9" in str(missing.exception)


def test_acts_of_people_are_annotations_in_their_name(run: Any) -> None:
    cluster = FakeCluster(*loop())
    for act in (
        ("approve", "churn"),
        ("pause", "churn"),
        ("resume", "churn"),
        ("abort", "churn"),
        ("promote", "churn"),
    ):
        assert run(cluster, *act).exit_code == 0
    run(cluster, "retrain", "churn")
    assert cluster.annotated[:5] == [
        (
            "ModelDeployment",
            "churn",
            {"perennial.dev/approve": "churn-bbb", "perennial.dev/approved-by": "ada@example.com"},
        ),
        ("ModelDeployment", "churn", {"perennial.dev/pause": "true"}),
        ("ModelDeployment", "churn", {"perennial.dev/pause": None}),
        ("ModelDeployment", "churn", {"perennial.dev/abort": "churn-bbb"}),
        ("ModelDeployment", "churn", {"perennial.dev/promote": "churn-bbb"}),
    ]
    kind, _, annotations = cluster.annotated[5]
    assert kind == TRAINING_JOB.kind
    assert str(annotations["perennial.dev/run-now"]).endswith(" ada@example.com")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("approve", "churn", "--revision", "churn-old"), "the candidate is churn-bbb, not churn-old"),
        (("rollback", "churn"), "no previous revision is kept"),
        (("retry", "churn"), "no rollout of churn has failed"),
        (("approve", "gone"), "not found"),
        (("compare", "a", "b", "-o", "xml"), "unknown format xml"),
        (("report", "churn"), "writes no reports"),
    ],
)
def test_an_act_that_makes_no_sense_is_refused_and_writes_nothing(
    run: Any, arguments: tuple[str, ...], told: str
) -> None:
    cluster = FakeCluster(*loop())
    done = run(cluster, *arguments)
    assert isinstance(done.exception, CliError)
    assert told in str(done.exception)
    assert cluster.annotated == []


def test_a_failed_rollout_is_retried_and_its_abort_removed(run: Any) -> None:
    serving = model_deployment()
    serving["status"] = status(candidate=revision("bbb", "b", phase="Failed", reason="Aborted"))
    cluster = FakeCluster(serving)
    run(cluster, "retry", "churn")
    ((_, _, wanted),) = cluster.annotated
    assert str(wanted["perennial.dev/retry"]).startswith("churn-bbb/")
    assert wanted["perennial.dev/abort"] is None


def cron_job() -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "drift", "image": "agent:7"}]}}
    return {
        "kind": "CronJob",
        "metadata": {"name": "churn", "namespace": "default", "labels": {}},
        "spec": {"jobTemplate": {"spec": {"template": template}}},
    }


def reporting() -> dict[str, Any]:
    verdict = {
        **dict.fromkeys(("driftedFeatures", "comparedFeatures", "referenceRows", "currentRows"), 0),
        "id": "churn-29",
        "time": NOW,
        "drifted": False,
        "reportUri": "s3://reports/churn/churn-29/report.html",
    }
    storage = {"endpoint": "http://s3.example", "secretName": "s3"}
    return drift_monitor(status(lastVerdict=verdict), report={"uri": "s3://reports/churn/"}, storage=storage)


def test_a_report_comes_through_a_pod_with_the_monitors_own_secret(run: Any, tmp_path: Path) -> None:
    page = b"<!doctype html>" + b"drift " * 1000
    text = base64.b64encode(gzip.compress(page)).decode()
    lines = f"{NOW} {{}}\n{NOW} {SHOWN_PREFIX}{text[:40]}\n{NOW} {SHOWN_PREFIX}{text[40:]}\n{NOW} {SHOWN_PREFIX}\n"

    class Ends(FakeCluster):
        def create(self, kind: Any, body: Any, namespace: str | None = None) -> Any:
            return super().create(kind, {**body, "status": {"phase": "Succeeded"}})

    cluster = Ends(reporting(), cron_job(), logs={("perennial-report-1", "show"): lines})
    file = tmp_path / "r.html"
    done = run(cluster, "report", "churn", "-f", str(file))
    assert done.exit_code == 0, done.exception
    assert file.read_bytes() == page
    made = cluster.objects[-1]
    (container,) = made["spec"]["containers"]
    assert (container["image"], container["args"]) == ("agent:7", ["agent", "show"])
    assert {item["valueFrom"]["secretKeyRef"]["name"] for item in container["env"][1:]} == {"s3"}
    assert made["spec"]["automountServiceAccountToken"] is False
    assert cluster.deleted == [("Pod", "perennial-report-1")]


def test_a_report_pod_that_fails_tells_the_agents_reason_and_is_removed(run: Any, tmp_path: Path) -> None:
    message = builders.failure("BucketNotFound", "s3://reports does not exist; create it")

    class Fails(FakeCluster):
        def create(self, kind: Any, body: Any, namespace: str | None = None) -> Any:
            state = {"phase": "Failed", "containerStatuses": [ended("show", 66, message=message)]}
            return super().create(kind, {**body, "status": state})

    cluster = Fails(reporting(), cron_job())
    done = run(cluster, "report", "churn", "-f", str(tmp_path / "r.html"))
    assert "BucketNotFound: s3://reports does not exist" in str(done.exception)
    assert cluster.deleted == [("Pod", "perennial-report-1")]


def test_a_bundle_holds_resources_and_logs_and_no_secret(run: Any, tmp_path: Path) -> None:
    spec = {"env": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "MODE", "value": "fast"}]}
    labels = {RUN_LABEL: "1"}
    worker = pod("churn-1-0-x", "Running", running("train"), labels=labels)
    log = "2026-01-31T11:00:00Z connecting to postgres://ml:hunter2@db/x with token=hunter2\n"
    cluster = FakeCluster(training_job(spec), worker, logs={("churn-1-0-x", "train"): log})
    file = tmp_path / "b.tar.gz"
    assert run(cluster, "support-bundle", "-f", str(file)).exit_code == 0
    with tarfile.open(fileobj=io.BytesIO(file.read_bytes())) as tar:
        texts = {item.name: tar.extractfile(item).read().decode() for item in tar.getmembers()}  # type: ignore[union-attr]
    whole = "\n".join(texts.values())
    assert "hunter2" not in whole
    assert "postgres://ml:" in texts["perennial-bundle/logs/churn-1-0-x/train.log"]
    assert '"fast"' in texts["perennial-bundle/trainingjobs.json"]


def test_init_writes_three_resources_that_the_models_accept(run: Any, tmp_path: Path) -> None:
    answers = "churn\nregistry.example/train:1\ns3://data/churn/\ns3://models/churn/\n\nhttp://s3.example\ns3\n"
    file = tmp_path / "churn.yaml"
    done = run(FakeCluster(), "init", "-f", str(file), text=answers)
    assert done.exit_code == 0, done.exception
    made = list(yaml.safe_load_all(file.read_text()))
    assert [item["kind"] for item in made] == ["TrainingJob", "ModelDeployment", "DriftMonitor"]
    assert {item["spec"]["storage"]["secretName"] for item in made} == {"s3"}
    again = run(FakeCluster(), "init", "-f", str(file), text=answers)
    assert "exists" in str(again.exception)
    wrong = run(FakeCluster(), "init", text=answers.replace("s3://data/churn/", "/data"))
    assert "inputs" in str(wrong.exception)
