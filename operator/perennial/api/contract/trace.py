"""`perennial agent trace`: its configuration, and the document that it writes about one prediction."""

from typing import Annotated, Any, Literal

from pydantic import Field

from perennial.api.common.base import Digest, Model, S3Uri, ShortText, Text, Timestamp
from perennial.api.common.pod import Storage
from perennial.api.contract.commands import ROOT
from perennial.api.contract.manifest import Recipe

PredictionId = Annotated[str, Field(min_length=1, max_length=128)]


class KnownVersion(Model):
    """Where the version with a digest lies."""

    digest: Digest
    uri: S3Uri


class TraceConfig(Model):
    """`perennial agent trace`: find one captured request, the manifest of its model and the verdicts around it."""

    kind: Literal["Trace"] = "Trace"
    storage: Storage = Field(Storage())
    uri: S3Uri
    """Of the captured files."""
    id: PredictionId
    namespace: str
    deployment: str
    since: Timestamp
    until: Timestamp
    versions: tuple[KnownVersion, ...] = ()
    outputs: tuple[S3Uri, ...] = ()
    """Where training publishes: searched for a version that `versions` does not list."""
    reports: tuple[S3Uri, ...] = ()
    """Prefixes of the reports of DriftMonitors that use the same storage."""
    payload: bool = False
    """Include the bodies, and the query of the path."""
    most_files: int = Field(5000, gt=0)
    most_bytes: int = Field(4 * 2**30, gt=0)
    seconds: int = Field(240, gt=0)
    """Time for the search."""
    scratch: str = ROOT


class Searched(Model):
    """What was read to find a request."""

    since: Timestamp = Field(description="Begin of the window.")
    until: Timestamp = Field(description="End of the window.")
    ended: Literal["Found", "Complete", "FileLimit", "ByteLimit", "TimeLimit"] = Field(
        description="Why the search ended. Complete: every file of the window was read."
    )
    reached: Timestamp | None = Field(
        None, description="Begin of the oldest hour that was looked into. Unset: there is no file in the window."
    )
    files: int = Field(description="Number of files that were read.")
    bytes: int = Field(description="Their size.")
    records: int = Field(description="Number of requests in them.")
    unreadable: tuple[Text, ...] = Field((), description="Files that could not be read, at most 20.")
    unreadable_files: int = Field(0, description="Number of these files.")


class TracedRequest(Model):
    """A captured request with its response."""

    time: Timestamp = Field(description="When the request had been received.")
    id: Annotated[str, Field(max_length=512)] = Field(description="Its id.")
    request_id: Annotated[str, Field(max_length=512)] | None = Field(
        None, description="Value of the header with the id."
    )
    namespace: ShortText = Field(description="Namespace of the ModelDeployment.")
    deployment: ShortText = Field(description="Name of the ModelDeployment.")
    revision: ShortText = Field(description="Hash of the revision that answered.")
    digest: ShortText = Field(description="Digest of the model that answered.")
    method: ShortText = Field("", description="HTTP method.")
    path: Annotated[str, Field(max_length=4096)] = Field(
        "", description="Path; with its query only if the payload was asked for."
    )
    status: int = Field(description="HTTP status of the response.")
    latency_ms: float = Field(description="Milliseconds from the end of the request to the end of the response.")
    has_request: bool = Field(description="Whether the body of the request was captured.")
    has_response: bool = Field(description="Whether the body of the response was captured.")
    request_truncated: bool = Field(False, description="Whether the request was longer than capture.maxBodyBytes.")
    response_truncated: bool = Field(False, description="Whether the response was longer than capture.maxBodyBytes.")
    request: Any = Field(None, description="Body of the request, if the payload was asked for.")
    response: Any = Field(None, description="Body of the response, if the payload was asked for.")


class TracedInput(Model):
    """Data that a model was trained on."""

    name: ShortText = Field(description="Name of the input.")
    uri: Text = Field(description="URI it was fetched from.")
    digest: ShortText = Field(description="Content digest of its files.")
    files: int = Field(description="Number of its files that the manifest lists.")
    bytes: int = Field(description="Size of these files.")


class TracedVersion(Recipe):
    """The manifest of a version without its lists of files. Its digest was checked against the listed files."""

    uri: Text = Field(description="URI of the version.")
    digest: Digest = Field(description="Content digest.")
    files: int = Field(description="Number of files.")
    bytes: int = Field(description="Their size.")
    namespace: ShortText = Field(description="Namespace of the TrainingJob.")
    training_job: ShortText = Field(description="Name of the TrainingJob.")
    run: ShortText = Field(description="Run that published this content first.")
    chain: ShortText | None = Field(None, description="Chain of the run.")
    attempt: int = Field(0, description="Number of the attempt.")
    inputs: tuple[TracedInput, ...] = Field((), description="Inputs of the run.")
    metrics: dict[str, str] = Field(default_factory=dict, description="Metrics from the output's metrics.json.")
    created: Timestamp = Field(description="Time of publication.")
    published_by: ShortText | None = Field(None, description="Version of Perennial that published it.")


class TracedCheck(Model):
    """Result of one performance or fairness check, as a report holds it."""

    check: ShortText = Field(description="performance, estimated or fairness.")
    metric: ShortText = Field(description="Metric.")
    subject: ShortText | None = Field(None, description="For fairness: attributes and the groups compared.")
    value: float | None = Field(None, description="Value of the metric. Unset: it could not be computed.")
    failed: bool = Field(False, description="Whether the limit was broken.")


class TracedVerdict(Model):
    """A verdict of a DriftMonitor, from its report."""

    uri: Text = Field("", description="URI of report.json.")
    job: ShortText = Field(description="Name of the Job, which identifies the verdict.")
    time: Timestamp = Field(description="Time of the comparison.")
    namespace: ShortText = Field(description="Namespace of the DriftMonitor.")
    monitor: ShortText = Field(description="Name of the DriftMonitor.")
    deployment: ShortText = Field(description="Name of the ModelDeployment.")
    digest: ShortText | None = Field(None, description="Digest of the model that it is about.")
    drifted: bool = Field(description="Whether the data has drifted.")
    drifted_features: int = Field(description="Number of drifted columns.")
    compared_features: int = Field(description="Number of compared columns.")
    quality_findings: tuple[Text, ...] = Field((), description="Problems with data quality.")
    checks: tuple[TracedCheck, ...] = Field((), description="Performance and fairness checks.")


class Traced(Model):
    """What storage holds about one prediction."""

    searched: Searched = Field(description="What was read to find it.")
    request: TracedRequest | None = Field(None, description="The request. Unset: it was not found.")
    others: int = Field(0, description="Number of older requests with the same id in the same file.")
    version: TracedVersion | None = Field(None, description="The model that answered.")
    version_problem: Text | None = Field(None, description="Why the model's manifest is not known.")
    verdicts: tuple[TracedVerdict, ...] = Field(
        (),
        description="For each prefix of reports: the last verdict about the model before the request, the first after.",
    )
    reports_problem: tuple[Text, ...] = Field((), description="What of the reports could not be read, and why.")
