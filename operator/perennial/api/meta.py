"""What every resource carries besides spec and status."""

from typing import Annotated

from pydantic import Field

from perennial.api.base import Model


class ObjectMeta(Model):
    """The part of an object's metadata that the operator reads."""

    name: str
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: Annotated[dict[str, str], Field(default_factory=dict)]
    annotations: Annotated[dict[str, str], Field(default_factory=dict)]


class Resource(Model):
    """A custom resource: metadata beside the spec and status that its subclass adds."""

    metadata: ObjectMeta
