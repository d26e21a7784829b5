"""What the operator tells the agent: one JSON document in the variable PERENNIAL_CONFIG.

It never holds credentials: those reach the pod through the Secret that `storage.secretName` names.
"""

from typing import Literal

from pydantic import Field

from perennial.api.common.base import Digest, Model, S3Uri
from perennial.api.common.pod import Input, Storage
from perennial.api.contract.manifest import Recipe
from perennial.api.driftmonitor.checks import GroundTruth, Predictions
from perennial.api.driftmonitor.resource import Checks, Features
from perennial.api.modeldeployment.runtime import ModelFormat

CONFIG_VARIABLE = "PERENNIAL_CONFIG"
WORKER_VARIABLE = "JOB_COMPLETION_INDEX"
"""Which worker of several a container belongs to, counted from 0: Kubernetes sets it in every Indexed Job."""
ROOT = "/perennial"
INPUTS = f"{ROOT}/inputs"
OUTPUT = f"{ROOT}/output"
PARAMETERS_FILE = f"{ROOT}/params.json"
PROGRESS_FILE = f"{ROOT}/progress.json"
"""Where the code may say how far it is: {"step": 120, "total": 1000, "metrics": {"loss": 0.31}, "eta": 60}."""
PROGRESS_PORT, PROGRESS_PATH = 9464, "/progress"
"""Where the sidecar answers with it, as `api.messages.TrainingProgress`."""
INPUT_RECORD = f"{ROOT}/.perennial/inputs.json"
"""Written by `fetch` (a JSON list of InputManifest), read by `publish` for the manifest's lineage."""
MODEL_DIR = "/mnt/models"


class FetchInputs(Model):
    """`perennial agent fetch` before training: pull inputs, write the parameters file."""

    kind: Literal["FetchInputs"] = "FetchInputs"
    storage: Storage = Field(Storage())
    inputs: tuple[Input, ...] = ()
    parameters: dict[str, str] = Field(default_factory=dict)
    root: str = ROOT


class ModelFolder(Model):
    """A further version, and the folder that it goes to."""

    uri: S3Uri
    digest: Digest
    directory: str


class ModelRules(Model):
    """Which models are refused before they are loaded."""

    runtime: str | None = None
    formats: tuple[ModelFormat, ...] | None = None
    """What the runtime loads; unset: anything."""
    allow_pickle: bool | None = None


class CheckModel(ModelRules):
    """`perennial agent fetch` before a model that the node has mounted itself is served: hold it to the rules."""

    kind: Literal["CheckModel"] = "CheckModel"
    directory: str


class FetchModel(ModelRules):
    """`perennial agent fetch` before serving: pull one published version and check its digest."""

    kind: Literal["FetchModel"] = "FetchModel"
    storage: Storage = Field(Storage())
    uri: S3Uri
    digest: Digest
    directory: str = MODEL_DIR
    most_bytes: int | None = None
    """What the volume may hold."""
    more: tuple[ModelFolder, ...] | None = None


class PublishConfig(Model):
    """`perennial agent publish` beside training: on SIGTERM, publish the output folder."""

    kind: Literal["Publish"] = "Publish"
    storage: Storage = Field(Storage())
    output: S3Uri
    namespace: str
    training_job: str
    run: str
    chain: str | None = None
    attempt: int
    recipe: Recipe = Field(Recipe())
    root: str = ROOT


class PollConfig(Model):
    """`perennial agent poll`: list the inputs, and end with a digest of what lies there in the termination message."""

    kind: Literal["Poll"] = "Poll"
    storage: Storage = Field(Storage())
    inputs: tuple[Input, ...] = ()


class CaptureConfig(Model):
    """`perennial agent capture` beside a model server: pass requests on, write what was asked and answered."""

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
    redact: tuple[str, ...] | None = None
    """Names that are left out, in any case."""
    max_body_bytes: int = Field(262144, ge=0)
    max_buffer_bytes: int = Field(16 * 2**20, ge=0)


class CaptureWindow(Model):
    """Captured requests of the last seconds, for one model."""

    uri: S3Uri
    seconds: int = Field(gt=0)
    digest: Digest


class RunReference(Model):
    """The inputs of the run that made a published version, as its manifest lists them."""

    uri: S3Uri
    digest: Digest
    input: str | None = None


class DriftConfig(Model):
    """`perennial agent drift`: compare, report, end with a verdict in the termination message."""

    kind: Literal["Drift"] = "Drift"
    storage: Storage = Field(Storage())
    namespace: str
    monitor: str
    deployment: str
    run: str | None = None
    digest: str | None = None
    reference: S3Uri | RunReference
    current: S3Uri | CaptureWindow
    features: Features = Field(Features())
    checks: Checks = Field(Checks())
    ground_truth: GroundTruth | None = None
    predictions: Predictions = Field(Predictions())
    report: S3Uri | None = None
    scratch: str = ROOT


AgentConfig = FetchInputs | FetchModel | CheckModel | PublishConfig | PollConfig | CaptureConfig | DriftConfig
