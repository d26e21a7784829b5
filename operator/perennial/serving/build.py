"""The Deployment of a revision: fetch the model, serve it, and capture what is asked and answered."""

from dataclasses import dataclass
from typing import Any

from perennial.api.agent import MODEL_DIR, CaptureConfig, FetchModel
from perennial.api.config import AgentConfigDefaults
from perennial.api.modeldeployment import Capture, ModelDeployment, Revision
from perennial.api.pod import EnvVar, Storage, Workspace
from perennial.api.serving_runtime import HttpProbe
from perennial.core.kinds import DEPLOYMENT, MODEL_DEPLOYMENT, Key, Raw
from perennial.core.names import REVISION_LABEL, owner_labels
from perennial.core.podspec import (
    agent_container,
    contained,
    owner_reference,
    pod_options,
    pod_security,
    resources_of,
    storage_volumes,
    workspace_volume,
)
from perennial.core.quantities import parse_quantity
from perennial.core.times import parse_duration
from perennial.serving.health import CAPTURE, FETCH, SERVER
from perennial.serving.marks import marks_of
from perennial.serving.revision import Server, capture_port, selector_of, traffic_port

COMPONENT = "server"
NAME_VARIABLE = "PERENNIAL_MODEL_NAME"
HTTP_PORT = "http"
_VOLUME = "model"
_PROBE_SECONDS = 5
_DRAIN_SECONDS = 5
_GRACE_SECONDS = 45


@dataclass(frozen=True)
class Plan:
    """What a revision's Deployment is built from."""

    resource: ModelDeployment
    server: Server
    agent: AgentConfigDefaults

    @property
    def name(self) -> str:
        """Return the ModelDeployment's name."""
        return self.resource.metadata.name

    @property
    def storage(self) -> Storage:
        """Return how storage is reached."""
        return self.resource.spec.storage or Storage()

    @property
    def directory(self) -> str:
        """Return the folder that receives the model's files."""
        below = (self.server.directory or "").replace(f"$({NAME_VARIABLE})", self.name)
        return f"{MODEL_DIR}/{below}" if below else MODEL_DIR


