"""Checkpoints of training: where they are kept, and the document that completes one."""

from typing import Annotated

from pydantic import Field

from perennial.api.common.base import Model, S3Uri, Timestamp
from perennial.api.contract.manifest import FileEntry

MOST_FILES = 10_000
"""Files of one worker's checkpoint."""


class CheckpointPlace(Model):
    """Where the checkpoints of one attempt belong."""

    uri: S3Uri
    """Of the TrainingJob: another one of the same name, made later, never finds them."""
    number: int = Field(ge=0)
    """Of the run."""
    run: str
    """Its name; each trial of a sweep has its own."""
    attempt: int = Field(ge=0)
    every: int = Field(gt=0)
    """Seconds between two looks at the folder."""


class CheckpointManifest(Model):
    """checkpoint.json of a worker: the newest complete checkpoint. Its files are objects named by their sha256."""

    run: str
    attempt: int
    worker: int
    time: Timestamp
    files: Annotated[tuple[FileEntry, ...], Field(max_length=MOST_FILES)]
