"""Results of the agent's commands: one JSON object in the container's termination message.

The message is untrusted, since anyone who controls a pod can write it. `core.termination` validates it against
these models and rejects more than 4096 bytes or unprintable text.
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from perennial.api.common.base import Decimal, Digest, Model, S3Uri, Timestamp
from perennial.api.driftmonitor.checks import CheckScore
from perennial.api.driftmonitor.segments import SegmentsVerdict
from perennial.api.driftmonitor.status import FeatureScore, Trend
from perennial.api.driftmonitor.window import CalendarWindow

MAX_BYTES = 4096
"""The kubelet truncates a container's termination message to this length."""
POD_MAX_BYTES = 12 * 1024
"""The kubelet divides this by the number of a pod's containers, and truncates longer messages."""

SHOWN_PREFIX = "perennial-data:"
"""Begins the lines by which `perennial agent show` writes an object; a line with nothing behind it is the last."""

LINE_LENGTH = 200
Line = Annotated[str, Field(max_length=LINE_LENGTH)]
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


class RestoredCheckpoint(Model):
    """What `fetch` has put into the folder before the code starts. Untrusted."""

    attempt: int = Field(ge=0, le=2**31)
    """That has written it."""
    time: Timestamp
    files: Count
    bytes: Count
    problem: Line | None = None
    """Why it was not restored, after all; the code starts from the beginning."""


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
    checkpoint: RestoredCheckpoint | None = None
    """None: there was none, or checkpoints are not kept."""


MOST_PROGRESS_METRICS = 16
MOST_WARNINGS = 3


class CheckpointState(Model):
    """What the sidecar knows of the checkpoints of its attempt."""

    resumed: Timestamp | None = None
    """When the checkpoint was complete that was restored; None: the code started from the beginning."""
    kept: Timestamp | None = None
    """When the newest one was complete in the storage."""
    problem: Line | None = None
    """Why a newer one is not."""


class TrainingProgress(Model):
    """Response of the sidecar to `GET :9464/progress`. Untrusted.

    All but the warnings and the checkpoint is read from the training code's progress.json, and unset without one.
    """

    step: Count | None = None
    total: Count | None = None
    metrics: Annotated[
        dict[Annotated[str, Field(max_length=63)], Annotated[str, Field(max_length=32)]],
        Field(max_length=MOST_PROGRESS_METRICS),
    ] = Field(default_factory=dict)
    eta: Count | None = None
    """Estimated seconds until training ends."""
    warnings: Annotated[tuple[Line, ...], Field(max_length=MOST_WARNINGS)] = ()
    """Why the output could not be published as it is now."""
    checkpoint: CheckpointState | None = None
    """None: checkpoints are not kept."""


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
    reference_digest: Digest | None = None
    """Of names, sizes and contents of its files, as `content_digest`."""
    current_rows: Count
    degraded: bool | None = None
    likely_degraded: bool | None = None
    unfair: bool | None = None
    prediction_drift: bool | None = None
    multivariate_drift: bool | None = None
    labelled_rows: Count | None = None
    predicted_rows: Count | None = None
    passed_over: Count | None = None
    """Number of files beside the data that were not read, since their names are not those of data."""
    trend: Trend | None = None
    time: Timestamp
    window: CalendarWindow | None = None
    """None: no calendar window was compared."""
    report_uri: Annotated[str, Field(max_length=1024)] | None = None
    segments: SegmentsVerdict | None = None
    """None: no segments are configured."""
    scores: Annotated[tuple[CheckScore, ...], Field(max_length=18)] = ()
    features: Annotated[tuple[FeatureScore, ...], Field(max_length=10)] = ()
    quality_findings: Annotated[tuple[Line, ...], Field(max_length=5)] = ()


class ShardWritten(AgentMessage):
    """`drift` has counted the part of one shard; another shard merges all parts and gives the verdict."""

    kind: Literal["ShardWritten"] = "ShardWritten"
    shard: Count
    """From 0."""
    shards: Count
    files: Count
    rows: Count


