"""Policies of a TrainingJob: Kueue queue, prepare steps, retry, acceptance, triggers and history."""

from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from perennial.api.common.base import (
    Decimal,
    Digest,
    Model,
    Name,
    ObjectName,
    Period,
    Rule,
    S3Uri,
    ShortText,
    Timestamp,
    exactly_one,
    list_map,
    rules,
)
from perennial.api.common.pod import Args, Env, Image, PullPolicy, ResourceRequirements


class Queue(Model):
    """The Kueue queue that admits the runs."""

    name: Name = Field(
        description="LocalQueue in this namespace. A run's Job is created suspended and waits in the queue until Kueue "
        "admits it. Kueue owns its suspension, parallelism, node selector, tolerations and scheduling gates; "
        "spec.suspend deletes the Job, and resuming creates a new one."
    )
    priority_class: ObjectName | None = Field(
        None,
        description="WorkloadPriorityClass, for admission order and preemption. Default: Kueue's own.",
    )


StepName = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]


class PrepareStep(Model):
    """A container that must end with exit code 0 before the next step starts."""

    name: StepName = Field(description="Name of the step; its container is prepare-<name>.")
    image: Image | None = Field(None, description="Image of the step. Default: spec.image.")
    image_pull_policy: PullPolicy | None = Field(
        None, description="Image pull policy, as in a pod. Default: the default of Kubernetes."
    )
    command: Args | None = Field(None, description="Replaces the image's entrypoint.")
    args: Args | None = Field(None, description="Replaces the image's arguments.")
    env: Env | None = Field(
        None, description="Environment variables of the step, in addition to the PERENNIAL_ variables of the training."
    )
    resources: ResourceRequirements | None = Field(None, description="Resource requests and limits of the step.")


Steps = Annotated[
    tuple[PrepareStep, ...],
    Field(max_length=8, json_schema_extra=list_map("name")),
]


CodeRange = Annotated[str, Field(max_length=7, pattern=r"^[1-9][0-9]{0,2}(-[1-9][0-9]{0,2})?$")]
"""One exit code, `2`, or several, `128-255`."""

CodeRanges = Annotated[tuple[CodeRange, ...], Field(min_length=1, max_length=16)]

_HIGHEST = 255


class Span(NamedTuple):
    """A range of exit codes, both ends included."""

    first: int
    last: int

    def __contains__(self, code: object) -> bool:
        """Tell whether the range contains a code."""
        return isinstance(code, int) and self.first <= code <= self.last


def spans(ranges: CodeRanges | None) -> tuple[Span, ...]:
    """Parse ranges such as `2` and `128-255`."""
    ends = (text.split("-") for text in ranges or ())
    return tuple(Span(int(item[0]), int(item[-1])) for item in ends)


class ExitCodes(Model):
    """Exit codes of the training code, other than 0, that are retried or not."""

    retry: CodeRanges | None = Field(
        None,
        description='Exit codes that are retried, such as ["128-255"] for code that was killed by a signal. If '
        "set, exit codes in neither list end the run.",
    )
    fail: CodeRanges | None = Field(
        None,
        description='Exit codes that end the run at once, such as ["2"]. If only this is set, all others are retried.',
    )

    @model_validator(mode="after")
    def _apart(self) -> "ExitCodes":
        again, never = spans(self.retry), spans(self.fail)
        for span in (*again, *never):
            if span.first > span.last or span.last > _HIGHEST:
                raise ValueError(
                    f"{span.first}-{span.last} is not a range of exit codes; write 1-255, the smaller one first"
                )
        twice = next(((a, b) for a in again for b in never if a.first <= b.last and b.first <= a.last), None)
        if twice is not None:
            both = f"{max(twice[0].first, twice[1].first)}"
            raise ValueError(f"exit code {both} is in both retry and fail; remove it from one of them")
        return self


class Retry(Model):
    """How failed attempts are retried."""

    limit: int = Field(
        3, ge=0, le=100, description="Maximum number of retries after failed attempts. Disruptions do not count."
    )
    exit_codes: ExitCodes | None = Field(
        None,
        description="Which exit codes of the training code are retried. Default: all except 126 and 127, a "
        "shell's codes for a missing command. Does not apply to disruptions, nor to failures to pull inputs or "
        "to publish.",
    )


