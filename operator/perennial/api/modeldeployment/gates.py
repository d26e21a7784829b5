"""Gates of a rollout: what a candidate must show before it is promoted, and their verdicts."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import (
    Decimal,
    Duration,
    Model,
    Name,
    Rule,
    ShortText,
    Timestamp,
    exactly_one,
    list_map,
    rules,
)
from perennial.api.driftmonitor.status import Finding
from perennial.api.modeldeployment.evaluation import EvaluationGate, FairnessGate, ReplayGate

Verdict = Literal["Passed", "Failed", "Inconclusive", "Pending"]


class PrometheusGate(Model):
    """A number from the installation's Prometheus server, with limits."""

    model_config = {"json_schema_extra": rules(Rule(rule="has(self.min) || has(self.max)", message="set min or max"))}

    query: Annotated[str, Field(min_length=1, max_length=4096)] = Field(
        description="PromQL query whose result is a single number. $namespace, $name, $revision and $stable are "
        "replaced by the namespace and name of this resource and the names of the Deployments of the candidate and of "
        "the stable revision; their pods are called <Deployment>-.... The server is set by the installation "
        "(config.prometheus.url)."
    )
    min: Decimal | None = Field(None, description="Smallest value that passes.")
    max: Decimal | None = Field(None, description="Largest value that passes.")


MinRequests = Annotated[int, Field(ge=1, le=10_000_000)]


class ErrorRateGate(Model):
    """Share of requests that the server fails to answer (for HTTP, status 5xx), during the present step of a canary."""

    model_config = {
        "json_schema_extra": rules(
            Rule(rule="has(self.max) || has(self.notWorseThanStableBy)", message="set max or notWorseThanStableBy"),
            Rule(
                rule="(!has(self.max) || double(self.max) > 0.0 && double(self.max) < 1.0) && "
                "(!has(self.notWorseThanStableBy) || double(self.notWorseThanStableBy) > 0.0 && "
                "double(self.notWorseThanStableBy) < 1.0)",
                message="max and notWorseThanStableBy are fractions above 0 and below 1, such as 0.01 for 1 percent",
            ),
        )
    }

    max: Decimal | None = Field(None, description="Largest fraction that passes, such as 0.01.")
    not_worse_than_stable_by: Decimal | None = Field(
        None,
        description="Largest fraction that passes above that of the stable revision in the same time, such as 0.005.",
    )
    min_requests: MinRequests | None = Field(
        None,
        description="Requests after which an estimate within the limits passes, though chance could explain it. Unset: "
        "as many as tell a rate apart that is twice max, or above the stable one by twice the difference: 531 for a "
        "max of 0.01.",
    )


class LatencyGate(Model):
    """Quantile of the durations of requests, during the present step of a canary."""

    model_config = {
        "json_schema_extra": rules(
            Rule(rule="has(self.maxMillis) || has(self.maxRatioToStable)", message="set maxMillis or maxRatioToStable"),
            Rule(
                rule="double(self.quantile) > 0.0 && double(self.quantile) < 1.0",
                message="quantile must be above 0 and below 1, such as 0.99",
            ),
            Rule(
                rule="!has(self.maxRatioToStable) || double(self.maxRatioToStable) >= 1.0",
                message="maxRatioToStable must be at least 1",
            ),
        )
    }

    quantile: Decimal = Field("0.99", description="Quantile, such as 0.5 for the median.")
    max_millis: int | None = Field(
        None,
        ge=1,
        le=86_400_000,
        description="Largest value that passes, in milliseconds. A bound of the server's histogram is judged soonest.",
    )
    max_ratio_to_stable: Decimal | None = Field(
        None, description="Largest multiple of the stable revision's value in the same time that passes, such as 1.5."
    )
    min_requests: MinRequests | None = Field(
        None,
        description="Requests after which an estimate within the limits passes, though chance could explain it. Unset: "
        "as many as tell apart that twice as many requests are slow: 531 for the quantile 0.99.",
    )


