"""Pod options of a TrainingJob, and what the operator's settings forbid."""

from __future__ import annotations

from typing import Any

import pytest

from perennial.api.contract.settings import OperatorConfig, PodRules
from perennial.core.pod_options import refusal, refused_keys
from perennial.training.job.build import build_job
from perennial.training.run.data_poll import build_poll_cron_job
from tests.support.builders import ended, training_job
from tests.unit.training.job.test_build import pod, run_of
from tests.unit.training.objects import parsed
from tests.unit.training.simulation import Cluster

STRICT = PodRules(allow_root=False)
NAMED = PodRules(service_accounts=("trainer",))


def users(spec: dict[str, Any], rules: PodRules) -> list[dict[str, Any]]:
    """Return the users' containers."""
    found = build_job(parsed(spec), run_of(), OperatorConfig(pods=rules))["spec"]["template"]["spec"]
    steps = [item for item in found["initContainers"] if item["name"].startswith("prepare-")]
    return [*steps, *found["containers"]]


def test_devices_shared_memory_and_spread_reach_the_pod() -> None:
    found = pod(
        {
            "workers": 2,
            "sharedMemory": "8Gi",
            "resources": {"limits": {"hugepages-2Mi": "64Mi", "nvidia.com/mig-1g.5gb": 1, "memory": "16Gi"}},
            "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}],
            "spread": [{"topologyKey": "kubernetes.io/hostname", "required": True}, {"topologyKey": "zone"}],
        }
    )
    (train,) = found["containers"]

    assert train["resources"]["limits"] == {"hugepages-2Mi": "64Mi", "nvidia.com/mig-1g.5gb": "1", "memory": "16Gi"}
    assert train["resources"]["claims"] == [{"name": "gpu"}]
    assert found["resourceClaims"] == [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}]
    assert {"name": "shared-memory", "mountPath": "/dev/shm"} in train["volumeMounts"]
    assert {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}} in found["volumes"]
    assert [item["whenUnsatisfiable"] for item in found["topologySpreadConstraints"]] == [
        "DoNotSchedule",
        "ScheduleAnyway",
    ]
    labels = found["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"]
    assert (labels["perennial.dev/run"], labels["perennial.dev/attempt"]) == ("1", "0")


