"""The parts of an HTTPRoute of the Gateway API that the operator reads.

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


class RouteRule(Model):
    """A rule of an HTTPRoute."""

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
        """Names of all Services that may receive requests."""
        return frozenset(item.name for rule in self.spec.rules for item in rule.backend_refs if item.weight > 0)

    def weight_of(self, service: str) -> int:
        """Weight of a Service in the last rule, which has no header match; 0 if it is not there."""
        last = self.spec.rules[-1].backend_refs if self.spec.rules else ()
        return sum(item.weight for item in last if item.name == service)
