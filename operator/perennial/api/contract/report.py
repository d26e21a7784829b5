"""Format of report.json: the complete result of one comparison, from which report.html is rendered.

Its JSON Schema is docs/reference/report.schema.json; `schemaVersion` is increased by incompatible changes.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from perennial.api.common.base import Model, Timestamp
from perennial.api.driftmonitor.checks import CheckKind
from perennial.api.driftmonitor.status import Trend
from perennial.api.driftmonitor.window import CalendarWindow


class Bars(Model):
    """Histogram of both sides, as shares that add up to 1 for each side."""

    labels: tuple[str, ...] = Field((), description="Category of each bar; empty for numeric ranges.")
    edges: tuple[float, ...] = Field(
        (),
        description="Edges of the bars, one more than bars, for numeric ranges. The outer bars include values beyond.",
    )
    reference: tuple[float, ...] = Field(description="Share of the reference in each bar.")
    current: tuple[float, ...] = Field(description="Share of the current data in each bar.")


class NumberSummary(Model):
    """Summary statistics, in the unit of the column."""

    mean: float = Field(description="Mean.")
    standard_deviation: float = Field(description="Population standard deviation (divisor n).")
    minimum: float = Field(description="Minimum.")
    first_quartile: float = Field(description="First quartile.")
    median: float = Field(description="Median.")
    third_quartile: float = Field(description="Third quartile.")
    maximum: float = Field(description="Maximum.")


class ColumnSide(Model):
    """One column on one side."""

    rows: int = Field(description="Number of rows, with or without a value.")
    missing: int = Field(
        description="Rows without a usable value: null, NaN, infinite, or not a number in a numeric column."
    )
    missing_share: float = Field(description="Share of these rows, in [0, 1].")
    infinite: int = Field(0, description="Number of infinite values, included in missing.")
    unreadable: int = Field(
        0,
        description="Number of non-numeric values in a numeric column, or of embeddings of another length or with a "
        "number that is missing or infinite; included in missing.",
    )
    distinct: int = Field(description="Number of distinct values.")
    numbers: NumberSummary | None = Field(None, description="Summary of a numeric column with values.")


class FeatureReport(Model):
    """Result of comparing one column."""

    name: str = Field(description="Column.")
    kind: Literal["numeric", "categorical", "embedding"] = Field(description="Kind as which it was compared.")
    method: str = Field(
        description="As in checks.drift.method, or missing (compares the shares of missing values), or auc (area under "
        "the ROC curve of a classifier that tells current embeddings from those of the reference)."
    )
    score: float = Field(description="The p-value for ks and chi2, the area for auc, otherwise a distance.")
    statistic: float = Field(description="Test statistic: D for ks, chi-square for chi2; otherwise equal to score.")
    p_value: float | None = Field(None, description="p-value of ks, chi2 or auc. Unset for distance methods.")
    threshold: float = Field(description="Threshold that score was compared with.")
    drifted: bool = Field(
        description="Whether the p-value is below the threshold, or the distance or area at or above it."
    )
    badness: float | None = Field(
        None, description="Ratio to the threshold, comparable across methods: 1 is at the threshold. Unset: infinite."
    )
    why: str = Field(description="Reason for the choice of method and threshold.")
    sentence: str = Field(description="What has changed, as one sentence.")
    reference: ColumnSide = Field(description="The column in the reference.")
    current: ColumnSide = Field(description="The column in the current data.")
    bars: Bars | None = Field(None, description="Histogram. Unset if it cannot be drawn.")


class GroupReport(Model):
    """Rates of one group."""

    group: str = Field(description="Name of the group: values of the attributes.")
    rows: int = Field(description="Number of rows.")
    rates: dict[str, tuple[float, float, float]] = Field(
        description="Rates selection, truePositive, falsePositive, precision: value and 95 % interval, each in [0, 1]."
    )


class CheckReport(Model):
    """Result of one check beside drift of single columns."""

    check: CheckKind = Field(description="Kind of the check.")
    metric: str = Field(description="Metric or method.")
    subject: str | None = Field(
        None, description="For fairness: attributes and the groups compared. For predictions: the output."
    )
    value: float | None = Field(None, description="Value of the metric. Unset: see why.")
    low: float | None = Field(
        None, description="Lower bound of its 95 % confidence interval. Unset: it has no interval."
    )
    high: float | None = Field(None, description="Upper bound of its 95 % confidence interval. Unset: infinite.")
    p_value: float | None = Field(
        None, description="Probability of such a value by chance, for multivariate checks and tests of predictions."
    )
    reference: float | None = Field(
        None, description="Value on the reference, for checks with maxDrop and for the reconstruction error."
    )
    limit: str = Field("", description="Limit, as text.")
    failed: bool = Field(False, description="Whether the value is beyond the limit: the whole interval if any.")
    rows: int = Field(0, description="Number of rows it was computed from.")
    left_out: int = Field(0, description="Number of rows left out because prediction or label is unusable.")
    why: str | None = Field(None, description="Why there is no value.")
    groups: tuple[GroupReport, ...] = Field((), description="For fairness: groups with enough rows.")


def state_of(reports: Sequence[CheckReport], kind: str) -> bool | None:
    """Whether a check of a kind failed; None if there is none, or if one could not be evaluated and none failed."""
    found = [report for report in reports if report.check == kind]
    if any(report.failed for report in found):
        return True
    return None if not found or any(report.value is None for report in found) else False


class SegmentFeature(Model):
    """Result of comparing one column in a segment."""

    name: str = Field(description="Column.")
    method: str = Field(description="As in features.")
    score: float = Field(description="As in features.")
    threshold: float = Field(description="As in features; stricter the more segments there are.")
    drifted: bool = Field(description="Whether the column has drifted in this segment.")
    badness: float | None = Field(None, description="As in features.")
    sentence: str = Field(description="What has changed, as one sentence.")


class SegmentRows(Model):
    """Number of rows of one value. A number below ten may identify people and is unset."""

    value: str = Field(description="Value of the column, as text.")
    reference: int | None = Field(None, description="Rows of the reference. Unset: fewer than ten.")
    current: int | None = Field(None, description="Rows of the current data. Unset: fewer than ten.")


class SegmentReport(Model):
    """Results of one segment."""

    value: str = Field(description="Value of the column, as text.")
    deviates: bool = Field(description="Whether it has drifted, or a check failed in it.")
    reference_rows: int | None = Field(None, description="Rows of the reference. Unset: columns were not compared.")
    current_rows: int | None = Field(None, description="Rows of the current data. Unset: columns were not compared.")
    drifted: bool | None = Field(
        None, description="Whether the share of drifted columns reaches shareThreshold. Unset: none was compared."
    )
    drifted_features: int = Field(0, description="Number of drifted columns.")
    compared_features: int = Field(0, description="Number of compared columns.")
    features: tuple[SegmentFeature, ...] = Field((), description="The ten columns with the most drift.")
    checks: tuple[CheckReport, ...] = Field(
        (), description="Performance and fairness in this segment, with intervals widened for the number of segments."
    )

    @property
    def share(self) -> float:
        """Share of drifted columns, in [0, 1]."""
        return self.drifted_features / self.compared_features if self.compared_features else 0.0

    @property
    def failed(self) -> tuple[CheckReport, ...]:
        """Checks that failed."""
        return tuple(check for check in self.checks if check.failed)


class SegmentsReport(Model):
    """Results of the segments by one column."""

    column: str = Field(description="Column whose values divide the data.")
    why: str | None = Field(
        None, description="Why its segments could not be judged, or only in part. Unset: they were."
    )
    segments: tuple[SegmentReport, ...] = Field((), description="Judged segments, the one that deviates most first.")
    only_reference: tuple[SegmentRows, ...] = Field(
        (), description="Values with enough rows that only the reference has, at most 20."
    )
    only_current: tuple[SegmentRows, ...] = Field(
        (), description="Values with enough rows that only the current data has, at most 20."
    )
    too_few: tuple[SegmentRows, ...] = Field((), description="Values with fewer rows than minRows, at most 20.")
    not_judged: int = Field(0, description="Number of all values that were not judged, named here or not.")
    not_judged_rows: int = Field(0, description="Current rows with one of these values.")
    without_value: int = Field(0, description="Current rows without a value of the column.")


def deviation_of(reports: Sequence[SegmentsReport]) -> bool | None:
    """Whether a segment deviates; None if none does, but a column could not be judged or has no judged segment."""
    if any(segment.deviates for report in reports for segment in report.segments):
        return True
    return None if any(report.why is not None or not report.segments for report in reports) else False


class NotCompared(Model):
    """A column that was not compared."""

    name: str = Field(description="Column.")
    reason: str = Field(description="Reason.")


class Side(Model):
    """Source of one side's data."""

    uri: str = Field(description="URI of the data.")
    description: str = Field(description="Description of the data.")
    rows: int = Field(description="Number of rows.")
    digest: str | None = Field(
        None, description="Digest of the files of the reference: their names, sizes and contents. Unset: current data."
    )


