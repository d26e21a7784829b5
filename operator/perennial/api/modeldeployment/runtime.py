"""What serves a model: a preset of the installation, or a container of the user's own."""

from typing import Annotated

from pydantic import Field

from perennial.api.common.base import Model, Name, Rule, exactly_one, rules
from perennial.api.common.pod import Args, Env, EnvFrom, Image, PullPolicy

Directory = Annotated[str, Field(max_length=256, pattern=r"^([^\s/.][^\s/]*(/[^\s/.][^\s/]*)*)?$")]
"""A folder below /mnt/models: plain parts, none of which starts with a dot."""

Pattern = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\s\\]+$")]


class HttpProbe(Model):
    """How Kubernetes asks the container whether it can answer."""

    path: Annotated[str, Field(max_length=256, pattern=r"^/[^\s]*$")] = Field(description="Path of a GET request.")
    initial_delay_seconds: int | None = Field(None, ge=0, le=3600, description="Seconds before the first request.")
    period_seconds: int = Field(5, ge=1, le=300, description="Seconds between requests.")
    timeout_seconds: int = Field(3, ge=1, le=300, description="Seconds to wait for an answer.")
    failure_threshold: int = Field(3, ge=1, le=1000, description="Failures in a row that count as one.")


class ModelFormat(Model):
    """A form in which a model may be stored, told by the names of its files."""

    name: Name = Field(description="Name of the format, as messages call it.")
    files: Annotated[tuple[Pattern, ...], Field(min_length=1, max_length=16)] = Field(
        description="Patterns of paths within the model, such as model.onnx or *.safetensors; * matches any text, "
        "slashes too. One file that matches is enough."
    )
    runs_code: bool = Field(
        False,
        description="Loading it runs code that the model brings along, as a pickle does; then ModelDeployments must "
        "set model.allowPickle.",
    )


class ServingContainer(Model):
    """A container of the user's own that serves the model in PERENNIAL_MODEL_DIR (/mnt/models)."""

    image: Image = Field(description="Image with the server.")
    image_pull_policy: PullPolicy | None = Field(None, description="As in a pod. Unset: as Kubernetes decides.")
    command: Args | None = Field(None, description="Replaces the image's entrypoint.")
    args: Args | None = Field(None, description="Replaces the image's arguments.")
    env: Env | None = Field(None, description="Environment variables.")
    env_from: EnvFrom | None = Field(None, description="Secrets and ConfigMaps that become environment variables.")
    port: int = Field(8080, ge=1024, le=65535, description="Port that answers HTTP.")
    directory: Directory | None = Field(
        None,
        description="Folder below /mnt/models that receives the model's files, and becomes PERENNIAL_MODEL_DIR; "
        "$(PERENNIAL_MODEL_NAME) is replaced. Unset: /mnt/models itself.",
    )
    readiness: HttpProbe | None = Field(
        None, description="When the container may be sent requests. Unset: when its port accepts connections."
    )
    liveness: HttpProbe | None = Field(None, description="When the container is to be restarted. Unset: when it ends.")


class Runtime(Model):
    """What serves the model."""

    model_config = {
        "json_schema_extra": rules(
            exactly_one("name", "container"),
            Rule(
                rule="!has(self.container) || !(has(self.args) || has(self.readiness) || has(self.liveness))",
                message="args, readiness and liveness adapt a preset; with runtime.container, set them there",
            ),
        )
    }

    name: Name | None = Field(None, description="A preset of the installation, such as mlserver-sklearn.")
    container: ServingContainer | None = Field(None, description="A container of your own.")
    env: Env | None = Field(None, description="Environment variables added to the preset's; they win over its own.")
    args: Args | None = Field(None, description="Arguments added after the preset's own.")
    readiness: HttpProbe | None = Field(None, description="Replaces the preset's readiness probe.")
    liveness: HttpProbe | None = Field(None, description="Replaces the preset's liveness probe.")
