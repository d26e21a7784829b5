"""TrainingJob: runs that turn inputs into a published, content-addressed artifact."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from perennial.api.common.base import (
    Model,
    Resource,
    Rule,
    S3Uri,
    ShortText,
    Text,
    Timestamp,
    list_map,
    rules,
)
from perennial.api.common.pod import (
    Args,
    Env,
    EnvFrom,
    Image,
    Input,
    KeyRef,
    Parameters,
    PullPolicy,
    Source,
    Storage,
    Workspace,
)
from perennial.api.common.pod_options import Annotations, PodLabels
from perennial.api.common.schedule import Schedule, TimeZone
from perennial.api.common.status import BaseStatus
from perennial.api.trainingjob.distribution import DISTRIBUTION_RULES, Distribution
from perennial.api.trainingjob.policies import (
    Acceptance,
    Checkpoint,
    DataSeen,
    History,
    NewData,
    Queue,
    Retry,
    Steps,
    Trigger,
)
from perennial.api.trainingjob.status import Artifact, CurrentRun, ParameterMap, RunProgress, RunRecord
from perennial.api.trainingjob.sweep import Sweep, SweepStatus


class Signing(Model):
    """How published versions are signed, in the format of OpenSSF Model Signing."""

    key_secret: KeyRef = Field(
        description="Key of a Secret with an elliptic-curve private key in PEM (P-256, P-384 or P-521), without a "
        "password. Only the container that publishes mounts it, not the training code."
    )


class Output(Model):
    """Where the output is published."""

    uri: S3Uri = Field(
        description="Prefix under which versions/<digest>/ is written. A version contains all files that the "
        "code leaves in /perennial/output."
    )
    sign: Signing | None = Field(
        None,
        description="Signs every version: model.sig beside its manifest.json, which spec.model.verify of a "
        "ModelDeployment and the command model_signing check. Unset: versions are not signed.",
    )


def _as_prefix(uri: str) -> str:
    """Return the CEL expression of a URI that ends in a slash."""
    return f"({uri}.endsWith('/') ? {uri} : {uri} + '/')"


_LOOP = (
    "newData watches an input that contains what is published under output.uri, so that every run would start "
    "another; set another output.uri, or narrow the input"
)
_KEPT_LOOP = (
    "newData watches an input that contains what is kept under checkpoint.uri, so that every run would start another; "
    "set another checkpoint.uri, or narrow the input"
)
_PUBLISHED = ("versions/", "runs/")
"""Folders under output.uri in which runs write."""

_OUTPUT, _INPUT = _as_prefix("self.output.uri"), _as_prefix("item.uri")
_CHECKPOINT = _as_prefix("self.checkpoint.uri")


class TrainingJobSpec(Distribution):
    """What to train, on which inputs, and where the output is published."""

    model_config = {
        "json_schema_extra": rules(
            *DISTRIBUTION_RULES,
            Rule(
                rule="has(self.schedule) || !has(self.timeZone) && !has(self.startingDeadlineSeconds)",
                message="timeZone and startingDeadlineSeconds require schedule; set schedule, or remove them",
            ),
            Rule(
                rule="!has(self.newData) || has(self.inputs) && size(self.inputs) > 0",
                message="newData requires inputs; set inputs, or remove newData",
            ),
            Rule(
                rule=f"!has(self.newData) || !has(self.inputs) || !has(self.output) || {list(_PUBLISHED)}.all(folder, "
                f"!self.inputs.exists(item, ({_OUTPUT} + folder).startsWith({_INPUT}) || "
                f"item.uri.startsWith({_OUTPUT} + folder)))",
                message=_LOOP,
            ),
            Rule(
                rule="!has(self.newData) || !has(self.inputs) || !has(self.checkpoint) || !self.inputs.exists(item, "
                f"{_CHECKPOINT}.startsWith({_INPUT}) || {_INPUT}.startsWith({_CHECKPOINT}))",
                message=_KEPT_LOOP,
            ),
            Rule(
                rule="!has(self.sweep) || has(self.output)",
                message="sweep requires output; set output, or remove sweep",
            ),
            Rule(
                rule="!has(self.checkpoint) || has(self.output)",
                message="checkpoint requires output; set output, or remove checkpoint",
            ),
            Rule(
                rule="!has(self.acceptance) || has(self.output)",
                message="acceptance requires output; set output, or remove acceptance",
            ),
        )
    }

    image: Image = Field(description="Image with the training code. The digest of the image that ran is recorded.")
    image_pull_policy: PullPolicy | None = Field(
        None, description="Image pull policy, as in a pod. Default: the default of Kubernetes."
    )
    command: Args | None = Field(None, description="Replaces the image's entrypoint.")
    args: Args | None = Field(None, description="Replaces the image's arguments.")
    working_dir: Text | None = Field(None, description="Working directory. Default: that of the image.")
    env: Env | None = Field(None, description="Environment variables.")
    env_from: EnvFrom | None = Field(
        None, description="Secrets and ConfigMaps whose keys become environment variables."
    )
    parameters: ParameterMap | None = Field(
        None,
        description="Hyperparameters. Each is set as the variable PERENNIAL_PARAM_<NAME>; all are in "
        "/perennial/params.json and in the record of the run.",
    )
    seed: int | None = Field(
        None, ge=0, le=4294967295, description="Random seed, set as PERENNIAL_SEED and PYTHONHASHSEED."
    )
    source: Source | None = Field(None, description="Repository and commit of the code, for lineage.")
    inputs: Annotated[tuple[Input, ...], Field(max_length=16)] | None = Field(
        None,
        description="Data that is pulled to /perennial/inputs/<name> before the code starts.",
        json_schema_extra=list_map("name"),
    )
    prepare: Steps | None = Field(
        None,
        description="Steps that run one after the other in each worker, after the inputs are pulled and before the "
        "training starts. They share the volume at /perennial with it.",
    )
    output: Output | None = Field(
        None, description="Where /perennial/output is published. Default: nothing is published."
    )
    checkpoint: Checkpoint | None = Field(
        None,
        description="Keeps what the code writes to /perennial/checkpoint, and restores the newest complete checkpoint "
        "there before a further attempt of the same run starts. Needs output. A change applies from the next attempt. "
        "Default: each attempt starts from the beginning.",
    )
    storage: Storage | None = Field(
        None, description="Access to the S3-compatible storage of inputs, output and checkpoints."
    )
    workspace: Workspace | None = Field(None, description="Size and medium of the volume at /perennial.")
    retry: Retry = Field(Retry(), description="How failed attempts are retried.")
    active_deadline_seconds: int | None = Field(
        None, ge=1, le=31536000, description="Maximum duration of one attempt, in seconds. Default: no limit."
    )
    sweep: Sweep | None = Field(
        None,
        description="Makes every run a sweep: trials with different parameters, each in its own Job. The model "
        "of the best trial becomes the model of the run. Default: a run is one training with spec.parameters.",
    )
    acceptance: Acceptance | None = Field(
        None,
        description="Criteria that a run's metrics must all meet before its model becomes the artifact. A "
        "rejected model stays published and in status.runs, and the artifact does not change. A change of the "
        "criteria applies to runs that end after it.",
    )
    suspend: bool = Field(False, description="If true, pods are stopped and no run starts.")
    on_change: Literal["Replace", "Wait", "Ignore"] = Field(
        "Replace",
        description="Effect of a change of the spec: Replace stops the current run and starts a new one, Wait starts a "
        "new one after the current run has ended, Ignore starts none.",
    )
    queue: Queue | None = Field(
        None,
        description="Kueue queue in which runs wait for quota. Default: pods start at once. A change applies "
        "from the next attempt.",
    )
    schedule: Schedule | None = Field(
        None,
        description="Cron expression for periodic runs: minute, hour, day of month, month, day of week. Times "
        "that pass during a run, or that were missed, are made up for by one run.",
    )
    time_zone: TimeZone | None = Field(
        None, description="Time zone of the schedule, such as Europe/Berlin. Default: UTC."
    )
    starting_deadline_seconds: int | None = Field(
        None,
        ge=10,
        le=31536000,
        description="Number of seconds that a scheduled run may start late; after that it is skipped. Default: "
        "no limit.",
    )
    new_data: NewData | None = Field(
        None, description="Starts a run when the data under the inputs changes. Default: inputs are not polled."
    )
    pod_annotations: Annotations | None = Field(
        None,
        description='Annotations of the pods that train and poll, such as sidecar.istio.io/inject: "false". The '
        "installation must allow their keys (config.allowedAnnotations). A change applies from the next attempt.",
    )
    pod_labels: PodLabels | None = Field(
        None,
        description="Labels of the same pods, for meshes that read labels. The installation must allow their keys "
        "(config.allowedAnnotations).",
    )
    history: History = Field(History(), description="How many ended runs are kept, and for how long.")

    @model_validator(mode="after")
    def _no_loop(self) -> "TrainingJobSpec":
        """Reject a loop that was stored before the rule existed, too."""
        if self.new_data is None or self.output is None:
            return self
        written = [f"{self.output.uri.rstrip('/')}/{folder}" for folder in _PUBLISHED]
        watched = [f"{item.uri.rstrip('/')}/" for item in self.inputs or ()]
        if any(one.startswith(other) or other.startswith(one) for one in written for other in watched):
            raise ValueError(_LOOP)
        return self

    @model_validator(mode="after")
    def _parameters(self) -> "TrainingJobSpec":
        Parameters(values=self.parameters or {})
        return self


class TrainingJobStatus(BaseStatus):
    """Observed state of the TrainingJob."""

    phase: ShortText | None = Field(
        None,
        description="Pending, Queued, Starting, Fetching, Preparing, Running, Publishing, Succeeded, Rejected, Failed "
        "or Suspended: a summary for kubectl get. Programs should read conditions instead.",
    )
    run_count: int = Field(0, description="Number of runs started so far.")
    current_run: CurrentRun | None = Field(None, description="The run in progress.")
    artifact: Artifact | None = Field(None, description="The newest accepted version, which ModelDeployments follow.")
    sweep: SweepStatus | None = Field(None, description="Trials of the newest sweep.")
    runs: Annotated[tuple[RunRecord, ...], Field(max_length=50)] = Field((), description="Ended runs, newest first.")
    verdicts: Annotated[dict[str, ShortText], Field(max_length=64)] | None = Field(
        None, description="Last handled verdict of each DriftMonitor: it has started a run or was set aside."
    )
    run_now: ShortText | None = Field(None, description="Last handled value of the annotation perennial.dev/run-now.")
    data: DataSeen | None = Field(
        None, description="With spec.newData: contents of the inputs that the newest run pulled."
    )
    last_schedule_time: Timestamp | None = Field(
        None, description="Last scheduled time that was handled: its run has started or was skipped."
    )
    next_schedule_time: Timestamp | None = Field(None, description="Next scheduled time.")
    last_run_time: Timestamp | None = Field(None, description="When the newest run started.")
    last_success_time: Timestamp | None = Field(None, description="When a run last succeeded.")


class TrainingJob(Resource):
    """Trains a model: pulls inputs, runs an image, publishes its output, and retrains on triggers."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
                message="metadata.name must be a DNS label of at most 63 characters: lower-case letters, digits, '-'",
            ),
        )
    }

    spec: TrainingJobSpec = Field(description="What to train, on which inputs, and where the output is published.")
    status: TrainingJobStatus = Field(TrainingJobStatus(), description="Observed state of the TrainingJob.")


__all__ = [
    "Artifact",
    "CurrentRun",
    "History",
    "Output",
    "ParameterMap",
    "Retry",
    "RunProgress",
    "RunRecord",
    "TrainingJob",
    "TrainingJobSpec",
    "TrainingJobStatus",
    "Trigger",
]
