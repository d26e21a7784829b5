"""What a gateway supports, asked of an API server in memory."""

from typing import Any, cast

import pytest

from perennial.adapters.cluster import Cluster
from perennial.adapters.errors import ApiError
from perennial.adapters.gateways import features_of
from perennial.core.kinds import Kind, Raw
from perennial.core.reads import GatewayFeatures

GATEWAY: Raw = {"spec": {"gatewayClassName": "traefik"}}
MIRROR = "HTTPRouteRequestMirror"
META: Raw = {"name": "traefik"}
CLASS: Raw = {
    "metadata": META,
    "status": {"supportedFeatures": [{"name": "HTTPRouteRequestMirror"}, {"name": "Gateway"}]},
}


class Server:
    """Answers reads of single objects by kind and place."""

    def __init__(self, objects: dict[tuple[str, str, str], Raw], error: ApiError | None = None) -> None:
        self.objects = objects
        self.error = error

    async def get(self, kind: Kind, namespace: str, name: str) -> Raw | None:
        if self.error is not None:
            raise self.error
        return self.objects.get((kind.kind, namespace, name))


async def ask(gateway: Raw | None, found: Raw | None, error: ApiError | None = None) -> GatewayFeatures | None:
    objects = {("Gateway", "infra", "public"): gateway, ("GatewayClass", "", "traefik"): found}
    server = Server({place: raw for place, raw in objects.items() if raw is not None}, error)
    return await features_of(cast("Cluster", server), "infra/public")


async def test_the_features_of_the_class_of_the_gateway_are_read() -> None:
    assert await ask(GATEWAY, CLASS) == GatewayFeatures(frozenset({"HTTPRouteRequestMirror", "Gateway"}))


@pytest.mark.parametrize("listed", [["HTTPRouteRequestMirror"], [{"name": "HTTPRouteRequestMirror"}]])
async def test_features_may_be_plain_names(listed: list[Any]) -> None:
    found = await ask(GATEWAY, {"metadata": META, "status": {"supportedFeatures": listed}})
    assert found == GatewayFeatures(frozenset({"HTTPRouteRequestMirror"}))


@pytest.mark.parametrize("status", [{}, {"supportedFeatures": None}])
async def test_a_class_that_lists_nothing_supports_nothing(status: dict[str, Any]) -> None:
    assert await ask(GATEWAY, {"metadata": META, "status": status}) == GatewayFeatures()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("HTTPRouteRequestMirror", {MIRROR}),
        (" HTTPRouteRequestMirror,\n HTTPRouteRequestPercentageMirror,", {MIRROR, "HTTPRouteRequestPercentageMirror"}),
        ("", set()),
    ],
)
async def test_an_administrator_may_name_features_that_the_controller_does_not_list(text: str, names: set[str]) -> None:
    metadata = {**META, "annotations": {"perennial.dev/supported-features": text}}
    assert await ask(GATEWAY, {"metadata": metadata, "status": {}}) == GatewayFeatures(frozenset(names))
    both = await ask(GATEWAY, {**CLASS, "metadata": metadata})
    assert both == GatewayFeatures(frozenset({*names, "HTTPRouteRequestMirror", "Gateway"}))


@pytest.mark.parametrize(
    ("gateway", "found", "said"),
    [
        (None, CLASS, "Gateway infra/public does not exist"),
        (GATEWAY, None, "GatewayClass traefik of Gateway infra/public does not exist"),
        ({"spec": {"gatewayClassName": ["a"]}}, CLASS, "is not of the form"),
        (GATEWAY, {"metadata": META, "status": {"supportedFeatures": [7]}}, "is not of the form"),
    ],
)
async def test_what_is_missing_is_said(gateway: Raw | None, found: Raw | None, said: str) -> None:
    answer = await ask(gateway, found)
    assert answer is not None
    assert said in answer.problem
    assert answer.names == frozenset()


async def test_a_missing_right_is_said_and_an_unreachable_api_server_is_no_answer() -> None:
    refused = await ask(GATEWAY, CLASS, ApiError("GET /x", 403, "Forbidden", "no"))
    assert refused is not None
    assert "the operator may not read it" in refused.problem
    assert await ask(GATEWAY, CLASS, ApiError("GET /x", 0, "Unreachable", "no")) is None
