"""Checks of a DriftMonitor beside drift: data quality, performance, estimated performance and fairness."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import Decimal, Duration, Model, Rule, S3Uri, ShortText, rules
from perennial.api.common.measures import EstimatedName, FairnessName, MetricName

_MOST = 5
"""Maximum number of checks of one kind: their results must fit in a termination message."""
ColumnName = Annotated[str, Field(min_length=1, max_length=128)]
Value = Annotated[str, Field(min_length=1, max_length=64)]


ColumnType = Literal["number", "integer", "text", "boolean", "time"]


class ColumnConstraint(Model):
    """What one column must be."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="!has(self.maxMissing) || double(self.maxMissing) >= 0.0 && double(self.maxMissing) <= 1.0",
                message="maxMissing must lie between 0 and 1",
            ),
            Rule(
                rule="double(self.tolerance) >= 0.0 && double(self.tolerance) <= 1.0",
                message="tolerance must lie between 0 and 1",
            ),
            Rule(
                rule="!has(self.type) || self.type in ['number', 'integer'] || !has(self.min) && !has(self.max)",
                message="min and max need numbers: set type to number or integer, or remove it",
            ),
        )
    }

    name: ColumnName = Field(
        description="Name of the column. It may be one that is not compared, or that the reference lacks."
    )
    type: ColumnType | None = Field(
        None,
        description="Type of its values: number, integer (whole numbers), text, boolean (also as text, or 1 and 0) or "
        "time (dates and times, as text in ISO 8601). Numbers may be texts in data where the column has texts too. "
        "Unset: not checked.",
    )
    required: bool = Field(True, description="Whether it is a finding if the current data lacks the column.")
    min: Decimal | None = Field(None, description="Minimum of its numbers.")
    max: Decimal | None = Field(None, description="Maximum of its numbers.")
    values: Annotated[tuple[Value, ...], Field(min_length=1, max_length=100)] | None = Field(
        None, description="Allowed values, as text; a whole number has no decimal point."
    )
    max_missing: Decimal | None = Field(None, description="Maximum share of missing values, from 0 to 1.")
    tolerance: Decimal = Field(
        "0", description="Share of values that may violate type, min, max or values, from 0 to 1."
    )


class QualityCheck(Model):
    """Checks of data quality."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="!has(self.maxMissing) || double(self.maxMissing) >= 0.0 && double(self.maxMissing) <= 1.0",
                message="maxMissing must lie between 0 and 1",
            ),
            Rule(
                rule="!has(self.maxDuplicates) || double(self.maxDuplicates) >= 0.0 && "
                "double(self.maxDuplicates) <= 1.0",
                message="maxDuplicates must lie between 0 and 1",
            ),
        )
    }

    max_missing: Decimal | None = Field(
        None, description="Maximum increase in a column's share of missing values over the reference, from 0 to 1."
    )
    max_duplicates: Decimal | None = Field(
        None,
        description="Maximum increase in the share of rows that repeat another one in all compared columns over as "
        "many rows of the reference, from 0 to 1. Unset: not checked.",
    )
    suggested: bool = Field(
        False,
        description="Also check each column against constraints derived from the reference: no negative numbers if it "
        "has none, no new category if it has at most 100, no higher share of missing values. 1 % of the values may "
        "violate them.",
    )
    columns: Annotated[tuple[ColumnConstraint, ...], Field(max_length=100)] = Field(
        (), description="Constraints on individual columns; they replace those that suggested derives."
    )


class GroundTruth(Model):
    """Location and format of the labels."""

    model_config = {
        "json_schema_extra": rules(
            Rule(rule="!has(self.timeFormat) || has(self.time)", message="timeFormat requires time"),
            Rule(
                rule="!has(self.timeFormat) || self.timeFormat.contains('%')",
                message="timeFormat must be a notation such as %d/%m/%Y",
            ),
        )
    }

    uri: S3Uri = Field(description="Parquet, CSV or JSON lines files under a prefix, or one such file.")
    key: ColumnName = Field(
        "id", description="Column of these files with the id of the prediction that a row belongs to."
    )
    label: ColumnName = Field(description="Column with the actual outcome: a class or a number.")
    id: ColumnName | None = Field(
        None,
        description="Column of the requests (or of current.uri) with the same id. Unset: the request's id (see "
        "capture.id of the ModelDeployment); row n of a request with several rows has the id <id>/<n>, counted from 0.",
    )
    time: ColumnName | None = Field(
        None, description="Column of these files with the time of a label; of several labels for one id the newest is "
        "used. ISO 8601, such as 2026-01-31T09:00:00Z (without an offset UTC), numbers in ascending order, or as in "
        "timeFormat; any other notation is refused. Unset: the last one read, with files in order of their names."
    )  # fmt: skip
    time_format: Annotated[str, Field(min_length=2, max_length=64)] | None = Field(
        None,
        description="Notation of these times as in strptime, such as %d/%m/%Y %H:%M. Times without an offset are UTC. "
        "Unset: ISO 8601.",
    )
    delay: Duration = Field(
        "0s",
        description="Delay until labels are available, such as 7d. Performance and fairness are computed on a window "
        "that ends this long ago; labels that arrive later count as missing.",
    )


class Predictions(Model):
    """How to read predictions from responses."""

    output: ColumnName | None = Field(
        None,
        description="Name of the output tensor in responses, or of the column of current.uri. Unset: the only one.",
    )
    classes: Annotated[tuple[Value, ...], Field(max_length=1000)] | None = Field(
        None,
        description="Class names as they appear in the labels, in the order of the model's probabilities. Unset: 0 "
        "and 1.",
    )
    positive: Value = Field(
        "1",
        description="Positive class of two, for precision, recall, AUC and similar metrics; also the favourable "
        "outcome in fairness checks.",
    )
    threshold: Decimal = Field("0.5", description="Probability at or above which the positive class is predicted.")
    group: ColumnName | None = Field(
        None,
        description="For ndcg: column of the requests that identifies a ranked list. Unset: each request is one list.",
    )


class PerformanceCheck(Model):
    """Limit on one performance metric."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="has(self.min) || has(self.max) || has(self.maxDrop)",
                message="set at least one of min, max and maxDrop",
            ),
            Rule(
                rule="!has(self.maxDrop) || double(self.maxDrop) >= 0.0",
                message="maxDrop must not be negative",
            ),
        )
    }

    metric: MetricName = Field(
        description="accuracy, precision, recall, f1 (macro-averaged for more than two classes), logLoss (nats), "
        "rocAuc, prAuc, brier, calibrationError (ten bins); mae, rmse (in the label's unit), mape (1 is 100 %), r2; "
        "ndcg."
    )
    min: Decimal | None = Field(None, description="Degraded if the whole 95 % confidence interval lies below.")
    max: Decimal | None = Field(None, description="Degraded if the whole 95 % confidence interval lies above.")
    max_drop: Decimal | None = Field(
        None,
        description="Degraded if the metric is worse than on the reference by more than this, with the whole 95 % "
        "confidence interval of the difference. Requires predictions and labels in the reference, in columns of the "
        "same names.",
    )
    k: int = Field(10, ge=1, le=1000, description="For ndcg: number of top ranks evaluated.")


