"""A revision: a published model version and all settings that shape its pods, identified by one hash."""

from dataclasses import dataclass
from typing import Any

from perennial.api.common.base import Model
from perennial.api.common.pod import EnvFromSource, EnvVar
from perennial.api.common.pod_options import PodExtras
from perennial.api.contract.settings import OperatorConfig, RuntimePreset
from perennial.api.modeldeployment.models import OCI
from perennial.api.modeldeployment.resource import ModelDeployment, ModelDeploymentSpec
from perennial.api.modeldeployment.revisions import Revision
from perennial.api.modeldeployment.runtime import (
    Batching,
    BatchingVariables,
    HttpProbe,
    ModelFormat,
    Runtime,
    ServingContainer,
)
from perennial.api.modeldeployment.traffic import TrafficMetrics
from perennial.core.names import child_name, digest_of
from perennial.core.problem import Problem
from perennial.serving import reasons
from perennial.serving.observe import ModelVersion, Observed

CAPTURE_PORT = 9080
CAPTURE_PORT_NAME = "capture"
HTTP_PORT = "http"
_OTHER_CAPTURE_PORT = 19080

HASH_LENGTH = 8
NAME_VARIABLE = "PERENNIAL_MODEL_NAME"


class Server(Model):
    """The container that serves, from a preset or from spec.runtime.container."""

    image: str
    image_pull_policy: str | None = None
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None
    env: tuple[EnvVar, ...] = ()
    env_from: tuple[EnvFromSource, ...] | None = None
    port: int
    readiness: HttpProbe | None = None
    liveness: HttpProbe | None = None
    metrics_port: int | None = None
    directory: str | None = None
    """Below /mnt/models; unset: /mnt/models itself."""
    formats: tuple[ModelFormat, ...] | None = None
    runtime: str | None = None
    """Name of the preset that lists these formats."""


@dataclass(frozen=True)
class Endpoint:
    """Where a server tells its requests as Prometheus metrics."""

    port: int
    path: str
    traffic: TrafficMetrics


@dataclass(frozen=True)
class Shape:
    """All settings that shape the pods of a revision, without the model."""

    server: Server
    settings: dict[str, Any]
    metrics: Endpoint | None = None
    """Not part of the pods: naming other series starts no new revision."""
    grpc_port: int | None = None
    """Port of gRPC that the Service leads to. Not part of the pods either."""

    def hash_of(self, uri: str, digest: str) -> str:
        """Hash that identifies the revision of a model."""
        return digest_of({"settings": self.settings, "uri": uri, "digest": digest}, HASH_LENGTH)

    def makes(self, revision: Revision) -> bool:
        """Tell whether the present spec gives this revision, so that its Deployment can be built again."""
        return self.hash_of(revision.uri, revision.digest) == revision.hash


def shape_of(spec: ModelDeploymentSpec, config: OperatorConfig) -> Shape | Problem:
    """Derive the shape from the spec, or find what is wrong with the spec."""
    server = _server(spec.runtime, config.runtimes)
    if isinstance(server, Problem):
        return server
    if spec.runtime.batching is not None and not _batches(spec.runtime, config.runtimes):
        able = ", ".join(sorted(name for name, preset in config.runtimes.items() if preset.batching)) or "none"
        return Problem(
            reasons.RUNTIME_DOES_NOT_BATCH,
            f"spec.runtime.batching: {_called(spec.runtime)} cannot be told how to batch requests; these runtimes can: "
            f"{able}. Choose one of them, or remove batching",
            fatal=True,
        )
    if spec.models and f"$({NAME_VARIABLE})" not in (server.directory or ""):
        return Problem(
            reasons.RUNTIME_SERVES_ONE_MODEL,
            f"spec.models: {_called(spec.runtime)} has no folder for each model, so it serves only one; choose a "
            "runtime that has, such as mlserver or triton, or remove spec.models",
            fatal=True,
        )
    fields = set(PodExtras.model_fields) | {"storage", "workspace", "capture", "pod_annotations", "tls", "models"}
    fields |= {"termination_grace_period_seconds"}
    options = spec.model_dump(mode="json", by_alias=True, exclude_none=True, include=fields)
    # The deadline shapes the startup probe. Raising it also retries a revision that exceeded it.
    deadline = spec.rollout.progress_deadline_seconds
    # Defaults are not hashed: a new field must not give every model a new revision.
    trust = {"allowPickle": True} if spec.model.allow_pickle else {}
    verify = {"verify": spec.model.verify.dump()} if spec.model.verify is not None else {}
    user = {} if config.pods.allow_root else {"allowRoot": False}
    image = {"image": spec.model.image.dump()} if spec.model.image is not None else {}
    settings = {"server": server.dump(), "options": options, "deadline": deadline, **trust, **verify, **image, **user}
    return Shape(
        server,
        settings,
        metrics=_endpoint(spec.runtime, config.runtimes),
        grpc_port=_grpc_port(spec, config.runtimes),
    )


