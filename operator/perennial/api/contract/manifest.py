"""manifest.json: files, digest and provenance of a published version."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import Digest, Model, S3Uri, ShortText, Text, Timestamp
from perennial.api.common.pod import Source

Path = Annotated[str, Field(min_length=1, max_length=1024)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FileEntry(Model):
    """One file of a version or an input."""

    path: Path = Field(description="Relative path with '/' as the separator and no '..' component.")
    size: int = Field(ge=0, description="Bytes.")
    sha256: Sha256 = Field(description="sha256 of the content, in hex.")


LONGEST_SKIPPED = 256
MOST_SKIPPED = 100


class SkippedFile(Model):
    """An entry of the output that is not part of the version."""

    path: Annotated[str, Field(max_length=LONGEST_SKIPPED)] = Field(description="Its path, cut if long.")
    reason: ShortText = Field(description="Why it was left out.")


class InputManifest(Model):
    """Files downloaded for one input of a run, so that the same data can be found again."""

    name: ShortText = Field(description="Name of the input.")
    uri: S3Uri = Field(description="URI it was downloaded from.")
    digest: Digest = Field(description="Content digest of its files.")
    files: tuple[FileEntry, ...] = Field((), description="Its files. Empty if there were more than 10,000.")


class Recipe(Model):
    """Settings of a run: together with its inputs, what is needed to repeat it.

    Environment variables are recorded by name only, since their values may be secret.
    """

    image: Text | None = Field(None, description="Image, as written in the spec.")
    command: tuple[str, ...] | None = Field(None, description="Command, if the spec sets one.")
    args: tuple[str, ...] | None = Field(None, description="Arguments, if the spec sets any.")
    working_dir: Text | None = Field(None, description="Working directory, if the spec sets one.")
    environment: tuple[str, ...] = Field((), description="Names of the environment variables set by the spec.")
    prepare: tuple[str, ...] = Field((), description="Images of the prepare steps, in order.")
    source: Source | None = Field(None, description="Repository and commit of the training code.")
    parameters: dict[str, str] = Field(default_factory=dict, description="Hyperparameters.")
    seed: int | None = Field(None, description="Random seed.")
    framework: ShortText = Field("none", description="Framework whose environment variables the workers received.")
    workers: int = Field(1, description="Number of worker pods.")
    requests: dict[str, str] = Field(default_factory=dict, description="Resource requests of each worker.")
    limits: dict[str, str] = Field(default_factory=dict, description="Resource limits of each worker.")
    trigger: ShortText | None = Field(
        None, description="What started the run, such as a change of the spec, a schedule or drift."
    )
    started: Timestamp | None = Field(None, description="Start time of the run.")


class Manifest(Recipe):
    """A published version. The manifest is uploaded last, so a version that has one has all its files.

    It does not say that training succeeded: the agent cannot know the exit code, and publishes the output of failed
    attempts too. The operator accepts only versions of successful ones (see ADR 0003).
    """

    schema_version: Literal[1] = Field(1, description="Version of this format.")
    digest: Digest = Field(description="Content digest: see content_digest in agent/artifact/digest.py.")
    files: Annotated[tuple[FileEntry, ...], Field(max_length=100_000)] = Field(
        description="Files of the version, by path."
    )
    skipped: Annotated[tuple[SkippedFile, ...], Field(max_length=MOST_SKIPPED)] = Field(
        (), description="Entries of the output that were left out, such as broken links and sockets; at most 100."
    )
    namespace: ShortText = Field(description="Namespace of the TrainingJob.")
    training_job: ShortText = Field(description="Name of the TrainingJob.")
    run: ShortText = Field(description="Name of the run.")
    chain: ShortText | None = Field(
        None, description="Root of the chain of retraining: the drift verdict that led to the run, or the run itself."
    )
    attempt: int = Field(0, description="Number of the attempt.")
    inputs: tuple[InputManifest, ...] = Field((), description="Inputs of the run.")
    metrics: dict[str, str] = Field(
        default_factory=dict, description="Metrics from the output's metrics.json, as text."
    )
    created: Timestamp = Field(description="Time of publication.")
    published_by: ShortText | None = Field(None, description="Version of Perennial that published it.")
