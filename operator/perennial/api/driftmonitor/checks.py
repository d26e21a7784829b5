"""What a DriftMonitor checks beside the distribution of columns: how well, and how fairly, the model predicts."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import Decimal, Duration, Model, Rule, S3Uri, ShortText, rules
from perennial.api.common.measures import EstimatedName, FairnessName, MetricName

_MOST = 5
"""Checks of one kind; their results must fit a termination message."""
ColumnName = Annotated[str, Field(min_length=1, max_length=128)]
Value = Annotated[str, Field(min_length=1, max_length=64)]


class ColumnConstraint(Model):
    """What the values of one column may be."""

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
        )
    }

    name: ColumnName = Field(description="Column.")
    min: Decimal | None = Field(None, description="Smallest number there may be.")
    max: Decimal | None = Field(None, description="Largest number there may be.")
    values: Annotated[tuple[Value, ...], Field(min_length=1, max_length=100)] | None = Field(
        None, description="The only values there may be, of a column of categories."
    )
    max_missing: Decimal | None = Field(None, description="Largest share of missing values, from 0 to 1.")
    tolerance: Decimal = Field("0", description="Share of the values that may break min, max or values, from 0 to 1.")


class QualityCheck(Model):
    """When the data itself counts as broken."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="!has(self.maxMissing) || double(self.maxMissing) >= 0.0 && double(self.maxMissing) <= 1.0",
                message="maxMissing must lie between 0 and 1",
            )
        )
    }

    max_missing: Decimal | None = Field(
        None, description="Share of missing values that a column may have above the reference's own."
    )
    suggested: bool = Field(
        False,
        description="Also hold each column to what the reference suggests: numbers never negative stay so, of at most "
        "100 categories none is new, missing values stay as rare. One value of a hundred may differ.",
    )
    columns: Annotated[tuple[ColumnConstraint, ...], Field(max_length=100)] = Field(
        (), description="What the values of single columns may be; they take the place of what the reference suggests."
    )


class GroundTruth(Model):
    """Where it is written what really happened."""

    uri: S3Uri = Field(description="Parquet, CSV or JSON lines files under a prefix, or one such file.")
    key: ColumnName = Field("id", description="Column of these files that says which prediction a row is about.")
    label: ColumnName = Field(description="Column that says what really happened: a class, or a number.")
    id: ColumnName | None = Field(
        None,
        description="Column of the requests (or of current.uri) that holds the same identity. Unset: the request's id, "
        "as sent in X-Request-Id or the body; row n of a request with several rows is <id>/<n>, from 0.",
    )
    time: ColumnName | None = Field(
        None, description="Column of these files that orders several labels of one identity; the newest counts. "
        "Unset: the last one read, files in the order of their names."
    )  # fmt: skip
    delay: Duration = Field(
        "0s",
        description="How long it takes until labels are there. Performance and fairness are judged over a window that "
        "lies this much earlier. Labels that come later still are counted as missing.",
    )


class Predictions(Model):
    """What of an answer is the prediction."""

    output: ColumnName | None = Field(
        None,
        description="Output tensor of that name in the answers, or column of current.uri. Unset: the only one.",
    )
    classes: Annotated[tuple[Value, ...], Field(max_length=1000)] | None = Field(
        None,
        description="Names of the classes as ground truth writes them, in the order in which the model gives their "
        "probabilities. Unset: 0 and 1.",
    )
    positive: Value = Field(
        "1",
        description="Class that precision, recall, AUC and the like are about when there are two classes, and the "
        "favourable decision of fairness checks.",
    )
    threshold: Decimal = Field("0.5", description="Probability from which the positive class counts as predicted.")
    group: ColumnName | None = Field(
        None,
        description="For ndcg: column of the requests whose equal values form one list. Unset: each request is one.",
    )


