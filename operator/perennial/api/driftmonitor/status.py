"""Status of a DriftMonitor: its latest comparison, verdict and retraining request."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import Decimal, Digest, Message, Model, Reason, ShortText, Text, Timestamp
from perennial.api.common.status import BaseStatus
from perennial.api.driftmonitor.checks import CheckScore
from perennial.api.driftmonitor.segments import SegmentsVerdict
from perennial.api.driftmonitor.window import CalendarWindow

Finding = Literal[
    "Drift",
    "Degradation",
    "LikelyDegradation",
    "Unfairness",
    "SegmentDeviation",
    "PredictionDrift",
    "MultivariateDrift",
]
Trend = Literal["Rising", "Falling", "Steady", "Unknown"]

PValue = Annotated[str, Field(max_length=24, pattern=r"^[0-9](\.[0-9]{1,10})?(e-[0-9]{1,3})?$")]
"""A probability as text. Unlike `Decimal` it may have an exponent, such as `3.2e-14`."""

SIGNIFICANCE_TESTS = frozenset({"ks", "chi2"})
"""Methods whose score is a p-value: drift lies below the threshold, not above it."""
_SMALLEST_TOLD = 1e-10


def p_value_text(p_value: float) -> str:
    """Return `p = 0.0042`, or `p < 1e-10` for anything smaller than that."""
    return f"p = {p_value:.2g}" if p_value >= _SMALLEST_TOLD else f"p < {_SMALLEST_TOLD:g}"


class FeatureScore(Model):
    """Result of comparing one column.

    Agents of earlier releases send the p-value of a test as `score` alone, cut to ten decimals.
    """

    name: ShortText = Field(description="Name of the column.")
    method: ShortText = Field(description="Method that compared it, such as psi or ks.")
    score: Decimal = Field(
        description="Distance for a distance method; for auc, the method of embeddings, the area under the ROC curve. "
        "For the tests ks and chi2 the p-value, rounded to ten decimals; see statistic and pValue."
    )
    statistic: Decimal | None = Field(
        None, description="Test statistic: D for ks, chi-square for chi2. Unset for distance methods."
    )
    p_value: PValue | None = Field(None, description="p-value of ks or chi2. Unset for distance methods.")
    threshold: Decimal = Field(
        description="A distance or area at or above it is drift; for ks and chi2, a p-value below it is drift."
    )
    drifted: bool = Field(description="Whether the column has drifted.")

    @property
    def p(self) -> float | None:
        """The p-value of a test; None for a distance."""
        if self.method not in SIGNIFICANCE_TESTS:
            return None
        return float(self.p_value if self.p_value is not None else self.score)


class Verdict(Model):
    """Verdict of one comparison."""

    id: ShortText = Field(description="Name of the Job that gave the verdict.")
    time: Timestamp = Field(description="Time of the verdict.")
    window: CalendarWindow | None = Field(
        None, description="The calendar window that was compared. Unset: current.calendar was not set."
    )
    run: ShortText | None = Field(None, description="Training run of the model it is about.")
    digest: ShortText | None = Field(None, description="Digest of the model it is about.")
    drifted: bool = Field(description="Whether the share of drifted columns reaches checks.drift.share.")
    drifted_features: int = Field(description="Number of columns that have drifted.")
    compared_features: int = Field(description="Number of columns that were compared.")
    reference_rows: int = Field(description="Number of rows of the reference.")
    reference_digest: Digest | None = Field(
        None, description="Digest of the files of the reference: their names, sizes and contents."
    )
    current_rows: int = Field(description="Number of rows of the current data.")
    features: Annotated[tuple[FeatureScore, ...], Field(max_length=10)] = Field(
        (), description="The columns with the most drift, in descending order."
    )
    quality_findings: Annotated[tuple[Text, ...], Field(max_length=10)] = Field(
        (), description="Problems with data quality."
    )
    degraded: bool | None = Field(
        None,
        description="Whether a performance check failed. Unset: there is none, or one could not be evaluated and none "
        "failed.",
    )
    likely_degraded: bool | None = Field(
        None,
        description="Whether an estimated performance check failed. Unset: there is none, or one could not be "
        "evaluated and none failed.",
    )
    unfair: bool | None = Field(
        None,
        description="Whether a fairness check failed. Unset: there is none, or one could not be evaluated and none "
        "failed.",
    )
    prediction_drift: bool | None = Field(
        None, description="Whether the predictions have drifted. Unset: not checked, or it could not be evaluated."
    )
    multivariate_drift: bool | None = Field(
        None,
        description="Whether the columns have drifted together. Unset: not checked, or one of its two tests could not "
        "be evaluated and the other found nothing.",
    )
    labelled_rows: int | None = Field(None, description="Number of predictions with a label.")
    predicted_rows: int | None = Field(None, description="Number of predictions in the window evaluated with labels.")
    scores: Annotated[tuple[CheckScore, ...], Field(max_length=18)] = Field(
        (), description="Results of the checks beside drift of single columns, failed ones first."
    )
    segments: SegmentsVerdict | None = Field(None, description="What was found in segments. Unset: spec has none.")
    passed_over: int | None = Field(
        None,
        description="Number of files beside the data that were not read, since their names are not those of data; the "
        "report names them. Unset: none.",
    )
    trend: Trend | None = Field(
        None,
        description="Direction of the share of drifted columns over up to 14 windows of the same model that do not "
        "overlap (Mann-Kendall test at 0.05): Rising, Falling or Steady; Unknown with fewer than five. Unset: no "
        "report is configured.",
    )
    report_uri: Text | None = Field(None, description="URI of the HTML report.")


class LastRun(Model):
    """Result of the newest comparison."""

    job: ShortText = Field(description="Name of the Job.")
    time: Timestamp = Field(description="Time when it ended.")
    result: Literal["Verdict", "NoVerdict", "Failed"] = Field(
        description="Verdict, NoVerdict (not enough data) or Failed."
    )
    reason: Reason | None = Field(None, description="Reason for the lack of a verdict, in CamelCase.")
    message: Message | None = Field(None, description="Why there is no verdict, and what to do about it.")


class RetrainRequest(Model):
    """Request to retrain, read by the TrainingJob named in the spec."""

    verdict: ShortText = Field(description="Name of the verdict that led to it.")
    time: Timestamp = Field(description="Time of the request.")
    window: CalendarWindow | None = Field(
        None, description="The calendar window of that verdict, which requests no second run. Unset: it had none."
    )
    digest: ShortText | None = Field(
        None, description="Digest of the drifted model; the request lapses once another model is served."
    )
    findings: Annotated[tuple[Finding, ...], Field(max_length=7)] | None = Field(
        None, description="Findings of that verdict that are listed in onDrift.retrain.findings."
    )


class DriftMonitorStatus(BaseStatus):
    """Observed state of a DriftMonitor."""

    phase: ShortText | None = Field(
        None,
        description="Summary of the conditions: Pending, Watching, Drifted, Degraded, LikelyDegraded, Unfair, "
        "SegmentDeviates, PredictionDrift, JointDrift or Failing.",
    )
    last_run: LastRun | None = Field(None, description="Result of the newest comparison.")
    last_verdict: Verdict | None = Field(None, description="The newest verdict.")
    consecutive: int = Field(
        0,
        description="Number of consecutive verdicts about the current model with a finding listed in "
        "onDrift.retrain.findings (drift if unset). Verdicts about one calendar window count once.",
    )
    retrain: RetrainRequest | None = Field(None, description="The newest retraining request.")
    retrains: Annotated[tuple[Timestamp, ...], Field(max_length=100)] | None = Field(
        None,
        description="Times of the retraining requests of the last seven days, if onDrift.retrain.maxPerWeek is set.",
    )
    report_uri: Text | None = Field(None, description="URI of the newest HTML report.")
