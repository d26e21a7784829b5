"""The audit log: its entries, its lines, and the configuration of `perennial agent audit`.

An entry is one fact. The operator hands entries over as an outbox: files whose names end in `.jsonl`, one entry in
JSON a line. The agent appends each as one line of a segment, `<uri>/<yyyy>/<mm>/<dd>.jsonl`. How lines are written and
chained is in `core.audit`.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from perennial.api.common.base import Digest, Model, Name, S3Uri, ShortText, Timestamp
from perennial.api.common.pod import Storage
from perennial.api.contract.messages import MAX_BYTES, Count

OUTBOX = "/perennial/outbox"
"""Where the outbox is mounted."""
OUTBOX_SUFFIX = ".jsonl"
HEAD_CONFIG_MAP = "perennial-audit-head"
"""ConfigMap in the operator's namespace with the log's URI and the last position that is known to be written."""
LONGEST_LINE = 64 * 1024
"""Bytes of a line, its end included. An entry at the limit of each of its fields has less than half."""

AuditEvent = Literal[
    "RunStarted",
    "RunSucceeded",
    "RunFailed",
    "ArtifactAccepted",
    "ArtifactRejected",
    "GateDecided",
    "RolloutStarted",
    "RolloutApproved",
    "ApprovalWithdrawn",
    "RolloutPaused",
    "RolloutResumed",
    "PromotionRequested",
    "RolloutPromoted",
    "RolloutFailed",
    "RolloutAborted",
    "RolloutSuperseded",
    "RolledBack",
    "VerdictReached",
    "RetrainRequested",
    "EntriesDropped",
]
"""What may be recorded. EntriesDropped: the outbox was full, so facts are missing before this entry."""
AuditKind = Literal["TrainingJob", "ModelDeployment", "DriftMonitor", "Operator"]


def _printable(longest: int) -> BeforeValidator:
    """Replace control characters by spaces, and cut what is longer: an entry must not fail for its words."""

    def clean(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        text = "".join(character if character.isprintable() else " " for character in value)
        return text if len(text) <= longest else f"{text[: longest - 1]}…"

    return BeforeValidator(clean)


def _moment(value: str) -> str:
    datetime.fromisoformat(value)
    return value


Moment = Annotated[Timestamp, AfterValidator(_moment)]
"""A time in RFC 3339, or a date."""
EntryId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
"""Identity of a fact, from `core.audit.entry_id`: the same fact handed over twice becomes one line."""
_Names = Annotated[str, Field(min_length=1, max_length=63), _printable(63)]
_Value = Annotated[str, Field(max_length=64), _printable(64)]
Figures = Annotated[dict[_Names, _Value], Field(max_length=16)]
"""Names and values. Numbers are text too, since not every reader and writer of JSON keeps a float as it was."""


class AuditEntry(Model):
    """One fact. Only `id`, `time`, `event` and the resource are always set."""

    id: EntryId
    time: Moment
    """When it happened, not when it was written."""
    event: AuditEvent
    kind: AuditKind
    namespace: Name
    name: Annotated[str, Field(min_length=1, max_length=253)]
    uid: Annotated[str, Field(min_length=1, max_length=64)]
    generation: Count | None = None
    spec_hash: Annotated[str, Field(max_length=71)] | None = None
    actor: Annotated[ShortText, _printable(256)] | None = None
    """Who did it, as the API server knows the person. None: the operator."""
    model_digest: Digest | None = None
    artifact_uri: S3Uri | None = None
    run: Annotated[str, Field(max_length=256)] | None = None
    revision: Annotated[str, Field(max_length=256)] | None = None
    figures: Figures = Field(default_factory=dict)
    """What was measured."""
    thresholds: Figures = Field(default_factory=dict)
    """What it was compared with, under the same names."""
    message: Annotated[str, Field(max_length=512), _printable(512)] = ""


class AuditPosition(Model):
    """A place in the log: a line's sequence number and its hash. Sequence 0 is the beginning of an empty log."""

    sequence: Count
    hash: Digest


class AuditLine(AuditPosition):
    """One line of a segment."""

    previous: Digest
    """Hash of the line before, also across segments."""
    entry: AuditEntry | None = None
    """None: the line closes its segment, and none may follow it there."""


class AuditLock(Model):
    """Object Lock of what is written."""

    days: int = Field(gt=0, le=36_500)
    mode: Literal["GOVERNANCE", "COMPLIANCE"] = "GOVERNANCE"
    """GOVERNANCE: a user with the right to bypass it can still delete. COMPLIANCE: nobody can."""


class AuditAppend(Model):
    """`perennial agent audit append`: write the entries of an outbox to the log."""

    kind: Literal["AuditAppend"] = "AuditAppend"
    storage: Storage = Field(Storage())
    uri: S3Uri
    outbox: str = OUTBOX
    lock: AuditLock | None = None
    """None: what the bucket does by default."""
    expect: AuditPosition | None = None
    """The last position that the caller knows to be written: the log must hold it."""
    message_bytes: int = Field(MAX_BYTES, gt=0, le=MAX_BYTES)


class AuditVerify(Model):
    """`perennial agent audit verify`: read the log and check the chain."""

    kind: Literal["AuditVerify"] = "AuditVerify"
    storage: Storage = Field(Storage())
    uri: S3Uri
    since: Moment | None = None
    """Time or date: segments of earlier days are not read. Unset: from the first."""
    until: Moment | None = None
    """Time or date: segments of later days are not read. Unset: to the last."""
    expect: AuditPosition | None = None
    """A position known from elsewhere, which the log must hold."""
    versions: bool = False
    """Also compare with the versions that the bucket keeps of each segment."""
    output: Literal["text", "json"] = "text"


class AuditShow(Model):
    """`perennial agent audit show`: write the entries that match all that is set, oldest first."""

    kind: Literal["AuditShow"] = "AuditShow"
    storage: Storage = Field(Storage())
    uri: S3Uri
    model_digest: Digest | None = None
    resource_kind: AuditKind | None = None
    namespace: str | None = None
    name: str | None = None
    since: Moment | None = None
    until: Moment | None = None
    output: Literal["text", "json"] = "text"


AuditConfig = Annotated[AuditAppend | AuditVerify | AuditShow, Field(discriminator="kind")]


AuditProblem = Literal[
    "Altered",
    "Missing",
    "Doubled",
    "Reordered",
    "Unlinked",
    "Unreadable",
    "Unclosed",
    "AfterClosing",
    "CutTail",
    "HeadMissing",
    "Replaced",
    "Deleted",
]
"""How the log differs from what was written."""


class AuditFinding(Model):
    """One place where the log is not as it was written."""

    problem: AuditProblem
    segment: Annotated[str, Field(max_length=64)] | None = None
    """Such as 2026/01/31.jsonl."""
    line: Count | None = None
    """From 1."""
    message: Annotated[str, Field(max_length=512)]


class AuditReport(Model):
    """Result of `verify`."""

    result: Literal["Intact", "Broken", "NotJudged"]
    uri: str
    segments: Count = 0
    lines: Count = 0
    first: AuditPosition | None = None
    last: AuditPosition | None = None
    findings: Annotated[tuple[AuditFinding, ...], Field(max_length=50)] = ()
    more_findings: Count = 0
    not_checked: Annotated[tuple[Annotated[str, Field(max_length=512)], ...], Field(max_length=20)] = ()
    """What was not looked at, and why."""
