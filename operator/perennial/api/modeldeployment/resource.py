"""ModelDeployment: serves a published model, and replaces it only with a revision that is ready."""

from typing import Annotated

from pydantic import Field

from perennial.api.common.base import (
    Digest,
    Model,
    Name,
    Resource,
    Rule,
    S3Uri,
    ShortText,
    Text,
    exactly_one,
    list_map,
    rules,
)
from perennial.api.common.pod import Storage, Workspace
from perennial.api.common.pod_options import Annotations, PodExtras
from perennial.api.common.status import BaseStatus
from perennial.api.modeldeployment.access import Access, ServiceOptions, Tls
from perennial.api.modeldeployment.capture import Capture
from perennial.api.modeldeployment.models import ExtraModel, ModelImage, Verify
from perennial.api.modeldeployment.revisions import Candidate, HistoryEntry, Revision
from perennial.api.modeldeployment.rollout import Rollout
from perennial.api.modeldeployment.route import Route
from perennial.api.modeldeployment.runtime import Runtime
from perennial.api.modeldeployment.scaling import AutoscalingMetric, Replicas, ScalingBehavior


class ModelSource(Model):
    """Which model to serve."""

    model_config = {
        "json_schema_extra": rules(
            exactly_one("trainingJob", "uri", "image"),
            Rule(
                rule="has(self.uri) == has(self.digest)",
                message="set uri and digest together; the digest is in the version's manifest.json",
            ),
            Rule(
                rule="!(has(self.verify) && has(self.image))",
                message="verify reads the signature of a published version; the node pulls model.image by its digest, "
                "so let a policy of the cluster verify it, and remove verify",
            ),
        )
    }

    training_job: Name | None = Field(None, description="TrainingJob whose newest artifact is served.")
    uri: S3Uri | None = Field(None, description="Published version: <output>/versions/<digest>/.")
    digest: Digest | None = Field(None, description="Digest of the version; fetching fails if the files do not match.")
    image: ModelImage | None = Field(
        None,
        description="OCI image or artifact that contains the model files. The node pulls it and mounts it as a "
        "volume; needs "
        "Kubernetes 1.35 or newer.",
    )
    allow_pickle: bool = Field(
        False,
        description="Serve a model whose files are pickles (joblib, PyTorch checkpoints, MLflow and others). Loading a "
        "pickle executes code that it contains, with the rights of the server: whoever can write the model controls "
        "the pod. false: such a model is rejected before it is loaded.",
    )
    verify: Verify | None = Field(
        None,
        description="Serve only versions that are signed, here and in spec.models: one without a signature by this "
        "key, or with a file that was not signed, fails before it is downloaded. A change creates a new revision. "
        "Unset: signatures are not read.",
    )