MetricName = Annotated[str, Field(min_length=1, max_length=63)]
Goal = Literal["Maximize", "Minimize"]


class Criterion(Model):
    """A condition on one metric in the run's metrics.json."""

    model_config = {
        "json_schema_extra": rules(
            exactly_one("min", "max", "notWorseThanCurrentBy"),
            Rule(
                rule="!has(self.notWorseThanCurrentBy) || !self.notWorseThanCurrentBy.startsWith('-')",
                message="notWorseThanCurrentBy must not be negative",
            ),
        )
    }

    metric: MetricName = Field(description="Name of the metric in metrics.json. A run without it is rejected.")
    min: Decimal | None = Field(None, description="Minimum accepted value.")
    max: Decimal | None = Field(None, description="Maximum accepted value.")
    not_worse_than_current_by: Decimal | None = Field(
        None,
        description="Maximum distance by which the metric may be worse than that of the current artifact. "
        "Always met if there is no artifact, or its run did not report the metric.",
    )
    goal: Goal = Field(
        "Maximize", description="Whether a higher or a lower value is better, for notWorseThanCurrentBy."
    )


Acceptance = Annotated[tuple[Criterion, ...], Field(max_length=16)]


TriggerKind = Literal["Created", "SpecChanged", "Manual", "Drift", "NewData", "Schedule"]


class Trigger(Model):
    """Why a run was started."""

    kind: TriggerKind = Field(
        description="Created, SpecChanged, Manual (the annotation perennial.dev/run-now), Drift (a "
        "DriftMonitor's verdict), NewData (the inputs have changed) or Schedule."
    )
    chain: ShortText | None = Field(
        None,
        description="Identifier shared by the run, its artifact and its rollouts: the verdict that caused the run, or "
        "else the name of the run.",
    )
    monitor: ShortText | None = Field(None, description="DriftMonitor that requested the run.")
    verdict: ShortText | None = Field(None, description="Identifier of the verdict.")
    token: ShortText | None = Field(None, description="Value of the annotation perennial.dev/run-now.")
    digest: ShortText | None = Field(None, description="Digest of the new data, as in status.data.")
    time: Timestamp | None = Field(None, description="Scheduled time of the run.")


class Checkpoint(Model):
    """Where training keeps what it resumes from."""

    uri: S3Uri = Field(
        description="Prefix under which checkpoints are kept, in folders of the namespace, the TrainingJob, the run, "
        "the attempt and the worker. The next run deletes those of earlier runs."
    )
    every: Annotated[str, Field(max_length=8, pattern=r"^([1-9][0-9]{1,3}s|[1-9][0-9]{0,3}(m|h))$")] = Field(
        "5m",
        description="Interval, such as 60s, at which a changed checkpoint is uploaded; at least ten seconds. The last "
        "one is uploaded when the code has ended, also when its node goes away.",
    )


class NewData(Model):
    """Starts a run when the data under the inputs changes."""

    poll: Annotated[str, Field(max_length=8, pattern=r"^[1-9][0-9]{0,3}(m|h|d)$")] = Field(
        description="Interval, such as 10m, at which a small pod lists the inputs without reading them. A run "
        "starts when two polls in a row see the same change: an object was added, removed, or has another size or ETag."
    )


class DataSeen(Model):
    """Contents of the inputs, according to a listing."""

    inputs: ShortText = Field(description="Hash of the inputs' URIs.")
    digest: Digest = Field(description="sha256 over the names, sizes and ETags of the objects.")
    files: int = Field(ge=0, le=2**53, description="Number of objects.")
    bytes: int = Field(ge=0, le=2**53, description="Total size.")
    time: Timestamp | None = Field(
        None,
        description="When the newest run had pulled these inputs; earlier polls are not compared with them. Unset: "
        "they were listed by polls only.",
    )


class History(Model):
    """How many ended runs are kept, and for how long."""

    runs: int = Field(
        10,
        ge=1,
        le=50,
        description="Number of ended runs kept in status, with their Jobs. Records are limited to 384 KiB together: "
        "older ones first lose parameters, metrics, inputs and source, which are in the manifest too.",
    )
    ttl: Period | None = Field(
        None,
        description="Time, such as 7d, after which an ended run's Job and record are removed. The records of "
        "the newest run and of the newest successful run are always kept. Default: no limit.",
    )
