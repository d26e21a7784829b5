"""The operator's HTTPRoute on a real API server with the standard CRD of the Gateway API."""

from typing import Any

import pytest

from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.core.kinds import HTTP_ROUTE
from perennial.runtime.controller.diff import covers
from perennial.serving.children.route import Backend, Copies, http_route
from tests.contract.conftest import kubectl, until_established
from tests.contract.server import DATA, Server, load
from tests.support.kube import path_of
from tools.cluster import api


@pytest.fixture(scope="module")
def gateway_api(server: Server) -> Server:
    """The server, with the kind HTTPRoute."""
    crds = api.module_folder("gateway-api") / "config" / "crd" / "standard"
    name = f"{HTTP_ROUTE.plural}.{HTTP_ROUTE.group}"
    kubectl(
        server.kubeconfig, "apply", "--server-side", "-f", str(crds / f"{HTTP_ROUTE.group}_{HTTP_ROUTE.plural}.yaml")
    )
    until_established(server.kubeconfig, name)
    return server


def routed(namespace: str, **route: Any) -> ModelDeployment:
    raw = load(DATA / "accepted" / "modeldeployment-route.yaml")
    raw["metadata"] = {"name": "routed", "namespace": namespace, "uid": "1234"}
    raw["spec"]["route"] = {**raw["spec"]["route"], **route}
    return ModelDeployment.model_validate(raw)


def test_every_form_of_the_route_is_stored_as_it_was_applied(gateway_api: Server, namespace: str) -> None:
    """Defaults that the API server adds cause no further write."""
    stable, candidate = Backend("routed-1", 95, secure=False), Backend("routed-2", 5, secure=True)
    resource = routed(namespace)
    plain = routed(namespace, hostnames=None)
    for asked, backends, tested, copies in (
        (resource, (stable, candidate), candidate, None),
        (resource, (stable,), None, Copies(candidate, 20)),
        (plain, (stable,), None, Copies(candidate, 100)),
        (plain, (stable,), None, None),
    ):
        assert asked.spec.route is not None
        manifest = http_route(asked, asked.spec.route, backends, tested, copies)
        answer = gateway_api.send(
            "PATCH",
            path_of(HTTP_ROUTE, namespace, "routed") + "?fieldManager=perennial&force=true&fieldValidation=Strict",
            manifest,
            content="application/apply-patch+yaml",
        )
        assert answer.ok, answer.message
        assert answer.warnings == ()
        assert covers(answer.body, manifest)
    assert "hostnames" not in answer.body["spec"]
    assert len(answer.body["spec"]["rules"]) == 1
