"""Parts of pod templates that all controllers share: options, agent containers, storage, security contexts."""

from collections.abc import Sequence
from typing import Any

from perennial.api.common.base import Model, ObjectMeta
from perennial.api.common.pod import KeyRef, PodOptions, Storage, Workspace
from perennial.api.contract.commands import CONFIG_VARIABLE, HASH_KEY_VARIABLE
from perennial.api.contract.settings import AgentConfigDefaults
from perennial.core.kinds import Kind

AGENT_USER = 65532
"""User and group of the agent, and the fsGroup through which it shares volumes with the user's container."""

CA_VOLUME = "storage-ca"
CA_PATH = "/perennial-ca"
SECRET_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def owner_reference(kind: Kind, meta: ObjectMeta) -> dict[str, Any]:
    """Build the owner reference: Kubernetes deletes the child with its owner."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": meta.name,
        "uid": meta.uid,
        "controller": True,
        # true would need permission to update finalizers, and has no benefit here.
        "blockOwnerDeletion": False,
    }


def pod_options(options: PodOptions) -> dict[str, Any]:
    """Build the pod fields of the options, without the main container's resources."""
    fields = options.dump()
    wanted = ("nodeSelector", "tolerations", "priorityClassName", "runtimeClassName", "imagePullSecrets")
    return {name: fields[name] for name in wanted if name in fields}


def resources_of(options: PodOptions) -> dict[str, Any]:
    """Build the main container's `resources`; empty if the spec sets none."""
    found = options.resources.dump() if options.resources else {}
    return {"resources": found} if found else {}


def workspace_volume(name: str, workspace: Workspace | None) -> dict[str, Any]:
    """Build the emptyDir volume that the containers of a pod share."""
    return {"name": name, "emptyDir": workspace.dump() if workspace else {}}


def storage_volumes(storage: Storage | None) -> list[dict[str, Any]]:
    """Build the volume with the CA certificates; empty if the spec names none."""
    if storage is None or storage.ca_config_map is None:
        return []
    return [{"name": CA_VOLUME, "configMap": {"name": storage.ca_config_map}}]


def agent_container(
    name: str,
    command: str,
    config: Model,
    *,
    storage: Storage | None,
    agent: AgentConfigDefaults,
    mounts: list[dict[str, Any]],
    env: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Build a container that runs `perennial agent <command>` with its configuration in the environment."""
    policy = {"imagePullPolicy": agent.image_pull_policy} if agent.image_pull_policy else {}
    # Kubernetes expands $(NAME) in values and replaces $$ by $; the configuration must arrive unchanged.
    document = config.model_dump_json(by_alias=True, exclude_none=True).replace("$", "$$")
    return {
        "name": name,
        "image": agent.image,
        **policy,
        "args": ["agent", command],
        "env": [
            {"name": CONFIG_VARIABLE, "value": document},
            *_storage_env(storage),
            *(env or []),
        ],
        "resources": agent.resources.dump(),
        "volumeMounts": [*mounts, *_storage_mounts(storage)],
        "securityContext": hardened(),
        "terminationMessagePolicy": "File",
    }


def hash_key_env(source: KeyRef) -> list[dict[str, Any]]:
    """Build the variable with the key of a keyed hash. The operator never reads the Secret."""
    return [{"name": HASH_KEY_VARIABLE, "valueFrom": {"secretKeyRef": {"name": source.name, "key": source.key}}}]


def hardened() -> dict[str, Any]:
    """Security context of agent containers: the `restricted` standard, with a read-only root filesystem."""
    return {
        "runAsNonRoot": True,
        "runAsUser": AGENT_USER,
        "runAsGroup": AGENT_USER,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def contained() -> dict[str, Any]:
    """Security context of user code: no capabilities and no privilege escalation, with any user of the image."""
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def pod_security() -> dict[str, Any]:
    """Security context of pods: containers share volumes through one group."""
    return {
        "fsGroup": AGENT_USER,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _storage_env(storage: Storage | None) -> list[dict[str, Any]]:
    if storage is None:
        return []
    secret = storage.secret_name
    keys = [
        {
            "name": key,
            "valueFrom": {
                "secretKeyRef": {"name": secret, "key": key, **({"optional": True} if "TOKEN" in key else {})}
            },
        }
        for key in (SECRET_KEYS if secret else ())
    ]
    authority = [{"name": "AWS_CA_BUNDLE", "value": f"{CA_PATH}/ca.crt"}] if storage.ca_config_map else []
    return [*keys, *authority]


def _storage_mounts(storage: Storage | None) -> list[dict[str, Any]]:
    if storage is None or storage.ca_config_map is None:
        return []
    return [{"name": CA_VOLUME, "mountPath": CA_PATH, "readOnly": True}]


def agent_pod_spec(
    container: dict[str, Any],
    *,
    volumes: Sequence[dict[str, Any]],
    options: dict[str, Any],
    account: str | None = None,
) -> dict[str, Any]:
    """Build the spec of a pod that runs the agent alone, once and without rights in the cluster.

    Args:
        container: the agent's container.
        volumes: volumes of the pod.
        options: further fields of the pod, such as nodeSelector.
        account: ServiceAccount of the pod; None or empty: the namespace's default.
    """
    return {
        **options,
        **({"serviceAccountName": account} if account else {}),
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "containers": [container],
        "volumes": list(volumes),
    }
