"""report.json: everything that one comparison found. The HTML report is drawn from it and from nothing else.

Its JSON Schema is `DriftReport.model_json_schema()`; `schemaVersion` grows when a change would mislead a reader.
"""

from typing import Literal

from pydantic import Field

from perennial.api.common.base import Model, Timestamp


class Bars(Model):
    """One histogram for both sides: shares, each side adding up to 1."""

    labels: tuple[str, ...] = Field((), description="Name of each bar, for categories.")
    edges: tuple[float, ...] = Field(
        (), description="Edges of the bars, one more than bars, for ranges. The outer bars hold what lies beyond."
    )
    reference: tuple[float, ...] = Field(description="Share of the reference in each bar.")
    current: tuple[float, ...] = Field(description="Share of the current side in each bar.")


class NumberSummary(Model):
    """Numbers in a nutshell, in the unit of the column."""

    mean: float = Field(description="Average.")
    standard_deviation: float = Field(description="Standard deviation, over n.")
    minimum: float = Field(description="Smallest value.")
    first_quartile: float = Field(description="A quarter of the values are at most this.")
    median: float = Field(description="Half of the values are at most this.")
    third_quartile: float = Field(description="Three quarters of the values are at most this.")
    maximum: float = Field(description="Largest value.")


class ColumnSide(Model):
    """One column on one side."""

    rows: int = Field(description="Rows, with or without a value.")
    missing: int = Field(description="Rows without a usable value: null, NaN, infinite, or no number where one is due.")
    missing_share: float = Field(description="The same as a share of the rows, in [0, 1].")
    infinite: int = Field(0, description="Infinite values among the missing.")
    unreadable: int = Field(0, description="Values of a numeric column that are no numbers, among the missing.")
    distinct: int = Field(description="Distinct values.")
    numbers: NumberSummary | None = Field(None, description="Only for numeric columns with values.")


class FeatureReport(Model):
    """What the comparison of one column found."""

    name: str = Field(description="Column.")
    kind: Literal["numeric", "categorical"] = Field(description="As what it was compared.")
    method: str = Field(description="As in checks.drift.method, or missing (compares the shares of missing values).")
    score: float = Field(description="The p-value for ks and chi2, otherwise a distance.")
    statistic: float = Field(description="Test statistic: D for ks, chi-square for chi2; otherwise equal to score.")
    p_value: float | None = Field(None, description="p-value of ks or chi2. Unset for distance methods.")
    threshold: float = Field(description="Threshold that score was compared with.")
    drifted: bool = Field(description="Whether the p-value is below the threshold, or the distance at or above it.")
    badness: float | None = Field(
        None, description="Ratio to the threshold, comparable across methods: 1 is at the threshold. Unset: infinite."
    )
    why: str = Field(description="Reason for the choice of method and threshold.")
    sentence: str = Field(description="What has changed, as one sentence.")
    reference: ColumnSide = Field(description="The column in the reference.")
    current: ColumnSide = Field(description="The column on the current side.")
    bars: Bars | None = Field(None, description="Histogram; unset where none can be drawn.")


class GroupReport(Model):
    """What one group of people gets."""

    group: str = Field(description="Its name: values of the attributes.")
    rows: int = Field(description="Its rows.")
    rates: dict[str, tuple[float, float, float]] = Field(
        description="selection, truePositive, falsePositive, precision: the rate and its 95 % interval, each in [0, 1]."
    )


class CheckReport(Model):
    """What one check of performance or fairness gave."""

    check: Literal["performance", "estimated", "fairness"] = Field(description="Its kind.")
    metric: str = Field(description="Its figure.")
    subject: str | None = Field(None, description="For fairness: attributes, and the groups compared.")
    value: float | None = Field(None, description="The figure. Unset: it has no value, see why.")
    low: float | None = Field(None, description="Lower end of its 95 % interval.")
    high: float | None = Field(None, description="Upper end of its 95 % interval; unset where it has no bound.")
    reference: float | None = Field(None, description="The same on the reference, where a drop is checked.")
    limit: str = Field("", description="What it was held against, in words.")
    failed: bool = Field(False, description="Whether the whole interval is beyond the limit.")
    rows: int = Field(0, description="Rows that it was computed from.")
    why: str | None = Field(None, description="Why it has no value.")
    groups: tuple[GroupReport, ...] = Field((), description="For fairness: every group with enough rows.")


class NotCompared(Model):
    """A column that was left out."""

    name: str = Field(description="Column.")
    reason: str = Field(description="Why it was left out.")


class Side(Model):
    """Where the data of one side came from."""

    uri: str = Field(description="Where it was read from.")
    description: str = Field(description="What it is, in words.")
    rows: int = Field(description="Rows.")


class DriftReport(Model):
    """What one comparison found."""

    schema_version: Literal[1] = Field(1, description="Version of this format.")
    job: str = Field(description="Name of the Job that compared; the identity of its verdict.")
    time: Timestamp = Field(description="When it was found.")
    namespace: str = Field(description="Namespace of the DriftMonitor.")
    monitor: str = Field(description="Name of the DriftMonitor.")
    deployment: str = Field(description="ModelDeployment that is watched.")
    run: str | None = Field(None, description="Training run of the serving model.")
    digest: str | None = Field(None, description="Digest of the serving model.")
    drifted: bool = Field(description="Whether the whole has drifted.")
    drifted_features: int = Field(description="Columns that have drifted.")
    compared_features: int = Field(description="Columns that were compared.")
    share_threshold: float = Field(description="Share of drifted columns from which the whole has drifted.")
    reference: Side = Field(description="What the model learned from.")
    current: Side = Field(description="What it sees.")
    features: tuple[FeatureReport, ...] = Field(description="The columns, worst first.")
    not_compared: tuple[NotCompared, ...] = Field((), description="Columns that were left out.")
    quality_findings: tuple[str, ...] = Field((), description="What is wrong with the data itself.")
    checks: tuple[CheckReport, ...] = Field((), description="Performance, estimated or not, and fairness.")
    labelled_rows: int | None = Field(None, description="Predictions of which the truth is known.")
    predicted_rows: int | None = Field(None, description="Predictions that performance and fairness are about.")
    notes: tuple[str, ...] = Field((), description="What else is worth knowing, such as records that were skipped.")

    def to_json(self) -> bytes:
        """Return the report as JSON."""
        return self.model_dump_json(by_alias=True, exclude_none=True, indent=2).encode()
