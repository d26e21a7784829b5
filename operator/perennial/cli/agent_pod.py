"""Runs a command of the agent in a short-lived pod, and brings what it writes to a person."""

import base64
import binascii
import gzip
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ValidationError

from perennial.api.common.base import Model
from perennial.api.common.pod import Storage
from perennial.api.contract.commands import ROOT
from perennial.api.contract.messages import SHOWN_PREFIX, Failure
from perennial.api.contract.settings import AgentConfigDefaults
from perennial.api.kubernetes import Pod
from perennial.cli.cluster import Cluster
from perennial.cli.errors import CliError
from perennial.core.kinds import POD, Raw
from perennial.core.podspec import agent_container, agent_pod_spec, storage_volumes, workspace_volume

_POLL = 0.5
_VOLUME = "workspace"


@dataclass(frozen=True)
class Errand:
    """What a pod is sent for.

    Attributes:
        name: what it brings, in its name and in messages.
        command: command of the agent, also the name of the container.
        config: its configuration.
        storage: how it reaches S3.
        image: image of the agent.
        namespace: where it runs.
        options: further fields of the pod.
        account: its ServiceAccount; None: the namespace's default.
        scratch: whether the command writes files.
        seconds: after which it is stopped, also where the command on this machine was interrupted.
    """

    name: str
    command: Literal["show", "trace", "evidence"]
    config: Model
    storage: Storage | None
    image: str
    namespace: str
    options: dict[str, Any] = field(default_factory=dict)
    account: str | None = None
    scratch: bool = False
    seconds: int = 120


def agent_pod(errand: Errand) -> Raw:
    """Build the pod. It has no labels of the operator, so that nothing takes it for one of its own."""
    scratch = errand.scratch
    container = agent_container(
        errand.command,
        errand.command,
        errand.config,
        storage=errand.storage,
        agent=AgentConfigDefaults(image=errand.image),
        mounts=[{"name": _VOLUME, "mountPath": ROOT}] if scratch else [],
    )
    return {
        "apiVersion": POD.api_version,
        "kind": POD.kind,
        "metadata": {
            "generateName": f"perennial-{errand.name}-",
            "namespace": errand.namespace,
            "labels": {"app.kubernetes.io/managed-by": "kubectl-perennial"},
        },
        "spec": {
            **agent_pod_spec(
                container,
                volumes=[
                    *([workspace_volume(_VOLUME, None)] if scratch else []),
                    *storage_volumes(errand.storage),
                ],
                options=errand.options,
                account=errand.account,
            ),
            "activeDeadlineSeconds": errand.seconds,
        },
    }


def run_errand(cluster: Cluster, errand: Errand, sleep: Callable[[float], None] = time.sleep) -> bytes:
    """Run the pod, read what it wrote from its log, and delete it.

    Raises:
        CliError: it could not be created, or did not end well in time.
    """
    created = Pod.model_validate(cluster.create(POD, agent_pod(errand)))
    name = created.metadata.name
    try:
        pod = _ended(cluster, name, errand, sleep)
        if pod.status.phase != "Succeeded":
            raise CliError(f"the {errand.name} cannot be read: {_cause(pod, errand.command)}")
        return decoded(cluster.logs(name, errand.command))
    finally:
        cluster.delete(POD, name)


def decoded(lines: Iterable[str]) -> bytes:
    """Put together what the agent wrote from the lines of the pod's log, each after its time.

    Raises:
        CliError: the log is incomplete.
    """
    parts = [
        text.removeprefix(SHOWN_PREFIX) for line in lines if (text := line.partition(" ")[2]).startswith(SHOWN_PREFIX)
    ]
    if not parts or parts[-1]:
        raise CliError("the pod's log does not contain the whole output: try again")
    try:
        return gzip.decompress(base64.b64decode("".join(parts), validate=True))
    except (binascii.Error, OSError, EOFError) as error:
        raise CliError(f"the pod's log does not contain the whole output ({error}): try again") from error


def _ended(cluster: Cluster, name: str, errand: Errand, sleep: Callable[[float], None]) -> Pod:
    for _ in range(int(errand.seconds / _POLL)):
        pod = Pod.model_validate(cluster.get(POD, name))
        if pod.status.phase in {"Succeeded", "Failed"}:
            return pod
        sleep(_POLL)
    last = Pod.model_validate(cluster.get(POD, name))
    raise CliError(f"pod {name} has not ended within {errand.seconds} s: {_cause(last, errand.command)}")


def _cause(pod: Pod, name: str) -> str:
    """Say what the pod waits for, or why it failed."""
    container = pod.container(name)
    if pod.unschedulable:
        return pod.unschedulable
    if container is None:
        return pod.status.message or "it was not started"
    if container.state.waiting is not None:
        return f"{container.state.waiting.reason}: {container.state.waiting.message}"
    ended = container.state.terminated
    return _failure(ended.message) or f"exit code {ended.exit_code}" if ended is not None else "it still runs"


def _failure(message: str) -> str:
    try:
        failure = Failure.model_validate_json(message)
    except ValidationError:
        return ""
    return f"{failure.reason}: {failure.message}"
