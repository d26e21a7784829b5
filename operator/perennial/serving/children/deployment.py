"""The Deployment of a revision: an init container fetches the model, the server serves it, a sidecar captures."""

from typing import Any

from perennial.api.common.pod import Workspace
from perennial.api.contract.commands import MODEL_DIR, CaptureConfig, CheckModel, FetchModel, ModelFolder
from perennial.api.modeldeployment.capture import Capture
from perennial.api.modeldeployment.models import OCI
from perennial.api.modeldeployment.revisions import Revision
from perennial.core.kinds import DEPLOYMENT, Raw
from perennial.core.labels import DEFAULT_CONTAINER_ANNOTATION, REVISION_LABEL
from perennial.core.pod_options import pod_extras, shared_memory_volume
from perennial.core.podspec import (
    agent_container,
    hash_key_env,
    pod_options,
    pod_security,
    storage_volumes,
    workspace_volume,
)
from perennial.core.quantities import parse_quantity
from perennial.core.times import parse_duration
from perennial.serving.annotations import annotations_of
from perennial.serving.children.metadata import metadata_of, selector_of
from perennial.serving.children.server import MODEL_VOLUME, TLS_VOLUME, Plan, container_port, server_container
from perennial.serving.health import CAPTURE, FETCH, SERVER
from perennial.serving.revision import CAPTURE_PORT_NAME, capture_port, traffic_port

_PROBE_SECONDS = 5
_GRACE_SECONDS = 45


def deployment(plan: Plan, revision: Revision) -> Raw:
    """Build the Deployment without `replicas`, which belongs to the autoscaler or to the manager `perennial-scale`."""
    spec = plan.resource.spec
    labels = {REVISION_LABEL: revision.hash}
    annotations = annotations_of(
        revision,
        traffic_port(spec, plan.server),
        plan.agent.image,
        grpc_port=plan.grpc_port,
        secure=spec.tls is not None,
    )
    metadata = metadata_of(plan.resource, revision.name, labels=labels, annotations=annotations)
    return {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.kind,
        "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": selector_of(plan.name, revision.hash)},
            # The template of a revision only changes to repair it; no pod goes before its replacement is ready.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
            "progressDeadlineSeconds": spec.rollout.progress_deadline_seconds,
            "revisionHistoryLimit": 1,
            "template": {
                "metadata": {
                    "labels": metadata["labels"],
                    "annotations": {**(spec.pod_annotations or {}), DEFAULT_CONTAINER_ANNOTATION: SERVER},
                },
                "spec": _pod(plan, revision),
            },
        },
    }


def _pod(plan: Plan, revision: Revision) -> dict[str, Any]:
    spec = plan.resource.spec
    labels = selector_of(plan.name, revision.hash)
    capture = [_capture(plan, revision, spec.capture)] if spec.capture is not None else []
    return {
        **pod_options(spec),
        "topologySpreadConstraints": [_spread_over_nodes(labels)],
        **pod_extras(spec, labels),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        # The server drains first, then the sidecar flushes what it captured.
        "terminationGracePeriodSeconds": spec.termination_grace_period_seconds or _GRACE_SECONDS,
        "initContainers": [_fetch(plan, revision), *capture],
        "containers": [server_container(plan, revision)],
        "volumes": [
            _model_volume(plan, revision),
            *storage_volumes(spec.storage),
            *shared_memory_volume(spec),
            *([{"name": TLS_VOLUME, "secret": {"secretName": spec.tls.secret_name}}] if spec.tls else []),
        ],
    }


def _spread_over_nodes(labels: dict[str, str]) -> dict[str, Any]:
    """Default of spec.spread: spread over nodes where possible."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels},
    }


def _model_volume(plan: Plan, revision: Revision) -> dict[str, Any]:
    """Build the volume of the model: an emptyDir to fetch it into, or the OCI image that contains it."""
    spec = plan.resource.spec
    if spec.model.image is None:
        return workspace_volume(MODEL_VOLUME, spec.workspace)
    policy = {"pullPolicy": spec.model.image.pull_policy} if spec.model.image.pull_policy else {}
    return {"name": MODEL_VOLUME, "image": {"reference": revision.uri.removeprefix(OCI), **policy}}


def _check(plan: Plan) -> dict[str, Any]:
    """Build the init container that checks the format of a model which is mounted from an image."""
    config = CheckModel(
        directory=plan.directory,
        runtime=plan.server.runtime,
        formats=plan.server.formats,
        allow_pickle=plan.resource.spec.model.allow_pickle or None,
    )
    return agent_container(FETCH, "fetch", config, storage=None, agent=plan.agent, mounts=[plan.model_mount])


def _fetch(plan: Plan, revision: Revision) -> dict[str, Any]:
    spec = plan.resource.spec
    if spec.model.image is not None:
        return _check(plan)
    config = FetchModel(
        storage=plan.storage,
        uri=revision.uri,
        digest=revision.digest,
        directory=plan.directory,
        runtime=plan.server.runtime,
        formats=plan.server.formats,
        allow_pickle=spec.model.allow_pickle or None,
        most_bytes=_most_bytes(spec.workspace),
        more=_more(plan),
        verify=spec.model.verify,
    )
    return agent_container(
        FETCH,
        "fetch",
        config,
        storage=plan.resource.spec.storage,
        agent=plan.agent,
        mounts=[{"name": MODEL_VOLUME, "mountPath": MODEL_DIR}],
    )


def _more(plan: Plan) -> tuple[ModelFolder, ...] | None:
    """List the models of spec.models with their folders."""
    found = plan.resource.spec.models or ()
    folders = (ModelFolder(uri=item.uri, digest=item.digest, directory=plan.directory_of(item.name)) for item in found)
    return tuple(folders) or None


def _most_bytes(workspace: Workspace | None) -> int | None:
    """Size limit of the volume in bytes."""
    limit = parse_quantity(workspace.size_limit) if workspace is not None and workspace.size_limit else None
    return int(limit) if limit is not None else None


def _capture_options(capture: Capture) -> dict[str, Any]:
    """Only what the spec sets; the sidecar has its own defaults."""
    wanted = {
        "format": capture.format,
        "id": capture.id,
        "redact": capture.redact,
        "hash": capture.hash,
        "max_body_bytes": capture.max_body_bytes,
    }
    return {name: value for name, value in wanted.items() if value is not None}


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
        **_capture_options(capture),
    )
    container = agent_container(
        CAPTURE,
        "capture",
        config,
        storage=plan.resource.spec.storage,
        agent=plan.agent,
        mounts=[],
        env=hash_key_env(capture.hash.key_secret) if capture.hash else [],
    )
    return {
        **container,
        # A native sidecar: starts before the server and stops after it.
        "restartPolicy": "Always",
        "ports": [container_port(CAPTURE_PORT_NAME, port), container_port("capture-health", port + 1)],
        "readinessProbe": {
            "httpGet": {"path": "/healthz", "port": port + 1},
            "periodSeconds": _PROBE_SECONDS,
            "timeoutSeconds": 3,
        },
    }
