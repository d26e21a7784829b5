"""What a DriftMonitor does with its verdicts: request a run, and write reports."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import Duration, Model, Name, Period, S3Uri
from perennial.api.driftmonitor.status import Finding


class Retrain(Model):
    """Retraining request after findings."""

    training_job: Name = Field(description="Name of the TrainingJob to run, in the same namespace.")
    cooldown: Duration = Field("24h", description="Minimum time between two requests.")
    max_per_week: int | None = Field(
        None,
        ge=1,
        le=100,
        description="Maximum number of requests within seven days; limits the cost if retraining does not help. "
        "Unset: only cooldown limits requests.",
    )
    after: int = Field(
        1, ge=1, le=100, description="Number of consecutive verdicts with one of the findings before a request."
    )
    findings: Annotated[tuple[Finding, ...], Field(min_length=1, max_length=7)] = Field(
        ("Drift",),
        description="Findings that lead to a request: Drift, Degradation, LikelyDegradation (estimated), Unfairness, "
        "SegmentDeviation (a segment drifted, or a check failed in it), PredictionDrift, MultivariateDrift.",
    )


class OnDrift(Model):
    """Action to take on drift."""

    retrain: Retrain | None = Field(
        None,
        description="Request a run of a TrainingJob. Unset: report drift by conditions, Events, metrics and report "
        "only.",
    )


Formats = Annotated[tuple[Literal["SageMaker"], ...], Field(max_length=1)]


class Report(Model):
    """Location of the reports."""

    uri: S3Uri = Field(
        description="Prefix under which <job>/report.json and <job>/report.html are written, and index.html, which "
        "lists them. history.parquet beside it holds the scores of every comparison; the pods also read it."
    )
    keep: Period = Field(
        "365d",
        description="Time for which the history keeps the scores of a comparison and index.html lists it. Reports "
        "themselves are not deleted.",
    )
    formats: Formats = Field(
        (),
        description="Further formats that are written beside each report. SageMaker: statistics.json of the current "
        "data, constraints.json from the reference and constraint_violations.json, as SageMaker Model Monitor "
        "documents them.",
    )
