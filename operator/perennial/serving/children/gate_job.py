"""The Job of a gate: one `perennial agent evaluate` or `perennial agent replay` pod, without rights in the cluster."""

from typing import Any

from perennial.api.common.pod import Storage
from perennial.api.contract.commands import ROOT, EvaluateConfig, MetricWanted, ReplayConfig
from perennial.api.contract.settings import AgentConfigDefaults
from perennial.api.driftmonitor.checks import FairnessCheck
from perennial.api.modeldeployment.evaluation import EvaluationGate, FairnessGate, ReplayGate
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.modeldeployment.revisions import Revision
from perennial.core.agent_job import agent_job_spec
from perennial.core.kinds import JOB, MODEL_DEPLOYMENT, Key, Raw
from perennial.core.labels import GATE_ANNOTATION, GATE_COMPONENT, REVISION_LABEL
from perennial.core.names import owner_labels
from perennial.core.podspec import (
    agent_container,
    owner_reference,
    pod_options,
    storage_volumes,
    workspace_volume,
)
from perennial.core.termination import message_budget
from perennial.core.times import parse_duration
from perennial.serving.children.service import DIRECT_PORT
from perennial.serving.gates.jobs import CONTAINER, GateJob

_VOLUME = "workspace"
_DEADLINE_SECONDS = 3600
_ASKING_SECONDS = 2700
"""Time for the requests: the rest is for reading data and for retries that fail early."""


def gate_job(
    resource: ModelDeployment, wanted: GateJob, candidate: Revision, stable: Revision, agent: AgentConfigDefaults
) -> Raw:
    """Build the Job. Its pods have no revision label, so that no Service ever sends them requests."""
    meta, spec = resource.metadata, resource.spec
    labels = owner_labels(Key(MODEL_DEPLOYMENT.kind, meta.namespace, meta.name), GATE_COMPONENT)
    pulling = {name: value for name, value in pod_options(spec).items() if name == "imagePullSecrets"}
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.kind,
        "metadata": {
            "name": wanted.job,
            "namespace": meta.namespace,
            "labels": {**labels, REVISION_LABEL: candidate.hash},
            "annotations": {GATE_ANNOTATION: wanted.id},
            "ownerReferences": [owner_reference(MODEL_DEPLOYMENT, meta)],
        },
        "spec": agent_job_spec(
            _container(resource, wanted, candidate, stable, agent),
            metadata={"labels": labels},
            volumes=[workspace_volume(_VOLUME, None), *storage_volumes(spec.storage)],
            options=pulling,
            account=spec.service_account_name,
            deadline=_DEADLINE_SECONDS,
        ),
    }


def _container(
    resource: ModelDeployment, wanted: GateJob, candidate: Revision, stable: Revision, agent: AgentConfigDefaults
) -> dict[str, Any]:
    gate = wanted.gate
    config = (
        replay_config(resource, gate, candidate, stable)
        if isinstance(gate, ReplayGate)
        else evaluate_config(resource, gate, candidate, stable)
    )
    return agent_container(
        CONTAINER,
        "replay" if isinstance(gate, ReplayGate) else "evaluate",
        config,
        storage=resource.spec.storage,
        agent=agent,
        mounts=[{"name": _VOLUME, "mountPath": ROOT}],
    )


def evaluate_config(
    resource: ModelDeployment, gate: EvaluationGate | FairnessGate, candidate: Revision, stable: Revision
) -> EvaluateConfig:
    """Build the configuration of `evaluate`: one metric for one gate."""
    return EvaluateConfig(
        storage=resource.spec.storage or Storage(),
        model=resource.metadata.name,
        candidate=_address(resource, candidate),
        stable=_address(resource, stable),
        data=gate.data,
        request=gate.request,
        predictions=gate.predictions,
        performance=(MetricWanted(metric=gate.metric, k=gate.k),) if isinstance(gate, EvaluationGate) else (),
        fairness=(_check_of(gate),) if isinstance(gate, FairnessGate) else (),
        seconds=_ASKING_SECONDS,
        message_bytes=message_budget(containers=1),
    )


def _check_of(gate: FairnessGate) -> FairnessCheck:
    """The check without what belongs to the gate alone."""
    return FairnessCheck.model_validate(gate.model_dump(include=set(FairnessCheck.model_fields)))


def replay_config(resource: ModelDeployment, gate: ReplayGate, candidate: Revision, stable: Revision) -> ReplayConfig:
    """Build the configuration of `replay`.

    Raises:
        ValueError: the spec captures no requests, which the CRD refuses together with this gate.
    """
    capture = resource.spec.capture
    if capture is None:
        raise ValueError("a replay gate needs spec.capture")
    return ReplayConfig(
        storage=resource.spec.storage or Storage(),
        uri=capture.uri,
        digest=stable.digest,
        revision=stable.hash,
        candidate=_address(resource, candidate),
        stable=_address(resource, stable),
        requests=gate.requests,
        within_seconds=int(parse_duration(gate.within).total_seconds()),
        rate=float(gate.rate),
        timeout_seconds=parse_duration(gate.timeout).total_seconds(),
        tolerance=float(gate.tolerance),
        threshold=None if gate.threshold is None else float(gate.threshold),
        seconds=_ASKING_SECONDS,
        message_bytes=message_budget(containers=1),
    )


def _address(resource: ModelDeployment, revision: Revision) -> str:
    """Address of a revision's servers, past the capture sidecar: what gates ask is no traffic to learn from."""
    return f"http://{revision.name}.{resource.metadata.namespace}.svc:{DIRECT_PORT}"
