"""The HTTPRoute by which a gateway sends requests to the revisions."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.modeldeployment.route import Route
from perennial.core.kinds import HTTP_ROUTE, Raw
from perennial.serving.children.metadata import metadata_of
from perennial.serving.children.service import SECURE_PORT, SERVICE_PORT

_ALL = 100


@dataclass(frozen=True)
class Backend:
    """The Service of a revision, and its percentage of the requests."""

    service: str
    weight: int
    secure: bool
    """Whether its server terminates TLS."""


@dataclass(frozen=True)
class Copies:
    """The Service that receives copies of requests, and of which percentage of them."""

    backend: Backend
    percent: int


def http_route(
    resource: ModelDeployment,
    asked: Route,
    backends: Iterable[Backend],
    tested: Backend | None,
    copies: Copies | None = None,
) -> Raw:
    """Build the HTTPRoute.

    Args:
        resource: owner of the Services.
        asked: Gateway, host names and path.
        backends: the Services and their weights, for requests without the headers of rollout.headers.
        tested: receives all requests with these headers; None: they are like the others.
        copies: receives copies of requests, whose answers nobody receives; None: there are none.
    """
    headers = resource.spec.rollout.headers or ()
    path = {"path": {"type": "PathPrefix", "value": asked.path}}
    wanted = [{"type": "Exact", "name": item.name, "value": item.value} for item in headers]
    marked = tested is not None and bool(wanted)
    return {
        "apiVersion": HTTP_ROUTE.api_version,
        "kind": HTTP_ROUTE.kind,
        "metadata": metadata_of(resource, resource.metadata.name),
        "spec": {
            "parentRefs": [asked.gateway.dump()],
            **({"hostnames": list(asked.hostnames)} if asked.hostnames else {}),
            "rules": [
                # More header matches take precedence, whatever the order of the rules.
                *([_rule({**path, "headers": wanted}, (tested,))] if marked and tested is not None else []),
                {**_rule(path, backends), **({"filters": [_mirror(copies)]} if copies is not None else {})},
            ],
        },
    }


def _rule(match: dict[str, Any], backends: Iterable[Backend]) -> dict[str, Any]:
    return {"matches": [match], "backendRefs": [_reference(item) for item in backends]}


def _mirror(copies: Copies) -> dict[str, Any]:
    # Without a percentage all are copied; only newer gateways know the field.
    share = {"percent": copies.percent} if copies.percent < _ALL else {}
    target = {key: value for key, value in _reference(copies.backend).items() if key != "weight"}
    return {"type": "RequestMirror", "requestMirror": {"backendRef": target, **share}}


def _reference(backend: Backend) -> dict[str, Any]:
    port = SECURE_PORT if backend.secure else SERVICE_PORT
    return {"name": backend.service, "port": port, "weight": backend.weight}
