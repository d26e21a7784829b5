"""Revisions in their roles, how their rollouts go and ended, and what is recorded of a rollout."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import Message, Model, Reason, ShortText, Text, Timestamp, list_map
from perennial.api.modeldeployment.gates import GateOutcome, GateResult, GateStatuses


class Revision(Model):
    """A model version with the pod settings that serve it."""

    name: ShortText = Field(description="Name of its Deployment.")
    hash: ShortText = Field(description="Hash of the model digest and of the settings that shape the pods.")
    uri: Text = Field(description="URI of the model version.")
    digest: ShortText = Field(description="Digest of the model version.")
    run: ShortText | None = Field(None, description="Training run that published the version.")
    chain: ShortText | None = Field(
        None, description="Chain of the run: the drift verdict that caused it, or the run itself."
    )
    since: Timestamp = Field(description="When the revision got its present role.")


class Approval(Model):
    """Who approved a revision."""

    by: ShortText = Field(description="User name, from the annotation. Of several the first one in alphabetical order.")
    also_by: Annotated[tuple[ShortText, ...], Field(max_length=15)] | None = Field(
        None, description="Further users who had approved."
    )
    time: Timestamp = Field(description="When the revision was promoted.")
    digest: ShortText | None = Field(
        None, description="What the approvers say they have seen: status.candidate.gatesDigest. Unset: they do not say."
    )

    @property
    def users(self) -> tuple[str, ...]:
        """All who had approved."""
        return (self.by, *(self.also_by or ()))


class GivenApproval(Model):
    """The approval of one user that counts at present."""

    by: ShortText = Field(description="User name, from the annotation.")
    digest: ShortText | None = Field(
        None, description="What the user says to have seen: status.candidate.gatesDigest. Unset: nothing said."
    )
    time: Timestamp = Field(description="When the operator saw it first.")


class Candidate(Revision):
    """A revision whose rollout is in progress or has failed."""

    phase: Literal["Progressing", "Failed"] = Field(
        description="Progressing or Failed. A failed revision is rolled out again by the annotation "
        "perennial.dev/retry: <revision>, or by a new run that publishes the same model."
    )
    ready_since: Timestamp | None = Field(
        None, description="When its pods became ready; since then it waits for a user. Removed when they are not ready."
    )
    reason: Reason | None = Field(None, description="Reason for which it waits or failed.")
    message: Message | None = Field(None, description="Why it waits or failed, and what to do next.")
    gates: GateStatuses | None = Field(None, description="Verdicts of the gates, by name.")
    gates_digest: ShortText | None = Field(
        None,
        description="While it waits for approval: digest of its gates with limits, verdicts and figures. Figures of "
        "live traffic and of a DriftMonitor are left out, since they change all the time. An approval that names "
        "another digest does not count.",
    )
    approvals: Annotated[tuple[GivenApproval, ...], Field(max_length=16, json_schema_extra=list_map("by"))] | None = (
        Field(
            None,
            description="Approvals that count at present, by user, if rollout.approval is Manual. Each goes to the "
            "audit log when it is seen first, and when it is seen to be gone. They are shown here; what decides are "
            "the annotations.",
        )
    )
    withdrawn_approvals: int | None = Field(
        None,
        description="Number of approvals of this rollout that counted and do not any more: taken back, replaced by "
        "another one of the same user, or void. Unset: none.",
    )
    paused_since: Timestamp | None = Field(
        None,
        description="When the operator saw first that the annotation perennial.dev/pause is set. Unset: it is not.",
    )
    pauses: int | None = Field(
        None, description="Number of times that this rollout was paused by the annotation. Unset: never."
    )
    promotion_requested: Timestamp | None = Field(
        None, description="When the operator saw first that the annotation perennial.dev/promote names it."
    )
    retry: ShortText | None = Field(
        None, description="Value of the annotation perennial.dev/retry when the rollout failed; another value retries."
    )
    weight: int | None = Field(
        None, description="Canary: percentage of the requests that it should receive now; 100 after the last step."
    )
    reached_weight: int | None = Field(
        None,
        description="Canary: percentage of the requests that it receives by its weight in the route that the "
        "gateway has taken up, or without spec.route by the share of its ready pods.",
    )
    step: int | None = Field(
        None,
        description="Canary: number of the present step, from 1. Unset before the first. Shadow: 1 once it is to "
        "receive copies.",
    )


class HistoryEntry(Model):
    """A rollout that has ended."""

    name: ShortText = Field(description="Name of its Deployment.")
    digest: ShortText = Field(description="Digest of the model version.")
    run: ShortText | None = Field(None, description="Training run that published the version.")
    chain: ShortText | None = Field(
        None, description="Chain of the run: the drift verdict that caused it, or the run itself."
    )
    result: Literal["Promoted", "Failed", "Superseded", "RolledBack"] = Field(
        description="How the rollout ended. RolledBack: aborted after its promotion."
    )
    reason: Reason | None = Field(None, description="Reason for the result.")
    approval: Approval | None = Field(None, description="Who approved the revision, if rollout.approval is Manual.")
    gates: Annotated[tuple[GateOutcome, ...], Field(max_length=16, json_schema_extra=list_map("name"))] | None = Field(
        None, description="Last verdicts of the gates, by name. Unset: no gate had been judged."
    )
    time: Timestamp = Field(description="When the rollout ended.")


class Progress(Model):
    """How far a rollout is that has moved traffic or stopped pods."""

    name: ShortText
    """Name of the candidate's Deployment."""
    hash: ShortText
    strategy: Literal["Canary", "Recreate", "Shadow"]
    step: int = Field(0, ge=0)
    """Index of the present step; the number of steps once all have passed."""
    since: Timestamp | None = None
    """When the weight of the step was reached, or the gateway mirrored."""
    total: int = Field(1, ge=1)
    """Pods that served when it began."""
    gates: Annotated[tuple[GateOutcome, ...], Field(max_length=16)] | None = None
    """Last verdicts of the gates of a canary that has passed all steps: no gate is judged after that."""


class Asked(Model):
    """Since when a candidate waits for approval."""

    hash: ShortText
    since: Timestamp


class RolloutRecord(Model):
    """What decisions about a rollout need to know, kept in an annotation of the Service."""

    stable: Revision
    previous: Revision | None = None
    failed: Candidate | None = None
    progress: Progress | None = None
    gates: Annotated[tuple[GateResult, ...], Field(max_length=16)] | None = None
    """Verdicts of Jobs about the present candidate: they outlive the Jobs."""
    asked: Asked | None = None
    generation: int | None = None
    """Generation of the spec when the stable revision was promoted, if it is recorded who changes the spec."""
    latest: HistoryEntry | None = None
    """Newest entry of the history."""