@pytest.mark.parametrize(
    ("security", "rules", "context"),
    [
        (None, PodRules(), {"runAsNonRoot": True}),
        ({"runAsNonRoot": False}, PodRules(), {"runAsNonRoot": False}),
        ({"runAsUser": 0}, PodRules(), {"runAsUser": 0}),
        (None, STRICT, {"runAsNonRoot": True}),
        (
            {"runAsUser": 1000, "runAsGroup": 100},
            PodRules(),
            {"runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 100},
        ),
        ({"runAsUser": 1000}, STRICT, {"runAsNonRoot": True, "runAsUser": 1000}),
        ({"runAsNonRoot": True}, PodRules(), {"runAsNonRoot": True}),
    ],
)
def test_users_containers_run_as_the_spec_and_the_settings_say(
    security: dict[str, Any] | None, rules: PodRules, context: dict[str, Any]
) -> None:
    contained = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    spec = {"prepare": [{"name": "a"}], **({"security": security} if security else {})}

    found = users(spec, rules)

    assert [item["name"] for item in found] == ["prepare-a", "train"]
    assert all(item["securityContext"] == {**contained, **context} for item in found)


NOT_ALLOWED = "spec.serviceAccountName: admin is not an allowed ServiceAccount"


@pytest.mark.parametrize(
    ("spec", "rules", "says"),
    [
        ({"serviceAccountName": "admin"}, PodRules(), NOT_ALLOWED),
        ({"serviceAccountName": "admin"}, NAMED, NOT_ALLOWED),
        ({"security": {"runAsUser": 0}}, STRICT, "spec.security requests root"),
        ({"security": {"runAsNonRoot": False}}, STRICT, "spec.security requests root"),
        ({"serviceAccountName": "trainer"}, NAMED, None),
        ({"security": {"runAsUser": 0}}, PodRules(), None),
        ({"security": {"runAsUser": 1}}, STRICT, None),
        ({}, STRICT, None),
    ],
)
def test_what_the_settings_forbid(spec: dict[str, Any], rules: PodRules, says: str | None) -> None:
    found = refusal(parsed(spec).spec, rules)

    assert found is None if says is None else found is not None and found.startswith(says)


def test_an_allowed_account_is_that_of_every_pod_and_still_without_a_token() -> None:
    spec = {
        "serviceAccountName": "trainer",
        "newData": {"poll": "10m"},
        "inputs": [{"name": "a", "uri": "s3://data/a/"}],
    }
    found = pod(spec)
    poll = build_poll_cron_job(parsed(spec), OperatorConfig())

    assert found["serviceAccountName"] == "trainer"
    assert found["automountServiceAccountToken"] is False
    assert poll is not None
    inner = poll["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert (inner["serviceAccountName"], inner["automountServiceAccountToken"]) == ("trainer", False)


def test_steps_run_in_order_after_the_inputs_and_before_the_sidecar() -> None:
    steps = [
        {"name": "unpack", "image": "tar:1", "command": ["tar"], "resources": {"limits": {"memory": "1Gi"}}},
        {"name": "features", "env": [{"name": "MODE", "value": "x"}, {"name": "PERENNIAL_RUN", "value": "y"}]},
    ]
    found = pod({"prepare": steps, "inputs": [{"name": "a", "uri": "s3://data/a/"}]})["initContainers"]

    assert [item["name"] for item in found] == ["fetch", "prepare-unpack", "prepare-features", "agent"]
    unpack, features = found[1:3]
    assert (unpack["image"], features["image"]) == ("tar:1", "train:1")
    assert unpack["resources"] == {"limits": {"memory": "1Gi"}}
    assert unpack["volumeMounts"] == [{"name": "workspace", "mountPath": "/perennial"}]
    env = {item["name"]: item["value"] for item in features["env"]}
    assert (env["MODE"], env["PERENNIAL_RUN"]) == ("x", "churn-1")


MESH = {"podAnnotations": {"sidecar.istio.io/inject": "false"}, "podLabels": {"sidecar.istio.io/inject": "false"}}


def test_annotations_and_labels_reach_the_pods_that_train_and_poll_but_replace_none_of_ours() -> None:
    ours = {
        "perennial.dev/kind": "x",
        "perennial.dev/polled-inputs": "x",
        "kubectl.kubernetes.io/default-container": "x",
    }
    spec = {
        "inputs": [{"name": "train", "uri": "s3://data/a/"}],
        "newData": {"poll": "10m"},
        "podAnnotations": {**MESH["podAnnotations"], **ours},
        "podLabels": {**MESH["podLabels"], **ours},
    }
    job = build_job(parsed(spec), run_of(), OperatorConfig())
    cron_job = build_poll_cron_job(parsed(spec), OperatorConfig())
    assert cron_job is not None

    for template in (job["spec"]["template"], cron_job["spec"]["jobTemplate"]["spec"]["template"]):
        meta = template["metadata"]
        assert meta["labels"]["sidecar.istio.io/inject"] == meta["annotations"]["sidecar.istio.io/inject"] == "false"
        assert meta["labels"]["perennial.dev/kind"] == "TrainingJob"
    assert job["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"] == "train"
    assert "sidecar.istio.io/inject" not in job["metadata"]["labels"]


def test_keys_that_the_settings_do_not_allow_are_refused_by_name() -> None:
    asked = {"spec.podAnnotations": ["sidecar.istio.io/inject"], "spec.podLabels": ["team"]}

    assert refused_keys(asked, ("sidecar.istio.io/*", "team")) is None
    said = refused_keys(asked, ("sidecar.istio.io/*",)) or ""
    assert said.startswith("spec.podLabels: team: this installation allows sidecar.istio.io/*. Remove it, or ask")
    cluster = Cluster(resource=training_job(MESH))
    cluster.settle()
    assert cluster.jobs == {}
    assert cluster.resource["status"]["runs"][0]["reason"] == "NotAllowed"


def test_out_of_memory_names_the_limit() -> None:
    cluster = Cluster(resource=training_job({"resources": {"limits": {"memory": "4Gi"}}}))
    for _ in range(2):
        cluster.reconcile()
    cluster.run_pod("churn-1-0", "Failed", ended("fetch"), ended("agent"), ended("train", 137, "OOMKilled"))
    cluster.end_job("churn-1-0", "Failed", reason="BackoffLimitExceeded")
    cluster.reconcile()

    failure = cluster.resource["status"]["currentRun"]["lastFailure"]
    assert failure == "the code exceeded its memory limit of 4Gi; raise resources.limits.memory"


@pytest.mark.parametrize(
    ("security", "user"),
    [(None, 65532), ({"runAsUser": 1000}, 1000), ({"runAsUser": 0}, 0), ({"runAsNonRoot": False}, 0)],
)
def test_the_agent_runs_as_the_codes_user_to_read_what_only_its_owner_may(
    security: dict[str, Any] | None, user: int
) -> None:
    spec = pod({"security": security} if security else {})
    for name in ("fetch", "agent"):
        context = next(item for item in spec["initContainers"] if item["name"] == name)["securityContext"]
        assert (context["runAsUser"], context["runAsNonRoot"]) == (user, user != 0)
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"]
