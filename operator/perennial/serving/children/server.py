"""The container that serves: ports, probes, environment and mounts, the same for presets and own containers."""

from dataclasses import dataclass
from typing import Any

from perennial.api.common.pod import EnvVar, Storage
from perennial.api.contract.commands import MODEL_DIR
from perennial.api.contract.settings import AgentConfigDefaults, PodRules
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.modeldeployment.revisions import Revision
from perennial.api.modeldeployment.runtime import HttpProbe
from perennial.core.pod_options import code_resources, shared_memory_mount, users_security
from perennial.serving.health import SERVER
from perennial.serving.revision import HTTP_PORT, NAME_VARIABLE, Server

MODEL_VOLUME = "model"
TLS_VOLUME = "tls"
TLS_PATH = "/perennial-tls"
_PROBE_SECONDS = 5
_DRAIN_SECONDS = 5


@dataclass(frozen=True)
class Plan:
    """Input of the Deployment of a revision."""

    resource: ModelDeployment
    server: Server
    agent: AgentConfigDefaults
    rules: PodRules
    grpc_port: int | None = None

    @property
    def name(self) -> str:
        """Name of the ModelDeployment."""
        return self.resource.metadata.name

    @property
    def storage(self) -> Storage:
        """Storage of the spec, or its defaults."""
        return self.resource.spec.storage or Storage()

    @property
    def directory(self) -> str:
        """Folder that receives the files of spec.model."""
        return self.directory_of(self.name)

    @property
    def model_mount(self) -> dict[str, Any]:
        """Read-only mount of the model."""
        image = self.resource.spec.model.image
        if image is None:
            return {"name": MODEL_VOLUME, "mountPath": MODEL_DIR, "readOnly": True}
        part = {"subPath": image.path} if image.path else {}
        return {"name": MODEL_VOLUME, "mountPath": self.directory, "readOnly": True, **part}

    def directory_of(self, model: str) -> str:
        """Folder that receives the files of a model, by its name."""
        below = (self.server.directory or "").replace(f"$({NAME_VARIABLE})", model)
        return f"{MODEL_DIR}/{below}" if below else MODEL_DIR


def server_container(plan: Plan, revision: Revision) -> dict[str, Any]:
    """Build the container that serves the model."""
    server, secure = plan.server, plan.resource.spec.tls is not None
    optional = {
        "imagePullPolicy": server.image_pull_policy,
        "command": list(server.command) if server.command else None,
        "args": list(server.args) if server.args else None,
        "envFrom": [source.dump() for source in server.env_from or ()] or None,
        "livenessProbe": _http_probe(server.liveness, secure=secure) if server.liveness else None,
        "startupProbe": _startup_probe(plan) if server.liveness else None,
    }
    metrics = server.metrics_port
    return {
        "name": SERVER,
        "image": server.image,
        "env": _env(plan, revision),
        "ports": [
            container_port(HTTP_PORT, server.port),
            *([container_port("metrics", metrics)] if metrics is not None and metrics != server.port else []),
        ],
        "readinessProbe": _http_probe(server.readiness, secure=secure) if server.readiness else _tcp_probe(),
        **{key: value for key, value in optional.items() if value is not None},
        **code_resources(plan.resource.spec),
        "volumeMounts": [
            plan.model_mount,
            *shared_memory_mount(plan.resource.spec),
            *([{"name": TLS_VOLUME, "mountPath": TLS_PATH, "readOnly": True}] if secure else []),
        ],
        # Requests keep arriving until every node has removed the pod from its endpoints.
        "lifecycle": {"preStop": {"sleep": {"seconds": _DRAIN_SECONDS}}},
        "securityContext": users_security(plan.resource.spec, plan.rules, any_user=True),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _env(plan: Plan, revision: Revision) -> list[dict[str, Any]]:
    """Build the environment. PERENNIAL_ variables come first, so that the others can refer to them as $(NAME)."""
    secure = plan.resource.spec.tls is not None
    ours = {
        NAME_VARIABLE: plan.name,
        "PERENNIAL_MODEL_DIR": plan.directory,
        "PERENNIAL_MODEL_DIGEST": revision.digest,
        "PERENNIAL_MODEL_RUN": revision.run,
        **({"PERENNIAL_TLS_CERT": f"{TLS_PATH}/tls.crt", "PERENNIAL_TLS_KEY": f"{TLS_PATH}/tls.key"} if secure else {}),
    }
    named = [{"name": name, "value": value} for name, value in ours.items() if value]
    return [*named, *(_variable(item) for item in plan.server.env if item.name not in ours)]


def _variable(variable: EnvVar) -> dict[str, Any]:
    """Drop an empty value, as the API server does; otherwise the live object never matches."""
    return {key: value for key, value in variable.dump().items() if value != ""}


def container_port(name: str, number: int) -> dict[str, Any]:
    """Build a TCP port of a container."""
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def _http_probe(probe: HttpProbe, *, secure: bool) -> dict[str, Any]:
    scheme = {"scheme": "HTTPS"} if secure else {}
    delay = {"initialDelaySeconds": probe.initial_delay_seconds} if probe.initial_delay_seconds else {}
    return {
        "httpGet": {"path": probe.path, "port": HTTP_PORT, **scheme},
        **delay,
        "periodSeconds": probe.period_seconds,
        "timeoutSeconds": probe.timeout_seconds,
        "failureThreshold": probe.failure_threshold,
    }


def _tcp_probe() -> dict[str, Any]:
    return {"tcpSocket": {"port": HTTP_PORT}, "periodSeconds": _PROBE_SECONDS, "timeoutSeconds": 3}


def _startup_probe(plan: Plan) -> dict[str, Any]:
    """Build the startup probe: it suspends the liveness probe until the model is loaded or the deadline has passed."""
    secure = plan.resource.spec.tls is not None
    check = _http_probe(plan.server.liveness, secure=secure) if plan.server.liveness else _tcp_probe()
    deadline = plan.resource.spec.rollout.progress_deadline_seconds
    return {
        **{key: value for key, value in check.items() if key != "initialDelaySeconds"},
        "periodSeconds": _PROBE_SECONDS,
        "failureThreshold": max(1, -(-deadline // _PROBE_SECONDS)),
    }
