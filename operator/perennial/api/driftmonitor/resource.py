"""DriftMonitor: compares a model's live requests with its training data, on a schedule."""

from typing import Annotated, Literal, get_args

from pydantic import Field

from perennial.api.common.base import (
    Decimal,
    Model,
    Name,
    Resource,
    Rule,
    ShortText,
    rules,
)
from perennial.api.common.measures import EstimatedOfNumbers
from perennial.api.common.pod import PodOptions, Storage, Workspace
from perennial.api.common.pod_options import ServiceAccountName
from perennial.api.common.schedule import Schedule, TimeZone
from perennial.api.driftmonitor.actions import OnDrift, Report
from perennial.api.driftmonitor.checks import (
    WITHOUT_TRUTH,
    EstimatedChecks,
    FairnessChecks,
    GroundTruth,
    PerformanceChecks,
    Predictions,
    QualityCheck,
)
from perennial.api.driftmonitor.privacy import Privacy
from perennial.api.driftmonitor.reference import Reference
from perennial.api.driftmonitor.segments import Segments
from perennial.api.driftmonitor.shards import LONGEST_NAME, SHARD_RULES, Shards
from perennial.api.driftmonitor.status import DriftMonitorStatus
from perennial.api.driftmonitor.whole import DriftMethod, MultivariateCheck, PredictionDriftCheck
from perennial.api.driftmonitor.window import Current

FeatureNames = Annotated[tuple[ShortText, ...], Field(max_length=1000)]


class Target(Model):
    """The ModelDeployment to monitor."""

    model_deployment: Name = Field(description="Name of the ModelDeployment, in the same namespace.")
    revision: Literal["Stable", "Candidate"] = Field(
        "Stable",
        description="Stable: the model that serves. Candidate: the one that is being rolled out, during the steps of a "
        "canary or the copies to a shadow, for a drift gate of the ModelDeployment; in between nothing is compared.",
    )