class DriftGate(Model):
    """The newest verdict of a DriftMonitor about the candidate."""

    monitor: Name = Field(
        description="DriftMonitor in the same namespace, with target.modelDeployment set to this resource and "
        "target.revision: Candidate. Its schedule decides how soon there is a verdict."
    )
    findings: Annotated[tuple[Finding, ...], Field(min_length=1, max_length=7)] = Field(
        ("Drift",),
        description="Findings that fail the candidate: Drift, Degradation, LikelyDegradation (estimated), Unfairness, "
        "SegmentDeviation, PredictionDrift, MultivariateDrift. One that the monitor has not judged holds it.",
    )


class Gate(Model):
    """One gate."""

    model_config = {
        "json_schema_extra": rules(
            exactly_one("drift", "errorRate", "latency", "prometheus", "evaluation", "fairness", "replay")
        )
    }

    name: Name | None = Field(
        None, description="Name in status and messages. Unset: the kind of the gate, with a number if it is repeated."
    )
    initial_delay: Duration = Field(
        "1m",
        description="Time that the gate waits for data. A query is not judged before it has passed; a gate that has no "
        "data after it has failed.",
    )
    error_rate: ErrorRateGate | None = Field(
        None, description="Share of failed requests, read from the metrics of the pods of both revisions."
    )
    latency: LatencyGate | None = Field(
        None, description="Latency of requests, read from the metrics of the pods of both revisions."
    )
    drift: DriftGate | None = Field(
        None, description="The verdict of a DriftMonitor about the candidate's own requests and predictions."
    )
    prometheus: PrometheusGate | None = Field(None, description="The result of a PromQL query.")
    evaluation: EvaluationGate | None = Field(
        None,
        description="A metric on labelled data, of the candidate and of the stable revision. A Job asks both before "
        "the candidate takes requests.",
    )
    fairness: FairnessGate | None = Field(
        None, description="A fairness metric on labelled data, measured by a Job in the same way."
    )
    replay: ReplayGate | None = Field(
        None,
        description="Answers to captured requests: a Job sends them to the candidate before it takes requests. "
        "Requires spec.capture without redact and hash: requests that lack a value cannot be asked again.",
    )


Gates = Annotated[tuple[Gate, ...], Field(max_length=16)]


GateFigures = Annotated[dict[ShortText, Annotated[str, Field(max_length=64)]], Field(max_length=12)]


class GateStatus(Model):
    """Verdict of one gate about the candidate."""

    name: ShortText = Field(description="Name of the gate.")
    type: ShortText = Field(description="Kind of the gate, such as prometheus.")
    verdict: Verdict = Field(
        description="Passed, Failed, Pending (not judged yet) or Inconclusive (cannot be judged; the message says why)."
    )
    figures: GateFigures | None = Field(None, description="What was measured and the limits, by name.")
    message: Annotated[str, Field(max_length=512)] = Field("", description="Explanation, and what is needed next.")
    time: Timestamp = Field(description="When the gate was judged so.")


class GateOutcome(Model):
    """Verdict of one gate when the rollout ended, as the history keeps it."""

    name: ShortText = Field(description="Name of the gate.")
    type: ShortText = Field(description="Kind of the gate, such as prometheus.")
    verdict: Verdict = Field(
        description="Passed, Failed, Pending (not judged before the end) or Inconclusive (it could not be judged)."
    )
    figures: GateFigures | None = Field(None, description="What was measured and the limits, by name.")
    time: Timestamp = Field(description="When the gate was judged so.")


class GateResult(GateStatus):
    """Verdict of a gate that a Job has judged, as the rollout record keeps it."""

    id: ShortText
    """Hash of the gate and of the revisions that it compares."""


GateStatuses = Annotated[tuple[GateStatus, ...], Field(max_length=16, json_schema_extra=list_map("name"))]
