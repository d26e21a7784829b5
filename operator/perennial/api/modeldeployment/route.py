"""How requests from outside the cluster reach a model: an HTTPRoute of the Gateway API, made by the operator."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import Model, Name, ObjectName

Hostname = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    ),
]
"""A host name in lower case; a leading `*.` stands for any label."""


class GatewayReference(Model):
    """A Gateway, and which of its listeners."""

    name: ObjectName = Field(description="Name of the Gateway.")
    namespace: Name | None = Field(
        None,
        description="Namespace of the Gateway; its listener must allow routes from the ModelDeployment's namespace. "
        "Unset: the same namespace.",
    )
    section_name: ObjectName | None = Field(
        None, description="Name of one listener of the Gateway. Unset: all listeners that allow the route."
    )


class Route(Model):
    """An HTTPRoute from a Gateway to the model."""

    gateway: GatewayReference = Field(description="Gateway that receives the requests.")
    hostnames: Annotated[tuple[Hostname, ...], Field(min_length=1, max_length=16)] | None = Field(
        None, description="Host names whose requests go to the model. Unset: every host name of the listener."
    )
    path: Annotated[str, Field(max_length=1024, pattern=r"^/[A-Za-z0-9/._~!$&'()*+,;=:@%-]*$")] = Field(
        "/", description="Requests whose path begins with these segments go to the model. The path is not changed."
    )
    scheme: Literal["http", "https"] = Field(
        "http", description="Scheme of the listener. Used for status.url only; the Gateway decides about TLS."
    )


class HeaderMatch(Model):
    """A header of a request, with its exact value."""

    name: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9!#$%&'*+\-.^_|~]+$")] = Field(
        description="Name of the header, in any case."
    )
    value: Annotated[str, Field(min_length=1, max_length=1024)] = Field(description="Exact value.")