class Features(Model):
    """Selection and types of the columns to compare."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="!has(self.embeddings) || !has(self.types) || self.embeddings.all(name, !(name in self.types))",
                message="a column is listed in embeddings or has a type, not both",
            ),
        )
    }

    include: FeatureNames | None = Field(
        None, description="Compare only these columns; a missing one is reported as a finding."
    )
    exclude: FeatureNames | None = Field(
        None,
        description="Columns to leave out, such as ids and labels. Other columns that only the reference or only the "
        "current data has are reported as findings.",
    )
    types: Annotated[dict[str, Literal["numeric", "categorical"]], Field(max_length=1000)] | None = Field(
        None, description="Types that cannot be inferred from the data, such as {zip_code: categorical}."
    )
    embeddings: Annotated[tuple[ShortText, ...], Field(max_length=20)] | None = Field(
        None,
        description="Columns that hold an embedding: a list of numbers of one length, compared as a whole by a "
        "classifier that tells current rows from those of the reference. It counts as one column. embedding may be "
        "lists in a column of this name, or columns embedding.0, embedding.1, ... (also with _), as tensors are "
        "captured. Lists in columns that are not listed are not compared.",
    )


class DriftCheck(Model):
    """Method and thresholds of drift detection."""

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
            Rule(
                rule="!has(self.embeddingAuc) || double(self.embeddingAuc) > 0.5 && double(self.embeddingAuc) <= 1.0",
                message="embeddingAuc must lie above 0.5, which is chance, and not above 1",
            ),
        )
    }

    method: DriftMethod = Field(
        "auto",
        description="auto, psi (population stability index), ks (Kolmogorov-Smirnov test), js (Jensen-Shannon "
        "distance, base 2), wasserstein (in standard deviations of the reference), chi2 (chi-square test), hellinger, "
        "linf (largest difference of the distribution functions, or of a category's share) or linf-robust (linf "
        "corrected for the sample size). auto uses linf for numbers and js for categories, with a threshold of 0.05 "
        "that rises to what chance alone makes with few rows.",
    )
    threshold: Decimal | None = Field(
        None,
        description="Distance at or above which a column has drifted; for the tests ks and chi2, the p-value below "
        "which it has. Unset: the default of the method.",
    )
    correction: Literal["None", "Bonferroni", "BenjaminiHochberg"] = Field(
        "None",
        description="Correction of the p-value threshold (ks, chi2) for multiple comparisons. Bonferroni controls the "
        "probability of any false positive (family-wise error rate), BenjaminiHochberg the expected share of false "
        "positives among the columns found drifted (false discovery rate).",
    )
    embedding_auc: Decimal | None = Field(
        None,
        description="A column of features.embeddings has drifted if a classifier tells its current rows from those of "
        "the reference with an area under the ROC curve at or above this, 0.5 being chance, and chance alone would "
        "make as much less than once in 2,000 times. Unset: 0.55.",
    )
    share: Decimal = Field(
        "0.3",
        description="Share of drifted columns, from 0 to 1, at or above which the verdict is drift. Three drifted "
        "columns of twenty (0.15) are reported but do not reach 0.3, however many rows there are; with 0.05, one of "
        "twenty is enough. A single unchanged column is called drifted in about 1 of 1,000 comparisons.",
    )


class Checks(Model):
    """The checks to run."""

    drift: DriftCheck = Field(DriftCheck(), description="Drift of the input columns.")
    quality: QualityCheck | None = Field(
        None, description="Data quality: missing values, ranges, allowed values. Unset: not checked."
    )
    performance: PerformanceChecks = Field(
        (), description="Performance metrics on labelled predictions; require groundTruth."
    )
    estimated: EstimatedChecks = Field(
        (),
        description="Performance metrics of the newest window estimated without labels: of classes from the model's "
        "own probabilities, calibrated on the reference if it has predictions and labels; of numbers (mae, rmse) from "
        "errors learned on the reference, which requires groundTruth for the name of its label.",
    )
    fairness: FairnessChecks = Field((), description="Fairness metrics between groups.")
    prediction_drift: PredictionDriftCheck | None = Field(
        None,
        description="Drift of the predictions themselves: responses of the window against the column of the reference "
        "that predictions.output names. Unset: checked with the defaults if the reference has that column.",
    )
    multivariate: MultivariateCheck | None = Field(
        None,
        description="Drift of all columns together, such as a change of how two columns depend on each other, which no "
        "single column shows. Unset: not checked.",
    )
    min_rows: int = Field(
        50, ge=1, le=1000000000, description="Minimum number of rows in both reference and current data for a verdict."
    )


_NUMBERS = str(sorted(get_args(EstimatedOfNumbers)))
"""Estimated metrics that are learned from the labels of the reference, as a CEL list."""
_DECISIONS = str(sorted(WITHOUT_TRUTH))
"""Fairness metrics that need no labels, as a CEL list."""


class DriftMonitorSpec(PodOptions):
    """Desired monitoring of one ModelDeployment."""

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
                message="checks.fairness needs groundTruth, except for statisticalParityDifference, disparateImpact, "
                "demographicParityGap and demographicParityRatio",
            ),
            Rule(
                rule="has(self.groundTruth) || !has(self.checks) || !has(self.checks.estimated) || "
                f"!self.checks.estimated.exists(check, check.metric in {_NUMBERS})",
                message="checks.estimated with mae, rmse or mape needs groundTruth, whose label names the column of "
                "the reference with the true numbers",
            ),
            Rule(
                rule="!has(self.segments) || self.segments.all(item, self.segments.exists_one(other, "
                "other.column == item.column))",
                message="segments names a column twice",
            ),
            Rule(
                rule="self.target.revision != 'Candidate' || !has(self.onDrift) && has(self.current.window)",
                message="a monitor with target.revision: Candidate compares the candidate's own requests for a gate: "
                "remove onDrift, and set current.window",
            ),
            *SHARD_RULES,
        )
    }

    target: Target = Field(
        description="The ModelDeployment to monitor. Immutable, since verdicts refer to it.",
        json_schema_extra=rules(
            Rule(
                rule="self == oldSelf",
                message="target is immutable; create another DriftMonitor for another deployment",
            )
        ),
    )
    schedule: Schedule = Field(
        description="Schedule of comparisons in Cron format: minute, hour, day of month, month, day of week."
    )
    time_zone: TimeZone | None = Field(
        None,
        description="Time zone of the schedule and of the days, weeks and months of current.calendar, such as "
        "Europe/Berlin. Unset: UTC.",
    )
    suspend: bool = Field(False, description="Suspend the schedule: no comparison starts while true.")
    reference: Reference = Field(description="Reference data to compare with.")
    current: Current = Field(Current(window="24h"), description="Current data.")
    features: Features | None = Field(None, description="Columns to compare. Unset: all that both sides have.")
    checks: Checks = Field(Checks(), description="The checks to run.")
    segments: Segments | None = Field(
        None,
        description="Columns by whose values the data are divided. Drift of every column, performance and fairness are "
        "then also judged in each segment by itself: rows of the reference with a value against current rows with the "
        "same value. Unset: the data are compared as a whole only.",
    )
    privacy: Privacy | None = Field(
        None,
        description="Columns to leave out or to hash, and how many rows a report must have behind what it shows. "
        "Unset: minimum and maximum of numbers are shown, and categories from five rows on.",
    )
    ground_truth: GroundTruth | None = Field(
        None,
        description="Labels for performance and fairness checks; label also names the column of the reference that "
        "estimates are calibrated on or learned from. Unset: none.",
    )
    predictions: Predictions = Field(Predictions(), description="How to read predictions from responses.")
    on_drift: OnDrift | None = Field(None, description="Action to take on drift. Unset: report only.")
    report: Report | None = Field(
        None, description="Location of the reports. Unset: no reports, only status and metrics."
    )
    service_account_name: ServiceAccountName = None
    storage: Storage | None = Field(
        None, description="Access to S3-compatible storage for reference, captured requests and report."
    )
    workspace: Workspace | None = Field(None, description="Size and medium of the volume for downloaded data.")
    shards: Shards = 1
    active_deadline_seconds: int = Field(
        3600, ge=1, le=604800, description="Seconds after which a comparison is stopped and counts as failed."
    )


class DriftMonitor(Resource):
    """Detects drift in the live requests of a ModelDeployment, reports it and can request retraining."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="self.metadata.name.size() <= 52 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
                message="metadata.name must be a DNS label of at most 52 characters, since a CronJob is named after it",
            ),
            Rule(
                rule=f"self.spec.shards == 1 || self.metadata.name.size() <= {LONGEST_NAME}",
                message=f"with shards metadata.name must have at most {LONGEST_NAME} characters, since pods with an "
                "index are named after it",
            ),
        )
    }

    spec: DriftMonitorSpec = Field(description="Desired monitoring.")
    status: DriftMonitorStatus = Field(DriftMonitorStatus(), description="Observed state.")
