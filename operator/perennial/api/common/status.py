"""Conditions, and the other parts of a status that the three resources share."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import Message, Model, Reason, ShortText, Text, Timestamp, list_map


class Condition(Model):
    """A condition as in the Kubernetes API conventions; kstatus, Argo CD and `kubectl wait` read it."""

    type: Reason = Field(description="What the condition is about: Ready, Reconciling, Stalled, ...")
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    observed_generation: int | None = Field(None, description="Generation of the spec that this speaks of.")
    last_transition_time: Timestamp = Field(description="When the status last changed.")
    reason: Reason = Field(description="One word of a finite list; see the reference of condition reasons.")
    message: Message = Field("", description="What is so, and what to do next.")


Conditions = Annotated[tuple[Condition, ...], Field(max_length=16, json_schema_extra=list_map("type"))]
Metrics = Annotated[dict[str, Annotated[str, Field(max_length=64)]], Field(max_length=64)]


class InputRecord(Model):
    """What was pulled for one input."""

    name: ShortText = Field(description="Name of the input.")
    uri: Text = Field(description="Where it was pulled from.")
    digest: ShortText = Field(description="sha256 over the names, sizes and sha256 of its files.")


class BaseStatus(Model):
    """What every status holds."""

    observed_generation: int = Field(
        -1,
        description="Generation of the spec that this status speaks of; -1 until the operator has seen the object.",
    )
    conditions: Conditions = Field((), description="Ready, Reconciling, Stalled and the resource's own.")
