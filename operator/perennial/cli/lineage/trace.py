"""From the id of one prediction to what is known about it: asks the agent for storage, and resources for the rest."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeVar

from pydantic import ValidationError

from perennial.api.common.base import Model, Resource
from perennial.api.common.pod import Storage
from perennial.api.contract.trace import KnownVersion, TraceConfig, Traced
from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.kubernetes import Deployment
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.trainingjob.resource import TrainingJob
from perennial.cli.agent_pod import Errand, run_errand
from perennial.cli.cluster import Cluster
from perennial.cli.errors import CliError
from perennial.core.kinds import DEPLOYMENT, DRIFT_MONITOR, MODEL_DEPLOYMENT, TRAINING_JOB, Kind, Raw
from perennial.core.labels import KIND_LABEL, NAME_LABEL
from perennial.core.podspec import pod_options
from perennial.core.times import format_time
from perennial.serving.annotations import recorded_agent, recorded_revision

_POD_SECONDS = 360
"""The search may take 240 s; the rest is for pulling the image, the manifest and the reports."""
_MOST_VERSIONS, _MOST_PREFIXES = 100, 16
_LONGEST_ID = 128
ResourceT = TypeVar("ResourceT", bound=Resource)


@dataclass(frozen=True)
class Surroundings:
    """The resources of a namespace that say something about a ModelDeployment's predictions."""

    resource: ModelDeployment
    training_jobs: tuple[TrainingJob, ...] = ()
    monitors: tuple[DriftMonitor, ...] = ()
    """Those of this ModelDeployment."""
    deployments: tuple[Deployment, ...] = ()
    """Its children: one for each revision whose pods are kept."""

    @property
    def readable(self) -> tuple[DriftMonitor, ...]:
        """Monitors whose reports the pod can read, since they use the same storage."""
        return tuple(item for item in self.monitors if item.spec.report is not None and self._same_storage(item))

    @property
    def unreadable(self) -> tuple[DriftMonitor, ...]:
        """Monitors with reports in other storage."""
        return tuple(item for item in self.monitors if item.spec.report is not None and not self._same_storage(item))

    def _same_storage(self, monitor: DriftMonitor) -> bool:
        own, other = self.resource.spec, monitor.spec
        return (own.storage, own.service_account_name) == (other.storage, other.service_account_name)


def read_surroundings(cluster: Cluster, name: str) -> Surroundings:
    """Read a ModelDeployment and what belongs to it. Other resources that cannot be parsed are left out."""
    resource = ModelDeployment.model_validate(cluster.get(MODEL_DEPLOYMENT, name))
    monitors = _parsed(cluster.list(DRIFT_MONITOR), DriftMonitor)
    children = (Deployment.model_validate(raw) for raw in cluster.list(DEPLOYMENT, selector=KIND_LABEL))
    return Surroundings(
        resource=resource,
        training_jobs=tuple(_parsed(cluster.list(TRAINING_JOB), TrainingJob)),
        monitors=tuple(item for item in monitors if item.spec.target.model_deployment == name),
        deployments=tuple(item for item in children if _belongs(item, MODEL_DEPLOYMENT, name)),
    )


def _parsed(found: Iterable[Raw], model: type[ResourceT]) -> Iterable[ResourceT]:
    for raw in found:
        try:
            yield model.model_validate(raw)
        except ValidationError:
            continue


def _belongs(child: Deployment, kind: Kind, name: str) -> bool:
    labels = child.metadata.labels
    return (labels.get(KIND_LABEL), labels.get(NAME_LABEL)) == (kind.kind, name)


def trace_config(
    around: Surroundings, prediction: str, since: timedelta, now: datetime, *, payload: bool
) -> TraceConfig:
    """Say what to look for, and where.

    Raises:
        CliError: nothing is captured, or no record can have this id.
    """
    resource = around.resource
    if resource.spec.capture is None:
        raise CliError(
            f"{resource.metadata.name} captures no requests, so no prediction can be traced: set spec.capture"
        )
    if not 0 < len(prediction) <= _LONGEST_ID:
        raise CliError(f"an id has 1 to {_LONGEST_ID} characters: longer ones are captured cut to that length")
    return TraceConfig(
        storage=resource.spec.storage or Storage(),
        uri=resource.spec.capture.uri,
        id=prediction,
        namespace=resource.metadata.namespace,
        deployment=resource.metadata.name,
        since=format_time(now - since),
        until=format_time(now),
        versions=versions_of(around),
        outputs=outputs_of(around),
        reports=reports_of(around),
        payload=payload,
    )


