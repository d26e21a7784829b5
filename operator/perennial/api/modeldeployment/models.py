"""Where models come from beside a TrainingJob: further published versions, and OCI images."""

from typing import Annotated

from pydantic import Field

from perennial.api.common.base import Digest, Model, Name, S3Uri
from perennial.api.common.pod import PullPolicy
from perennial.api.modeldeployment.runtime import Directory

ImageReference = Annotated[str, Field(max_length=512, pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._:/-]*@sha256:[0-9a-f]{64}$")]

OCI = "oci://"
"""What the URI of a model in an image begins with, in status and marks."""

OciUri = Annotated[str, Field(max_length=518, pattern=r"^oci://[a-zA-Z0-9][a-zA-Z0-9._:/-]*@sha256:[0-9a-f]{64}$")]


class ExtraModel(Model):
    """A published version that is served under a name of its own."""

    name: Name = Field(description="Name under which the server answers for it; not the ModelDeployment's own.")
    uri: S3Uri = Field(description="A published version: <output>/versions/<digest>/.")
    digest: Digest = Field(description="Digest that the version must have.")


class ModelImage(Model):
    """A model in an OCI image or artifact, which the node pulls and mounts read-only."""

    reference: ImageReference = Field(
        description="registry/name@sha256:...; the digest says which model this is, a tag would not."
    )
    path: Directory | None = Field(None, description="Folder in the image that holds the model. Unset: its root.")
    pull_policy: PullPolicy | None = Field(None, description="As in a pod. Unset: as Kubernetes decides.")
