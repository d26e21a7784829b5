"""DriftMonitor: compares what a model sees with what it learned from, on a schedule."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import (
    Decimal,
    Duration,
    Model,
    Name,
    Period,
    Resource,
    Rule,
    S3Uri,
    ShortText,
    exactly_one,
    rules,
)
from perennial.api.common.pod import PodOptions, Storage, Workspace
from perennial.api.common.schedule import Schedule, TimeZone
from perennial.api.driftmonitor.checks import (
    WITHOUT_TRUTH,
    EstimatedChecks,
    FairnessChecks,
    GroundTruth,
    PerformanceChecks,
    Predictions,
    QualityCheck,
)
from perennial.api.driftmonitor.status import DriftMonitorStatus, Finding

DriftMethod = Literal["auto", "psi", "ks", "js", "wasserstein", "chi2", "hellinger", "linf", "linf-robust"]


FeatureNames = Annotated[tuple[ShortText, ...], Field(max_length=1000)]


class Target(Model):
    """What is watched."""

    model_deployment: Name = Field(description="ModelDeployment whose captured requests are compared.")


class Reference(Model):
    """What the model learned from."""

    model_config = {
        "json_schema_extra": rules(
            exactly_one("uri", "from"),
            Rule(rule="!has(self.input) || has(self.from)", message="input goes with from: TrainingRun"),
        )
    }

    uri: S3Uri | None = Field(None, description="Parquet, CSV or JSON lines files under a prefix, or one such file.")
    from_: Literal["TrainingRun"] | None = Field(
        None,
        alias="from",
        description="TrainingRun: the inputs of the run that made the serving model, as its manifest lists them.",
    )
    input: Name | None = Field(None, description="Which input of that run. Unset: its only one.")


class Current(Model):
    """What the model sees."""

    model_config = {"json_schema_extra": rules(exactly_one("window", "uri"))}

    window: Period | None = Field(None, description="The target's captured requests of the last 24h, 7d, ...")
    uri: S3Uri | None = Field(None, description="Files of your own instead of the capture.")


class Features(Model):
    """Which columns are compared, and as what."""

    include: FeatureNames | None = Field(None, description="Only these columns; one that is missing is a finding.")
    exclude: FeatureNames | None = Field(None, description="Not these columns, such as ids and labels.")
    types: Annotated[dict[str, Literal["numeric", "categorical"]], Field(max_length=1000)] | None = Field(
        None, description="Types that cannot be told from the data, such as {zip_code: categorical}."
    )


class DriftCheck(Model):
    """When the distribution of a column, and of the whole, counts as drifted."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="double(self.share) >= 0.0 && double(self.share) <= 1.0",
                message="share must lie between 0 and 1",
            ),
            Rule(
                rule="!has(self.threshold) || double(self.threshold) >= 0.0",
                message="threshold must not be negative",
            ),
        )
    }

    method: DriftMethod = Field(
        "auto",
        description="auto, psi (population stability index), ks (Kolmogorov-Smirnov), js (Jensen-Shannon distance, "
        "base 2), wasserstein (in reference standard deviations), chi2 (p-value), hellinger, linf (largest difference "
        "of distribution functions, or of a category's share) or linf-robust (the same less what chance makes).",
    )
    threshold: Decimal | None = Field(
        None,
        description="Score from which a column has drifted (for ks and chi2: p-value below which). Unset: by method.",
    )
    correction: Literal["None", "Bonferroni", "BenjaminiHochberg"] = Field(
        "None",
        description="How the threshold of p-values (ks, chi2) is corrected for the number of columns. Bonferroni: the "
        "chance that any unchanged column is called drifted stays below it. BenjaminiHochberg: the expected share of "
        "unchanged ones among those called drifted does.",
    )
    share: Decimal = Field("0.5", description="Share of drifted columns from which the whole has drifted.")


