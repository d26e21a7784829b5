"""CRDs on a real API server: what it accepts, rejects with which message, and stores."""

import re
from pathlib import Path
from typing import Any

import pytest

from perennial.api.contract.settings import AgentConfigDefaults, OperatorConfig
from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.trainingjob.resource import TrainingJob
from perennial.core.kinds import CRON_JOB, DRIFT_MONITOR, JOB, MODEL_DEPLOYMENT, RESOURCES, TRAINING_JOB, Kind
from perennial.drift.build import cron_job
from perennial.drift.observe import ServedModel
from perennial.training.run.data_poll import build_poll_cron_job
from tests.contract.conftest import kubectl
from tests.contract.server import DATA, KINDS, ROOT, Server, accepted, documents, load, merged, minimal
from tests.support.kube import path_of

MODELS = {"TrainingJob": TrainingJob, "ModelDeployment": ModelDeployment, "DriftMonitor": DriftMonitor}
REJECTED = load(DATA / "rejected.yaml")
EXAMPLES = sorted((ROOT / "examples").rglob("*.yaml"))


def crd_path(kind: Kind) -> str:
    return f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{kind.plural}.{kind.group}"


@pytest.mark.parametrize("kind", RESOURCES, ids=lambda kind: kind.kind)
def test_is_established_without_a_complaint(server: Server, kind: Kind) -> None:
    conditions = server.must("GET", crd_path(kind))["status"]["conditions"]

    assert {item["type"]: item["status"] for item in conditions} == {"NamesAccepted": "True", "Established": "True"}
    again = load(ROOT / "crds" / f"{kind.plural}.{kind.group}.yaml")
    again["metadata"]["name"] = f"{kind.plural}.{kind.group}"
    answer = server.send(
        "PATCH",
        crd_path(kind) + "?fieldManager=test&force=true&dryRun=All&fieldValidation=Strict",
        again,
        content="application/apply-patch+yaml",
    )
    assert answer.ok, answer.message
    assert answer.warnings == ()


@pytest.mark.parametrize("path", accepted(), ids=lambda path: path.stem)
def test_what_is_stored_means_what_was_written(server: Server, namespace: str, path: Path) -> None:
    """The API server's defaults are the models' own: a resource reads the same before and after it was stored."""
    written = load(path)
    model = MODELS[written["kind"]]

    answer = server.create(written, namespace)

    assert answer.ok, answer.message
    assert answer.warnings == ()
    assert model.model_validate(answer.body).spec == model.model_validate(written).spec
    assert answer.body["status"] == {"observedGeneration": -1}


@pytest.mark.parametrize("kind", RESOURCES, ids=lambda kind: kind.kind)
def test_defaults_are_stored(server: Server, kind: Kind) -> None:
    """What is not set shows in the stored object, so that `kubectl get -o yaml` says what holds."""
    written = minimal(kind.kind)

    stored = server.create(written, "default", dry=True).body

    assert stored["spec"] == MODELS[kind.kind].model_validate(written).spec.dump()
    assert stored["spec"] != written["spec"]


def of_our_group(path: Path) -> list[Any]:
    return [item for item in documents(path.read_text()) if item.get("kind") in KINDS]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_example_is_accepted(server: Server, namespace: str, path: Path) -> None:
    for manifest in of_our_group(path):
        manifest["metadata"].pop("namespace", None)
        answer = server.create(manifest, namespace, dry=True)
        assert answer.ok, answer.message


def filled(target: Any, dotted: str, size: list[int]) -> Any:
    value: Any = "a" * size[-1] if len(size) == 1 else [f"{'a' * size[1]}"] * size[0]
    for key in reversed(dotted.split(".")):
        value = {key: value}
    return merged(target, value)


@pytest.mark.parametrize("case", REJECTED, ids=lambda case: f"{case['kind']}: {case['what']}")
def test_refuses_what_cannot_work(server: Server, case: Any) -> None:
    manifest = merged(minimal(case["kind"]), case["change"])
    for dotted, size in case.get("fill", {}).items():
        manifest = filled(manifest, dotted, size)

    answer = server.create(manifest, "default", dry=True)

    assert answer.status in {400, 422}, f"accepted: {answer.body}"
    assert case["says"] in answer.message


