"""What a revision is: a published version with all the settings that shape its pods, told apart by one hash."""

from dataclasses import dataclass
from typing import Any

from perennial.api.common.base import Model
from perennial.api.common.pod import EnvFromSource, EnvVar
from perennial.api.common.pod_options import PodExtras
from perennial.api.contract.settings import OperatorConfig, RuntimePreset
from perennial.api.modeldeployment.models import OCI
from perennial.api.modeldeployment.resource import ModelDeployment, ModelDeploymentSpec, Revision
from perennial.api.modeldeployment.runtime import HttpProbe, ModelFormat, Runtime, ServingContainer
from perennial.core.kinds import MODEL_DEPLOYMENT
from perennial.core.labels import KIND_LABEL, NAME_LABEL, REVISION_LABEL
from perennial.core.names import child_name, digest_of, selector_text
from perennial.core.problem import Problem
from perennial.serving import reasons
from perennial.serving.observe import ModelVersion, Observed

CAPTURE_PORT = 9080
_OTHER_CAPTURE_PORT = 19080

HASH_LENGTH = 8
NAME_VARIABLE = "PERENNIAL_MODEL_NAME"


class Server(Model):
    """The container that serves, whether it comes from a preset or from the user."""

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
    """Below /mnt/models; unset: that itself."""
    formats: tuple[ModelFormat, ...] | None = None
    runtime: str | None = None
    """Name of the preset whose formats these are."""


@dataclass(frozen=True)
class Shape:
    """All that shapes the pods of a revision, besides the model itself."""

    server: Server
    settings: dict[str, Any]

    def hash_of(self, uri: str, digest: str) -> str:
        """Return the hash that tells the revision of a model apart from all others."""
        return digest_of({"settings": self.settings, "uri": uri, "digest": digest}, HASH_LENGTH)

    def makes(self, revision: Revision) -> bool:
        """Tell whether the present spec still gives this very revision, so that its Deployment can be built again."""
        return self.hash_of(revision.uri, revision.digest) == revision.hash


def shape_of(spec: ModelDeploymentSpec, config: OperatorConfig) -> Shape | Problem:
    """Return what shapes the pods, or why that cannot be said."""
    server = _server(spec.runtime, config.runtimes)
    if isinstance(server, Problem):
        return server
    if spec.models and f"$({NAME_VARIABLE})" not in (server.directory or ""):
        return Problem(
            reasons.RUNTIME_SERVES_ONE_MODEL,
            f"spec.models: {_called(spec.runtime)} keeps no folder for each model, so it serves one alone; choose a "
            "runtime that does, such as mlserver or triton, or remove spec.models",
            fatal=True,
        )
    fields = set(PodExtras.model_fields) | {"storage", "workspace", "capture", "pod_annotations", "tls", "models"}
    options = spec.model_dump(mode="json", by_alias=True, exclude_none=True, include=fields)
    # The deadline shapes the startup probe; and a longer one is what gives a revision that was too slow another try.
    deadline = spec.rollout.progress_deadline_seconds
    # Only what differs from the default is hashed: a field that is new must not give every model a new revision.
    trust = {"allowPickle": True} if spec.model.allow_pickle else {}
    user = {} if config.pods.allow_root else {"allowRoot": False}
    image = {"image": spec.model.image.dump()} if spec.model.image is not None else {}
    return Shape(server, {"server": server.dump(), "options": options, "deadline": deadline, **trust, **image, **user})


def _called(runtime: Runtime) -> str:
    return f"runtime {runtime.name}" if runtime.name is not None else "spec.runtime.container.directory"


def with_preset(resource: ModelDeployment, presets: dict[str, RuntimePreset]) -> ModelDeployment:
    """Return the resource with what its preset asks for in places where the spec asks for less."""
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
        env=_merged(runtime.env or (), preset.env),
        port=preset.port,
        readiness=runtime.readiness or preset.readiness,
        liveness=runtime.liveness or preset.liveness,
        metrics_port=preset.metrics_port,
        directory=preset.directory or None,
        formats=preset.formats or None,
        runtime=runtime.name if preset.formats else None,
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
    )


def _merged(first: tuple[EnvVar, ...], second: tuple[EnvVar, ...]) -> tuple[EnvVar, ...]:
    """Return both, the first winning where they share a name: the API server refuses one name twice."""
    by_name: dict[str, EnvVar] = {}
    for variable in (*first, *second):
        by_name.setdefault(variable.name, variable)
    return tuple(by_name.values())


def find_model(observed: Observed) -> ModelVersion | Problem:
    """Return the version to serve, or what it waits for."""
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
        said = "its status.artifact cannot be read" if upstream.broken else "it has published no model yet"
        return Problem(reasons.WAITING_FOR_MODEL, f"TrainingJob {job}: {said}; see kubectl describe trainingjob {job}")
    return upstream.artifact


def revision_of(owner: str, version: ModelVersion, shape: Shape, since: str) -> Revision:
    """Return the revision that serves a version by the present spec."""
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


def selector_of(owner: str, revision: str) -> dict[str, str]:
    """Return the labels that select a revision's pods, and no others."""
    return {KIND_LABEL: MODEL_DEPLOYMENT.kind, NAME_LABEL: owner, REVISION_LABEL: revision}


def selector_text_of(owner: str, revision: str) -> str:
    """Return the same as a selector string."""
    return selector_text(selector_of(owner, revision))


def capture_port(server_port: int) -> int:
    """Return the sidecar's port, clear of the server's; the one above it answers for the sidecar's own health."""
    return CAPTURE_PORT if server_port not in (CAPTURE_PORT, CAPTURE_PORT + 1) else _OTHER_CAPTURE_PORT


def traffic_port(spec: ModelDeploymentSpec, server: Server) -> int:
    """Return the port of the pod that takes requests: the sidecar's while capturing, else the server's."""
    return capture_port(server.port) if spec.capture is not None else server.port


def runs_of(training_job: str, run: str | None) -> bool:
    """Tell whether a run is one of a TrainingJob's, by its name."""
    number = (run or "").rpartition("-")[2]
    return number.isdigit() and child_name(training_job, number) == run


def short(revision: Revision) -> str:
    """Return how a revision's model is called in messages."""
    made = f" of run {revision.run}" if revision.run else ""
    return f"model {revision.digest.removeprefix('sha256:')[:12]}{made}"
