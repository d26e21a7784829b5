"""ModelDeployment: serves a published model, and replaces it only by one that has become ready."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import (
    Decimal,
    Digest,
    Duration,
    Message,
    Model,
    Name,
    Period,
    Reason,
    Resource,
    Rule,
    S3Uri,
    ShortText,
    Text,
    Timestamp,
    exactly_one,
    list_map,
    rules,
)
from perennial.api.common.pod import Storage, Workspace
from perennial.api.common.pod_options import PodExtras
from perennial.api.common.status import BaseStatus
from perennial.api.modeldeployment.access import Access, Annotations, ServiceOptions, Tls
from perennial.api.modeldeployment.models import ExtraModel, ModelImage
from perennial.api.modeldeployment.runtime import Runtime
from perennial.api.modeldeployment.scaling import AutoscalingMetric, Replicas, ScalingBehavior


class ModelSource(Model):
    """Which model to serve."""

    model_config = {
        "json_schema_extra": rules(
            exactly_one("trainingJob", "uri", "image"),
            Rule(
                rule="has(self.uri) == has(self.digest)",
                message="uri and digest go together: the digest is in the version's manifest.json",
            ),
        )
    }

    training_job: Name | None = Field(None, description="TrainingJob whose newest artifact is followed.")
    uri: S3Uri | None = Field(None, description="A published version: <output>/versions/<digest>/.")
    digest: Digest | None = Field(None, description="Digest that the version must have.")
    image: ModelImage | None = Field(
        None,
        description="An OCI image or artifact that holds the model's files. The node pulls it and mounts it as a "
        "volume: Kubernetes 1.35 or newer.",
    )
    allow_pickle: bool = Field(
        False,
        description="Serve a model whose files are pickles (joblib, PyTorch checkpoints, MLflow and the like). Loading "
        "one runs whatever code it holds, with the rights of the server, so whoever can write the model rules the pod. "
        "false: such a model is refused before it is loaded.",
    )


class Rollout(Model):
    """How a new revision replaces the one that serves."""

    strategy: Literal["BlueGreen"] = Field(
        "BlueGreen",
        description="BlueGreen: the new revision becomes ready beside the old one, then takes all traffic.",
    )
    progress_deadline_seconds: int = Field(
        600,
        ge=10,
        le=86400,
        description="Seconds in which a new revision must become ready; then it has failed.",
    )
    keep_previous: Duration = Field(
        "30s",
        description="How long the replaced revision's pods stay, so that open requests can end. As long can it be "
        "taken back to at once, by the annotation perennial.dev/abort: <the revision that serves>.",
    )
    approval: Literal["Automatic", "Manual"] = Field(
        "Automatic",
        description="Manual: a new revision that is ready takes over only once a person has approved it, by the "
        "annotations perennial.dev/approve: <revision> and perennial.dev/approved-by: <user name>. The first revision "
        "of all replaces nothing and needs no approval.",
    )


class Capture(Model):
    """Requests and predictions written to S3, for DriftMonitors and audits."""

    uri: S3Uri = Field(description="Prefix that receives date=YYYY-MM-DD/hour=HH/*.jsonl.gz or *.parquet.")
    sample: Decimal = Field("1.0", description="Share of requests that is written, from 0 to 1.")
    every: Period = Field("30s", description="How often what was gathered is written.")
    format: Literal["JsonLines", "Parquet"] | None = Field(
        None,
        description="Parquet: columns, with the bodies as JSON text; some 60 MiB more memory in the sidecar. Unset: "
        "JsonLines, compressed by gzip.",
    )
    redact: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=128)], ...], Field(max_length=64)] | None = (
        Field(
            None,
            description="Names that never leave the pod: keys, tensors, columns and query parameters, in any case, in "
            "requests and answers. A value within a tensor has no name and cannot be left out.",
        )
    )
    max_body_bytes: int | None = Field(
        None,
        ge=0,
        le=4194304,
        description="Longest body that is kept, in bytes; of a longer one only the facts are. Unset: 262144.",
    )


class ModelDeploymentSpec(PodExtras):
    """Which model to serve, by what, and how."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="!has(self.capture) || double(self.capture.sample) <= 1.0 && double(self.capture.sample) >= 0.0",
                message="capture.sample must lie between 0 and 1",
            ),
            Rule(
                rule="!(has(self.models) && has(self.model.image))",
                message="models are fetched beside spec.model; a volume of model.image cannot be written to; set one",
            ),
            Rule(
                rule="!(has(self.tls) && has(self.capture))",
                message="capture reads requests, which tls hides from it; set one of them",
            ),
        )
    }

    model: ModelSource = Field(description="Which model to serve.")
    models: Annotated[tuple[ExtraModel, ...], Field(max_length=16, json_schema_extra=list_map("name"))] | None = Field(
        None,
        description="Further models, fixed versions, that the same pods serve under names of their own. The runtime "
        "must keep each model in a folder of its name: mlserver, triton, onnx, or a container with such a directory.",
    )
    runtime: Runtime = Field(description="What serves it.")
    replicas: Replicas = Field(Replicas(), description="How many pods serve.")
    autoscaling: Annotated[tuple[AutoscalingMetric, ...], Field(max_length=8)] | None = Field(
        None,
        description="What decides between replicas.min and replicas.max. Unset: 80 percent of the CPU request.",
    )
    scaling_behavior: ScalingBehavior | None = Field(
        None, description="How fast the number of pods may change. Unset: as Kubernetes decides."
    )
    storage: Storage | None = Field(None, description="How the model is fetched and captures are written.")
    workspace: Workspace | None = Field(None, description="Size and medium of the volume that holds the model.")
    rollout: Rollout = Field(Rollout(), description="How a new revision replaces the one that serves.")
    capture: Capture | None = Field(None, description="Requests and predictions written to S3. Unset: none are.")
    pod_annotations: Annotations | None = Field(
        None, description="Annotations of the pods. Their keys must be in the installation's list."
    )
    service: ServiceOptions | None = Field(None, description="The Service in front of the pods.")
    tls: Tls | None = Field(
        None,
        description="Certificate for a server that speaks TLS itself. The Service then answers on port 443 as well.",
    )
    network_policy: Access | None = Field(None, description="Who may call. Unset: whoever can reach the pods.")