@pytest.mark.parametrize(
    ("written", "read"),
    [(0.5, "0.5"), (2, "2"), (1.25, "1.25"), (0.001, "0.001"), ("500m", "500m"), ("0.5", "0.5"), (2.0, "2")],
)
@pytest.mark.parametrize("kind", RESOURCES, ids=lambda kind: kind.kind)
def test_takes_the_quantities_that_a_pod_takes(server: Server, kind: Kind, written: Any, read: str) -> None:
    manifest = merged(minimal(kind.kind), {"spec": {"resources": {"requests": {"cpu": written}}}})

    answer = server.create(manifest, "default", dry=True)

    assert answer.ok, answer.message
    resources = MODELS[kind.kind].model_validate(answer.body).spec.resources
    assert resources is not None
    assert resources.requests == {"cpu": read}


@pytest.mark.parametrize("written", ["0.5 cores", "half", "-1", ""])
def test_refuses_text_that_is_not_a_quantity(server: Server, written: str) -> None:
    manifest = merged(minimal("TrainingJob"), {"spec": {"resources": {"limits": {"cpu": written}}}})

    answer = server.create(manifest, "default", dry=True)

    assert answer.status == 422
    assert "spec.resources.limits.cpu in body should match" in answer.message


@pytest.mark.parametrize(
    "schedule",
    [
        *("* * * * *", "*/5 * * * *", "0 3 * * 1", "1-5/2,7 0 1,15 JAN mon-FRI", "? ? ? ? ?", "0 0 29 2 *", "@daily"),
        *("", "* * * *", "* * * * * *", "60 * * * *", "0 24 * * *", "0 0 0 * *", "0 0 32 * *", "0 0 * 13 *"),
        *("0 0 * * 7", "*/0 * * * *", "a * * * *", "@never", "-1 * * * *", "0 0 * * mo", "1-2-3 * * * *"),
    ],
)
def test_takes_the_schedules_that_a_cronjob_takes(server: Server, schedule: str) -> None:
    pod = {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}
    spec = {"schedule": schedule, "jobTemplate": {"spec": {"template": {"spec": pod}}}}
    cron_job = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "a"}, "spec": spec}
    theirs = server.send("POST", f"{path_of(CRON_JOB, 'default')}?dryRun=All", cron_job)

    ours = server.create(merged(minimal("DriftMonitor"), {"spec": {"schedule": schedule}}), "default", dry=True)

    assert ours.ok == theirs.ok, (ours.message, theirs.message)


def test_a_server_takes_the_cronjob_that_polls(server: Server) -> None:
    resource = TrainingJob.model_validate({**load(DATA / "accepted" / "trainingjob-full.yaml")})
    made = build_poll_cron_job(resource, OperatorConfig())
    assert made is not None
    made["metadata"].pop("ownerReferences")

    answer = server.send("POST", f"{path_of(CRON_JOB, 'default')}?dryRun=All&fieldValidation=Strict", made)

    assert answer.ok, answer.message
    assert answer.warnings == ()


def test_a_server_takes_the_jobs_of_shards_even_with_the_longest_name(server: Server) -> None:
    resource = DriftMonitor.model_validate(load(DATA / "accepted" / "driftmonitor-shards.yaml"))
    model = ServedModel(uri="s3://models/churn/1/", digest="sha256:" + "a" * 64)
    made = cron_job(resource, model, "s3://capture/churn/", AgentConfigDefaults(image="perennial:1"))
    made["metadata"].pop("ownerReferences")
    # Eleven characters are what the CronJob controller reserves for the time.
    name = f"{resource.metadata.name}-0123456789"
    spec = made["spec"]["jobTemplate"]["spec"]
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}

    for kind, manifest in ((CRON_JOB, made), (JOB, job)):
        answer = server.send("POST", f"{path_of(kind, 'default')}?dryRun=All&fieldValidation=Strict", manifest)

        assert answer.ok, answer.message
        assert answer.warnings == ()


def test_the_target_of_a_monitor_stays(server: Server, namespace: str) -> None:
    assert server.create(minimal("DriftMonitor"), namespace).ok

    moved = server.merge(DRIFT_MONITOR, namespace, "minimal", {"spec": {"target": {"modelDeployment": "other"}}})
    other = server.merge(DRIFT_MONITOR, namespace, "minimal", {"spec": {"suspend": True}})

    assert moved.status == 422
    assert "target is immutable; create another DriftMonitor for another deployment" in moved.message
    assert other.ok, other.message


