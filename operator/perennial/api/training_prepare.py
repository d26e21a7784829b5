"""Steps that run before a training, on the same volume: turning inputs into features, unpacking, checking."""

from typing import Annotated

from pydantic import Field

from perennial.api.base import Model, list_map
from perennial.api.pod import Args, Env, Image, PullPolicy, ResourceRequirements

StepName = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]


class PrepareStep(Model):
    """One step: a container that must end with exit code 0 before the next one starts."""

    name: StepName = Field(description="Name of the step; its container is prepare-<name>.")
    image: Image | None = Field(None, description="Image with the step's code. Unset: spec.image.")
    image_pull_policy: PullPolicy | None = Field(None, description="As in a pod. Unset: as Kubernetes decides.")
    command: Args | None = Field(None, description="Replaces the image's entrypoint.")
    args: Args | None = Field(None, description="Replaces the image's arguments.")
    env: Env | None = Field(
        None, description="Environment variables of the step, beside the PERENNIAL_ ones that the training gets."
    )
    resources: ResourceRequirements | None = Field(None, description="Requests and limits of the step.")


Steps = Annotated[
    tuple[PrepareStep, ...],
    Field(max_length=8, json_schema_extra=list_map("name")),
]