class EstimatedCheck(Model):
    """Limit on one performance metric that is estimated without labels."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="has(self.min) || has(self.max)",
                message="set at least one of min and max",
            ),
        )
    }

    metric: EstimatedName = Field(
        description="As in checks.performance. accuracy, precision, recall, f1, rocAuc, logLoss and brier need a model "
        "that returns probabilities: of two classes, or one per class. mae, rmse and mape need a reference with "
        "predictions and labels, from which the size of errors is learned; mape one of which at most 1 % of the labels "
        "are 0."
    )
    min: Decimal | None = Field(None, description="Likely degraded if the whole 95 % confidence interval lies below.")
    max: Decimal | None = Field(None, description="Likely degraded if the whole 95 % confidence interval lies above.")


class FairnessCheck(Model):
    """Limit on one fairness metric."""

    attributes: Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=4)] = Field(
        description="Protected attributes: columns of the requests or labels whose values define the groups. Several "
        "columns form intersections, such as 'F & 60+'."
    )
    privileged: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        None, description="Privileged group that others are compared with; required by signed metrics."
    )
    metric: FairnessName = Field(
        description="Signed, group - privileged or group / privileged: statisticalParityDifference, disparateImpact, "
        "equalOpportunityDifference, averageOddsDifference, predictiveParityDifference. Unsigned, over all pairs of "
        "groups: demographicParityGap, demographicParityRatio, equalOpportunityGap, equalizedOddsGap, "
        "predictiveParityGap."
    )
    min: Decimal | None = Field(
        None,
        description="Unfair if the whole 95 % confidence interval lies below. Default if max is unset too: -0.1 for "
        "signed differences, 0.8 for ratios.",
    )
    max: Decimal | None = Field(
        None,
        description="Unfair if the whole 95 % confidence interval lies above. Default if min is unset too: 0.1 for "
        "differences and gaps, 1.25 for disparateImpact.",
    )
    min_group_rows: int = Field(
        30, ge=10, le=1000000, description="Groups with fewer rows are left out of the check and the report."
    )

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="has(self.privileged) || self.metric.endsWith('Gap') || self.metric.endsWith('Ratio')",
                message="this metric compares with a privileged group: set privileged, or use a metric that ends in "
                "Gap or Ratio",
            )
        )
    }

    @property
    def needs_truth(self) -> bool:
        """Whether the metric needs labels, not only predictions."""
        return self.metric not in WITHOUT_TRUTH


WITHOUT_TRUTH: frozenset[FairnessName] = frozenset(
    {"statisticalParityDifference", "disparateImpact", "demographicParityGap", "demographicParityRatio"}
)
EstimatedChecks = Annotated[tuple[EstimatedCheck, ...], Field(max_length=_MOST)]
PerformanceChecks = Annotated[tuple[PerformanceCheck, ...], Field(max_length=_MOST)]
FairnessChecks = Annotated[tuple[FairnessCheck, ...], Field(max_length=_MOST)]


CheckKind = Literal["performance", "estimated", "fairness", "predictions", "multivariate"]


class CheckScore(Model):
    """Result of one check beside drift of single columns."""

    check: CheckKind = Field(description="Kind of the check.")
    metric: Annotated[str, Field(max_length=64)] = Field(description="Metric or method that was checked.")
    subject: ShortText | None = Field(
        None,
        description="For fairness: attributes and the groups compared, such as 'sex: F vs M'. For predictions: the "
        "output, with its class if there are several.",
    )
    value: Decimal | None = Field(None, description="Value of the metric. Unset: it could not be computed, see why.")
    low: Decimal | None = Field(
        None,
        description="Lower bound of its 95 % confidence interval. Unset: it has no interval (predictions, "
        "multivariate).",
    )
    high: Decimal | None = Field(None, description="Upper bound of its 95 % confidence interval. Unset: infinite.")
    limit: Annotated[str, Field(max_length=64)] | None = Field(None, description="Limit, in words.")
    failed: bool = Field(
        description="Whether the value is beyond the limit: the whole confidence interval if there is one."
    )
    rows: Annotated[int, Field(ge=0, le=2**53)] = Field(0, description="Number of rows it was computed from.")
    why: ShortText | None = Field(None, description="Why there is no value.")
