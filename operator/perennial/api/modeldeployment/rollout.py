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
    list_map,
    rules,
)
from perennial.api.modeldeployment.gates import GateOutcome, GateResult, Gates, GateStatuses
from perennial.api.modeldeployment.route import HeaderMatch


class Step(Model):
    """One step of a canary."""

    weight: int = Field(
        ge=1,
        le=99,
        description="Percentage of the requests that the candidate receives: exactly with spec.route, otherwise as "
        "far as the pods allow.",
    )
    hold: Duration | None = Field(
        None,
        description="How long the step lasts, counted from when the weight is reached. The time begins again after "
        "perennial.dev/pause is removed, and when the candidate has lost all ready pods. Unset: the next step follows "
        "at once.",
    )


class Mirror(Model):
    """How a candidate is tried with copies of live requests."""

    percent: int = Field(
        100,
        ge=1,
        le=100,
        description="Percentage of the requests that the gateway copies. Less than 100 needs a gateway that lists the "
        "feature HTTPRouteRequestPercentageMirror in the status of its GatewayClass, or an administrator who names it "
        "in the annotation perennial.dev/supported-features of the GatewayClass.",
    )
    hold: Duration = Field(
        "15m",
        description="How long requests are copied before the candidate is promoted, counted from when the gateway has "
        "taken up the route. The time begins again after perennial.dev/pause is removed, and when the candidate has "
        "lost all ready pods.",
    )


DEFAULT_STEPS = (Step(weight=10, hold="5m"), Step(weight=25, hold="5m"), Step(weight=50, hold="5m"))


class Rollout(Model):
    """How a new revision replaces the stable one."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="self.strategy == 'Canary' || !has(self.steps)",
                message="steps belong to a canary: set strategy: Canary, or remove steps",
            ),
            Rule(
                rule="self.strategy == 'Canary' || !has(self.headers)",
                message="headers belong to a canary: set strategy: Canary, or remove headers",
            ),
            Rule(
                rule="self.strategy == 'Shadow' || !has(self.mirror)",
                message="mirror belongs to a shadow: set strategy: Shadow, or remove mirror",
            ),
            Rule(
                rule="!has(self.steps) || (self.steps.map(item, item.weight).isSorted() && "
                "self.steps.all(item, self.steps.exists_one(other, other.weight == item.weight)))",
                message="the weights of steps must increase from step to step",
                field_path=".steps",
            ),
            Rule(
                rule="self.strategy in ['Canary', 'Shadow'] || !has(self.gates) || "
                "self.gates.all(gate, !has(gate.errorRate) && !has(gate.latency) && !has(gate.drift))",
                message="errorRate, latency and drift judge the requests that a candidate gets as a canary or a "
                "shadow: set strategy: Canary or Shadow, or use other gates",
            ),
            Rule(
                rule="self.approval == 'Manual' || self.approvals == 1 && !has(self.approvalExpires)",
                message="approvals and approvalExpires belong to approval: Manual; set it, or remove them",
            ),
            Rule(
                rule="self.strategy != 'Recreate' || !has(self.gates) || self.gates.size() == 0",
                message="gates compare with a stable revision that serves, which Recreate stops first: choose another "
                "strategy, or remove gates",
            ),
        )
    }

    strategy: Literal["Auto", "BlueGreen", "Canary", "Recreate", "Shadow"] = Field(
        "BlueGreen",
        description="BlueGreen: the new revision starts beside the stable one and receives all traffic once it is "
        "ready. Canary: it receives a growing share of the traffic, in steps. Shadow, with spec.route: it receives "
        "copies of requests that the stable revision answers, and nobody receives its own answers; then it is promoted "
        "as with BlueGreen. Requests are then computed twice: not for models that store something by a request. "
        "Recreate: the pods of the stable revision are stopped first, then the new revision starts. Nothing answers "
        "in between: the downtime is the time to fetch and load the model. If the new revision fails, the stable one "
        "is started again. Auto: "
        "BlueGreen, but Recreate where no node has room for pods of the new revision beside those of the stable one "
        "for two minutes, for example because there is one GPU. A split or a stop that has begun ends by the "
        "strategy that it began with.",
    )
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=20)] | None = Field(
        None,
        description="Steps of a canary, with growing weights. After the last one the new revision receives all "
        "traffic. Unset with Canary: 10, 25 and 50 percent for 5 minutes each. Without spec.route the weight is "
        "approximated by the numbers of pods: status.candidate.reachedWeight tells what they give.",
    )
    headers: (
        Annotated[tuple[HeaderMatch, ...], Field(min_length=1, max_length=8, json_schema_extra=list_map("name"))] | None
    ) = Field(
        None,
        description="Canary with spec.route: requests with all of these headers go to the candidate during all steps, "
        "besides its share of the others. For testers, or to compare groups of users (A/B).",
    )
    mirror: Mirror | None = Field(
        None,
        description="Shadow: which share of the requests is copied, and how long. Unset with Shadow: all of them, for "
        "15 minutes.",
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
        "perennial.dev/approve: <revision> and perennial.dev/approved-by: <user name>. A canary asks after its last "
        "step, before it receives all traffic; Recreate asks before it stops the stable revision. The first revision "
        "needs no approval.",
    )
    approvals: int = Field(
        1,
        ge=1,
        le=5,
        description="Number of different users who must approve, with approval: Manual. With more than one, each adds "
        "an annotation of their own, approve.perennial.dev/<any name>: <revision> <user name>. Who has changed the "
        "spec since the last promotion does not count, if the installation records that (approvals.recordAuthor).",
    )
    approval_expires: Duration | None = Field(
        None,
        description="Time after which a candidate that waits for approval has failed. It begins again after a pause "
        "and when the candidate was not ready. Unset: it waits forever.",
    )
    gates: Gates = Field(
        (),
        description="What a ready candidate must show before it is promoted, and before each further step of a canary. "
        "All gates are judged again and again: one that fails ends the rollout, and the stable revision keeps serving; "
        "one that is not judged or inconclusive holds the rollout. They do not apply to the first revision, nor while "
        "the stable one has no ready pod, nor when Auto stops the stable one.",
    )

    @property
    def walk(self) -> tuple[Step, ...]:
        """Steps of a canary; the default ones where none are set."""
        return self.steps or DEFAULT_STEPS

    @property
    def mirroring(self) -> Mirror:
        """How a shadow is tried; the default where nothing is set."""
        return self.mirror or Mirror()


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