def versions_of(around: Surroundings) -> tuple[KnownVersion, ...]:
    """List where versions lie: by the revisions of the deployment, its spec, and the runs of the namespace."""
    resource = around.resource
    status, model = resource.status, resource.spec.model
    recorded = (recorded_revision(child, "") for child in around.deployments)
    revisions = (*recorded, status.stable, status.candidate, status.previous)
    named = [(item.digest, item.uri) for item in revisions if item is not None]
    named += [(model.digest, model.uri)] if model.digest and model.uri else []
    named += [
        (run.artifact_digest, run.artifact_uri)
        for job in around.training_jobs
        for run in job.status.runs
        if run.artifact_digest and run.artifact_uri
    ]
    found: dict[tuple[str, str], KnownVersion] = {}
    for digest, uri in named:
        try:
            found.setdefault((digest, uri), KnownVersion(digest=digest, uri=uri))
        except ValidationError:  # an OCI image, which has no manifest
            continue
    return tuple(found.values())[:_MOST_VERSIONS]


def outputs_of(around: Surroundings) -> tuple[str, ...]:
    """List where TrainingJobs publish, that of the deployment first."""
    source = around.resource.spec.model.training_job
    ordered = sorted(around.training_jobs, key=lambda job: job.metadata.name != source)
    return tuple(dict.fromkeys(job.spec.output.uri for job in ordered if job.spec.output is not None))[:_MOST_PREFIXES]


def reports_of(around: Surroundings) -> tuple[str, ...]:
    """List the prefixes of reports that the deployment's storage settings reach."""
    uris = (item.spec.report.uri for item in around.readable if item.spec.report is not None)
    return tuple(dict.fromkeys(uris))[:_MOST_PREFIXES]


def trace_by_pod(cluster: Cluster, around: Surroundings, config: TraceConfig) -> Traced:
    """Let a pod with the deployment's own storage settings search.

    Raises:
        CliError: it could not be created, or did not end well in time.
    """
    return _traced(run_errand(cluster, errand_of(around, "trace", config)))


def errand_of(around: Surroundings, command: Literal["trace", "evidence"], config: Model) -> Errand:
    """Describe a pod with the deployment's own storage settings.

    Raises:
        CliError: the agent's image is not known.
    """
    resource = around.resource
    spec = resource.spec
    # Not its nodes and tolerations: the search needs no GPU.
    pulling = {name: value for name, value in pod_options(spec).items() if name == "imagePullSecrets"}
    return Errand(
        name=command,
        command=command,
        config=config,
        storage=spec.storage,
        image=_agent_image(around),
        namespace=resource.metadata.namespace,
        options=pulling,
        account=spec.service_account_name,
        scratch=True,
        seconds=_POD_SECONDS,
    )


def _agent_image(around: Surroundings) -> str:
    """Image of the agent in the newest revision.

    Raises:
        CliError: no revision has pods.
    """
    newest = sorted(around.deployments, key=lambda item: item.metadata.creation_timestamp or "", reverse=True)
    image = next((found for item in newest if (found := recorded_agent(item))), None)
    if image is None:
        name = around.resource.metadata.name
        raise CliError(f"no revision of {name} runs, so the agent's image is not known: use --own-credentials")
    return image


def _traced(data: bytes) -> Traced:
    try:
        return Traced.model_validate_json(data)
    except ValidationError as error:
        raise CliError("the agent answered in another format: use the plugin of the operator's release") from error


def trace_by_own_credentials(config: TraceConfig) -> Traced:
    """Search with the credentials that boto3 finds on this machine.

    Raises:
        CliError: the storage refuses, or cannot be reached from here.
    """
    # Imported late: boto3 and polars take several hundred milliseconds.
    from perennial.agent.storage.errors import AgentError
    from perennial.agent.storage.opening import open_storage
    from perennial.agent.trace.command import trace

    try:
        with tempfile.TemporaryDirectory(prefix="perennial-trace-") as folder:
            return trace(config.model_copy(update={"scratch": folder}), open_storage(config.storage))
    except AgentError as error:
        raise CliError(f"{error.message}; {error.failure.next_step}") from error
