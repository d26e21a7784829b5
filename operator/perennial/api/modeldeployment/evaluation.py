"""Gates that a Job judges before a candidate takes requests: how it asks a model, and what it measures."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import Decimal, Model, Period, Rule, S3Uri, rules
from perennial.api.common.measures import MetricName
from perennial.api.driftmonitor.checks import ColumnName, FairnessCheck, Predictions


class RequestFormat(Model):
    """Form of the requests by which labelled rows reach a model."""

    protocol: Literal["OpenInference", "Instances"] = Field(
        "OpenInference",
        description="OpenInference: the Open Inference Protocol v2, {inputs: [...]}, as MLServer and Triton speak it. "
        "Instances: {instances: [...]}, answered with {predictions: [...]}.",
    )
    path: Annotated[str, Field(max_length=256, pattern=r"^/[^\s?#]*$")] | None = Field(
        None,
        description="Path of the requests. Unset: /v2/models/<name>/infer, or for Instances /v1/models/<name>:predict, "
        "with the name of the ModelDeployment.",
    )
    inputs: Literal["Columns", "Matrix"] = Field(
        "Columns",
        description="Columns: one tensor of shape [rows, 1] per column, for Instances one object per row. Matrix: one "
        "tensor of shape [rows, columns], for Instances one list per row; all columns must be numbers.",
    )
    tensor: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        "input-0", description="Name of the tensor of a Matrix."
    )
    datatype: Literal["FP32", "FP64"] = Field("FP32", description="Type of the numbers of a Matrix.")
    batch: int = Field(100, ge=1, le=1000, description="Rows per request.")
    timeout: Period = Field("30s", description="Longest time that one request may take.")


class LabelledData(Model):
    """Rows with known outcomes, which the candidate and the stable revision both score."""

    uri: S3Uri = Field(description="Parquet, CSV or JSON lines files under a prefix, or one such file.")
    label: ColumnName = Field(description="Column with the actual outcome: a class or a number.")
    id: ColumnName | None = Field(None, description="Column with an id, which is not sent to the model.")
    features: Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=1000)] | None = Field(
        None,
        description="Columns to send to the model, in its order. Unset: all but label, id and predictions.group.",
    )
    rows: int = Field(
        10000,
        ge=100,
        le=200000,
        description="Most rows to score; of more a random sample is taken, always the same one of the same data.",
    )


class EvaluationGate(Model):
    """Limits on a metric of labelled data.

    Whether a limit is kept is decided by the 95 % confidence interval: the gate passes if the whole interval keeps it,
    fails if the whole interval breaks it, and is inconclusive in between.
    """

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="has(self.min) || has(self.max) || has(self.notWorseThanStableBy)",
                message="set at least one of min, max and notWorseThanStableBy",
            ),
            Rule(
                rule="!has(self.notWorseThanStableBy) || double(self.notWorseThanStableBy) >= 0.0",
                message="notWorseThanStableBy must not be negative",
            ),
        )
    }

    data: LabelledData = Field(description="Labelled data.")
    request: RequestFormat = Field(RequestFormat(), description="Form of the requests.")
    predictions: Predictions = Field(Predictions(), description="How to read predictions from responses.")
    metric: MetricName = Field(
        description="accuracy, precision, recall, f1 (macro-averaged for more than two classes), logLoss (nats), "
        "rocAuc, prAuc, brier, calibrationError (ten bins); mae, rmse (in the label's unit), mape (1 is 100 %), r2; "
        "ndcg."
    )
    k: int = Field(10, ge=1, le=1000, description="For ndcg: number of top ranks evaluated.")
    min: Decimal | None = Field(None, description="Minimum of the candidate's metric.")
    max: Decimal | None = Field(None, description="Maximum of the candidate's metric, for losses and errors.")
    not_worse_than_stable_by: Decimal | None = Field(
        None,
        description="How much worse than the stable revision the candidate may be, in the metric's unit. Both score "
        "the same rows, and the interval is that of the paired difference. Without a stable revision this limit does "
        "not apply.",
    )


class FairnessGate(FairnessCheck):
    """Limits on a fairness metric of the candidate's predictions for labelled data, as in a DriftMonitor.

    The gate passes if the whole 95 % confidence interval keeps the limits, fails if it breaks one, and is inconclusive
    in between.
    """

    data: LabelledData = Field(description="Labelled data, with the protected attributes as columns.")
    request: RequestFormat = Field(RequestFormat(), description="Form of the requests.")
    predictions: Predictions = Field(
        Predictions(), description="How to read predictions from responses; positive is the favourable outcome."
    )


class ReplayGate(Model):
    """Limits on how the candidate answers captured requests, compared with what the stable revision answered.

    Each limit applies to a 95 % confidence interval: the gate passes if the whole interval keeps it, fails if the whole
    interval breaks it, and is inconclusive in between. A limit that allows no exception (minAgreement 1, or a maximum
    of 0) applies to the value alone.
    """

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="has(self.minAgreement) || has(self.maxNumericDistance) || has(self.maxErrorRate) || "
                "has(self.maxLatencyRatio)",
                message="set at least one of minAgreement, maxNumericDistance, maxErrorRate and maxLatencyRatio",
            ),
            Rule(
                rule="!has(self.minAgreement) || double(self.minAgreement) >= 0.0 && double(self.minAgreement) <= 1.0",
                message="minAgreement must lie between 0 and 1",
            ),
            Rule(
                rule="!has(self.maxErrorRate) || double(self.maxErrorRate) >= 0.0 && double(self.maxErrorRate) <= 1.0",
                message="maxErrorRate must lie between 0 and 1",
            ),
            Rule(
                rule="!has(self.maxNumericDistance) || double(self.maxNumericDistance) >= 0.0",
                message="maxNumericDistance must not be negative",
            ),
            Rule(
                rule="!has(self.maxLatencyRatio) || double(self.maxLatencyRatio) > 0.0",
                message="maxLatencyRatio must be greater than 0",
            ),
            Rule(rule="double(self.tolerance) >= 0.0", message="tolerance must not be negative"),
        )
    }

    requests: int = Field(500, ge=20, le=10000, description="Number of captured requests to replay, newest first.")
    within: Period = Field("7d", description="Requests captured longer ago than this are not replayed.")
    rate: int = Field(20, ge=1, le=200, description="Most requests per second to each revision.")
    timeout: Period = Field("30s", description="Longest time that one request may take.")
    tolerance: Decimal = Field(
        "0.000001", description="Two numbers agree if they differ by at most this; whole numbers and texts if equal."
    )
    threshold: Decimal | None = Field(
        None,
        description="Compare decisions, not numbers: a single probability decides by reaching this threshold, several "
        "decide for the largest.",
    )
    min_agreement: Decimal | None = Field(
        None, description="Minimum share of rows to which both revisions give the same answer."
    )
    max_numeric_distance: Decimal | None = Field(
        None, description="Maximum of the mean absolute difference of numeric answers, in their unit."
    )
    max_error_rate: Decimal | None = Field(
        None,
        description="Maximum share of requests that the candidate does not answer with success. All of them were "
        "answered by the stable revision.",
    )
    max_latency_ratio: Decimal | None = Field(
        None,
        description="Maximum of the candidate's response time divided by the stable revision's: the geometric mean "
        "over the first 200 requests, which both are sent in turn.",
    )