def test_status_is_written_by_itself(server: Server, namespace: str) -> None:
    assert server.create(merged(minimal("TrainingJob"), {"status": {"runCount": 7}}), namespace).ok

    spec = server.merge(TRAINING_JOB, namespace, "minimal", {"spec": {"suspend": True}, "status": {"runCount": 8}})
    status = server.merge(
        TRAINING_JOB, namespace, "minimal", {"spec": {"suspend": False}, "status": {"runCount": 9}}, "status"
    )

    assert spec.body["status"] == {"observedGeneration": -1}
    assert spec.body["metadata"]["generation"] == 2
    assert status.body["status"]["runCount"] == 9
    assert status.body["spec"]["suspend"] is True
    assert status.body["metadata"]["generation"] == 2


def test_kubectl_scale_moves_the_fewest_replicas(server: Server, namespace: str) -> None:
    assert server.create(minimal("ModelDeployment"), namespace).ok
    shown = {"replicas": 2, "selector": "perennial.dev/name=minimal"}
    assert server.merge(MODEL_DEPLOYMENT, namespace, "minimal", {"status": shown}, "status").ok

    kubectl(server.kubeconfig, "scale", "-n", namespace, "md/minimal", "--replicas=4")

    scale = server.must("GET", path_of(MODEL_DEPLOYMENT, namespace, "minimal", "scale"))
    stored = server.must("GET", path_of(MODEL_DEPLOYMENT, namespace, "minimal"))
    assert scale["spec"] == {"replicas": 4}
    assert scale["status"] == {"replicas": 2, "selector": "perennial.dev/name=minimal"}
    assert stored["spec"]["replicas"] == {"min": 4}


READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Tested",
    "message": "All is well.",
    "lastTransitionTime": "2026-01-31T12:00:00Z",
}


@pytest.mark.parametrize(
    ("kind", "status", "cells"),
    [
        (
            TRAINING_JOB,
            {"phase": "Succeeded", "runCount": 3, "nextScheduleTime": "2026-02-02T03:00:00Z"},
            {
                "Phase": "Succeeded",
                "Ready": "True",
                "Runs": 3,
                "Next run": "2026-02-02T03:00:00Z",
                "Reason": "Tested",
                "Message": "All is well.",
            },
        ),
        (
            MODEL_DEPLOYMENT,
            {"phase": "Stable", "readyReplicas": 2, "url": "http://minimal.a"},
            {"Phase": "Stable", "Ready": "True", "Replicas": 2, "URL": "http://minimal.a", "Reason": "Tested"},
        ),
        (
            DRIFT_MONITOR,
            {"reportUri": "s3://reports/a", "conditions": [READY, {**READY, "type": "Drifted", "status": "False"}]},
            {"Schedule": "0 * * * *", "Ready": "True", "Drifted": "False", "Message": "All is well."},
        ),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_kubectl_get_shows_what_matters(
    server: Server, namespace: str, kind: Kind, status: Any, cells: dict[str, Any]
) -> None:
    assert server.create(minimal(kind.kind), namespace).ok
    written = server.merge(kind, namespace, "minimal", {"status": {"conditions": [READY], **status}}, "status")
    assert written.ok, written.message

    table = server.send("GET", path_of(kind, namespace), Accept="application/json;as=Table;v=v1;g=meta.k8s.io").body

    shown = dict(zip([column["name"] for column in table["columnDefinitions"]], table["rows"][0]["cells"], strict=True))
    assert {name: shown.get(name) for name in cells} == cells
    assert shown["Age"] not in {None, "", "<unknown>"}


def test_short_names_and_categories(server: Server, namespace: str) -> None:
    for kind in RESOURCES:
        assert server.create(minimal(kind.kind), namespace).ok

    by_category = kubectl(server.kubeconfig, "get", "-n", namespace, "perennial", "-o", "name").split()
    by_short_name = kubectl(server.kubeconfig, "get", "-n", namespace, "tj,md,dm", "-o", "name").split()

    assert sorted(by_category) == sorted(by_short_name)
    assert {name.split(".")[0] for name in by_category} == {"trainingjob", "modeldeployment", "driftmonitor"}


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("trainingjobs", "Trains a model"),
        ("trainingjobs.spec.retry.limit", "Disruptions do not count"),
        ("trainingjobs.spec.inputs.uri", "does not match"),
        ("modeldeployments.spec.rollout.progressDeadlineSeconds", "must become ready"),
        ("driftmonitors.spec.checks.drift.method", "population stability index"),
        ("driftmonitors.status.conditions.reason", "fixed list"),
    ],
)
def test_kubectl_explain_reads_well(server: Server, field: str, words: str) -> None:
    text = kubectl(server.kubeconfig, "explain", field)

    assert words in re.sub(r"\s+", " ", text)
