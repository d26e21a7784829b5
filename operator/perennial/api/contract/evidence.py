"""`perennial agent evidence`: its configuration, and what storage holds about one model."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import Digest, Model, S3Uri, Text
from perennial.api.common.pod import Storage
from perennial.api.contract.audit import AuditPosition, AuditReport
from perennial.api.contract.trace import KnownVersion, TracedVerdict, TracedVersion


class AuditSource(Model):
    """The audit log, as far as the pod's storage settings reach it."""

    uri: S3Uri
    expect: AuditPosition | None = None
    """The last position that the operator knows to be written: the log must hold it."""


class EvidenceConfig(Model):
    """`perennial agent evidence`: read the manifest, the card, the signature and the reports of one model."""

    kind: Literal["Evidence"] = "Evidence"
    storage: Storage = Field(Storage())
    digest: Digest
    namespace: str
    deployment: str
    versions: tuple[KnownVersion, ...] = ()
    outputs: tuple[S3Uri, ...] = ()
    """Where training publishes: searched for a version that `versions` does not list."""
    reports: tuple[S3Uri, ...] = ()
    """Prefixes of the reports of DriftMonitors that use the same storage."""
    audit: AuditSource | None = None
    """None: no audit log is known."""
    most_reports: int = Field(500, gt=0)
    """Reports that are read, the newest first."""
    most_bytes: int = Field(24 * 2**20, gt=0)
    """Size of all documents: they pass through a container's log."""


class StoredDocument(Model):
    """A document as storage holds it, unchanged."""

    name: Annotated[str, Field(max_length=300, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$")]
    """Path in the bundle."""
    uri: Text = Field(description="Where it was read.")
    text: str = Field(description="Its content.")


class Evidence(Model):
    """What storage holds about one model."""

    version: TracedVersion | None = Field(None, description="Its manifest in short.")
    version_problem: Text | None = Field(None, description="Why the manifest is not known.")
    verdicts: tuple[TracedVerdict, ...] = Field((), description="Verdicts about it, the newest first.")
    documents: tuple[StoredDocument, ...] = Field((), description="Documents as they are stored.")
    audit: AuditReport | None = Field(
        None, description="Whether the audit log is as it was written. Unset: it was not read."
    )
    audit_lines: int = Field(0, description="Number of its lines about the model, in audit/lines.jsonl.")
    problems: tuple[Text, ...] = Field((), description="What could not be read or was left out, and why.")
