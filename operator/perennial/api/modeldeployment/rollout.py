"""Rollouts: how a new revision replaces the stable one, and what is recorded and shown of it."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import (
    Duration,
    Message,
    Model,
    Reason,
    Rule,
    ShortText,
    Text,
    Timestamp,
    rules,
)


class Rollout(Model):
    """How a new revision replaces the stable one."""

    strategy: Literal["BlueGreen"] = Field(
        "BlueGreen",
        description="BlueGreen: the new revision starts beside the stable one and receives all traffic once it is "
        "ready.",
    )
    progress_deadline_seconds: int = Field(
        600,
        ge=10,
        le=86400,
        description="Seconds within which a new revision must become ready; after that its rollout has failed.",
    )
    keep_previous: Duration = Field(
        "30s",
        description="How long the pods of the replaced revision are kept, so that open requests can finish. Within "
        "this "
        "time the annotation perennial.dev/abort: <stable revision> rolls back at once.",
    )
    approval: Literal["Automatic", "Manual"] = Field(
        "Automatic",
        description="Manual: a ready candidate is promoted only after approval by the annotations "
        "perennial.dev/approve: "
        "<revision> and perennial.dev/approved-by: <user name>. The first revision needs no approval.",
    )


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

    by: ShortText = Field(description="User name, from the annotation perennial.dev/approved-by.")
    time: Timestamp = Field(description="When the revision was promoted.")


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
    retry: ShortText | None = Field(
        None, description="Value of the annotation perennial.dev/retry when the rollout failed; another value retries."
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
    time: Timestamp = Field(description="When the rollout ended.")


class RolloutRecord(Model):
    """What decisions about a rollout need to know, kept in an annotation of the Service."""

    stable: Revision
    previous: Revision | None = None
    failed: Candidate | None = None
    latest: HistoryEntry | None = None
    """Newest entry of the history."""
