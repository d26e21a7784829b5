"""What a ModelDeployment captures of requests and predictions."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import Decimal, Model, Period, S3Uri
from perennial.api.common.pod import KeyRef

IdSource = Literal["Auto", "Body", "Header"]
_Names = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=128)], ...], Field(max_length=64)]
_SomeNames = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=128)], ...], Field(min_length=1, max_length=64)
]


class RequestId(Model):
    """Source of the id of a request."""

    source: IdSource = Field(
        "Auto",
        alias="from",
        description="Body: the field id of the JSON body, a string or an integer. Header: the header named by header. "
        "Auto: the body, else the header, because proxies and meshes set the header themselves. A request without an "
        "id gets a new one, which no label has.",
    )
    header: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9-]+$")] = Field(
        "X-Request-Id",
        description="Request header with the id. Its value is also captured as requestId, unless redact names it.",
    )


class CapturedHash(Model):
    """Names whose values are captured as a keyed hash."""

    columns: _SomeNames = Field(
        description="Names whose values are written as hmac:<name of the key>:<first 16 hexadecimal digits of their "
        "HMAC-SHA256>: keys, tensors, columns and query parameters, and the header of the id, case-insensitive. Equal "
        "values have equal hashes. What cannot be hashed, such as an object, is left out. A value within a tensor has "
        "no name. A change creates a new revision."
    )
    key_secret: KeyRef = Field(
        description="Key of a Secret that holds the key of the hash, at least 16 bytes of text. Only the sidecars read "
        "it, at their start; without it they do not start. A DriftMonitor needs the same key in privacy.hash."
    )


class Capture(Model):
    """Captures requests and predictions to S3, for DriftMonitors and audits."""

    uri: S3Uri = Field(description="Prefix of the captured files: date=YYYY-MM-DD/hour=HH/*.jsonl.gz or *.parquet.")
    sample: Decimal = Field("1.0", description="Fraction of requests to capture, from 0 to 1.")
    every: Period = Field("30s", description="Interval at which captured requests are written.")
    format: Literal["JsonLines", "Parquet"] | None = Field(
        None,
        description="Parquet: columns, with bodies as JSON text; the sidecar needs about 60 MiB more memory. Unset: "
        "JsonLines, gzip-compressed.",
    )
    id: RequestId | None = Field(
        None,
        description="Where the id of a request comes from, by which labels are joined. Unset: from the body, else from "
        "the header X-Request-Id, else a new one.",
    )
    redact: _Names | None = Field(
        None,
        description="Names whose values are never captured: keys, tensors, columns and query parameters of "
        "requests and responses, case-insensitive. Redaction comes first: a redacted id or header is not the "
        "request's id either. A value within a tensor has no name and cannot be redacted.",
    )
    hash: CapturedHash | None = Field(
        None,
        description="Names whose values are captured as a keyed hash, by which rows can still be joined and compared.",
    )
    max_body_bytes: int | None = Field(
        None,
        ge=0,
        le=4194304,
        description="Longest body to capture, in bytes; of a longer one only the metadata is captured. Unset: 262144.",
    )