class ColumnHistory(Model):
    """Earlier results of one column, for the same model."""

    since: Timestamp | None = Field(
        None, description="First of the comparisons in a row that found the column drifted. Unset: it is not drifted."
    )
    in_a_row: int = Field(0, description="Number of these comparisons, this one included.")
    points: tuple[float | None, ...] = Field(
        description="Ratio of the score to its threshold in each comparison of `times`, at most 1,000; as `badness`. "
        "null: not compared then."
    )


class HistoryReport(Model):
    """Earlier comparisons of the same monitor with the same model, and what has changed since."""

    times: tuple[Timestamp, ...] = Field(
        description="Times of the newest comparisons, at most 60, oldest first. The last one is this comparison."
    )
    shares: tuple[float, ...] = Field(description="Share of drifted columns in each of them.")
    trend: Trend = Field(
        description="Direction of that share over windows that do not overlap. Unknown: fewer than five."
    )
    trend_windows: int = Field(description="Number of windows that the trend was judged from, at most 14.")
    previous: Timestamp | None = Field(None, description="Time of the comparison before this one. Unset: none.")
    newly_drifted: tuple[str, ...] = Field(
        (), description="Columns that have drifted and had not in the comparison before, at most 100."
    )
    recovered: tuple[str, ...] = Field(
        (), description="Columns that had drifted in the comparison before and no longer have, at most 100."
    )
    columns: dict[str, ColumnHistory] = Field(
        default_factory=dict, description="The 200 columns with the most drift, by name."
    )