class ModelDeploymentSpec(PodExtras):
    """Which model to serve, with which runtime, and how."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="!has(self.capture) || double(self.capture.sample) <= 1.0 && double(self.capture.sample) >= 0.0",
                message="capture.sample must lie between 0 and 1",
            ),
            Rule(
                rule="!(has(self.models) && has(self.model.image))",
                message="spec.models are fetched into the volume of spec.model, and a model.image volume is "
                "read-only; set only one",
            ),
            Rule(
                rule="!has(self.rollout) || !has(self.rollout.headers) || has(self.route)",
                message="rollout.headers need a gateway that reads them: set route, or remove rollout.headers",
            ),
            Rule(
                rule="!has(self.rollout) || self.rollout.strategy != 'Shadow' || has(self.route)",
                message="strategy Shadow needs a gateway that copies requests: set route, or choose another strategy",
            ),
            Rule(
                rule="!(has(self.tls) && has(self.capture))",
                message="capture cannot read requests that are encrypted by tls; set only one of them",
            ),
            Rule(
                rule="!has(self.rollout) || !has(self.rollout.gates) || !self.rollout.gates.exists(gate, "
                "has(gate.replay)) || has(self.capture) && !has(self.capture.redact) && !has(self.capture.hash)",
                message="a replay gate sends captured requests: set capture, without redact or hash, whose fields they "
                "lack and a model may need; or judge by labelled data (evaluation) or live requests (errorRate, "
                "latency, drift)",
            ),
            Rule(
                rule="!has(self.tls) || !has(self.rollout) || !has(self.rollout.gates) || "
                "!self.rollout.gates.exists(gate, has(gate.evaluation) || has(gate.fairness))",
                message="gates with evaluation or fairness ask the pods without TLS: remove tls or these gates",
            ),
            Rule(
                rule="!has(self.replicas) || self.replicas.min > 0 || has(self.autoscaling) && "
                "self.autoscaling.exists(item, has(item.trigger))",
                message="replicas.min 0 needs what wakes the model: add an entry trigger to autoscaling, such as "
                "prometheus or cron (cpu and memory of pods that do not run wake nothing), or set min to 1",
            ),
            Rule(
                rule="!has(self.autoscaling) || !self.autoscaling.exists(item, has(item.trigger)) || "
                "self.autoscaling.all(item, has(item.trigger) || has(item.cpu) || has(item.memory))",
                message="beside a trigger, autoscaling takes cpu and memory only: KEDA scales then, so write runtime, "
                "pods and external as triggers, for example of type prometheus",
            ),
        )
    }

    model: ModelSource = Field(description="Which model to serve.")
    models: Annotated[tuple[ExtraModel, ...], Field(max_length=16, json_schema_extra=list_map("name"))] | None = Field(
        None,
        description="Further models, at fixed versions, that the same pods serve under their own names. The runtime "
        "must "
        "load each model from a folder of that name: mlserver, triton, onnx, or a container with such a directory.",
    )
    runtime: Runtime = Field(description="Server that loads the model.")
    replicas: Replicas = Field(Replicas(), description="Number of pods.")
    autoscaling: Annotated[tuple[AutoscalingMetric, ...], Field(max_length=8)] | None = Field(
        None,
        description="Metrics that scale between replicas.min and replicas.max. Unset: 80 percent of the CPU request.",
    )
    scaling_behavior: ScalingBehavior | None = Field(
        None, description="How fast the autoscaler changes the number of pods. Unset: the Kubernetes defaults."
    )
    storage: Storage | None = Field(None, description="How pods reach S3, to fetch the model and write captures.")
    workspace: Workspace | None = Field(None, description="Size and medium of the model volume.")
    rollout: Rollout = Field(Rollout(), description="How a new revision replaces the stable one.")
    capture: Capture | None = Field(None, description="Captures requests and predictions to S3. Unset: disabled.")
    pod_annotations: Annotations | None = Field(
        None, description="Annotations of the pods. The installation must allow their keys (config.allowedAnnotations)."
    )
    termination_grace_period_seconds: int | None = Field(
        None,
        ge=1,
        le=86400,
        description="Seconds that a pod may take to finish open requests after it was asked to stop: on scale-down, "
        "drain, preemption, and after rollout.keepPrevious. Servers that stream long answers need minutes. Unset: 45.",
    )
    route: Route | None = Field(
        None,
        description="Gateway through which requests reach the model, by an HTTPRoute that the operator makes. A canary "
        "then divides the requests exactly by the weights of its steps. Needs the Gateway API in the cluster.",
    )
    service: ServiceOptions | None = Field(None, description="The Service in front of the pods.")
    tls: Tls | None = Field(
        None,
        description="Certificate for a server that terminates TLS itself. The Service then also has port 443.",
    )
    network_policy: Access | None = Field(
        None, description="Who may call the model, as a NetworkPolicy. Unset: every pod that can reach it."
    )

    @property
    def triggered(self) -> bool:
        """Whether KEDA scales, instead of a HorizontalPodAutoscaler."""
        return self.replicas.autoscaled and any(item.trigger is not None for item in self.autoscaling or ())


class ModelDeploymentStatus(BaseStatus):
    """Observed state of a ModelDeployment."""

    phase: ShortText | None = Field(
        None,
        description="Pending, Progressing, Stable or Failed: a summary for people. Programs should read conditions.",
    )
    url: Text | None = Field(
        None,
        description="Address for predictions: of the first host name of spec.route once its gateway has accepted the "
        "route, otherwise that inside the cluster.",
    )
    replicas: int = Field(0, description="Number of pods of the stable revision.")
    ready_replicas: int = Field(0, description="Number of ready pods.")
    selector: Text | None = Field(
        None, description="Label selector of the stable revision's pods, for the scale subresource."
    )
    stable: Revision | None = Field(None, description="Revision that serves.")
    candidate: Candidate | None = Field(None, description="Revision that is being rolled out, or has failed.")
    previous: Revision | None = Field(None, description="Replaced revision, while its pods are kept.")
    history: Annotated[tuple[HistoryEntry, ...], Field(max_length=10)] = Field(
        (), description="Rollouts that have ended, newest first."
    )


class ModelDeployment(Resource):
    """Serves a model at a stable address, with gated rollouts, autoscaling and capture of predictions."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
                message="metadata.name must be a DNS label of at most 63 characters that starts with a letter: "
                "it becomes the name of a Service",
            ),
            Rule(
                rule="!has(self.spec.models) || self.spec.models.all(item, item.name != self.metadata.name)",
                message="spec.models: the name of the ModelDeployment is reserved for spec.model; choose another",
            ),
        )
    }

    spec: ModelDeploymentSpec = Field(description="Which model to serve, with which runtime, and how.")
    status: ModelDeploymentStatus = Field(ModelDeploymentStatus(), description="Observed state.")
