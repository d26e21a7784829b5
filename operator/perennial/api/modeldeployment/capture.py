"""What a ModelDeployment captures of requests and predictions."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import Decimal, Model, Period, S3Uri

IdSource = Literal["Auto", "Body", "Header"]


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
    redact: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=128)], ...], Field(max_length=64)] | None = (
        Field(
            None,
            description="Names whose values are never captured: keys, tensors, columns and query parameters of "
            "requests and responses, case-insensitive. Redaction comes first: a redacted id or header is not the "
            "request's id either. A value within a tensor has no name and cannot be redacted.",
        )
    )
    max_body_bytes: int | None = Field(
        None,
        ge=0,
        le=4194304,
        description="Longest body to capture, in bytes; of a longer one only the metadata is captured. Unset: 262144.",
    )