class DriftReport(Model):
    """Result of one comparison."""

    schema_version: Literal[1] = Field(1, description="Version of this format.")
    job: str = Field(description="Name of the Job, which identifies the verdict.")
    time: Timestamp = Field(description="Time of the comparison.")
    window: CalendarWindow | None = Field(
        None, description="The calendar window that was compared. Unset: current.calendar was not set."
    )
    namespace: str = Field(description="Namespace of the DriftMonitor.")
    monitor: str = Field(description="Name of the DriftMonitor.")
    deployment: str = Field(description="Name of the monitored ModelDeployment.")
    run: str | None = Field(None, description="Training run of the served model.")
    digest: str | None = Field(None, description="Digest of the served model.")
    drifted: bool = Field(description="Whether the share of drifted columns reaches shareThreshold.")
    drifted_features: int = Field(description="Number of drifted columns.")
    compared_features: int = Field(description="Number of compared columns.")
    share_threshold: float = Field(description="Share of drifted columns from which the verdict is drift.")
    reference: Side = Field(description="Reference data.")
    current: Side = Field(description="Current data.")
    features: tuple[FeatureReport, ...] = Field(description="Compared columns, most drift first.")
    predictions: tuple[FeatureReport, ...] = Field(
        (),
        description="Predictions of the window against those of the reference, most drift first: one, or one for each "
        "class, at most 20. They do not count as columns.",
    )
    not_compared: tuple[NotCompared, ...] = Field((), description="Other columns.")
    quality_findings: tuple[str, ...] = Field((), description="Problems with data quality.")
    checks: tuple[CheckReport, ...] = Field(
        (), description="Results of the checks beside drift of single columns, failed ones first."
    )
    segments: tuple[SegmentsReport, ...] = Field((), description="Results by segment, for each column of segments.")
    labelled_rows: int | None = Field(None, description="Number of predictions with a label.")
    predicted_rows: int | None = Field(
        None, description="Number of predictions evaluated for performance and fairness."
    )
    passed_over_files: int = Field(
        0, description="Number of files beside reference and current data that were not read: their names are not "
        "those of data."
    )  # fmt: skip
    passed_over: tuple[str, ...] = Field((), description="URIs of these files, at most 100.")
    notes: tuple[str, ...] = Field((), description="Further information, such as skipped records.")
    history: HistoryReport | None = Field(
        None, description="Earlier comparisons. Unset: they could not be read or written; see notes."
    )

    def to_json(self) -> bytes:
        """Serialise the report as indented JSON."""
        return self.model_dump_json(by_alias=True, exclude_none=True, indent=2).encode()
