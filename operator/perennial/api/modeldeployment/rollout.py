"""Rollouts: how a new revision replaces the stable one."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import Duration, Model, Rule, list_map, rules
from perennial.api.modeldeployment.gates import Gates
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
