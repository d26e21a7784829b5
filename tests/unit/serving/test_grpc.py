"""The port of gRPC: on the Service, for callers that may call, and never past the capture of requests."""

from __future__ import annotations

from typing import Any

import pytest

from perennial.api.contract.settings import OperatorConfig
from tests.support.builders import model_deployment
from tests.unit.serving.cluster import CONFIG, Cluster

OWN: dict[str, Any] = {"container": {"image": "own:1", "grpcPort": 9000}}
PORT = {"name": "grpc", "port": 8081, "targetPort": 9000, "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"}


def preset_with(port: int | None) -> OperatorConfig:
    """Return settings whose preset has a port of gRPC."""
    preset = CONFIG.runtimes["sklearn"].model_copy(update={"grpc_port": port})
    return CONFIG.model_copy(update={"runtimes": {"sklearn": preset}})


def serving(config: OperatorConfig = CONFIG, **spec: Any) -> Cluster:
    """Return a cluster with a stable revision."""
    cluster = Cluster(model_deployment(**spec), config=config)
    cluster.publish("a")
    cluster.settle()
    (name,) = cluster.names("Deployment")
    cluster.set_ready(name)
    cluster.settle()
    return cluster


def ports(cluster: Cluster) -> list[dict[str, Any]]:
    """Return the ports of the Service that belong to gRPC."""
    found: list[dict[str, Any]] = cluster.live("Service", "churn")["spec"]["ports"]
    assert found[0]["name"] == "http"
    return [port for port in found if port["name"] == "grpc"]


def test_the_service_leads_to_the_port_of_grpc_of_a_preset_or_a_container() -> None:
    assert ports(serving(preset_with(9000))) == [PORT]
    assert ports(serving(runtime=OWN)) == [PORT]
    assert ports(serving()) == []


def test_a_server_with_a_certificate_does_not_speak_without_tls() -> None:
    (port,) = ports(serving(runtime=OWN, tls={"secretName": "churn-tls"}))
    assert "appProtocol" not in port


def test_no_port_leads_past_the_capture_of_requests() -> None:
    assert ports(serving(runtime=OWN, capture={"uri": "s3://capture/churn/"})) == []


def test_who_may_call_may_call_by_grpc() -> None:
    cluster = serving(preset_with(9000), networkPolicy={"allow": [{"podLabels": {"app": "shop"}}]})
    calls, _ = cluster.live("NetworkPolicy", "churn")["spec"]["ingress"]
    assert [port["port"] for port in calls["ports"]] == [8080, 9000]


def test_a_preset_that_gains_a_port_of_grpc_restarts_no_pod() -> None:
    cluster = serving(preset_with(None))
    (name,) = cluster.names("Deployment")
    before = cluster.live("Deployment", name)["spec"]["template"]
    cluster.config = preset_with(9000)
    cluster.settle()
    assert cluster.names("Deployment") == [name]
    assert cluster.live("Deployment", name)["spec"]["template"] == before
    assert ports(cluster) == [PORT]
    assert cluster.reconcile() == 0


def test_while_the_old_revision_serves_its_own_port_does() -> None:
    cluster = serving(runtime=OWN)
    cluster.edit(runtime={"container": {"image": "own:2", "grpcPort": 9001}})
    cluster.settle()
    assert ports(cluster) == [PORT]
    (name,) = [name for name in cluster.names("Deployment") if name != cluster.status["stable"]["name"]]
    cluster.set_ready(name)
    cluster.settle()
    assert ports(cluster) == [{**PORT, "targetPort": 9001}]


@pytest.mark.parametrize(("other", "kept"), [(9000, [PORT]), (9001, []), (None, [])])
def test_a_canary_keeps_the_port_where_both_revisions_have_it(other: int | None, kept: list[dict[str, Any]]) -> None:
    steps = {"strategy": "Canary", "steps": [{"weight": 50, "hold": "60s"}]}
    cluster = serving(runtime=OWN, replicas={"min": 2}, rollout=steps)
    changed = {"image": "own:2", **({"grpcPort": other} if other is not None else {})}
    cluster.edit(runtime={"container": changed})
    for _ in range(6):
        cluster.settle()
        for name in cluster.names("Deployment"):
            cluster.set_ready(name)
    assert cluster.selected() is None, "both revisions take requests"
    assert ports(cluster) == kept
