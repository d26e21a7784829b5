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
        description="LocalQueue in this namespace. A run's Job waits in it, suspended, until Kueue admits it. Its "
        "suspension, parallelism, node selector, tolerations and scheduling gates are Kueue's alone: spec.suspend "
        "takes the Job out of the queue, and to go on makes another."
    )
    priority_class: ObjectName | None = Field(
        None,
        description="WorkloadPriorityClass: who is admitted first, and who is evicted for whom. Unset: Kueue decides.",
    )


StepName = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]


class PrepareStep(Model):
    """One step: a container that must end with exit code 0 before the next one starts."""

    name: StepName = Field(description="Name of the step; its container is prepare-<name>.")
    image: Image | None = Field(None, description="Image with the step's code. Unset: spec.image.")
    image_pull_policy: PullPolicy | None = Field(None, description="As in a pod. Unset: as Kubernetes decides.")
    command: Args | None = Field(None, description="Replaces the image's entrypoint.")
    args: Args | None = Field(None, description="Replaces the image's arguments.")
    env: Env | None = Field(
        None, description="Environment variables of the step, beside the PERENNIAL_ ones that the training gets."
    )
    resources: ResourceRequirements | None = Field(None, description="Requests and limits of the step.")


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
        """Tell whether a code lies within."""
        return isinstance(code, int) and self.first <= code <= self.last


def spans(ranges: CodeRanges | None) -> tuple[Span, ...]:
    """Return ranges as numbers."""
    ends = (text.split("-") for text in ranges or ())
    return tuple(Span(int(item[0]), int(item[-1])) for item in ends)


class ExitCodes(Model):
    """Which exit codes of the code, other than 0, are worth another attempt."""

    retry: CodeRanges | None = Field(
        None,
        description='Codes after which the attempt is repeated, such as ["128-255"] for what was killed by a signal. '
        "Where this is set, codes in neither list end the run.",
    )
    fail: CodeRanges | None = Field(
        None,
        description='Codes that end the run at once, such as ["2"]. Where only this is set, all others are repeated.',
    )

    @model_validator(mode="after")
    def _apart(self) -> "ExitCodes":
        again, never = spans(self.retry), spans(self.fail)
        for span in (*again, *never):
            if span.first > span.last or span.last > _HIGHEST:
                raise ValueError(f"{span.first}-{span.last} is no range of exit codes; write 1-255, the smaller first")
        twice = next(((a, b) for a in again for b in never if a.first <= b.last and b.first <= a.last), None)
        if twice is not None:
            both = f"{max(twice[0].first, twice[1].first)}"
            raise ValueError(f"exit code {both} is in retry and in fail; take it out of one of them")
        return self


class Retry(Model):
    """How failed attempts are repeated."""

    limit: int = Field(3, ge=0, le=100, description="Failed attempts that are repeated. Disruptions do not count.")
    exit_codes: ExitCodes | None = Field(
        None,
        description="Exit codes of the training code that end the run at once, or that alone are repeated. Unset: all "
        "are repeated but 126 and 127, with which a shell says that a command is missing. Disruptions and failures of "
        "fetch and publish do not follow it.",
    )


MetricName = Annotated[str, Field(min_length=1, max_length=63)]
Goal = Literal["Maximize", "Minimize"]


class Criterion(Model):
    """One condition on a metric of the run's metrics.json."""

    model_config = {
        "json_schema_extra": rules(
            exactly_one("min", "max", "notWorseThanCurrentBy"),
            Rule(
                rule="!has(self.notWorseThanCurrentBy) || !self.notWorseThanCurrentBy.startsWith('-')",
                message="notWorseThanCurrentBy is a distance: it must not be negative",
            ),
        )
    }

    metric: MetricName = Field(description="Name in metrics.json. A run without this metric is rejected.")
    min: Decimal | None = Field(None, description="Least value that is accepted.")
    max: Decimal | None = Field(None, description="Greatest value that is accepted.")
    not_worse_than_current_by: Decimal | None = Field(
        None,
        description="How much worse than the present artifact's value it may be. Met where there is no artifact, or "
        "its run did not report the metric.",
    )
    goal: Goal = Field("Maximize", description="Whether more or less of the metric is better, for the comparison.")


Acceptance = Annotated[tuple[Criterion, ...], Field(max_length=16)]


TriggerKind = Literal["Created", "SpecChanged", "Manual", "Drift", "NewData", "Schedule"]


class Trigger(Model):
    """Why a run was started."""

    kind: TriggerKind = Field(
        description="Created, SpecChanged (a new generation), Manual (the annotation perennial.dev/run-now), Drift (a "
        "DriftMonitor's verdict), NewData (the inputs have changed) or Schedule."
    )
    chain: ShortText | None = Field(
        None,
        description="What the run, its artifact and its rollouts have in common: the verdict that began it all, or "
        "else the name of the run.",
    )
    monitor: ShortText | None = Field(None, description="DriftMonitor whose verdict asked for the run.")
    verdict: ShortText | None = Field(None, description="Identity of that verdict.")
    token: ShortText | None = Field(None, description="Value of the annotation perennial.dev/run-now.")
    digest: ShortText | None = Field(None, description="What the new data was, as in status.data.")
    time: Timestamp | None = Field(None, description="Time of the schedule that the run is for.")


class NewData(Model):
    """New data under the inputs starts a run."""

    poll: Annotated[str, Field(max_length=8, pattern=r"^[1-9][0-9]{0,3}(m|h|d)$")] = Field(
        description="How often the inputs are listed, such as 10m, by a small pod of the agent; nothing is read. A run "
        "starts when two polls in a row see the same change (an object that came, went, or has another size or ETag)."
    )


class DataSeen(Model):
    """What the inputs held, by their listing."""

    inputs: ShortText = Field(description="Hash of the inputs' URIs.")
    digest: Digest = Field(description="sha256 over the names, sizes and ETags of their objects.")
    files: int = Field(ge=0, le=2**53, description="How many objects there were.")
    bytes: int = Field(ge=0, le=2**53, description="Their size in all.")


class History(Model):
    """How many ended runs are remembered, and for how long."""

    runs: int = Field(10, ge=1, le=50, description="Ended runs kept in status, with their Jobs.")
    ttl: Period | None = Field(
        None,
        description="How long a run is remembered after its end, such as 7d: then its Job and its record go. The "
        "records of the newest run and of the newest success stay, so that nothing runs again for want of them. "
        "Unset: no limit.",
    )
