"""What the operator saw and did about a DriftMonitor."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import Decimal, Message, Model, Reason, ShortText, Text, Timestamp
from perennial.api.common.status import BaseStatus
from perennial.api.driftmonitor.checks import CheckScore

Finding = Literal["Drift", "Degradation", "LikelyDegradation", "Unfairness"]


class FeatureScore(Model):
    """What one column's comparison gave."""

    name: ShortText = Field(description="Column.")
    method: ShortText = Field(description="Method that was used.")
    score: Decimal = Field(description="Its score.")
    threshold: Decimal = Field(description="Threshold that the score was held against.")
    drifted: bool = Field(description="Whether the column has drifted.")


class Verdict(Model):
    """What one comparison found."""

    id: ShortText = Field(description="Identity: the name of the Job that found it.")
    time: Timestamp = Field(description="When it was found.")
    run: ShortText | None = Field(None, description="Training run of the model that it speaks of.")
    digest: ShortText | None = Field(None, description="Digest of that model.")
    drifted: bool = Field(description="Whether the whole has drifted.")
    drifted_features: int = Field(description="Columns that have drifted.")
    compared_features: int = Field(description="Columns that were compared.")
    reference_rows: int = Field(description="Rows of the reference.")
    current_rows: int = Field(description="Rows of the window.")
    features: Annotated[tuple[FeatureScore, ...], Field(max_length=10)] = Field(
        (), description="The worst columns, worst first."
    )
    quality_findings: Annotated[tuple[Text, ...], Field(max_length=10)] = Field(
        (), description="What is wrong with the data itself."
    )
    degraded: bool | None = Field(
        None, description="Whether a performance check failed. Unset: none is asked for, or none could be judged."
    )
    likely_degraded: bool | None = Field(
        None,
        description="Whether an estimate of performance failed. Unset: none is asked for or could be judged.",
    )
    unfair: bool | None = Field(
        None, description="Whether a fairness check failed. Unset: none is asked for, or none could be judged."
    )
    labelled_rows: int | None = Field(None, description="Predictions of which the truth is known.")
    predicted_rows: int | None = Field(None, description="Predictions in the window that is judged with ground truth.")
    scores: Annotated[tuple[CheckScore, ...], Field(max_length=15)] = Field(
        (), description="What the checks of performance and fairness gave, failed ones first."
    )
    report_uri: Text | None = Field(None, description="The HTML report.")


class LastRun(Model):
    """How the newest comparison ended."""

    job: ShortText = Field(description="Name of its Job.")
    time: Timestamp = Field(description="When it ended.")
    result: Literal["Verdict", "NoVerdict", "Failed"] = Field(
        description="Verdict, NoVerdict (too little data) or Failed."
    )
    reason: Reason | None = Field(None, description="Why there is no verdict, in one word.")
    message: Message | None = Field(None, description="Why there is no verdict, and what to do next.")


class RetrainRequest(Model):
    """A standing request to train again; the TrainingJob named in the spec reads it."""

    verdict: ShortText = Field(description="Verdict that asks for it.")
    time: Timestamp = Field(description="When it was asked.")
    digest: ShortText | None = Field(
        None, description="Digest of the model that drifted; a newer one makes the request void."
    )
    findings: Annotated[tuple[Finding, ...], Field(max_length=4)] | None = Field(
        None, description="What that verdict found, of what onDrift.retrain.findings names."
    )


class DriftMonitorStatus(BaseStatus):
    """What the operator saw and did."""

    phase: ShortText | None = Field(
        None,
        description="Pending, Watching, Drifted, Degraded, LikelyDegraded, Unfair or Failing: a summary.",
    )
    last_run: LastRun | None = Field(None, description="How the newest comparison ended.")
    last_verdict: Verdict | None = Field(None, description="What the newest comparison with a verdict found.")
    consecutive: int = Field(
        0,
        description="Verdicts in a row about the present model with a finding that counts (drift, unless "
        "onDrift.retrain.findings says otherwise).",
    )
    retrain: RetrainRequest | None = Field(None, description="The newest request to train again.")
    retrains: Annotated[tuple[Timestamp, ...], Field(max_length=100)] | None = Field(
        None, description="When training was asked for within the last week, where onDrift.retrain.maxPerWeek is set."
    )
    report_uri: Text | None = Field(None, description="The newest HTML report.")