def _batches(runtime: Runtime, presets: dict[str, RuntimePreset]) -> bool:
    preset = presets.get(runtime.name or "")
    return preset is not None and preset.batching is not None


def _grpc_port(spec: ModelDeploymentSpec, presets: dict[str, RuntimePreset]) -> int | None:
    """Find the port of gRPC; none with capture, whose records would lack those requests."""
    if spec.capture is not None:
        return None
    container, preset = spec.runtime.container, presets.get(spec.runtime.name or "")
    if container is not None:
        return container.grpc_port
    return preset.grpc_port if preset is not None else None


def _endpoint(runtime: Runtime, presets: dict[str, RuntimePreset]) -> Endpoint | None:
    """Find where the server tells its requests; None: nowhere that is known."""
    container, preset = runtime.container, presets.get(runtime.name or "")
    if container is not None and container.metrics is not None:
        return Endpoint(container.metrics.port or container.port, container.metrics.path, container.metrics)
    if preset is not None and preset.traffic is not None and preset.metrics_port is not None:
        return Endpoint(preset.metrics_port, preset.metrics_path, preset.traffic)
    return None


def _called(runtime: Runtime) -> str:
    return f"runtime {runtime.name}" if runtime.name is not None else "spec.runtime.container.directory"


def with_preset(resource: ModelDeployment, presets: dict[str, RuntimePreset]) -> ModelDeployment:
    """Fill in what the preset requires: startup time and shared memory."""
    preset = presets.get(resource.spec.runtime.name or "")
    if preset is None:
        return resource
    spec = resource.spec
    seconds = max(preset.startup_seconds, spec.rollout.progress_deadline_seconds)
    filled = {
        "rollout": spec.rollout.model_copy(update={"progress_deadline_seconds": seconds}),
        "shared_memory": spec.shared_memory or preset.shared_memory,
    }
    return resource.model_copy(update={"spec": spec.model_copy(update=filled)})


def _server(runtime: Runtime, presets: dict[str, RuntimePreset]) -> Server | Problem:
    if runtime.container is not None:
        return _from_container(runtime.container, runtime.env or ())
    preset = presets.get(runtime.name or "")
    if preset is None:
        known = ", ".join(sorted(presets)) or "none"
        return Problem(
            reasons.RUNTIME_NOT_FOUND,
            f"spec.runtime.name: this installation has no runtime {runtime.name!r}; it has: {known}. Choose one of "
            "them, set spec.runtime.container, or add the runtime to the chart's values",
            fatal=True,
        )
    return Server(
        image=preset.image,
        image_pull_policy=preset.image_pull_policy,
        command=preset.command,
        args=(*(preset.args or ()), *(runtime.args or ())) or None,
        env=_merged((*_batching(runtime.batching, preset.batching), *(runtime.env or ())), preset.env),
        port=preset.port,
        readiness=runtime.readiness or preset.readiness,
        liveness=runtime.liveness or preset.liveness,
        metrics_port=preset.metrics_port,
        directory=preset.directory or None,
        formats=preset.formats or None,
        runtime=runtime.name if preset.formats else None,
    )


