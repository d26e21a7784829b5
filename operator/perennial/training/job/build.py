"""Builds the Job of one attempt. Pure: the same run always gives the same manifest."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from perennial.api.common.pod import Storage
from perennial.api.contract.commands import ROOT, FetchInputs, PublishConfig
from perennial.api.contract.settings import OperatorConfig
from perennial.api.trainingjob.resource import CurrentRun, TrainingJob, TrainingJobSpec
from perennial.core.kinds import JOB, TRAINING_JOB, Key, Raw
from perennial.core.labels import ATTEMPT_LABEL, DEFAULT_CONTAINER_ANNOTATION, PLAN_ANNOTATION, RUN_LABEL
from perennial.core.names import owner_labels
from perennial.core.pod_options import (
    code_resources,
    pod_extras,
    shared_memory_mount,
    shared_memory_volume,
    users_security,
)
from perennial.core.podspec import (
    agent_container,
    hardened,
    owner_reference,
    pod_options,
    pod_security,
    storage_volumes,
    workspace_volume,
)
from perennial.core.quantities import parse_quantity
from perennial.core.termination import message_budget
from perennial.training.job.checkpoint import checkpoint_place
from perennial.training.job.env import environment
from perennial.training.job.kueue import queue_fields, queue_labels
from perennial.training.job.plan import RunPlan, lineage_of, plan_text, recipe_of
from perennial.training.job.prepare import prepare_containers
from perennial.training.job.rendezvous import COMPONENT, pod_network
from perennial.training.job.signing import signing_key, signing_mounts, signing_volumes

TRAIN, FETCH, AGENT = "train", "fetch", "agent"

READY_FILE = f"{ROOT}/.perennial/ready"
"""Created by `publish` once it handles SIGTERM (see `agent.publish`)."""

_VOLUME = "workspace"
_MOUNT: dict[str, Any] = {"name": _VOLUME, "mountPath": ROOT}
_MIN_GRACE_SECONDS, _MAX_GRACE_SECONDS = 600, 21_600
_BYTES_PER_SECOND = 50 * 2**20

# A SIGTERM before the sidecar handles it would be lost, and with it the output of code that ends
# within a second.
_SIGNAL_HANDLER_PROBE: dict[str, Any] = {
    "exec": {"command": ["ls", READY_FILE]},  # unlike `test`, it says in the Event what is missing
    "periodSeconds": 1,
    "failureThreshold": 120,
}


def grace_seconds(spec: TrainingJobSpec) -> int:
    """Return the pod's grace period: the time that the sidecar has to publish after the code has ended.

    The kubelet gives a sidecar `terminationGracePeriodSeconds` from the end of the main container,
    so a large model needs a long one. But code that ignores SIGTERM (such as a Python process with
    PID 1 and no handler) keeps its node for the same time after a deletion, a suspension or a
    deadline. So it is ten minutes; up to six hours if a large `workspace.sizeLimit` allows a large
    output (at 50 MiB/s); and Kubernetes' default of 30 s without an output.
    """
    if spec.output is None:
        return 30
    limit = spec.workspace.size_limit if spec.workspace else None
    size = (parse_quantity(limit) if limit else None) or Decimal(0)
    return min(max(_MIN_GRACE_SECONDS, int(size / _BYTES_PER_SECOND)), _MAX_GRACE_SECONDS)


def build_job(
    resource: TrainingJob, run: CurrentRun, config: OperatorConfig, parameters: Mapping[str, str] | None = None
) -> Raw:
    """Return the Job of a run's present attempt, with one pod per worker. A retry is a new Job.

    `parameters` are a trial's, in addition to those of the spec.

    Labels and annotations of the TrainingJob are not copied: GitOps tools would prune the Job as
    their own.
    """
    run_spec = resource.spec
    if parameters is not None:
        merged = run_spec.model_copy(update={"parameters": {**(run_spec.parameters or {}), **parameters}})
        resource = resource.model_copy(update={"spec": merged})
    meta, spec = resource.metadata, resource.spec
    owner = Key(TRAINING_JOB.kind, meta.namespace, meta.name)
    labels = {
        **owner_labels(owner, COMPONENT),
        RUN_LABEL: str(run.number),
        ATTEMPT_LABEL: str(run.attempt),
    }
    plan = RunPlan(run=run, lineage=lineage_of(spec), spec=run_spec)
    deadline = {"activeDeadlineSeconds": spec.active_deadline_seconds} if spec.active_deadline_seconds else {}
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.kind,
        "metadata": {
            "name": run.job,
            "namespace": meta.namespace,
            "labels": {**labels, **queue_labels(spec)},
            "annotations": {PLAN_ANNOTATION: plan_text(plan)},
            "ownerReferences": [owner_reference(TRAINING_JOB, meta)],
        },
        "spec": {
            "completionMode": "Indexed",
            "completions": spec.workers,
            "parallelism": spec.workers,
            "backoffLimit": 0,
            **queue_fields(spec),
            **deadline,
            # Any failure ends the Job; the rule makes it report when the cluster was the cause and
            # not the code.
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "FailJob",
                        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                    }
                ]
            },
            "template": {
                "metadata": {
                    "labels": {**(spec.pod_labels or {}), **labels},
                    "annotations": {**(spec.pod_annotations or {}), DEFAULT_CONTAINER_ANNOTATION: TRAIN},
                },
                "spec": _pod(resource, run, config, labels),
            },
        },
    }


def _pod(resource: TrainingJob, run: CurrentRun, config: OperatorConfig, labels: dict[str, str]) -> dict[str, Any]:
    spec = resource.spec
    before = _init_containers(resource, run, config)
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace_seconds(spec),
        "securityContext": pod_security(),
        **pod_network(resource),
        **pod_options(spec),
        **pod_extras(spec, labels),
        **({"initContainers": before} if before else {}),
        "containers": [_train(resource, run, config)],
        "volumes": [
            workspace_volume(_VOLUME, spec.workspace),
            *shared_memory_volume(spec),
            *storage_volumes(spec.storage),
            *signing_volumes(spec.output),
        ],
    }


def _init_containers(resource: TrainingJob, run: CurrentRun, config: OperatorConfig) -> list[dict[str, Any]]:
    """Return `fetch`, which pulls the inputs, the `spec.prepare` steps, and the publishing sidecar."""
    meta, spec = resource.metadata, resource.spec
    storage = spec.storage or Storage()
    parameters, checkpoint = dict(spec.parameters or {}), checkpoint_place(resource, run)
    found = []
    if spec.inputs or parameters or spec.output:
        # With fetch, the main container and the sidecar.
        containers = len(spec.prepare or ()) + (3 if spec.output else 2)
        fetch = FetchInputs(
            storage=storage,
            inputs=spec.inputs or (),
            parameters=parameters,
            output=spec.output.uri if spec.output else None,
            checkpoint=checkpoint,
            message_bytes=message_budget(containers),
        )
        fetcher = agent_container(FETCH, "fetch", fetch, storage=spec.storage, agent=config.agent, mounts=[_MOUNT])
        found.append({**fetcher, "securityContext": agent_security(spec)})
    found += prepare_containers(resource, run, config, [_MOUNT])
    if spec.output:
        before_sidecar = len(found)
        publish = PublishConfig(
            storage=storage,
            output=spec.output.uri,
            namespace=meta.namespace,
            training_job=meta.name,
            run=run.name,
            chain=run.trigger.chain,
            attempt=run.attempt,
            recipe=recipe_of(spec, run),
            metrics_first=metrics_first(spec) or None,
            sign=signing_key(spec.output),
            checkpoint=checkpoint,
            # The sidecar and the main container come on top.
            message_bytes=message_budget(before_sidecar + 2),
        )
        mounts = [_MOUNT, *signing_mounts(spec.output)]
        sidecar = agent_container(AGENT, "publish", publish, storage=spec.storage, agent=config.agent, mounts=mounts)
        lasting = {"restartPolicy": "Always", "startupProbe": _SIGNAL_HANDLER_PROBE}
        found.append({**sidecar, **lasting, "securityContext": agent_security(spec)})
    return found


def agent_security(spec: TrainingJobSpec) -> dict[str, Any]:
    """Return the security context of the agent beside the code: hardened, and of the code's user where it is known.

    Some libraries write model files that only their owner can read (mode 0600).
    """
    security = spec.security
    user = security.run_as_user if security is not None else None
    if user is None and security is not None and security.run_as_non_root is False:
        user = 0  # the image's user is unknown then, and most often root
    return hardened() if user is None else {**hardened(), "runAsUser": user, "runAsNonRoot": user != 0}


def metrics_first(spec: TrainingJobSpec) -> tuple[str, ...]:
    """Return the metrics that decide about a run: the sweep's objective and the criteria of acceptance."""
    objective = [spec.sweep.objective.metric] if spec.sweep is not None else []
    return tuple(dict.fromkeys([*objective, *(item.metric for item in spec.acceptance or ())]))


def _train(resource: TrainingJob, run: CurrentRun, config: OperatorConfig) -> dict[str, Any]:
    spec = resource.spec
    optional = {
        "imagePullPolicy": spec.image_pull_policy,
        "command": list(spec.command) if spec.command is not None else None,
        "args": list(spec.args) if spec.args is not None else None,
        "workingDir": spec.working_dir,
        "envFrom": [item.dump() for item in spec.env_from] if spec.env_from else None,
    }
    return {
        "name": TRAIN,
        "image": spec.image,
        **{name: value for name, value in optional.items() if value is not None},
        "env": environment(resource, run, config, spec.env),
        **code_resources(spec),
        "volumeMounts": [_MOUNT, *shared_memory_mount(spec)],
        "securityContext": users_security(spec, config.pods),
        # If the code writes no message, the end of its log is used.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
