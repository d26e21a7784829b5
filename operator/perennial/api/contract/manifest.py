"""manifest.json: what makes a published version trustworthy and repeatable."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import Digest, Model, S3Uri, ShortText, Text, Timestamp
from perennial.api.common.pod import Source

Path = Annotated[str, Field(min_length=1, max_length=1024)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FileEntry(Model):
    """One file of a version or an input."""

    path: Path = Field(description="Relative path, with '/' between parts; never absolute, never through '..'.")
    size: int = Field(ge=0, description="Bytes.")
    sha256: Sha256 = Field(description="sha256 of its content, in hex.")


class InputManifest(Model):
    """What was pulled for one input of a run, file by file, so that it can be read again later."""

    name: ShortText = Field(description="Name of the input.")
    uri: S3Uri = Field(description="Where it was pulled from.")
    digest: Digest = Field(description="Content digest of its files.")
    files: tuple[FileEntry, ...] = Field((), description="Its files; empty when there were more than 10,000.")


class Recipe(Model):
    """What a run was made of: what is needed, beside its inputs, to run it again.

    Of the environment only the names are kept: a value may be a Secret's, or hold one.
    """

    image: Text | None = Field(None, description="Image as the spec named it.")
    command: tuple[str, ...] | None = Field(None, description="Command, when the spec replaced the image's.")
    args: tuple[str, ...] | None = Field(None, description="Arguments, when the spec replaced the image's.")
    working_dir: Text | None = Field(None, description="Working directory, when the spec replaced the image's.")
    environment: tuple[str, ...] = Field((), description="Names of the variables that the spec set.")
    prepare: tuple[str, ...] = Field((), description="Images of the steps before the training, in order.")
    source: Source | None = Field(None, description="Repository and commit of the code.")
    parameters: dict[str, str] = Field(default_factory=dict, description="Hyperparameters.")
    seed: int | None = Field(None, description="Seed.")
    framework: ShortText = Field("none", description="Framework whose variables joined the workers.")
    workers: int = Field(1, description="Pods that trained together.")
    requests: dict[str, str] = Field(default_factory=dict, description="What each worker asked for, and no less got.")
    limits: dict[str, str] = Field(default_factory=dict, description="What each worker could use at most.")
    trigger: ShortText | None = Field(None, description="What started the run: the spec, a schedule, drift, …")
    started: Timestamp | None = Field(None, description="When the run was started.")


class Manifest(Recipe):
    """A published version. It is written last: where it lies, the version is complete."""

    schema_version: Literal[1] = Field(1, description="Version of this format.")
    digest: Digest = Field(description="Content digest: see content_digest in agent/digest.py.")
    files: Annotated[tuple[FileEntry, ...], Field(max_length=100_000)] = Field(description="Its files, by path.")
    namespace: ShortText = Field(description="Namespace of the TrainingJob.")
    training_job: ShortText = Field(description="Name of the TrainingJob.")
    run: ShortText = Field(description="Name of the run.")
    chain: ShortText | None = Field(
        None, description="What began it all: the drift verdict that led to the run, or else the run itself."
    )
    attempt: int = Field(0, description="Number of the attempt.")
    inputs: tuple[InputManifest, ...] = Field((), description="What the run learned from.")
    metrics: dict[str, str] = Field(default_factory=dict, description="metrics.json of the output, as text.")
    created: Timestamp = Field(description="When it was published.")
    published_by: ShortText | None = Field(None, description="Release of Perennial that published it.")
