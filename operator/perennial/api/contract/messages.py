"""Results of the agent's commands: one JSON object in the container's termination message.

The message is untrusted, since anyone who controls a pod can write it. `core.termination` validates it against
these models and rejects more than 4096 bytes or unprintable text.
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from perennial.api.common.base import Digest, Model, S3Uri, Timestamp
from perennial.api.driftmonitor.checks import CheckScore
from perennial.api.driftmonitor.status import FeatureScore

MAX_BYTES = 4096
"""The kubelet truncates a container's termination message to this length."""
POD_MAX_BYTES = 12 * 1024
"""The kubelet divides this by the number of a pod's containers, and truncates longer messages."""

Line = Annotated[str, Field(max_length=200)]
Count = Annotated[int, Field(ge=0, le=2**53)]
"""A non-negative integer that a float64 holds exactly, so that every JSON reader agrees on it."""


class AgentMessage(Model):
    """Base of all messages. `v` is increased when an older operator would misread a change."""

    model_config = ConfigDict(extra="forbid")

    v: Literal[1] = 1


class Failure(AgentMessage):
    """The command failed. Its exit code gives the same reason (see `core.failures`)."""

    kind: Literal["Failure"] = "Failure"
    reason: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z]+$")]
    message: Annotated[str, Field(max_length=1024)]


class PulledInput(AgentMessage):
    """One downloaded input."""

    name: Annotated[str, Field(max_length=63)]
    digest: Digest
    files: Count
    bytes: Count


class Fetched(AgentMessage):
    """`fetch` has downloaded all inputs."""

    kind: Literal["Fetched"] = "Fetched"
    listing: Digest | None = None
    """Digest of the listing that was pulled, as `Polled.digest`: later polls are compared with it."""
    files: Count = 0
    """Total of all inputs."""
    bytes: Count = 0
    inputs: Annotated[tuple[PulledInput, ...], Field(max_length=16)] = ()
    """The last ones are dropped if the message is too long for the pod."""


MOST_PROGRESS_METRICS = 16


class TrainingProgress(Model):
    """Response of the sidecar to `GET :9464/progress`, read from the training code's progress.json. Untrusted."""

    step: Count
    total: Count | None = None
    metrics: Annotated[
        dict[Annotated[str, Field(max_length=63)], Annotated[str, Field(max_length=32)]],
        Field(max_length=MOST_PROGRESS_METRICS),
    ] = Field(default_factory=dict)
    eta: Count | None = None
    """Estimated seconds until training ends."""


class Polled(AgentMessage):
    """`poll` has listed the inputs; `digest` changes when the listing does."""

    kind: Literal["Polled"] = "Polled"
    digest: Digest
    files: Count
    bytes: Count


class Published(AgentMessage):
    """`publish` has uploaded a version and, last, its manifest.

    Metrics come last: if the kubelet truncates the message, the operator still reads the rest.
    """

    kind: Literal["Published"] = "Published"
    digest: Digest
    files: Count
    bytes: Count
    time: Timestamp
    metrics_dropped: Count = 0
    uri: S3Uri
    metrics: Annotated[
        dict[Annotated[str, Field(max_length=63)], Annotated[str, Field(max_length=32)]], Field(max_length=32)
    ] = Field(default_factory=dict)


class NothingToPublish(AgentMessage):
    """`publish` found no files in the output folder."""

    kind: Literal["NothingToPublish"] = "NothingToPublish"


class DriftVerdict(AgentMessage):
    """`drift` has compared the window with the reference.

    Lists come last: if the kubelet truncates the message, the operator still reads the verdict.
    """

    kind: Literal["DriftVerdict"] = "DriftVerdict"
    drifted: bool
    drifted_features: Count
    compared_features: Count
    reference_rows: Count
    current_rows: Count
    degraded: bool | None = None
    likely_degraded: bool | None = None
    unfair: bool | None = None
    labelled_rows: Count | None = None
    predicted_rows: Count | None = None
    passed_over: Count | None = None
    """Number of files beside the data that were not read, since their names are not those of data."""
    time: Timestamp
    report_uri: Annotated[str, Field(max_length=1024)] | None = None
    scores: Annotated[tuple[CheckScore, ...], Field(max_length=15)] = ()
    features: Annotated[tuple[FeatureScore, ...], Field(max_length=10)] = ()
    quality_findings: Annotated[tuple[Line, ...], Field(max_length=5)] = ()


class NoVerdict(AgentMessage):
    """`drift` had too little data for a verdict; the monitor itself works."""

    kind: Literal["NoVerdict"] = "NoVerdict"
    reason: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z]+$")]
    message: Annotated[str, Field(max_length=1024)]


Message = Annotated[
    Failure | Fetched | Polled | Published | NothingToPublish | DriftVerdict | NoVerdict, Field(discriminator="kind")
]
