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


class Gate(Model):
    """One gate."""

    model_config = {"json_schema_extra": rules(exactly_one("prometheus", "evaluation", "fairness", "replay"))}

    name: Name | None = Field(
        None, description="Name in status and messages. Unset: the kind of the gate, with a number if it is repeated."
    )
    initial_delay: Duration = Field(
        "1m",
        description="Time that the gate waits for data. A query is not judged before it has passed; a gate that has no "
        "data after it has failed.",
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
        "Requires spec.capture without redact.",
    )


Gates = Annotated[tuple[Gate, ...], Field(max_length=16)]


class GateStatus(Model):
    """Verdict of one gate about the candidate."""

    name: ShortText = Field(description="Name of the gate.")
    type: ShortText = Field(description="Kind of the gate, such as prometheus.")
    verdict: Verdict = Field(
        description="Passed, Failed, Pending (not judged yet) or Inconclusive (cannot be judged; the message says why)."
    )
    figures: Annotated[dict[ShortText, Annotated[str, Field(max_length=64)]], Field(max_length=12)] | None = Field(
        None, description="What was measured and the limits, by name."
    )
    message: Annotated[str, Field(max_length=512)] = Field("", description="Explanation, and what is needed next.")
    time: Timestamp = Field(description="When the gate was judged so.")


class GateResult(GateStatus):
    """Verdict of a gate that a Job has judged, as the rollout record keeps it."""

    id: ShortText
    """Hash of the gate and of the revisions that it compares."""


GateStatuses = Annotated[tuple[GateStatus, ...], Field(max_length=16, json_schema_extra=list_map("name"))]
