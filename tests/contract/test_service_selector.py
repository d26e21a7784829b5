"""How a real API server changes the selector of a Service: a split drops one label, and its end brings it back."""

from __future__ import annotations

from typing import Any

from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.core.kinds import DISRUPTION_BUDGET, SERVICE, Kind
from perennial.runtime.controller.diff import covers
from perennial.serving.children.metadata import selector_of, split_selector
from perennial.serving.children.service import Traffic, disruption_budget, service
from tests.contract.server import Server, minimal
from tests.support.kube import path_of

ONE, BOTH = selector_of("minimal", "4320f4a7"), split_selector("minimal")


def owner(server: Server, namespace: str) -> ModelDeployment:
    return ModelDeployment.model_validate(server.create(minimal("ModelDeployment"), namespace).body)


def applied(server: Server, kind: Kind, manifest: dict[str, Any]) -> Any:
    meta = manifest["metadata"]
    path = f"{path_of(kind, meta['namespace'], meta['name'])}?fieldManager=perennial&force=true"
    return server.must("PATCH", path, manifest, content="application/apply-patch+yaml")


def traffic(selector: dict[str, str], port: int | str = 8080) -> Traffic:
    return Traffic(selector, port, secure=False)


def test_a_split_drops_the_label_of_the_revision_and_brings_it_back(server: Server, namespace: str) -> None:
    resource = owner(server, namespace)
    for selector in (ONE, BOTH, ONE):
        live = applied(server, SERVICE, service(resource, traffic(selector)))
        assert live["spec"]["selector"] == selector
        budget = applied(server, DISRUPTION_BUDGET, disruption_budget(resource, traffic(selector)))
        assert budget["spec"]["selector"] == {"matchLabels": selector}


def test_the_address_stays_when_the_port_becomes_a_name(server: Server, namespace: str) -> None:
    resource = owner(server, namespace)
    before = applied(server, SERVICE, service(resource, traffic(ONE)))
    after = applied(server, SERVICE, service(resource, traffic(BOTH, "http")))
    assert after["spec"]["clusterIP"] == before["spec"]["clusterIP"]
    assert [port["targetPort"] for port in after["spec"]["ports"]] == ["http"]


def test_a_label_that_somebody_adds_to_the_selector_is_seen_and_goes(server: Server, namespace: str) -> None:
    resource = owner(server, namespace)
    wanted = service(resource, traffic(BOTH))
    applied(server, SERVICE, wanted)
    edited = server.merge(SERVICE, namespace, "minimal", {"spec": {"selector": {"perennial.dev/revision": "x"}}}).body
    assert not covers(edited, wanted)
    assert applied(server, SERVICE, wanted)["spec"]["selector"] == BOTH
