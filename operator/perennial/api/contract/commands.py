"""Configuration of the agent's commands: one JSON document in the environment variable PERENNIAL_CONFIG.

It never holds credentials. Pods get those from the Secret named by `storage.secretName`.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from perennial.api.common.base import Digest, Model, Period, S3Uri
from perennial.api.common.measures import MetricName
from perennial.api.common.pod import Input, Storage
from perennial.api.common.schedule import TimeZone
from perennial.api.contract.checkpoint import CheckpointPlace
from perennial.api.contract.manifest import Recipe
from perennial.api.contract.messages import MAX_BYTES
from perennial.api.driftmonitor.actions import Formats
from perennial.api.driftmonitor.checks import FairnessCheck, GroundTruth, Predictions
from perennial.api.driftmonitor.privacy import Privacy
from perennial.api.driftmonitor.resource import Checks, Features
from perennial.api.driftmonitor.segments import Segment
from perennial.api.driftmonitor.shards import MOST_SHARDS
from perennial.api.driftmonitor.window import CalendarUnit
from perennial.api.modeldeployment.capture import CapturedHash, RequestId
from perennial.api.modeldeployment.evaluation import LabelledData, RequestFormat
from perennial.api.modeldeployment.models import Verify
from perennial.api.modeldeployment.runtime import ModelFormat

ModelUrl = Annotated[str, Field(max_length=300, pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?$")]
"""Scheme, host and port of a model server."""

CONFIG_VARIABLE = "PERENNIAL_CONFIG"
WORKER_VARIABLE = "JOB_COMPLETION_INDEX"
"""Index of the worker, from 0. Kubernetes sets it in the pods of every Indexed Job."""
JOB_UID_VARIABLE = "PERENNIAL_JOB_UID"
"""UID of the pod's Job, in the pods of a comparison with shards: a Job of the same name is another comparison."""
HASH_KEY_VARIABLE = "PERENNIAL_HASH_KEY"
"""Holds the key of the hash, from the Secret that privacy.hash.keySecret or capture.hash.keySecret names."""
ROOT = "/perennial"
INPUTS = f"{ROOT}/inputs"
OUTPUT = f"{ROOT}/output"
CHECKPOINT = f"{ROOT}/checkpoint"
PARAMETERS_FILE = f"{ROOT}/params.json"
PROGRESS_FILE = f"{ROOT}/progress.json"
"""Written by training code to report progress: {"step": 120, "total": 1000, "metrics": {"loss": 0.31}, "eta": 60}."""
PROGRESS_PORT, PROGRESS_PATH = 9464, "/progress"
"""Where the sidecar serves it, as `api.contract.messages.TrainingProgress`."""
INPUT_RECORD = f"{ROOT}/.perennial/inputs.json"
"""A JSON list of InputManifest. `fetch` writes it; `publish` copies it into the manifest."""
MODEL_DIR = "/mnt/models"
SIGNING_PATH = "/perennial-signing"
"""Where the Secret with the private key is mounted in the publishing container."""


class FetchInputs(Model):
    """`perennial agent fetch` before training: download the inputs and write the parameters file."""

    kind: Literal["FetchInputs"] = "FetchInputs"
    storage: Storage = Field(Storage())
    inputs: tuple[Input, ...] = ()
    parameters: dict[str, str] = Field(default_factory=dict)
    output: S3Uri | None = None
    """Where the output will be published: a bucket that does not exist is reported before the training."""
    checkpoint: CheckpointPlace | None = None
    """None: checkpoints are not kept."""
    message_bytes: int = Field(MAX_BYTES, gt=0, le=MAX_BYTES)
    """Longest termination message that the kubelet keeps in this pod."""
    root: str = ROOT


class ModelFolder(Model):
    """An additional model version, and the folder to download it to."""

    uri: S3Uri
    digest: Digest
    directory: str


class ModelRules(Model):
    """Rules that reject a model before the server loads it."""

    runtime: str | None = None
    formats: tuple[ModelFormat, ...] | None = None
    """Formats that the runtime loads. Unset: any."""
    allow_pickle: bool | None = None


