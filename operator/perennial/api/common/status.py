"""Conditions, and other parts of status that the three resources share."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import Message, Model, Reason, ShortText, Text, Timestamp, list_map


class Condition(Model):
    """A condition by the Kubernetes API conventions, as read by kstatus, Argo CD and `kubectl wait`."""

    type: Reason = Field(description="Type of the condition: Ready, Reconciling, Stalled, ...")
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    observed_generation: int | None = Field(None, description="Generation of the spec that the condition describes.")
    last_transition_time: Timestamp = Field(description="When the status last changed.")
    reason: Reason = Field(description="Reason for the status, one of a fixed list; see the reference of reasons.")
    message: Message = Field("", description="Details, and what to do next.")


Conditions = Annotated[tuple[Condition, ...], Field(max_length=16, json_schema_extra=list_map("type"))]
Metrics = Annotated[dict[str, Annotated[str, Field(max_length=64)]], Field(max_length=64)]


class InputRecord(Model):
    """What was fetched for one input."""

    name: ShortText = Field(description="Name of the input.")
    uri: Text = Field(description="URI that it was fetched from.")
    digest: ShortText = Field(description="sha256 over the names, sizes and sha256 of its files.")


class BaseStatus(Model):
    """Fields of every status."""

    observed_generation: int = Field(
        -1,
        description="Generation of the spec that this status describes; -1 until the operator has observed the object.",
    )
    conditions: Conditions = Field((), description="Ready, Reconciling, Stalled and conditions of the kind.")
