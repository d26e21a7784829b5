"""Further models that one ModelDeployment serves beside its own."""

from pydantic import Field

from perennial.api.base import Digest, Model, Name, S3Uri


class ExtraModel(Model):
    """A published version that is served under a name of its own."""

    name: Name = Field(description="Name under which the server answers for it; not the ModelDeployment's own.")
    uri: S3Uri = Field(description="A published version: <output>/versions/<digest>/.")
    digest: Digest = Field(description="Digest that the version must have.")
