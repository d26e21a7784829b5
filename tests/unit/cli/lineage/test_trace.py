"""`kubectl perennial trace`: what a person reads about one prediction, on a cluster in memory."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from perennial.api.contract.messages import SHOWN_PREFIX
from perennial.api.contract.trace import TraceConfig
from perennial.cli import main as plugin
from perennial.cli.commands import shared
from perennial.cli.errors import CliError
from perennial.core.kinds import MODEL_DEPLOYMENT
from tests.support.builders import EARLIER, NOW, drift_monitor, labels_of, model_deployment, training_job
from tests.unit.cli.scene import candidate, gate, run_of, verdict
from tests.unit.cli.world import FakeCluster, ready, revision, status

MODEL = "sha256:" + "a" * 64
STORAGE = {"endpoint": "http://s3.example", "secretName": "s3"}
ASKED = "2026-01-31T11:30:00.250Z"


def answer(**changes: Any) -> dict[str, Any]:
    """What the agent writes about a prediction that it has found."""
    request = {
        "time": ASKED,
        "id": "p-7",
        "namespace": "default",
        "deployment": "churn",
        "revision": "aaa",
        "digest": MODEL,
        "method": "POST",
        "path": "/v2/models/churn/infer",
        "status": 200,
        "latencyMs": 12.5,
        "hasRequest": True,
        "hasResponse": False,
        "responseTruncated": True,
    }
    version = {
        "uri": "s3://models/churn/versions/aaaaaaaaaaaa/",
        "digest": MODEL,
        "files": 3,
        "bytes": 4096,
        "namespace": "default",
        "trainingJob": "churn",
        "run": "churn-1",
        "image": "registry.example.com/churn:4",
        "source": {"repository": "https://git.example/churn", "commit": "c" * 40},
        "parameters": {"depth": "6"},
        "metrics": {"auc": "0.874"},
        "inputs": [{"name": "train", "uri": "s3://data/churn/", "digest": MODEL, "files": 2, "bytes": 99}],
        "created": EARLIER,
    }
    return {"searched": searched(ended="Found"), "request": request, "version": version, **changes}


def searched(**changes: Any) -> dict[str, Any]:
    counts = {"files": 4, "bytes": 2048, "records": 900, "reached": EARLIER}
    return {"since": EARLIER, "until": NOW, "ended": "Complete", **counts, **changes}


def reported(job: str, time: str, **changes: Any) -> dict[str, Any]:
    counts = {"drifted": True, "driftedFeatures": 2, "comparedFeatures": 5}
    named = {"job": job, "time": time, "namespace": "default", "monitor": "churn", "deployment": "churn"}
    return {**named, **counts, "uri": f"s3://reports/{job}/report.json", "digest": MODEL, **changes}


class Answers(FakeCluster):
    """A cluster whose pods end with a document in their log."""

    def __init__(self, document: dict[str, Any], *objects: Any) -> None:
        text = base64.b64encode(gzip.compress(json.dumps(document).encode())).decode()
        log = f"{NOW} {SHOWN_PREFIX}{text}\n{NOW} {SHOWN_PREFIX}\n"
        super().__init__(*objects, logs={("perennial-trace-1", "trace"): log})

    def create(self, kind: Any, body: Any, namespace: str | None = None) -> Any:
        return super().create(kind, {**body, "status": {"phase": "Succeeded"}})

    @property
    def made(self) -> dict[str, Any]:
        return next(item for item in self.objects if item["kind"] == "Pod")

    @property
    def config(self) -> TraceConfig:
        (container,) = self.made["spec"]["containers"]
        return TraceConfig.model_validate_json(container["env"][0]["value"])


def serving(**more: Any) -> dict[str, Any]:
    spec = {"capture": {"uri": "s3://capture/churn/", **more.pop("capture", {})}, "storage": STORAGE}
    resource = model_deployment(**spec, serviceAccountName="reader", nodeSelector={"gpu": "a100"})
    entry = {
        "name": "churn-aaa",
        "digest": MODEL,
        "run": "churn-2",
        "result": "Promoted",
        "time": EARLIER,
        "approval": {"by": "ada@example.com", "time": EARLIER, "digest": "g1"},
        "gates": [
            {"name": "live", "type": "errorRate", "verdict": "Passed", "figures": {"limit": "1 %"}, "time": EARLIER},
            {"name": "labels", "type": "evaluation", "verdict": "Pending", "time": EARLIER},
        ],
    }
    resource["status"] = status(
        *ready("Serving"), **{"stable": revision("aaa", "a", run="churn-2"), "history": [entry], **more}
    )
    return resource


def child() -> dict[str, Any]:
    annotations = {
        "perennial.dev/agent-image": "agent:7",
        "perennial.dev/model-uri": "s3://models/churn/versions/aaaaaaaaaaaa/",
        "perennial.dev/model-digest": MODEL,
    }
    meta = {"name": "churn-aaa", "namespace": "default", "labels": labels_of(MODEL_DEPLOYMENT)}
    return {"kind": "Deployment", "metadata": {**meta, "annotations": annotations}}


def job() -> dict[str, Any]:
    return training_job(
        status=status(*ready("Succeeded"), runs=[run_of(2, "0.874", "0.1", "a", imageDigest="i@sha256:9")])
    )


def monitor(storage: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    spec = {"report": {"uri": "s3://reports/"}, "storage": storage or STORAGE, "serviceAccountName": "reader"}
    return drift_monitor(status(*ready("Watching"), **more), **spec)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    def invoke(cluster: FakeCluster, *arguments: str) -> Result:
        monkeypatch.setattr(shared, "connect", lambda *_: cluster)
        return CliRunner().invoke(plugin.app, list(arguments))

    return invoke


def facts(done: Result, title: str) -> dict[str, str]:
    """The facts of a link by name; what is not known with its reason."""
    links = json.loads(done.output)["links"]
    (found,) = [link for link in links if link["title"] == title]
    return {item["name"]: item.get("value") or f"not known: {item['why']}" for item in found["facts"]}


def test_the_chain_goes_from_the_request_to_the_verdicts(run: Any) -> None:
    document = answer(verdicts=[reported("w-1", EARLIER), reported("w-2", NOW, drifted=False, driftedFeatures=0)])
    cluster = Answers(document, serving(), child(), job(), monitor())
    done = run(cluster, "trace", "churn", "p-7", "-o", "json")
    assert done.exit_code == 0, done.exception

    assert facts(done, "request")["call"] == "POST /v2/models/churn/infer"
    assert facts(done, "request")["response body"] == "not known: longer than capture.maxBodyBytes"
    assert facts(done, "model")["version"] == "s3://models/churn/versions/aaaaaaaaaaaa/"
    training = facts(done, "training")
    assert (training["run"], training["published again by"]) == ("default/churn-1", "churn-2")
    assert (training["image digest"], training["parameters"]) == ("i@sha256:9", "depth=6")
    assert training["code"] == f"https://git.example/churn at {'c' * 40}"
    assert facts(done, "training data") == {"train": f"s3://data/churn/ {MODEL} (2 files, 99 bytes)"}
    rollout = facts(done, "rollout")
    assert rollout["approved by"] == f"ada@example.com, {EARLIER}, having seen the gates g1"
    assert rollout["role at the request"] == "promoted"
    assert rollout["gate live"] == f"Passed, {EARLIER}: limit=1 %"
    assert rollout["gate labels"] == f"Pending, {EARLIER}: no figures"
    seen = facts(done, "verdicts of churn")
    assert seen["last before"].startswith(f"w-1 at {EARLIER}: drift (2 of 5 columns drifted)")
    assert seen["first after"].startswith(f"w-2 at {NOW}: no drift")


def test_every_fact_of_the_json_names_its_source_or_why_it_is_not_known(run: Any) -> None:
    done = run(Answers(answer(), serving(), child(), job(), monitor()), "trace", "churn", "p-7", "-o", "json")
    every = [fact for link in json.loads(done.output)["links"] for fact in link["facts"]]
    assert all(fact["source"] if fact["known"] else fact["why"] for fact in every)
    assert {fact["source"] for fact in every if fact["known"]} >= {"captured request", "manifest of the version"}


def test_the_text_tells_the_same_on_lines_without_control_characters(run: Any) -> None:
    found = answer()
    found["request"]["path"] = "/infer\x1b[31m"
    text = run(Answers(found, serving(), child(), job()), "trace", "churn", "p-7").output
    assert "POST /infer?[31m" in text
    assert "\x1b" not in text
    assert "verdicts\n  monitor  not known: no DriftMonitor of the namespace watches this ModelDeployment" in text
    assert "request:" not in text


def test_the_payload_is_printed_only_when_asked_for(run: Any) -> None:
    found = answer()
    found["request"]["request"] = {"age": 41}
    cluster = Answers(found, serving(), child(), job())
    assert 'request: {"age": 41}' in run(cluster, "trace", "churn", "p-7", "--show-payload").output
    assert cluster.config.payload is True


def test_the_pod_has_the_deployments_storage_and_no_rights(run: Any) -> None:
    cluster = Answers(answer(), serving(), child(), job(), monitor())
    assert run(cluster, "trace", "churn", "p-7", "--since", "7d").exit_code == 0
    spec = cluster.made["spec"]
    (container,) = spec["containers"]
    assert (container["image"], container["args"]) == ("agent:7", ["agent", "trace"])
    assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("reader", False)
    assert "nodeSelector" not in spec
    assert container["volumeMounts"][0]["mountPath"] == cluster.config.scratch
    assert cluster.deleted == [("Pod", "perennial-trace-1")]
    config = cluster.config
    assert (config.uri, config.id, config.payload) == ("s3://capture/churn/", "p-7", False)
    assert (config.namespace, config.deployment, config.outputs) == ("default", "churn", ("s3://models/churn/",))
    assert "s3://models/churn/versions/aaaaaaaaaaaa/" in {item.uri for item in config.versions}
    assert config.reports == ("s3://reports/",)


def test_reports_in_other_storage_are_not_asked_for_and_said_to_be_elsewhere(run: Any) -> None:
    elsewhere = monitor({"endpoint": "http://other.example"}, lastVerdict=verdict(digest=MODEL, unfair=True))
    cluster = Answers(answer(), serving(), child(), job(), elsewhere)
    done = run(cluster, "trace", "churn", "p-7", "-o", "json")
    assert cluster.config.reports == ()
    seen = facts(done, "verdicts of churn")
    assert "kubectl perennial report churn" in seen["last before"]
    assert seen["newest"] == f"churn-29 at {NOW}: drift (2 of 4 columns drifted), unfair"


def test_a_verdict_about_another_model_is_not_passed_off_as_one_about_this(run: Any) -> None:
    other = monitor(lastVerdict=verdict(digest="sha256:" + "b" * 64))
    done = run(Answers(answer(), serving(), child(), job(), other), "trace", "churn", "p-7", "-o", "json")
    assert facts(done, "verdicts of churn")["newest"].startswith("not known: the verdict churn-29")


def test_a_rollout_without_recorded_verdicts_says_so(run: Any) -> None:
    resource = serving()
    del resource["status"]["history"][0]["gates"]
    done = run(Answers(answer(), resource, child(), job()), "trace", "churn", "p-7", "-o", "json")
    assert facts(done, "rollout")["gates"].startswith("not known: no verdict is recorded")


def test_a_canarys_prediction_shows_the_gates_of_the_rollout_under_way(run: Any) -> None:
    found = answer()
    found["request"]["revision"] = "bbb"
    under_way = serving(candidate=candidate(10, 1, gate("errors", "Passed", "at most 1 %")))
    done = run(Answers(found, under_way, child(), job()), "trace", "churn", "p-7", "-o", "json")
    assert facts(done, "rollout under way")["gate errors"] == f"Passed, {NOW}: at most 1 %"


def test_what_is_gone_is_said_to_be_gone(run: Any) -> None:
    found = answer(version=None, versionProblem="s3://models/churn/versions/aaaaaaaaaaaa/ has no manifest.json")
    done = run(Answers(found, serving(history=[]), child()), "trace", "churn", "p-7", "-o", "json")
    assert facts(done, "model")["version"].endswith("has no manifest.json")
    assert facts(done, "training")["image"].endswith("has no manifest.json")
    assert "status.runs" in facts(done, "training")["image digest"]
    assert "last 10 rollouts" in facts(done, "rollout")["approval"]
    assert facts(done, "training data")["inputs"].startswith("not known")


def test_an_id_that_is_not_found_says_what_was_searched_and_what_is_never_captured(run: Any) -> None:
    capture = {"sample": "0.1", "redact": ["id", "x-request-id"], "every": "60s"}
    document = {"searched": searched(unreadableFiles=1, unreadable=["s3://capture/churn/x"])}
    done = run(Answers(document, serving(capture=capture), child()), "trace", "churn", "gone")
    assert done.exit_code == 1
    told = done.output
    assert told.startswith("no captured request of churn has the id gone\nsearched: s3://capture/churn/")
    for expected in (
        "4 files, 2048 bytes, 900 requests",
        "every file of the window was read",
        "1 files could not be read: s3://capture/churn/x",
        "capture.sample is 0.1",
        "ids in bodies: capture.redact names id",
        "ids in the header X-Request-Id: capture.redact names it",
        "requests of the last 60s",
        "perennial_capture_dropped_total",
    ):
        assert expected in told


def test_a_hashed_id_is_found_by_its_hash_only(run: Any) -> None:
    hashing = {"columns": ["ID", "x-request-id"], "keySecret": {"name": "privacy", "key": "hash"}}
    told = run(Answers({"searched": searched()}, serving(capture={"hash": hashing}), child()), "trace", "churn", "gone")
    assert "ids of bodies in clear: capture.hash names id, so that only its hash is found" in told.output
    assert "ids of the header X-Request-Id in clear: capture.hash names it" in told.output


def test_a_search_that_was_cut_short_is_not_told_as_complete(run: Any) -> None:
    done = run(Answers({"searched": searched(ended="TimeLimit")}, serving(), child()), "trace", "churn", "gone")
    assert f"ended at its limit of time, in the hour of {EARLIER}" in done.output
    assert "every file of the window was read" not in done.output
    empty = {"searched": searched(files=0, records=0, bytes=0)}
    assert "no captured file" in run(Answers(empty, serving(), child()), "trace", "churn", "gone").output


@pytest.mark.parametrize(
    ("objects", "arguments", "told"),
    [
        ((model_deployment(),), ("churn", "p"), "captures no requests"),
        ((serving(),), ("churn", "p"), "no revision of churn runs"),
        ((serving(), child()), ("churn", "x" * 129), "1 to 128 characters"),
        ((serving(), child()), ("churn", "p", "--since", "soon"), "is not a duration"),
        ((), ("gone", "p"), "not found"),
    ],
)
def test_a_question_that_cannot_be_asked_makes_no_pod(
    run: Any, objects: tuple[Any, ...], arguments: tuple[str, ...], told: str
) -> None:
    cluster = FakeCluster(*objects)
    done = run(cluster, "trace", *arguments)
    assert isinstance(done.exception, CliError)
    assert told in str(done.exception)
    assert not [item for item in cluster.objects if item["kind"] == "Pod"]
