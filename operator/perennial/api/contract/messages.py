"""What an agent tells the operator when it ends: one JSON object in the termination message.

The message is untrusted: whoever controls a pod can write anything there. `core.termination` holds it to
these models, to 4096 bytes, and to printable text.
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from perennial.api.common.base import Digest, Model, S3Uri, Timestamp
from perennial.api.driftmonitor.checks import CheckScore
from perennial.api.driftmonitor.status import FeatureScore

MAX_BYTES = 4096
"""The kubelet cuts a container's termination message at this length."""

Line = Annotated[str, Field(max_length=200)]
Count = Annotated[int, Field(ge=0, le=2**53)]
"""A whole number that every JSON reader, and the status, can hold."""


class AgentMessage(Model):
    """What all messages share. `v` grows when a change would mislead an older operator."""

    model_config = ConfigDict(extra="forbid")

    v: Literal[1] = 1


class Failure(AgentMessage):
    """The agent could not do its work. The exit code says the same (see `core.failures`)."""

    kind: Literal["Failure"] = "Failure"
    reason: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z]+$")]
    message: Annotated[str, Field(max_length=1024)]


class PulledInput(AgentMessage):
    """One input that was pulled."""

    name: Annotated[str, Field(max_length=63)]
    digest: Digest
    files: Count
    bytes: Count


class Fetched(AgentMessage):
    """`fetch` has pulled everything."""

    kind: Literal["Fetched"] = "Fetched"
    inputs: Annotated[tuple[PulledInput, ...], Field(max_length=16)] = ()


MOST_PROGRESS_METRICS = 16


class TrainingProgress(Model):
    """What the sidecar answers to `GET :9464/progress`, from the code's own progress.json: untrusted, too."""

    step: Count
    total: Count | None = None
    metrics: Annotated[
        dict[Annotated[str, Field(max_length=63)], Annotated[str, Field(max_length=32)]],
        Field(max_length=MOST_PROGRESS_METRICS),
    ] = Field(default_factory=dict)
    eta: Count | None = None
    """Seconds that are left."""


class Polled(AgentMessage):
    """`poll` has listed the inputs."""

    kind: Literal["Polled"] = "Polled"
    digest: Digest
    files: Count
    bytes: Count


class Published(AgentMessage):
    """`publish` has written a version, manifest last."""

    kind: Literal["Published"] = "Published"
    uri: S3Uri
    digest: Digest
    files: Count
    bytes: Count
    metrics: Annotated[
        dict[Annotated[str, Field(max_length=63)], Annotated[str, Field(max_length=32)]], Field(max_length=32)
    ] = Field(default_factory=dict)
    metrics_dropped: Count = 0
    time: Timestamp


class NothingToPublish(AgentMessage):
    """`publish` found the output folder empty."""

    kind: Literal["NothingToPublish"] = "NothingToPublish"


class DriftVerdict(AgentMessage):
    """`drift` has compared enough data to judge."""

    kind: Literal["DriftVerdict"] = "DriftVerdict"
    drifted: bool
    drifted_features: Count
    compared_features: Count
    reference_rows: Count
    current_rows: Count
    features: Annotated[tuple[FeatureScore, ...], Field(max_length=10)] = ()
    quality_findings: Annotated[tuple[Line, ...], Field(max_length=5)] = ()
    degraded: bool | None = None
    likely_degraded: bool | None = None
    unfair: bool | None = None
    labelled_rows: Count | None = None
    predicted_rows: Count | None = None
    scores: Annotated[tuple[CheckScore, ...], Field(max_length=15)] = ()
    report_uri: Annotated[str, Field(max_length=1024)] | None = None
    time: Timestamp


class NoVerdict(AgentMessage):
    """`drift` had too little data to judge; nothing is wrong with the monitor itself."""

    kind: Literal["NoVerdict"] = "NoVerdict"
    reason: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z]+$")]
    message: Annotated[str, Field(max_length=1024)]


Message = Annotated[
    Failure | Fetched | Polled | Published | NothingToPublish | DriftVerdict | NoVerdict, Field(discriminator="kind")
]
