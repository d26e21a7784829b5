"""The children of a revision, as they are applied."""

from __future__ import annotations

from typing import Any

import pytest

from perennial.api.contract.commands import CaptureConfig, FetchModel
from perennial.core.kinds import Raw
from perennial.core.times import format_time
from perennial.runtime.controller.diff import covers
from tests.support.builders import digest, model_deployment
from tests.unit.serving.cluster import Cluster


def children(**spec: Any) -> dict[str, Raw]:
    """Return what a first revision makes, by kind."""
    cluster = Cluster(model_deployment(**spec))
    cluster.publish("a")
    cluster.settle()
    return {kind: raw for (kind, _), raw in cluster.children().items()}


def pod_spec(**spec: Any) -> dict[str, Any]:
    """Return the pod template's spec."""
    found: dict[str, Any] = children(**spec)["Deployment"]["spec"]["template"]["spec"]
    return found


def env_of(container: dict[str, Any]) -> dict[str, Any]:
    return {item["name"]: item.get("value") for item in container["env"]}


def test_the_model_is_fetched_by_digest_before_the_server_starts() -> None:
    pod = pod_spec(storage={"endpoint": "http://s3:9000", "secretName": "s3"})
    (fetch,) = pod["initContainers"]
    config = FetchModel.model_validate_json(env_of(fetch)["PERENNIAL_CONFIG"])
    assert config.digest == digest("a")
    assert config.storage.endpoint == "http://s3:9000"
    (server,) = pod["containers"]
    assert server["volumeMounts"] == [{"name": "model", "mountPath": "/mnt/models", "readOnly": True}]
    assert "AWS_ACCESS_KEY_ID" not in env_of(server), "the server needs no credentials"
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False


def test_our_variables_come_first_and_cannot_be_taken_over() -> None:
    container = {
        "image": "own:1",
        "env": [{"name": "PERENNIAL_MODEL_DIR", "value": "/etc"}, {"name": "EMPTY", "value": ""}],
    }
    server = pod_spec(runtime={"container": container, "env": [{"name": "EMPTY", "value": "twice"}]})["containers"][0]
    names = [item["name"] for item in server["env"]]
    assert names == [
        "PERENNIAL_MODEL_NAME",
        "PERENNIAL_MODEL_DIR",
        "PERENNIAL_MODEL_DIGEST",
        "PERENNIAL_MODEL_RUN",
        "EMPTY",
    ]
    assert env_of(server)["PERENNIAL_MODEL_DIR"] == "/mnt/models"
    assert server["env"][-1] == {"name": "EMPTY"}, "as the API server keeps it"


def test_a_preset_may_be_added_to() -> None:
    runtime = {"name": "sklearn", "env": [{"name": "MODEL", "value": "mine"}, {"name": "MORE", "value": "1"}]}
    env = env_of(pod_spec(runtime=runtime)["containers"][0])
    assert (env["MODEL"], env["MORE"]) == ("mine", "1")


def test_probes_hold_a_slow_load_until_the_deadline() -> None:
    server = pod_spec(rollout={"progressDeadlineSeconds": 903})["containers"][0]
    assert server["readinessProbe"]["httpGet"] == {"path": "/v2/health/ready", "port": "http"}
    assert server["startupProbe"]["failureThreshold"] * server["startupProbe"]["periodSeconds"] >= 903
    bare = pod_spec(runtime={"container": {"image": "own:1"}})["containers"][0]
    assert bare["readinessProbe"]["tcpSocket"] == {"port": "http"}
    assert "livenessProbe" not in bare
    assert "startupProbe" not in bare, "without a liveness probe nothing cuts a load short"


