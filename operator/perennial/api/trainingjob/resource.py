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
    Parameters,
    PullPolicy,
    Source,
    Storage,
    Workspace,
)
from perennial.api.common.schedule import Schedule, TimeZone
from perennial.api.common.status import BaseStatus
from perennial.api.trainingjob.distribution import DISTRIBUTION_RULES, Distribution
from perennial.api.trainingjob.policies import Acceptance, DataSeen, History, NewData, Queue, Retry, Steps, Trigger
from perennial.api.trainingjob.status import Artifact, CurrentRun, ParameterMap, RunProgress, RunRecord
from perennial.api.trainingjob.sweep import Sweep, SweepStatus


class Output(Model):
    """Where the model is published."""

    uri: S3Uri = Field(
        description="Prefix under which versions/<digest>/ is written. Everything the code leaves in "
        "/perennial/output belongs to the version."
    )


class TrainingJobSpec(Distribution):
    """What to train, on what, and where the result goes."""

    model_config = {
        "json_schema_extra": rules(
            *DISTRIBUTION_RULES,
            Rule(
                rule="has(self.schedule) || !has(self.timeZone) && !has(self.startingDeadlineSeconds)",
                message="timeZone and startingDeadlineSeconds go with schedule; set schedule, or remove them",
            ),
            Rule(
                rule="!has(self.newData) || has(self.inputs) && size(self.inputs) > 0",
                message="newData watches the inputs; set inputs, or remove newData",
            ),
            Rule(
                rule="!has(self.sweep) || has(self.output)",
                message="a sweep compares what its trials publish; set output, or remove sweep",
            ),
            Rule(
                rule="!has(self.acceptance) || has(self.output)",
                message="acceptance judges what is published; set output, or remove acceptance",
            ),
        )
    }

    image: Image = Field(description="Image with the training code. The digest that really ran is recorded.")
    image_pull_policy: PullPolicy | None = Field(None, description="As in a pod. Unset: as Kubernetes decides.")
    command: Args | None = Field(None, description="Replaces the image's entrypoint.")
    args: Args | None = Field(None, description="Replaces the image's arguments.")
    working_dir: Text | None = Field(None, description="Working directory. Unset: the image's own.")
    env: Env | None = Field(None, description="Environment variables.")
    env_from: EnvFrom | None = Field(None, description="Secrets and ConfigMaps that become environment variables.")
    parameters: ParameterMap | None = Field(
        None,
        description="Hyperparameters: the variable PERENNIAL_PARAM_<NAME> each, all of them in "
        "/perennial/params.json, and in the record of the run.",
    )
    seed: int | None = Field(
        None, ge=0, le=4294967295, description="Seed for random numbers: PERENNIAL_SEED and PYTHONHASHSEED."
    )
    source: Source | None = Field(None, description="Repository and commit of the code, for lineage.")
    inputs: Annotated[tuple[Input, ...], Field(max_length=16)] | None = Field(
        None,
        description="Data pulled to /perennial/inputs/<name> before the code starts.",
        json_schema_extra=list_map("name"),
    )
    prepare: Steps | None = Field(
        None,
        description="Steps that run one after the other before the training, in each worker, once the inputs are "
        "there. They share the volume under /perennial with it.",
    )
    output: Output | None = Field(None, description="Where /perennial/output is published. Unset: nothing is.")
    storage: Storage | None = Field(None, description="How inputs and output reach S3-compatible storage.")
    workspace: Workspace | None = Field(None, description="Size and medium of the volume under /perennial.")
    retry: Retry = Field(Retry(), description="How failed attempts are repeated.")
    active_deadline_seconds: int | None = Field(
        None, ge=1, le=31536000, description="Seconds that one attempt may run. Unset: no limit."
    )
    sweep: Sweep | None = Field(
        None,
        description="Makes every run a sweep: trials with different parameters, each a Job of its own, of which the "
        "best makes the run's model. Unset: a run is one training with spec.parameters.",
    )
    acceptance: Acceptance | None = Field(
        None,
        description="What a run's metrics must reach before its model becomes the artifact. All must be met. A model "
        "that is rejected stays where it was published and in status.runs, and the artifact stays what it was. A "
        "change holds from the next end of a run.",
    )
    suspend: bool = Field(False, description="Stops pods and starts none, until false again.")
    on_change: Literal["Replace", "Wait", "Ignore"] = Field(
        "Replace",
        description="What a change of the spec does: Replace stops the current run and starts another, Wait lets it "
        "end first, Ignore starts none.",
    )
    queue: Queue | None = Field(
        None,
        description="Kueue queue that the runs wait in for quota. Unset: pods start at once. A change holds from the "
        "next attempt.",
    )
    schedule: Schedule | None = Field(
        None,
        description="When to train again whatever else happens, as in a CronJob: minute, hour, day of month, month, "
        "day of week. A time that comes while a run is under way, or that was missed, is made up for by one run.",
    )
    time_zone: TimeZone | None = Field(
        None, description="Time zone of the schedule, such as Europe/Berlin. Unset: UTC."
    )
    starting_deadline_seconds: int | None = Field(
        None,
        ge=10,
        le=31536000,
        description="Seconds after its time within which a scheduled run may still start; later, that time is passed "
        "over. Unset: however late.",
    )
    new_data: NewData | None = Field(
        None, description="Train again when the data under the inputs changes. Unset: changes are not looked for."
    )
    history: History = Field(History(), description="How many ended runs are remembered, and for how long.")

    @model_validator(mode="after")
    def _parameters(self) -> "TrainingJobSpec":
        Parameters(values=self.parameters or {})
        return self


class TrainingJobStatus(BaseStatus):
    """What the operator saw and did."""

    phase: ShortText | None = Field(
        None,
        description="Pending, Queued, Starting, Fetching, Preparing, Running, Publishing, Succeeded, Rejected, Failed "
        "or Suspended: a summary for kubectl get, never an interface.",
    )
    run_count: int = Field(0, description="Runs started so far.")
    current_run: CurrentRun | None = Field(None, description="The run under way.")
    artifact: Artifact | None = Field(None, description="The newest accepted version: what a ModelDeployment follows.")
    sweep: SweepStatus | None = Field(None, description="Trials of the newest sweep.")
    runs: Annotated[tuple[RunRecord, ...], Field(max_length=50)] = Field((), description="Ended runs, newest first.")
    verdicts: Annotated[dict[str, ShortText], Field(max_length=64)] | None = Field(
        None, description="Last verdict of each DriftMonitor that has been acted on or set aside."
    )
    run_now: ShortText | None = Field(
        None, description="Value of the annotation perennial.dev/run-now that was last acted on."
    )
    data: DataSeen | None = Field(
        None, description="With spec.newData: what the inputs held when the newest run was started."
    )
    last_schedule_time: Timestamp | None = Field(
        None, description="Time of the schedule up to which runs were started or passed over."
    )
    next_schedule_time: Timestamp | None = Field(None, description="Time of the schedule at which a run is due next.")
    last_run_time: Timestamp | None = Field(None, description="When the newest run was started.")
    last_success_time: Timestamp | None = Field(None, description="When a run last succeeded.")


class TrainingJob(Resource):
    """Trains a model: pulls inputs, runs an image, publishes what it leaves, and repeats when asked to."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
                message="metadata.name must be a DNS label of at most 63 characters: lower-case letters, digits, '-'",
            ),
        )
    }

    spec: TrainingJobSpec = Field(description="What to train, on what, and where the result goes.")
    status: TrainingJobStatus = Field(TrainingJobStatus(), description="What the operator saw and did.")


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