class Revision(Model):
    """A model with the pod settings that it is served by."""

    name: ShortText = Field(description="Name of its Deployment.")
    hash: ShortText = Field(description="Hash of the model's digest and of the settings that shape its pods.")
    uri: Text = Field(description="Version that it serves.")
    digest: ShortText = Field(description="Digest of that version.")
    run: ShortText | None = Field(None, description="Training run that made it.")
    chain: ShortText | None = Field(
        None, description="Chain of that run: the drift verdict that led to it, or else the run itself."
    )
    since: Timestamp = Field(description="When it took this role.")


class Approval(Model):
    """Who let a revision take over."""

    by: ShortText = Field(description="User name, as the annotation perennial.dev/approved-by gave it.")
    time: Timestamp = Field(description="When the approval was acted on.")


class Candidate(Revision):
    """A revision that does not serve yet, or never will."""

    phase: Literal["Progressing", "Failed"] = Field(
        description="Progressing or Failed. A failed one is not tried again."
    )
    ready_since: Timestamp | None = Field(
        None, description="When its pods were first ready: since then it waits for a person, not for itself."
    )
    reason: Reason | None = Field(None, description="Why it waits or failed, in one word.")
    message: Message | None = Field(None, description="Why it waits or failed, and what to do next.")


class HistoryEntry(Model):
    """How a revision fared."""

    name: ShortText = Field(description="Name of its Deployment.")
    digest: ShortText = Field(description="Digest of the version.")
    run: ShortText | None = Field(None, description="Training run that made it.")
    chain: ShortText | None = Field(
        None, description="Chain of that run: the drift verdict that led to it, or else the run itself."
    )
    result: Literal["Promoted", "Failed", "Superseded", "RolledBack"] = Field(
        description="How its rollout ended: RolledBack, when it was taken back after it had taken over."
    )
    reason: Reason | None = Field(None, description="Why, in one word.")
    approval: Approval | None = Field(None, description="Who approved it, where rollout.approval asked for that.")
    time: Timestamp = Field(description="When that was decided.")


class ModelDeploymentStatus(BaseStatus):
    """What the operator saw and did."""

    phase: ShortText | None = Field(
        None,
        description="Pending, Progressing, Stable or Failed: a summary for kubectl get, never an interface.",
    )
    url: Text | None = Field(None, description="Where predictions are answered, inside the cluster.")
    replicas: int = Field(0, description="Pods of the serving revision.")
    ready_replicas: int = Field(0, description="Those of them that answer.")
    selector: Text | None = Field(None, description="Label selector of the serving pods, for autoscalers.")
    stable: Revision | None = Field(None, description="The revision that serves.")
    candidate: Candidate | None = Field(None, description="The revision that is to replace it.")
    previous: Revision | None = Field(None, description="The replaced revision, while its pods stay.")
    history: Annotated[tuple[HistoryEntry, ...], Field(max_length=10)] = Field(
        (), description="Ended rollouts, newest first."
    )


class ModelDeployment(Resource):
    """Serves a model behind one stable address, with autoscaling, and captures what it answers."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
                message="metadata.name must be a DNS label of at most 63 characters that starts with a letter: "
                "it becomes the name of a Service",
            ),
            Rule(
                rule="!has(self.spec.models) || self.spec.models.all(item, item.name != self.metadata.name)",
                message="spec.models: the ModelDeployment's own name is that of spec.model; choose another",
            ),
        )
    }

    spec: ModelDeploymentSpec = Field(description="Which model to serve, by what, and how.")
    status: ModelDeploymentStatus = Field(ModelDeploymentStatus(), description="What the operator saw and did.")