def test_capture_stands_between_the_service_and_the_server() -> None:
    found = children(capture={"uri": "s3://capture/churn/", "sample": "0.5", "every": "5s"})
    pod = found["Deployment"]["spec"]["template"]["spec"]
    fetch, capture = pod["initContainers"]
    assert (fetch["name"], capture["name"], capture["restartPolicy"]) == ("fetch", "capture", "Always")
    config = CaptureConfig.model_validate_json(env_of(capture)["PERENNIAL_CONFIG"])
    assert (config.listen_port, config.upstream_port) == (9080, 8080)
    assert (config.sample, config.flush_seconds) == (0.5, 5.0)
    assert config.revision == found["Deployment"]["metadata"]["labels"]["perennial.dev/revision"]
    assert capture["readinessProbe"]["httpGet"] == {"path": "/healthz", "port": 9081}
    assert found["Service"]["spec"]["ports"][0]["targetPort"] == 9080
    assert pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] < pod["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("port", [9080, 9081])
def test_capture_keeps_clear_of_the_servers_port(port: int) -> None:
    found = children(capture={"uri": "s3://capture/churn/"}, runtime={"container": {"image": "own:1", "port": port}})
    assert found["Service"]["spec"]["ports"][0]["targetPort"] == 19080


def test_every_child_is_owned_and_found_by_label() -> None:
    for raw in children(replicas={"min": 1, "max": 3}).values():
        assert raw["metadata"]["ownerReferences"][0]["uid"] == "md-1"
        assert raw["metadata"]["labels"]["perennial.dev/kind"] == "ModelDeployment"
        assert raw["metadata"]["labels"]["perennial.dev/name"] == "churn"


def test_the_deployment_leaves_replicas_to_their_own_manager() -> None:
    cluster = Cluster(model_deployment(replicas={"min": 3, "max": 3}))
    cluster.publish("a")
    applied = [action.manifest for action in cluster.decide().actions]  # type: ignore[union-attr]
    deployment, scale = (raw for raw in applied if raw["kind"] == "Deployment")
    assert "replicas" not in deployment["spec"]
    assert scale["spec"] == {"replicas": 3}


def test_a_single_pod_may_be_moved_from_its_node() -> None:
    budget = children()["PodDisruptionBudget"]["spec"]
    assert budget["maxUnavailable"] == 1
    assert "minAvailable" not in budget


METRICS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"cpu": 70},
        {
            "type": "ContainerResource",
            "containerResource": {
                "name": "cpu",
                "container": "server",
                "target": {"type": "Utilization", "averageUtilization": 70},
            },
        },
    ),
    (
        {"memory": 60},
        {
            "type": "ContainerResource",
            "containerResource": {
                "name": "memory",
                "container": "server",
                "target": {"type": "Utilization", "averageUtilization": 60},
            },
        },
    ),
    (
        {"pods": {"metric": "queue", "average": "500m"}},
        {
            "type": "Pods",
            "pods": {"metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "500m"}},
        },
    ),
    (
        {"external": {"metric": "lag", "selector": {"topic": "a"}, "value": "30"}},
        {
            "type": "External",
            "external": {
                "metric": {"name": "lag", "selector": {"matchLabels": {"topic": "a"}}},
                "target": {"type": "Value", "value": "30"},
            },
        },
    ),
    (
        {"external": {"metric": "lag", "average": "5"}},
        {
            "type": "External",
            "external": {"metric": {"name": "lag"}, "target": {"type": "AverageValue", "averageValue": "5"}},
        },
    ),
]


@pytest.mark.parametrize(("metric", "wanted"), METRICS)
def test_each_metric_of_an_autoscaler(metric: dict[str, Any], wanted: dict[str, Any]) -> None:
    scaler = children(replicas={"min": 1, "max": 3}, autoscaling=[metric])["HorizontalPodAutoscaler"]
    assert scaler["spec"]["metrics"] == [wanted]


def test_a_metric_of_the_runtime_is_the_one_that_its_preset_names() -> None:
    metric = {"runtime": {"metric": "queue", "average": "4"}}
    scaler = children(replicas={"min": 1, "max": 3}, autoscaling=[metric])["HorizontalPodAutoscaler"]
    target = {"type": "AverageValue", "averageValue": "4"}
    assert scaler["spec"]["metrics"] == [{"type": "Pods", "pods": {"metric": {"name": "waiting"}, "target": target}}]


def test_a_metric_that_the_runtime_does_not_have_is_told_of_and_the_others_decide() -> None:
    metrics = [{"runtime": {"metric": "gpu", "average": "4"}}, {"cpu": 70}]
    spec = {"replicas": {"min": 1, "max": 3}, "resources": {"requests": {"cpu": "1"}}}
    cluster = Cluster(model_deployment(**spec, autoscaling=metrics))
    cluster.publish("a")
    cluster.settle()
    found = cluster.condition("Autoscaling") or {}
    assert (found["status"], found["reason"]) == ("False", "MetricNotFound")
    assert "runtime sklearn has no metric gpu; it has: queue" in found["message"]
    (scaler,) = cluster.store.named("HorizontalPodAutoscaler").values()
    assert [metric["type"] for metric in scaler["spec"]["metrics"]] == ["ContainerResource"]


def autoscaled() -> Cluster:
    """Serve a model that scales by CPU."""
    spec = {"replicas": {"min": 1, "max": 3}, "resources": {"requests": {"cpu": "1"}}}
    cluster = Cluster(model_deployment(**spec, autoscaling=[{"cpu": 70}]))
    cluster.publish("a")
    cluster.settle()
    cluster.set_ready(cluster.names("HorizontalPodAutoscaler")[0])
    cluster.settle()
    return cluster


def say_of_scaling(cluster: Cluster, reason: str, status: str = "False") -> None:
    """Let the one autoscaler say now whether it scales."""
    (name,) = cluster.names("HorizontalPodAutoscaler")
    since = format_time(cluster.now)
    said = {"type": "ScalingActive", "status": status, "reason": reason, "lastTransitionTime": since}
    cluster.live("HorizontalPodAutoscaler", name)["status"] = {"conditions": [said]}


