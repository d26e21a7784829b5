"""The parts of the Gateway API that the operator reads: HTTPRoutes, and what a GatewayClass supports.

Every field has a default: the status comes from the controller of a gateway, and what it leaves out must not fail a
reconcile.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator

from perennial.api.common.base import Model, ObjectMeta
from perennial.api.kubernetes import KubeConditions


def _or_empty(value: Any) -> Any:
    return () if value is None else value


class Backend(Model):
    """A Service that a rule sends requests to."""

    name: str = ""
    weight: int = 1


class Mirroring(Model):
    """Copies of requests to a Service."""

    backend_ref: Backend = Backend()
    percent: int = 100


class RouteFilter(Model):
    """What a rule does with a request besides sending it on; other filters than mirrors are not read."""

    request_mirror: Mirroring | None = None


class RouteRule(Model):
    """A rule of an HTTPRoute."""

    filters: Annotated[tuple[RouteFilter, ...], BeforeValidator(_or_empty)] = ()
    backend_refs: Annotated[tuple[Backend, ...], BeforeValidator(_or_empty)] = ()


class RouteSpec(Model):
    """Rules of an HTTPRoute."""

    rules: Annotated[tuple[RouteRule, ...], BeforeValidator(_or_empty)] = ()


class ParentReference(Model):
    """The Gateway that a status is about."""

    name: str = ""
    namespace: str | None = None
    section_name: str | None = None


class ParentStatus(Model):
    """What the controller of one Gateway says about a route."""

    parent_ref: ParentReference = ParentReference()
    conditions: KubeConditions = ()


class RouteStatus(Model):
    """Status of an HTTPRoute, by Gateway."""

    parents: Annotated[tuple[ParentStatus, ...], BeforeValidator(_or_empty)] = ()


class HTTPRoute(Model):
    """An HTTPRoute."""

    metadata: ObjectMeta
    spec: RouteSpec = RouteSpec()
    status: RouteStatus = RouteStatus()

    @property
    def backends(self) -> frozenset[str]:
        """Names of all Services that may receive requests, or copies of them."""
        rules = self.spec.rules
        answering = (item.name for rule in rules for item in rule.backend_refs if item.weight > 0)
        return frozenset((*answering, *(item.backend_ref.name for item in self._mirrors)))

    @property
    def named(self) -> frozenset[str]:
        """Names of all Services of its rules, also of those with weight 0."""
        return frozenset(item.name for rule in self.spec.rules for item in rule.backend_refs)

    def mirrored(self, service: str) -> int:
        """Percentage of the requests of which a Service receives copies; 0 if none."""
        return sum(item.percent for item in self._mirrors if item.backend_ref.name == service)

    @property
    def _mirrors(self) -> tuple[Mirroring, ...]:
        found = (item.request_mirror for rule in self.spec.rules for item in rule.filters)
        return tuple(item for item in found if item is not None)

    def weight_of(self, service: str) -> int:
        """Weight of a Service in the last rule, which has no header match; 0 if it is not there."""
        last = self.spec.rules[-1].backend_refs if self.spec.rules else ()
        return sum(item.weight for item in last if item.name == service)


class GatewaySpec(Model):
    """Class of a Gateway."""

    gateway_class_name: str = ""


class Gateway(Model):
    """A Gateway."""

    spec: GatewaySpec = GatewaySpec()


class Feature(Model):
    """A feature that the controller of a GatewayClass says it supports."""

    name: str = ""


def _as_objects(value: Any) -> Any:
    """Features were plain names before version 1.1 of the Gateway API."""
    return [{"name": item} if isinstance(item, str) else item for item in value or ()]


class GatewayClassStatus(Model):
    """Features of a GatewayClass; a controller that lists none may still have some."""

    supported_features: Annotated[tuple[Feature, ...], BeforeValidator(_as_objects)] = ()


class GatewayClass(Model):
    """A GatewayClass."""

    metadata: ObjectMeta
    status: GatewayClassStatus = GatewayClassStatus()