class NoVerdict(AgentMessage):
    """`drift` had too little data for a verdict; the monitor itself works."""

    kind: Literal["NoVerdict"] = "NoVerdict"
    reason: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z]+$")]
    message: Annotated[str, Field(max_length=1024)]


class Measured(Model):
    """A metric on labelled rows, with 95 % confidence intervals. Without `value` it is not judged: see `why`."""

    model_config = ConfigDict(extra="forbid")

    metric: Annotated[str, Field(max_length=64)]
    subject: Annotated[str, Field(max_length=200)] | None = None
    """For fairness: attributes and the groups compared, such as `sex: F vs M`."""
    rows: Count = 0
    """Rows that it was computed from: both revisions gave a usable answer."""
    left_out: Count = 0
    """Rows without a usable label or prediction."""
    value: Decimal | None = None
    low: Decimal | None = None
    high: Decimal | None = None
    """Unset although `value` is set: infinite."""
    stable: Decimal | None = None
    gain: Decimal | None = None
    """Improvement over the stable revision on the same rows; positive is better, also for losses and errors."""
    gain_low: Decimal | None = None
    gain_high: Decimal | None = None
    why: Line | None = None


class Asked(Model):
    """How the requests to one revision ended."""

    model_config = ConfigDict(extra="forbid")

    rows: Count
    """Rows asked about."""
    failed: Count = 0
    """Rows without an answer: an error status, no connection, timeout, or a body that cannot be read."""
    error: Line | None = None
    """The most frequent reason."""


class Evaluated(AgentMessage):
    """`evaluate` has let the revisions score labelled rows."""

    kind: Literal["Evaluated"] = "Evaluated"
    time: Timestamp
    rows: Count
    """Rows in the data, before sampling."""
    unlabelled: Count = 0
    """Rows among them without a label, which are not scored."""
    candidate: Asked
    stable: Asked | None = None
    results: Annotated[tuple[Measured, ...], Field(max_length=10)] = ()


class Interval(Model):
    """A figure of a replay with its 95 % confidence interval. Without `value` it could not be computed: see `why`."""

    model_config = ConfigDict(extra="forbid")

    value: Decimal | None = None
    low: Decimal | None = None
    high: Decimal | None = None
    count: Count = 0
    """Requests or rows that it was computed from."""
    why: Line | None = None


class Replayed(AgentMessage):
    """`replay` has sent captured requests to a candidate."""

    kind: Literal["Replayed"] = "Replayed"
    time: Timestamp
    requests: Count
    """Requests that were replayed."""
    oldest: Timestamp | None = None
    """When the oldest of them was captured."""
    agreement: Interval
    """Share of rows with the same answer, in [0, 1]."""
    distance: Interval
    """Mean absolute difference of numeric answers, in their unit."""
    errors: Interval
    """Share of requests that the candidate did not answer with success, in [0, 1]."""
    latency: Interval
    """Geometric mean of candidate's / stable's response time."""
    skipped: Annotated[tuple[Line, ...], Field(max_length=6)] = ()
    """Captured requests that were not replayed: number and reason."""
    error: Line | None = None
    """The most frequent error of the candidate."""


class AuditAppended(AgentMessage):
    """`audit append` has written the entries of an outbox; all of them are in the log now."""

    kind: Literal["AuditAppended"] = "AuditAppended"
    sequence: Count
    """Of the last line of the log."""
    hash: Digest
    """Of the last line of the log."""
    appended: Count
    repeated: Count
    """Entries that the log had already."""
    outbox: Digest
    """`core.audit.outbox_digest` of the entries that were read: only these may be dropped."""


Message = Annotated[
    Failure
    | Fetched
    | Polled
    | Published
    | NothingToPublish
    | DriftVerdict
    | NoVerdict
    | ShardWritten
    | Evaluated
    | Replayed
    | AuditAppended,
    Field(discriminator="kind"),
]