def test_an_autoscaler_without_metrics_is_told_of_once_they_are_late() -> None:
    cluster = autoscaled()

    def scaling(reason: str, status: str = "False") -> dict[str, Any]:
        say_of_scaling(cluster, reason, status)
        cluster.settle()
        cluster.wait(60)
        cluster.settle()
        return cluster.condition("Autoscaling") or {}

    found = scaling("FailedGetContainerResourceMetric")
    assert (found["status"], found["reason"]) == ("False", "MetricsUnavailable")
    assert cluster.names("HorizontalPodAutoscaler")[0] in found["message"]
    assert "metrics-server" in found["message"]
    assert "custom.metrics.k8s.io" in scaling("FailedGetPodsMetric")["message"]
    assert "external.metrics.k8s.io" in scaling("FailedGetExternalMetric")["message"]
    assert scaling("ScalingDisabled") == {}, "a person has set the number of pods to 0"
    assert scaling("ValidMetricFound", "True") == {}


def test_metrics_of_new_pods_may_take_a_while() -> None:
    cluster = autoscaled()
    say_of_scaling(cluster, "FailedGetContainerResourceMetric")

    cluster.settle()

    assert cluster.condition("Autoscaling") is None
    assert cluster.last is not None
    assert cluster.last.requeue_after == 45


def test_the_speed_of_scaling_is_handed_on() -> None:
    behavior = {
        "scaleUp": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 4, "periodSeconds": 60}]},
        "scaleDown": {"selectPolicy": "Disabled"},
    }
    scaler = children(replicas={"min": 1, "max": 3}, scalingBehavior=behavior)["HorizontalPodAutoscaler"]
    assert scaler["spec"]["behavior"] == behavior
    assert "behavior" not in children(replicas={"min": 1, "max": 3})["HorizontalPodAutoscaler"]["spec"]


def test_without_metrics_it_is_the_cpu() -> None:
    scaler = children(replicas={"min": 1, "max": 3})["HorizontalPodAutoscaler"]
    assert scaler["spec"]["metrics"][0]["containerResource"]["target"]["averageUtilization"] == 80


@pytest.mark.parametrize(
    ("resources", "autoscaling", "warned"),
    [
        (None, None, True),
        ({"requests": {"cpu": "1"}}, None, False),
        ({"limits": {"cpu": "1"}}, None, False),
        ({"requests": {"cpu": "1"}}, [{"memory": 60}], True),
        (None, [{"pods": {"metric": "queue", "average": "5"}}], False),
    ],
)
def test_a_percentage_of_nothing_is_told_of(resources: Any, autoscaling: Any, warned: bool) -> None:
    spec = {"resources": resources, "autoscaling": autoscaling}
    cluster = Cluster(model_deployment(replicas={"min": 1, "max": 3}, **{k: v for k, v in spec.items() if v}))
    cluster.publish("a")
    cluster.settle()
    assert (cluster.truth("Autoscaling") == "False") is warned


def test_names_at_the_limit_neither_collide_nor_overflow() -> None:
    longest = "a" * 63
    resource = model_deployment()
    resource["metadata"]["name"] = longest
    cluster = Cluster(resource)
    cluster.publish("a")
    kinds = {action.manifest["kind"]: action.manifest["metadata"]["name"] for action in cluster.decide().actions}  # type: ignore[union-attr]
    assert len(kinds["Deployment"]) <= 63
    assert kinds["Service"] == longest


@pytest.mark.parametrize(
    ("change", "renews"),
    [
        ({"replicas": {"min": 2, "max": 5}}, False),
        ({"autoscaling": [{"cpu": 50}]}, False),
        ({"rollout": {"keepPrevious": "5m"}}, False),
        ({"rollout": {"progressDeadlineSeconds": 700}}, True),
        ({"resources": {"limits": {"cpu": "2"}}}, True),
        ({"nodeSelector": {"pool": "gpu"}}, True),
        ({"storage": {"region": "eu"}}, True),
        ({"service": {}}, False),
        ({"networkPolicy": {}}, False),
        ({"scalingBehavior": {"scaleDown": {"selectPolicy": "Min"}}}, False),
        ({"podAnnotations": {}}, False),
        ({"tls": {"secretName": "tls"}}, True),
        ({"workspace": {"sizeLimit": "1Gi"}}, True),
        ({"capture": {"uri": "s3://capture/churn/"}}, True),
        ({"runtime": {"name": "sklearn", "env": [{"name": "A", "value": "b"}]}}, True),
    ],
)
def test_only_what_shapes_pods_makes_a_new_revision(change: dict[str, Any], renews: bool) -> None:
    before, after = children()["Deployment"], children(**change)["Deployment"]
    assert (before["metadata"]["name"] != after["metadata"]["name"]) is renews
    if not renews:
        assert covers(after["spec"]["template"], before["spec"]["template"])