def metadata_of(
    resource: ModelDeployment,
    name: str,
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Return the metadata of a child."""
    meta = resource.metadata
    owner = Key(MODEL_DEPLOYMENT.kind, meta.namespace, meta.name)
    return {
        "name": name,
        "namespace": meta.namespace,
        "labels": {**owner_labels(owner, COMPONENT), **(labels or {})},
        **({"annotations": annotations} if annotations else {}),
        "ownerReferences": [owner_reference(MODEL_DEPLOYMENT, meta)],
    }


def deployment(plan: Plan, revision: Revision) -> Raw:
    """Return the Deployment. It leaves out `replicas`, which an autoscaler or a field manager of its own holds."""
    spec = plan.resource.spec
    labels = {REVISION_LABEL: revision.hash}
    marks = marks_of(revision, traffic_port(spec, plan.server), plan.agent.image)
    metadata = metadata_of(plan.resource, revision.name, labels=labels, annotations=marks)
    return {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.kind,
        "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": selector_of(plan.name, revision.hash)},
            # A revision's template never changes but by repair; then no pod goes before another is ready.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
            "progressDeadlineSeconds": spec.rollout.progress_deadline_seconds,
            "revisionHistoryLimit": 1,
            "template": {
                "metadata": {
                    "labels": metadata["labels"],
                    "annotations": {"kubectl.kubernetes.io/default-container": SERVER},
                },
                "spec": _pod(plan, revision),
            },
        },
    }


def _pod(plan: Plan, revision: Revision) -> dict[str, Any]:
    spec = plan.resource.spec
    capture = [_capture(plan, revision, spec.capture)] if spec.capture is not None else []
    return {
        **pod_options(spec),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        # The server drains first, then the sidecar writes what it still holds.
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "initContainers": [_fetch(plan, revision), *capture],
        "containers": [_server(plan, revision)],
        "volumes": [workspace_volume(_VOLUME, spec.workspace), *storage_volumes(spec.storage)],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": selector_of(plan.name, revision.hash)},
            }
        ],
    }


def _fetch(plan: Plan, revision: Revision) -> dict[str, Any]:
    spec = plan.resource.spec
    config = FetchModel(
        storage=plan.storage,
        uri=revision.uri,
        digest=revision.digest,
        directory=plan.directory,
        runtime=plan.server.runtime,
        formats=plan.server.formats,
        allow_pickle=spec.model.allow_pickle or None,
        most_bytes=_most_bytes(spec.workspace),
    )
    return agent_container(
        FETCH,
        "fetch",
        config,
        storage=plan.resource.spec.storage,
        agent=plan.agent,
        mounts=[{"name": _VOLUME, "mountPath": MODEL_DIR}],
    )


def _most_bytes(workspace: Workspace | None) -> int | None:
    """Return what the volume may hold, in bytes."""
    limit = parse_quantity(workspace.size_limit) if workspace is not None and workspace.size_limit else None
    return int(limit) if limit is not None else None


def _capture(plan: Plan, revision: Revision, capture: Capture) -> dict[str, Any]:
    port = capture_port(plan.server.port)
    config = CaptureConfig(
        storage=plan.storage,
        uri=capture.uri,
        sample=float(capture.sample),
        flush_seconds=max(1.0, parse_duration(capture.every).total_seconds()),
        listen_port=port,
        upstream_port=plan.server.port,
        namespace=plan.resource.metadata.namespace,
        deployment=plan.name,
        revision=revision.hash,
        digest=revision.digest,
    )
    container = agent_container(
        CAPTURE, "capture", config, storage=plan.resource.spec.storage, agent=plan.agent, mounts=[]
    )
    return {
        **container,
        # A native sidecar: it starts before the server and is stopped after it.
        "restartPolicy": "Always",
        "ports": [_port("capture", port), _port("capture-health", port + 1)],
        "readinessProbe": {
            "httpGet": {"path": "/healthz", "port": port + 1},
            "periodSeconds": _PROBE_SECONDS,
            "timeoutSeconds": 3,
        },
    }


def _server(plan: Plan, revision: Revision) -> dict[str, Any]:
    server = plan.server
    optional = {
        "imagePullPolicy": server.image_pull_policy,
        "command": list(server.command) if server.command else None,
        "args": list(server.args) if server.args else None,
        "envFrom": [source.dump() for source in server.env_from or ()] or None,
        "livenessProbe": _http_probe(server.liveness) if server.liveness else None,
        "startupProbe": _startup_probe(plan) if server.liveness else None,
    }
    metrics = server.metrics_port
    return {
        "name": SERVER,
        "image": server.image,
        "env": _env(plan, revision),
        "ports": [
            _port(HTTP_PORT, server.port),
            *([_port("metrics", metrics)] if metrics is not None and metrics != server.port else []),
        ],
        "readinessProbe": _http_probe(server.readiness) if server.readiness else _tcp_probe(),
        **{key: value for key, value in optional.items() if value is not None},
        **resources_of(plan.resource.spec),
        "volumeMounts": [{"name": _VOLUME, "mountPath": MODEL_DIR, "readOnly": True}],
        # Requests go on arriving until every node has heard that the pod leaves.
        "lifecycle": {"preStop": {"sleep": {"seconds": _DRAIN_SECONDS}}},
        "securityContext": contained(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _env(plan: Plan, revision: Revision) -> list[dict[str, Any]]:
    """Return the variables, ours first, so that the others may refer to them as $(NAME)."""
    ours = {
        NAME_VARIABLE: plan.name,
        "PERENNIAL_MODEL_DIR": plan.directory,
        "PERENNIAL_MODEL_DIGEST": revision.digest,
        "PERENNIAL_MODEL_RUN": revision.run,
    }
    named = [{"name": name, "value": value} for name, value in ours.items() if value]
    return [*named, *(_variable(item) for item in plan.server.env if item.name not in ours)]


def _variable(variable: EnvVar) -> dict[str, Any]:
    """Return a variable; an empty value is left out, as the API server does, or the two would never look equal."""
    return {key: value for key, value in variable.dump().items() if value != ""}


def _port(name: str, number: int) -> dict[str, Any]:
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def _http_probe(probe: HttpProbe) -> dict[str, Any]:
    delay = {"initialDelaySeconds": probe.initial_delay_seconds} if probe.initial_delay_seconds else {}
    return {
        "httpGet": {"path": probe.path, "port": HTTP_PORT},
        **delay,
        "periodSeconds": probe.period_seconds,
        "timeoutSeconds": probe.timeout_seconds,
        "failureThreshold": probe.failure_threshold,
    }


def _tcp_probe() -> dict[str, Any]:
    return {"tcpSocket": {"port": HTTP_PORT}, "periodSeconds": _PROBE_SECONDS, "timeoutSeconds": 3}


def _startup_probe(plan: Plan) -> dict[str, Any]:
    """Return the probe that holds the liveness probe back, so that no slow load is cut short of the deadline."""
    check = _http_probe(plan.server.liveness) if plan.server.liveness else _tcp_probe()
    deadline = plan.resource.spec.rollout.progress_deadline_seconds
    return {
        **{key: value for key, value in check.items() if key != "initialDelaySeconds"},
        "periodSeconds": _PROBE_SECONDS,
        "failureThreshold": max(1, -(-deadline // _PROBE_SECONDS)),
    }
