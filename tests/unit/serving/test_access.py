"""What a ModelDeployment may say about annotations, TLS and callers, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest

from perennial.core.kinds import Raw
from perennial.core.labels import REVISION_LABEL
from tests.support.builders import model_deployment
from tests.unit.serving.cluster import CONFIG, Cluster

ALLOWING = CONFIG.model_copy(update={"allowed_annotations": ("prometheus.io/*", "team")})


def settled(**spec: Any) -> Cluster:
    """Return a cluster with a first revision."""
    cluster = Cluster(model_deployment(**spec), config=ALLOWING)
    cluster.publish("a")
    cluster.settle()
    return cluster


def deployment(cluster: Cluster) -> Raw:
    (name,) = cluster.names("Deployment")
    return cluster.live("Deployment", name)


def test_allowed_annotations_are_put_on() -> None:
    cluster = settled(
        podAnnotations={"prometheus.io/scrape": "true"},
        service={"annotations": {"team": "fraud", "prometheus.io/a": "b"}},
    )
    template = deployment(cluster)["spec"]["template"]["metadata"]["annotations"]
    assert template == {"prometheus.io/scrape": "true", "kubectl.kubernetes.io/default-container": "server"}
    service = cluster.live("Service", "churn")["metadata"]["annotations"]
    assert service == {"team": "fraud", "prometheus.io/a": "b"}


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        ({"podAnnotations": {"sidecar.istio.io/inject": "false"}}, "spec.podAnnotations: sidecar.istio.io/inject"),
        ({"service": {"annotations": {"teams": "a"}}}, "spec.service.annotations: teams"),
    ],
)
def test_other_annotations_stop_the_change_and_nothing_else(spec: dict[str, Any], names: str) -> None:
    cluster = settled()
    (name,) = cluster.names("Deployment")
    cluster.set_ready(name)
    cluster.settle()
    cluster.edit(**spec)
    cluster.settle()
    stalled = cluster.condition("Stalled")
    assert stalled is not None
    assert stalled["reason"] == "AnnotationNotAllowed"
    assert names in stalled["message"]
    assert "prometheus.io/*, team" in stalled["message"]
    assert cluster.truth("Ready") == "True"
    assert cluster.names("Deployment") == [name]
    assert "teams" not in cluster.live("Service", "churn")["metadata"].get("annotations", {})


def test_tls_mounts_the_certificate_asks_by_https_and_shows_in_the_url() -> None:
    cluster = settled(tls={"secretName": "churn-tls"})
    pod = deployment(cluster)["spec"]["template"]["spec"]
    server = pod["containers"][0]
    env = {item["name"]: item.get("value") for item in server["env"]}
    assert env["PERENNIAL_TLS_KEY"] == "/perennial-tls/tls.key"
    assert {"name": "tls", "secret": {"secretName": "churn-tls"}} in pod["volumes"]
    assert {"name": "tls", "mountPath": "/perennial-tls", "readOnly": True} in server["volumeMounts"]
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        assert server[probe]["httpGet"]["scheme"] == "HTTPS"
    ports = {port["name"]: port["port"] for port in cluster.live("Service", "churn")["spec"]["ports"]}
    assert ports == {"http": 80, "https": 443}
    assert cluster.status["url"] == "https://churn.default.svc"


def policy(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.live("NetworkPolicy", "churn")["spec"]
    return found


def test_only_the_named_peers_may_call() -> None:
    peers = [{"podLabels": {"app": "shop"}}, {"namespaceLabels": {"team": "web"}, "podLabels": {"app": "front"}}]
    found = policy(settled(networkPolicy={"allow": peers}))
    calls, metrics = found["ingress"]
    assert calls["from"] == [
        {"podSelector": {"matchLabels": {"app": "shop"}}},
        {"namespaceSelector": {"matchLabels": {"team": "web"}}, "podSelector": {"matchLabels": {"app": "front"}}},
    ]
    assert calls["ports"] == [{"protocol": "TCP", "port": 8080}]
    assert metrics == {"ports": [{"protocol": "TCP", "port": 8082}]}
    assert REVISION_LABEL not in found["podSelector"]["matchLabels"], "it holds for every revision"


def test_nobody_may_call_where_nobody_is_named() -> None:
    runtime = {"container": {"image": "own:1"}}
    found = policy(settled(networkPolicy={}, runtime=runtime))
    assert found["policyTypes"] == ["Ingress"]
    assert "ingress" not in found


def test_behind_capture_only_the_sidecar_is_called() -> None:
    found = policy(
        settled(networkPolicy={"allow": [{"podLabels": {"a": "b"}}]}, capture={"uri": "s3://capture/churn/"})
    )
    calls, free = found["ingress"]
    assert [port["port"] for port in calls["ports"]] == [9080]
    assert [port["port"] for port in free["ports"]] == [8082, 9081]


def test_the_policy_goes_when_it_is_not_wanted_any_more() -> None:
    cluster = settled(networkPolicy={})
    assert cluster.names("NetworkPolicy") == ["churn"]
    del cluster.resource["spec"]["networkPolicy"]
    cluster.edit()
    cluster.settle()
    assert cluster.names("NetworkPolicy") == []