class Checks(Model):
    """What is checked."""

    drift: DriftCheck = Field(DriftCheck(), description="Drift of the inputs.")
    quality: QualityCheck | None = Field(
        None, description="Missing values, ranges, allowed values. Unset: not checked."
    )
    performance: PerformanceChecks = Field((), description="How well the model predicts; needs groundTruth.")
    estimated: EstimatedChecks = Field(
        (),
        description="How well the model probably predicts the newest window, before labels come: expected figures from "
        "its own probabilities, calibrated on the reference where that holds predictions and labels.",
    )
    fairness: FairnessChecks = Field((), description="Whether groups of people are treated alike.")
    min_rows: int = Field(
        50, ge=1, le=1000000000, description="Rows that each side must have for a verdict to be given."
    )


class Retrain(Model):
    """Which training a drift verdict asks for."""

    training_job: Name = Field(description="TrainingJob that is asked to run again.")
    cooldown: Duration = Field("24h", description="Shortest time between two requests.")
    max_per_week: int | None = Field(
        None,
        ge=1,
        le=100,
        description="Most requests within seven days, so that a model which training does not cure costs no more. "
        "Unset: only the cooldown holds back.",
    )
    after: int = Field(1, ge=1, le=100, description="Verdicts in a row, each with such a finding, that are needed.")
    findings: Annotated[tuple[Finding, ...], Field(min_length=1, max_length=4)] = Field(
        ("Drift",),
        description="Findings that ask for training: Drift, Degradation, LikelyDegradation (estimated), Unfairness.",
    )


class OnDrift(Model):
    """What follows from drift."""

    retrain: Retrain | None = Field(
        None, description="Ask a TrainingJob to run again. Unset: only alert, by conditions, Events, gauges and report."
    )


class Report(Model):
    """Where reports go."""

    uri: S3Uri = Field(description="Prefix that receives <run>/report.json and <run>/report.html.")


_DECISIONS = str(sorted(WITHOUT_TRUTH))
"""As a CEL list."""


class DriftMonitorSpec(PodOptions):
    """What to compare, how often, and what follows."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="has(self.groundTruth) || !has(self.checks) || !has(self.checks.performance) || "
                "self.checks.performance.size() == 0",
                message="checks.performance needs groundTruth",
            ),
            Rule(
                rule="has(self.groundTruth) || !has(self.checks) || !has(self.checks.fairness) || "
                f"self.checks.fairness.all(check, check.metric in {_DECISIONS})",
                message="groundTruth is needed by all fairness metrics but the parity of decisions and disparateImpact",
            ),
        )
    }

    target: Target = Field(
        description="What is watched. It cannot be changed: a verdict speaks of one deployment.",
        json_schema_extra=rules(
            Rule(
                rule="self == oldSelf",
                message="target cannot be changed; make another DriftMonitor for another deployment",
            )
        ),
    )
    schedule: Schedule = Field(
        description="When to compare, as in a CronJob: minute, hour, day of month, month, day of week."
    )
    time_zone: TimeZone | None = Field(None, description="Such as Europe/Berlin. Unset: UTC.")
    suspend: bool = Field(False, description="Starts no comparison until false again.")
    reference: Reference = Field(description="What the model learned from.")
    current: Current = Field(Current(window="24h"), description="What the model sees.")
    features: Features | None = Field(None, description="Which columns are compared. Unset: all that both sides have.")
    checks: Checks = Field(Checks(), description="What is checked.")
    ground_truth: GroundTruth | None = Field(None, description="What really happened. Unset: not known.")
    predictions: Predictions = Field(Predictions(), description="What of an answer is the prediction.")
    on_drift: OnDrift | None = Field(None, description="What follows from drift. Unset: only the report.")
    report: Report | None = Field(None, description="Where reports go. Unset: only status and metrics.")
    storage: Storage | None = Field(None, description="How reference, capture and report reach S3-compatible storage.")
    workspace: Workspace | None = Field(None, description="Size and medium of the volume that data is read through.")
    active_deadline_seconds: int = Field(3600, ge=1, le=604800, description="Seconds that one comparison may take.")


class DriftMonitor(Resource):
    """Watches a ModelDeployment for drift, reports it, and asks for retraining."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="self.metadata.name.size() <= 52 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
                message="metadata.name must be a DNS label of at most 52 characters: it becomes the name of a CronJob",
            ),
        )
    }

    spec: DriftMonitorSpec = Field(description="What to compare, how often, and what follows.")
    status: DriftMonitorStatus = Field(DriftMonitorStatus(), description="What the operator saw and did.")
