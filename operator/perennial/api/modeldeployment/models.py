"""Sources of models other than a TrainingJob: further published versions, and OCI images."""

from typing import Annotated

from pydantic import Field

from perennial.api.common.base import Digest, Model, Name, S3Uri
from perennial.api.common.pod import PullPolicy
from perennial.api.modeldeployment.runtime import Directory

ImageReference = Annotated[str, Field(max_length=512, pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._:/-]*@sha256:[0-9a-f]{64}$")]

OCI = "oci://"
"""Scheme of the URI of a model in an image, in status and annotations."""

OciUri = Annotated[str, Field(max_length=518, pattern=r"^oci://[a-zA-Z0-9][a-zA-Z0-9._:/-]*@sha256:[0-9a-f]{64}$")]


PublicKeys = Annotated[
    str,
    Field(
        max_length=4096,
        pattern=r"^(-----BEGIN PUBLIC KEY-----\r?\n([A-Za-z0-9+/=]+\r?\n)+-----END PUBLIC KEY-----\s*)+$",
    ),
]


class Verify(Model):
    """Who must have signed the model, in the format of OpenSSF Model Signing (`model.sig` beside `manifest.json`)."""

    public_key: PublicKeys = Field(
        description="Elliptic-curve public key in PEM (P-256, P-384 or P-521). Several keys, one after the other, "
        "accept a signature by any of them, for example while keys are exchanged."
    )


class ExtraModel(Model):
    """A published version that is served under its own name."""

    name: Name = Field(description="Name of the model in requests; not the name of the ModelDeployment.")
    uri: S3Uri = Field(description="Published version: <output>/versions/<digest>/.")
    digest: Digest = Field(description="Digest of the version; fetching fails if the files do not match.")


class ModelImage(Model):
    """A model in an OCI image or artifact, which the node pulls and mounts read-only."""

    reference: ImageReference = Field(
        description="registry/name@sha256:...; a tag is not accepted, since it does not identify the model."
    )
    path: Directory | None = Field(None, description="Folder of the model in the image. Unset: its root.")
    pull_policy: PullPolicy | None = Field(None, description="As in a pod. Unset: the Kubernetes default.")
