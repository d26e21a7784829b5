"""Runs in the status of a TrainingJob: the current one, the ended ones, and the artifact."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import Digest, Message, Model, Reason, ShortText, Text, Timestamp
from perennial.api.common.pod import Source
from perennial.api.common.status import InputRecord, Metrics
from perennial.api.trainingjob.policies import Trigger

ParameterMap = Annotated[
    dict[str, Annotated[str, Field(max_length=1024)]],
    Field(max_length=64, json_schema_extra={"x-perennial-key-pattern": r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"}),
]


class Artifact(Model):
    """A published version."""

    uri: Text = Field(description="URI of the version: <output>/versions/<first 12 digits of the digest>/.")
    digest: ShortText = Field(description="sha256 over the names, sizes and digests of its files.")
    run: ShortText = Field(description="Name of the run that published it.")
    chain: ShortText | None = Field(None, description="Chain of the run: see the trigger of the run.")
    metrics: Metrics | None = Field(None, description="metrics.json of the output.")
    time: Timestamp = Field(description="When it was published.")


class RunProgress(Model):
    """Progress that the code reports in /perennial/progress.json."""

    step: int = Field(ge=0, le=2**53, description="Number of completed steps.")
    total: int | None = Field(None, ge=0, le=2**53, description="Total number of steps.")
    metrics: Metrics | None = Field(None, description="Metrics at this step.")
    eta_seconds: int | None = Field(
        None,
        ge=0,
        le=2**53,
        description="Estimated seconds until the end: as reported by the code, or else from its speed so far.",
    )
    time: Timestamp = Field(description="When the progress was read; at most every 30 s.")


class RunCheckpoint(Model):
    """Checkpoints of the attempt, with spec.checkpoint."""

    resumed_from: Timestamp | None = Field(
        None,
        description="When the checkpoint was complete that the attempt goes on from. Unset: from the beginning.",
    )
    time: Timestamp | None = Field(
        None, description="When the newest checkpoint was complete in the storage; updated every five minutes."
    )
    problem: Text | None = Field(None, description="Why a newer one is not. Unset: nothing is known to be wrong.")


class CurrentRun(Model):
    """The run in progress. Written before its Job is created, so that a crash in between loses nothing."""

    name: ShortText = Field(description="Name of the run: <name>-<number>.")
    number: int = Field(description="Number of the run, from 1.")
    attempt: int = Field(0, description="Number of the attempt, from 0.")
    failures: int = Field(0, description="Number of failed attempts; they count against retry.limit.")
    disruptions: int = Field(0, description="Number of disrupted attempts; they do not count against retry.limit.")
    trigger: Trigger = Field(description="Why the run was started.")
    spec_hash: ShortText = Field(description="Hash of the fields of the spec that affect what the run computes.")
    generation: int = Field(description="Generation of the spec that the run was started with.")
    job: ShortText = Field(description="Name of the attempt's Job.")
    start_time: Timestamp = Field(description="When the run was started.")
    attempt_time: Timestamp = Field(description="When the attempt started, or when a retry will start.")
    last_failure: Message | None = Field(None, description="Why the previous attempt ended.")
    output_warnings: Annotated[tuple[Text, ...], Field(max_length=3)] | None = Field(
        None,
        description="Why the output could not be published if the run ended now, such as files that only root can "
        "read. Unset: nothing is known to be wrong.",
    )
    checkpoint: RunCheckpoint | None = Field(
        None, description="Checkpoints of the first worker in this attempt, with spec.checkpoint."
    )
    progress: RunProgress | None = Field(
        None, description="Progress of the attempt, if its code writes /perennial/progress.json and spec.output is set."
    )


class RunRecord(Model):
    """A run that has ended."""

    name: ShortText = Field(description="Name of the run: <name>-<number>.")
    number: int = Field(description="Number of the run, from 1.")
    result: Literal["Succeeded", "Failed", "Rejected", "Replaced"] = Field(
        description="Succeeded, Failed, Rejected (its model does not meet spec.acceptance) or Replaced."
    )
    reason: Reason = Field(description="Why it ended, as a CamelCase word.")
    message: Message | None = Field(None, description="Why it ended, and what to do next.")
    trigger: Trigger = Field(description="Why it was started.")
    attempts: int = Field(description="Number of attempts.")
    start_time: Timestamp = Field(description="When it started.")
    completion_time: Timestamp = Field(description="When it ended.")
    spec_hash: ShortText = Field(description="Hash of the fields of the spec that affect what the run computes.")
    generation: int = Field(description="Generation of the spec that it was started with.")
    parameters: ParameterMap | None = Field(None, description="Its hyperparameters.")
    seed: int | None = Field(None, description="Its seed.")
    image: Text | None = Field(None, description="Image, as in the spec.")
    image_digest: Text | None = Field(None, description="Digest of the image that ran.")
    source: Source | None = Field(None, description="Repository and commit of its code.")
    inputs: Annotated[tuple[InputRecord, ...], Field(max_length=16)] | None = Field(
        None, description="Inputs that were pulled, with their digests."
    )
    metrics: Metrics | None = Field(None, description="metrics.json of its output.")
    artifact_uri: Text | None = Field(None, description="URI of the version that it published.")
    artifact_digest: Digest | None = Field(None, description="Digest of that version.")