class CheckModel(ModelRules):
    """`perennial agent fetch` before serving a model from an image volume: check it against the rules."""

    kind: Literal["CheckModel"] = "CheckModel"
    directory: str


class FetchModel(ModelRules):
    """`perennial agent fetch` before serving: download a published version and verify its digest."""

    kind: Literal["FetchModel"] = "FetchModel"
    storage: Storage = Field(Storage())
    uri: S3Uri
    digest: Digest
    directory: str = MODEL_DIR
    most_bytes: int | None = None
    """Size limit of the volume."""
    more: tuple[ModelFolder, ...] | None = None
    verify: Verify | None = None
    """Who must have signed the versions. None: nobody need have."""


class SigningKey(Model):
    """Where the private key lies that signs versions, and what it is called in messages."""

    file: str
    secret: str
    key: str


class PublishConfig(Model):
    """`perennial agent publish`, a sidecar of training: on SIGTERM, publish the output folder."""

    kind: Literal["Publish"] = "Publish"
    storage: Storage = Field(Storage())
    output: S3Uri
    namespace: str
    training_job: str
    run: str
    chain: str | None = None
    attempt: int
    recipe: Recipe = Field(Recipe())
    metrics_first: tuple[str, ...] | None = None
    """Metrics that the operator needs; others are dropped first if the termination message is too long."""
    sign: SigningKey | None = None
    """None: versions are not signed."""
    checkpoint: CheckpointPlace | None = None
    """None: checkpoints are not kept."""
    message_bytes: int = Field(MAX_BYTES, gt=0, le=MAX_BYTES)
    """Longest termination message that the kubelet keeps in this pod."""
    root: str = ROOT


class PollConfig(Model):
    """`perennial agent poll`: list the inputs and write a digest of the listing to the termination message."""

    kind: Literal["Poll"] = "Poll"
    storage: Storage = Field(Storage())
    inputs: tuple[Input, ...] = ()
    message_bytes: int = Field(MAX_BYTES, gt=0, le=MAX_BYTES)


class ShowConfig(Model):
    """`perennial agent show`: write one object to standard output, for people without access to the storage."""

    kind: Literal["Show"] = "Show"
    storage: Storage = Field(Storage())
    uri: S3Uri


class CaptureConfig(Model):
    """`perennial agent capture`, a sidecar of a model server: forward requests, record them with their responses."""

    kind: Literal["Capture"] = "Capture"
    storage: Storage = Field(Storage())
    uri: S3Uri
    sample: float = Field(1.0, ge=0, le=1)
    flush_seconds: float = Field(30, gt=0)
    listen_port: int
    upstream_port: int
    namespace: str
    deployment: str
    revision: str
    digest: str
    format: Literal["JsonLines", "Parquet"] | None = None
    """Unset: JsonLines."""
    id: RequestId | None = None
    """Unset: the defaults of RequestId."""
    redact: tuple[str, ...] | None = None
    """Names of fields to remove from records, compared without regard to case."""
    hash: CapturedHash | None = None
    """Names of fields whose values are hashed; the key is in HASH_KEY_VARIABLE."""
    max_body_bytes: int = Field(262144, ge=0)
    max_buffer_bytes: int = Field(16 * 2**20, ge=0)


class CalendarPeriod(Model):
    """Which calendar windows are compared, and when."""

    unit: CalendarUnit
    time_zone: TimeZone = "UTC"
    delay_seconds: int = Field(900, ge=0)
    """A window is compared once it has ended this long ago."""


class CaptureWindow(Model):
    """The captured requests to one model: the most recent ones, or those of a calendar window."""

    uri: S3Uri
    seconds: int | None = Field(None, gt=0)
    """Length of a window that ends now. None: see `calendar`."""
    period: Period | None = None
    """The same length as `current.window` states it, such as 24h, for messages."""
    calendar: CalendarPeriod | None = None
    """The newest of these windows is compared instead. None: a window that ends now."""
    digest: Digest

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.seconds is None) == (self.calendar is None):
            raise ValueError("set exactly one of seconds and calendar")
        return self


