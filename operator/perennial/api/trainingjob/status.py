"""The runs of a TrainingJob as its status tells of them: the one under way, those that ended, and what they made."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import Digest, Message, Model, Reason, ShortText, Text, Timestamp
from perennial.api.common.pod import Source
from perennial.api.common.status import InputRecord, Metrics
from perennial.api.trainingjob.policies import Trigger

ParameterMap = Annotated[
    dict[str, Annotated[str, Field(max_length=1024)]],
    Field(max_length=64, json_schema_extra={"x-perennial-key-pattern": r"^[A-Za-z_][A-Za-z0-9_]*$"}),
]


class Artifact(Model):
    """A published version."""

    uri: Text = Field(description="Where the version lies: <output>/versions/<first 12 digits of the digest>/.")
    digest: ShortText = Field(description="sha256 over the names, sizes and sha256 of its files.")
    run: ShortText = Field(description="Name of the run that made it.")
    chain: ShortText | None = Field(None, description="Chain of the run: see the trigger of a run.")
    metrics: Metrics | None = Field(None, description="metrics.json of the output.")
    time: Timestamp = Field(description="When it was published.")


class RunProgress(Model):
    """How far the code is, by its own word in /perennial/progress.json."""

    step: int = Field(ge=0, le=2**53, description="Steps done.")
    total: int | None = Field(None, ge=0, le=2**53, description="Steps in all.")
    metrics: Metrics | None = Field(None, description="Metrics at this step.")
    eta_seconds: int | None = Field(
        None, ge=0, le=2**53, description="Seconds that are left: the code's own word, or else by the pace so far."
    )
    time: Timestamp = Field(description="When this was read; at most every 30 s.")


class CurrentRun(Model):
    """The run under way. Written before its Job is created, so that a crash in between loses nothing."""

    name: ShortText = Field(description="Name of the run: <name>-<number>.")
    number: int = Field(description="Number of the run, from 1.")
    attempt: int = Field(0, description="Number of the attempt, from 0.")
    failures: int = Field(0, description="Attempts that failed and count against retry.limit.")
    disruptions: int = Field(0, description="Attempts that were disrupted; they do not count.")
    trigger: Trigger = Field(description="Why the run was started.")
    spec_hash: ShortText = Field(description="Hash of the part of the spec that shapes the run.")
    generation: int = Field(description="Generation of the spec that the run was started for.")
    job: ShortText = Field(description="Name of the attempt's Job.")
    start_time: Timestamp = Field(description="When the run was started.")
    attempt_time: Timestamp = Field(description="When the attempt was started, or is to be started after a failure.")
    last_failure: Message | None = Field(None, description="Why the attempt before this one ended.")
    progress: RunProgress | None = Field(
        None, description="How far the attempt is, where its code keeps /perennial/progress.json and output is set."
    )


class RunRecord(Model):
    """A run that has ended."""

    name: ShortText = Field(description="Name of the run: <name>-<number>.")
    number: int = Field(description="Number of the run, from 1.")
    result: Literal["Succeeded", "Failed", "Rejected", "Replaced"] = Field(
        description="Succeeded, Failed, Rejected (its model does not meet spec.acceptance) or Replaced."
    )
    reason: Reason = Field(description="Why it ended so, in one word.")
    message: Message | None = Field(None, description="Why it ended so, and what to do next.")
    trigger: Trigger = Field(description="Why it was started.")
    attempts: int = Field(description="Attempts in all.")
    start_time: Timestamp = Field(description="When it was started.")
    completion_time: Timestamp = Field(description="When it ended.")
    spec_hash: ShortText = Field(description="Hash of the part of the spec that shaped it.")
    generation: int = Field(description="Generation of the spec that it was started for.")
    parameters: ParameterMap | None = Field(None, description="Its hyperparameters.")
    seed: int | None = Field(None, description="Its seed.")
    image: Text | None = Field(None, description="Image as the spec named it.")
    image_digest: Text | None = Field(None, description="Image that really ran, by digest.")
    source: Source | None = Field(None, description="Repository and commit of its code.")
    inputs: Annotated[tuple[InputRecord, ...], Field(max_length=16)] | None = Field(
        None, description="What was pulled, by digest."
    )
    metrics: Metrics | None = Field(None, description="metrics.json of its output.")
    artifact_uri: Text | None = Field(None, description="Version that it published.")
    artifact_digest: Digest | None = Field(None, description="Digest of that version.")