class PerformanceCheck(Model):
    """One figure of performance, and how bad it may become."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="has(self.min) || has(self.max) || has(self.maxDrop)",
                message="set min, max or maxDrop: without one of them nothing is checked",
            ),
            Rule(
                rule="!has(self.maxDrop) || double(self.maxDrop) >= 0.0",
                message="maxDrop must not be negative",
            ),
        )
    }

    metric: MetricName = Field(
        description="accuracy, precision, recall, f1 (for more than two classes averaged over them), logLoss (nats), "
        "rocAuc, prAuc, brier, calibrationError (ten bins); mae, rmse (in the label's unit), mape (1 is 100 %), r2; "
        "ndcg."
    )
    min: Decimal | None = Field(None, description="Degraded when the whole 95 % interval lies below.")
    max: Decimal | None = Field(None, description="Degraded when the whole 95 % interval lies above.")
    max_drop: Decimal | None = Field(
        None,
        description="Degraded when it is worse than on the reference by more than this, beyond the 95 % interval of "
        "the difference. The reference must then hold predictions and labels under the same column names.",
    )
    k: int = Field(10, ge=1, le=1000, description="For ndcg: places from the top that count.")


class EstimatedCheck(Model):
    """One figure of performance, estimated before labels come, and how bad it may be."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="has(self.min) || has(self.max)",
                message="set min or max: without one of them nothing is checked",
            ),
        )
    }

    metric: EstimatedName = Field(description="As in checks.performance; for two classes with probabilities.")
    min: Decimal | None = Field(None, description="Likely degraded when the whole 95 % interval lies below.")
    max: Decimal | None = Field(None, description="Likely degraded when the whole 95 % interval lies above.")


class FairnessCheck(Model):
    """One figure of fairness, and how far from equal treatment it may be."""

    attributes: Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=4)] = Field(
        description="Columns whose values are the groups, from the requests or the ground truth. Several: their "
        "intersections, such as 'F & 60+'."
    )
    privileged: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        None, description="Group that the others are compared with; signed figures need it."
    )
    metric: FairnessName = Field(
        description="Signed, group - privileged or group / privileged: statisticalParityDifference, disparateImpact, "
        "equalOpportunityDifference, averageOddsDifference, predictiveParityDifference. Unsigned, over all pairs of "
        "groups: demographicParityGap, demographicParityRatio, equalOpportunityGap, equalizedOddsGap, "
        "predictiveParityGap."
    )
    min: Decimal | None = Field(
        None,
        description="Unfair when the whole 95 % interval lies below. Unset with max: -0.1 for signed differences, 0.8 "
        "for ratios.",
    )
    max: Decimal | None = Field(
        None,
        description="Unfair when the whole 95 % interval lies above. Unset with min: 0.1 for differences and gaps, "
        "1.25 for disparateImpact.",
    )
    min_group_rows: int = Field(
        30, ge=10, le=1000000, description="Groups with fewer rows are not judged and not reported."
    )

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="has(self.privileged) || self.metric.endsWith('Gap') || self.metric.endsWith('Ratio')",
                message="this metric compares with a privileged group: set privileged, or take an unsigned metric",
            )
        )
    }

    @property
    def needs_truth(self) -> bool:
        """Tell whether it is about what really happened, and not only about decisions."""
        return self.metric not in WITHOUT_TRUTH


WITHOUT_TRUTH: frozenset[FairnessName] = frozenset(
    {"statisticalParityDifference", "disparateImpact", "demographicParityGap", "demographicParityRatio"}
)
EstimatedChecks = Annotated[tuple[EstimatedCheck, ...], Field(max_length=_MOST)]
PerformanceChecks = Annotated[tuple[PerformanceCheck, ...], Field(max_length=_MOST)]
FairnessChecks = Annotated[tuple[FairnessCheck, ...], Field(max_length=_MOST)]


class CheckScore(Model):
    """What one check of performance or fairness gave."""

    check: Literal["performance", "estimated", "fairness"] = Field(description="Its kind.")
    metric: Annotated[str, Field(max_length=64)] = Field(description="Its figure.")
    subject: ShortText | None = Field(None, description="For fairness: the groups compared, 'F vs M'.")
    value: Decimal | None = Field(None, description="The figure. Unset: it has no value, see why.")
    low: Decimal | None = Field(None, description="Lower end of its 95 % interval.")
    high: Decimal | None = Field(None, description="Upper end of its 95 % interval.")
    limit: Annotated[str, Field(max_length=64)] | None = Field(None, description="What it was held against.")
    failed: bool = Field(description="Whether the whole interval is beyond the limit.")
    rows: Annotated[int, Field(ge=0, le=2**53)] = Field(0, description="Rows that it was computed from.")
    why: ShortText | None = Field(None, description="Why it has no value.")