class RunReference(Model):
    """Training inputs of a published version, as listed in its manifest."""

    uri: S3Uri
    digest: Digest
    input: str | None = None


class DriftConfig(Model):
    """`perennial agent drift`: compare, write the report, write the verdict to the termination message."""

    kind: Literal["Drift"] = "Drift"
    storage: Storage = Field(Storage())
    namespace: str
    monitor: str
    deployment: str
    run: str | None = None
    digest: str | None = None
    reference: S3Uri | RunReference
    reference_digest: Digest | None = None
    """Digest that the files under a URI must have. None: any."""
    current: S3Uri | CaptureWindow
    features: Features = Field(Features())
    checks: Checks = Field(Checks())
    segments: tuple[Segment, ...] | None = None
    """Columns by whose values the data are divided. Unset: none."""
    privacy: Privacy | None = None
    """What is kept from reports. Unset: the defaults of each place."""
    ground_truth: GroundTruth | None = None
    predictions: Predictions = Field(Predictions())
    report: S3Uri | None = None
    formats: Formats | None = None
    """Further formats of the report. Unset: none."""
    keep_seconds: int | None = Field(None, gt=0)
    """Time for which the history beside the reports keeps a comparison. Unset: a year."""
    shards: int | None = Field(None, ge=2, le=MOST_SHARDS)
    """Pods among which the current data is divided. Unset: one pod reads all of it."""
    message_bytes: int = Field(MAX_BYTES, gt=0, le=MAX_BYTES)
    scratch: str = ROOT


class MetricWanted(Model):
    """A performance metric to measure."""

    metric: MetricName
    k: int = 10


class EvaluateConfig(Model):
    """`perennial agent evaluate`: let two revisions score labelled rows; report the metrics."""

    kind: Literal["Evaluate"] = "Evaluate"
    storage: Storage = Field(Storage())
    model: str
    """Name of the model in the default paths of requests."""
    candidate: ModelUrl
    stable: ModelUrl | None = None
    """None: there is no stable revision yet."""
    data: LabelledData
    request: RequestFormat = Field(RequestFormat())
    predictions: Predictions = Field(Predictions())
    performance: tuple[MetricWanted, ...] = ()
    fairness: tuple[FairnessCheck, ...] = ()
    seconds: int = Field(1800, gt=0)
    """Time for the requests; rows that have not been asked by then are left out."""
    message_bytes: int = Field(MAX_BYTES, gt=0, le=MAX_BYTES)
    scratch: str = ROOT


class ReplayConfig(Model):
    """`perennial agent replay`: send captured requests to a candidate, compare its answers with the captured ones."""

    kind: Literal["Replay"] = "Replay"
    storage: Storage = Field(Storage())
    uri: S3Uri
    """Of the captured files."""
    digest: Digest
    """Model whose answers are compared with the candidate's."""
    revision: str | None = None
    """Hash of the revision that answered. None: any revision of this model."""
    candidate: ModelUrl
    stable: ModelUrl | None = None
    """None: response times are not compared."""
    requests: int = Field(500, gt=0)
    within_seconds: int = Field(7 * 86400, gt=0)
    rate: float = Field(20, gt=0)
    timeout_seconds: float = Field(30, gt=0)
    tolerance: float = Field(1e-6, ge=0)
    threshold: float | None = None
    seconds: int = Field(1800, gt=0)
    """Time for the requests; those that have not been sent by then are left out."""
    message_bytes: int = Field(MAX_BYTES, gt=0, le=MAX_BYTES)
    scratch: str = ROOT


AgentConfig = (
    FetchInputs
    | FetchModel
    | CheckModel
    | PublishConfig
    | PollConfig
    | CaptureConfig
    | DriftConfig
    | EvaluateConfig
    | ReplayConfig
)
