"""The server of a model: a preset of the installation, or a container of the spec."""

from typing import Annotated

from pydantic import Field

from perennial.api.common.base import Model, Name, Rule, exactly_one, rules
from perennial.api.common.pod import Args, Env, EnvFrom, Image, PullPolicy
from perennial.api.modeldeployment.traffic import TrafficMetrics

Directory = Annotated[str, Field(max_length=256, pattern=r"^([^\s/.][^\s/]*(/[^\s/.][^\s/]*)*)?$")]
"""A folder below /mnt/models, without parts that start with a dot."""

Pattern = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\s\\]+$")]


class HttpProbe(Model):
    """An HTTP probe of the container."""

    path: Annotated[str, Field(max_length=256, pattern=r"^/[^\s]*$")] = Field(description="Path of the GET request.")
    initial_delay_seconds: int | None = Field(None, ge=0, le=3600, description="Seconds before the first request.")
    period_seconds: int = Field(5, ge=1, le=300, description="Seconds between requests.")
    timeout_seconds: int = Field(3, ge=1, le=300, description="Seconds to wait for a response.")
    failure_threshold: int = Field(
        3, ge=1, le=1000, description="Consecutive failures after which the probe has failed."
    )


class ModelFormat(Model):
    """A storage format of models, recognized by file names."""

    name: Name = Field(description="Name of the format, as used in messages.")
    files: Annotated[tuple[Pattern, ...], Field(min_length=1, max_length=16)] = Field(
        description="Patterns of paths within the model, such as model.onnx or *.safetensors; * matches any text, "
        "including slashes. One matching file is enough."
    )
    data: Annotated[tuple[Pattern, ...], Field(max_length=32)] | None = Field(
        None,
        description="Patterns of the format's other files, which cannot run code. A model with a file that matches "
        "neither files nor data is rejected unless model.allowPickle is set; text, tables, images and metrics.json are "
        "always accepted.",
    )
    runs_code: bool = Field(
        False,
        description="Loading it executes code that the model contains, as with pickles; ModelDeployments must then set "
        "model.allowPickle.",
    )


class ServerMetrics(TrafficMetrics):
    """Prometheus metrics of a container."""

    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None, description="Port of the metrics. Unset: the port of the container. Plain HTTP, also with spec.tls."
    )
    path: Annotated[str, Field(max_length=256, pattern=r"^/[^\s]*$")] = Field("/metrics", description="Path.")


GrpcPort = Annotated[int, Field(ge=1024, le=65535)]


class BatchingVariables(Model):
    """Environment variables by which a server that batches requests is told how."""

    max_size: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="Variable with the largest number of requests in a batch."
    )
    max_delay_seconds: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="Variable with the longest wait for a batch to fill, in seconds as a decimal number."
    )


class Batching(Model):
    """Batching of requests by the server: one prediction for requests that arrive at about the same time."""

    max_size: int = Field(ge=2, le=65536, description="Largest number of requests in a batch.")
    max_delay_millis: int = Field(
        ge=1,
        le=60000,
        description="Longest time that a request waits for others, in milliseconds. It is added to the latency of a "
        "request that no others join.",
    )


class ServingContainer(Model):
    """A container that serves the model in PERENNIAL_MODEL_DIR (/mnt/models)."""

    image: Image = Field(description="Image of the server.")
    image_pull_policy: PullPolicy | None = Field(None, description="As in a pod. Unset: the Kubernetes default.")
    command: Args | None = Field(None, description="Replaces the image's entrypoint.")
    args: Args | None = Field(None, description="Replaces the image's arguments.")
    env: Env | None = Field(None, description="Environment variables.")
    env_from: EnvFrom | None = Field(
        None, description="Secrets and ConfigMaps whose keys become environment variables."
    )
    port: int = Field(8080, ge=1024, le=65535, description="HTTP port.")
    grpc_port: GrpcPort | None = Field(
        None,
        description="Port of gRPC. The Service then has a port grpc, 8081, that leads there, except with spec.capture, "
        "which cannot read gRPC. During a canary, only if both revisions have the same. Unset: none.",
    )
    directory: Directory | None = Field(
        None,
        description="Folder below /mnt/models for the model files, and value of PERENNIAL_MODEL_DIR; "
        "$(PERENNIAL_MODEL_NAME) is replaced. Unset: /mnt/models itself.",
    )
    readiness: HttpProbe | None = Field(None, description="Readiness probe. Unset: a TCP probe of the port.")
    liveness: HttpProbe | None = Field(None, description="Liveness probe. Unset: none.")
    metrics: ServerMetrics | None = Field(
        None, description="Prometheus metrics of the server, for the gates errorRate and latency. Unset: none."
    )


class Runtime(Model):
    """The server of the model."""

    model_config = {
        "json_schema_extra": rules(
            exactly_one("name", "container"),
            Rule(
                rule="!has(self.container) || !(has(self.args) || has(self.readiness) || has(self.liveness))",
                message="args, readiness and liveness apply to a preset; with runtime.container, set them in the "
                "container",
            ),
            Rule(
                rule="!has(self.container) || !has(self.batching)",
                message="batching applies to a preset that names the server's variables; with runtime.container, set "
                "them in container.env",
            ),
        )
    }

    name: Name | None = Field(None, description="Preset of the installation, such as mlserver-sklearn.")
    container: ServingContainer | None = Field(None, description="Container to run instead of a preset.")
    env: Env | None = Field(None, description="Environment variables added to those of the preset; they override them.")
    args: Args | None = Field(None, description="Arguments appended to those of the preset.")
    batching: Batching | None = Field(
        None,
        description="Batching of requests by the server, for presets that support it, such as those of MLServer; takes "
        "precedence over env. Unset: as the preset or the model says.",
    )
    readiness: HttpProbe | None = Field(None, description="Replaces the preset's readiness probe.")
    liveness: HttpProbe | None = Field(None, description="Replaces the preset's liveness probe.")