def _batching(asked: Batching | None, variables: BatchingVariables | None) -> tuple[EnvVar, ...]:
    """Tell the server how to batch requests, by the variables of its preset."""
    if asked is None or variables is None:
        return ()
    return (
        EnvVar(name=variables.max_size, value=str(asked.max_size)),
        EnvVar(name=variables.max_delay_seconds, value=str(asked.max_delay_millis / 1000)),
    )


def _from_container(container: ServingContainer, extra: tuple[EnvVar, ...]) -> Server:
    return Server(
        image=container.image,
        image_pull_policy=container.image_pull_policy,
        command=container.command,
        args=container.args,
        env=_merged(container.env or (), extra),
        env_from=container.env_from,
        port=container.port,
        directory=container.directory or None,
        readiness=container.readiness,
        liveness=container.liveness,
        metrics_port=container.metrics.port if container.metrics is not None else None,
    )


def _merged(first: tuple[EnvVar, ...], second: tuple[EnvVar, ...]) -> tuple[EnvVar, ...]:
    """Merge by name, the first wins: the API server rejects duplicate names."""
    by_name: dict[str, EnvVar] = {}
    for variable in (*first, *second):
        by_name.setdefault(variable.name, variable)
    return tuple(by_name.values())


def find_model(observed: Observed) -> ModelVersion | Problem:
    """Find the version to serve, or why there is none yet."""
    source = observed.resource.spec.model
    if source.image is not None:
        reference = source.image.reference
        return ModelVersion(uri=f"{OCI}{reference}", digest=reference.rpartition("@")[2])
    if source.training_job is None:
        if source.uri is None or source.digest is None:
            said = "spec.model: set trainingJob, or uri together with digest"
            return Problem(reasons.MODEL_NOT_FOUND, said, fatal=True)
        return ModelVersion(uri=source.uri, digest=source.digest)
    job, upstream = source.training_job, observed.upstream
    if upstream is None:
        return Problem(
            reasons.MODEL_NOT_FOUND,
            f"spec.model.trainingJob: there is no TrainingJob {job} in this namespace; create it or correct the name",
        )
    if upstream.artifact is None:
        said = "its status.artifact is invalid" if upstream.broken else "it has published no model yet"
        return Problem(reasons.WAITING_FOR_MODEL, f"TrainingJob {job}: {said}; see kubectl describe trainingjob {job}")
    return upstream.artifact


def revision_of(owner: str, version: ModelVersion, shape: Shape, since: str) -> Revision:
    """Build the revision of a version under the present spec."""
    hash8 = shape.hash_of(version.uri, version.digest)
    return Revision(
        name=child_name(owner, hash8),
        hash=hash8,
        uri=version.uri,
        digest=version.digest,
        run=version.run,
        chain=version.chain,
        since=since,
    )


def capture_port(server_port: int) -> int:
    """Port of the capture sidecar, different from the server's; the next one serves the sidecar's health endpoint."""
    return CAPTURE_PORT if server_port not in (CAPTURE_PORT, CAPTURE_PORT + 1) else _OTHER_CAPTURE_PORT


def traffic_port(spec: ModelDeploymentSpec, server: Server) -> int:
    """Port of the pod that takes requests: the capture sidecar's, or the server's without capture."""
    return capture_port(server.port) if spec.capture is not None else server.port


def traffic_port_name(spec: ModelDeploymentSpec) -> str:
    """Name of that port in the pod."""
    return CAPTURE_PORT_NAME if spec.capture is not None else HTTP_PORT


def runs_of(training_job: str, run: str | None) -> bool:
    """Tell by its name whether a run belongs to a TrainingJob."""
    number = (run or "").rpartition("-")[2]
    return number.isdigit() and child_name(training_job, number) == run


def model_title(revision: Revision) -> str:
    """Title of the model in messages: short digest and run."""
    origin = f" of run {revision.run}" if revision.run else ""
    return f"model {revision.digest.removeprefix('sha256:')[:12]}{origin}"
