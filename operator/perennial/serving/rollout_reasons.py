"""Reasons of a rollout: its steps, gates, traffic and end, with meaning and next step."""

from perennial.core import waiting
from perennial.core.failures import (
    DIGEST_MISMATCH,
    FORMAT_REFUSED,
    MANIFEST_INVALID,
    PICKLE_REFUSED,
    SIGNATURE_INVALID,
    SIGNATURE_MISSING,
    SIGNING_KEY_INVALID,
    UNSAFE_PATH,
)
from perennial.core.reasons import ReasonDoc
from perennial.serving.pod_reasons import COMMAND_NOT_FOUND

ROLLING_OUT = "RollingOut"
WAITING_FOR_STABLE = "WaitingForStable"
WAITING_FOR_APPROVAL = "WaitingForApproval"
PAUSED = "Paused"
ABORTED = "Aborted"
MOVING_TRAFFIC = "MovingTraffic"
HOLDING = "Holding"
WAITING_FOR_OLD_PODS = "WaitingForOldPods"
RECREATING = "Recreating"
TOO_FEW_PODS = "TooFewPods"
PORTS_DIFFER = "PortsDiffer"
ROUTED = "Routed"
ROUTE_NOT_ACCEPTED = "RouteNotAccepted"
GATEWAY_API_MISSING = "GatewayApiMissing"
MIRROR_NOT_SUPPORTED = "MirrorNotSupported"
WAITING_FOR_GATES = "WaitingForGates"
GATE_INCONCLUSIVE = "GateInconclusive"
GATE_FAILED = "GateFailed"
APPROVAL_EXPIRED = "ApprovalExpired"

UNRECOVERABLE = frozenset(
    {
        waiting.IMAGE_INVALID,
        COMMAND_NOT_FOUND,
        ABORTED,
        APPROVAL_EXPIRED,
        GATE_FAILED,
        DIGEST_MISMATCH.reason,
        MANIFEST_INVALID.reason,
        UNSAFE_PATH.reason,
        FORMAT_REFUSED.reason,
        PICKLE_REFUSED.reason,
        SIGNATURE_MISSING.reason,
        SIGNATURE_INVALID.reason,
        SIGNING_KEY_INVALID.reason,
    }
)
"""Failures that only another revision can fix: the pods are deleted instead of retried."""

ABORT_IGNORED = "AbortIgnored"
"""Reason of an Event; the condition Ready says the same in its message."""

STEP_STARTED = "StepStarted"
MIRROR_STARTED = "MirrorStarted"
STABLE_STOPPED = "StableStopped"
"""Reasons of Events."""

UNDER_WAY = frozenset(
    {
        WAITING_FOR_APPROVAL,
        WAITING_FOR_GATES,
        GATE_INCONCLUSIVE,
        PAUSED,
        MOVING_TRAFFIC,
        HOLDING,
        RECREATING,
        WAITING_FOR_STABLE,
        ROUTE_NOT_ACCEPTED,
        GATEWAY_API_MISSING,
        MIRROR_NOT_SUPPORTED,
    }
)
"""Reasons of a candidate with which nothing is wrong; their messages tell where it is."""

ROLLOUT: tuple[ReasonDoc, ...] = (
    ReasonDoc(
        WAITING_FOR_STABLE,
        "Reconciling, Progressing",
        "A new revision is ready, and the stable one, with which it is compared, is being woken.",
        "Wait. If the stable revision does not wake within rollout.progressDeadlineSeconds, the new one takes over.",
    ),
    ReasonDoc(ROLLING_OUT, "Reconciling, Progressing", "A new revision is becoming ready.", "Wait."),
    ReasonDoc(
        WAITING_FOR_APPROVAL,
        "Reconciling, Progressing",
        "A new revision is ready, and spec.rollout.approval is Manual.",
        "Review it, then approve or abort it with the annotation that the message names. The message also tells who "
        "has approved, and whose approval does not count.",
    ),
    ReasonDoc(
        APPROVAL_EXPIRED,
        "RolloutFailed, Stalled",
        "Not enough users have approved the revision within spec.rollout.approvalExpires.",
        "To ask again, set perennial.dev/retry; or publish a newer model, or raise approvalExpires.",
    ),
    ReasonDoc(
        PAUSED,
        "Reconciling, Progressing",
        "A new revision is ready, but the rollout is paused by the annotation perennial.dev/pause.",
        "Remove the annotation to promote the revision.",
    ),
    ReasonDoc(
        MOVING_TRAFFIC,
        "Reconciling, Progressing",
        "A canary's step has begun: pods are started or stopped until the candidate has its share of the requests. Of "
        "a shadow: the gateway does not copy requests yet.",
        "Wait.",
    ),
    ReasonDoc(
        HOLDING,
        "Reconciling, Progressing",
        "A canary has the weight of its step, or a shadow receives copies of requests, until the time that the message "
        "names.",
        "Wait; or set perennial.dev/promote or perennial.dev/abort to the revision's name.",
    ),
    ReasonDoc(
        WAITING_FOR_OLD_PODS,
        "Reconciling, Progressing",
        "The pods of an earlier revision, or of an ended rollout, still have to leave.",
        "Wait; see kubectl get pods if it lasts.",
    ),
    ReasonDoc(
        RECREATING,
        "Ready, Reconciling, Progressing",
        "The stable revision is stopped and the new one starts, so that nothing answers.",
        "Wait. If the new revision fails, the stable one starts again. To avoid the downtime, add capacity and use "
        "another rollout.strategy.",
    ),
    ReasonDoc(
        TOO_FEW_PODS,
        "SplitLimited",
        "So few pods cannot give the weight of the step; the message tells what they give.",
        "Raise replicas, choose another weight, or accept the share in status.candidate.reachedWeight.",
    ),
    ReasonDoc(
        PORTS_DIFFER,
        "SplitLimited",
        "Stable revision and candidate have different ports or differ in TLS, so no split is possible.",
        "Nothing: the candidate receives all requests once it is ready. For a canary, keep the port.",
    ),
    ReasonDoc(ROUTED, "RouteAccepted", "The gateway of spec.route serves the route.", "Nothing."),
    ReasonDoc(
        ROUTE_NOT_ACCEPTED,
        "RouteAccepted, Reconciling, Progressing",
        "The gateway of spec.route does not serve the route; the message tells what it says. A canary waits.",
        "Correct what the message names: the Gateway, its listener's allowedRoutes, or spec.route. The Service inside "
        "the cluster is not affected.",
    ),
    ReasonDoc(
        GATEWAY_API_MISSING,
        "RouteAccepted, Reconciling, Progressing",
        "spec.route is set, but the cluster has no Gateway API. A canary waits; other strategies go on.",
        "Install the Gateway API (standard channel) and a gateway, or remove spec.route. The operator finds it at its "
        "next resync.",
    ),
    ReasonDoc(
        MIRROR_NOT_SUPPORTED,
        "Reconciling, Progressing, RolloutFailed, Stalled",
        "The gateway of spec.route does not say that it can copy requests, or refuses a route that asks for it. The "
        "stable revision keeps serving.",
        "Use a gateway whose GatewayClass lists HTTPRouteRequestMirror in status.supportedFeatures. If yours copies "
        "requests without listing it, as Envoy Gateway does, name the feature in the annotation "
        "perennial.dev/supported-features of the GatewayClass. Or use another rollout.strategy such as Canary, or skip "
        "the copies with perennial.dev/promote.",
    ),
    ReasonDoc(
        WAITING_FOR_GATES,
        "Reconciling, Progressing",
        "A new revision is ready, and a gate of spec.rollout.gates has not been judged yet.",
        "Wait; the message names the gate and what it waits for.",
    ),
    ReasonDoc(
        GATE_INCONCLUSIVE,
        "Reconciling, Progressing",
        "A new revision is ready, but a gate cannot be judged.",
        "Supply what the message names, or remove the gate. Status shows all verdicts in candidate.gates.",
    ),
    ReasonDoc(
        GATE_FAILED,
        "RolloutFailed, Stalled",
        "A gate of spec.rollout.gates has failed; the stable revision keeps serving.",
        "See the figures in the message and in status.candidate.gates; publish a better model, or correct the gate "
        "and set perennial.dev/retry.",
    ),
    ReasonDoc(
        ABORTED,
        "RolloutFailed, Stalled",
        "The revision was aborted or rolled back by the annotation perennial.dev/abort.",
        "Change the spec or publish another model; or remove perennial.dev/abort and set perennial.dev/retry.",
    ),
    ReasonDoc(
        ABORT_IGNORED,
        "Event",
        "The annotation perennial.dev/abort names the stable revision, but no pod of a previous one is left.",
        "Set spec.model to the earlier version to roll back, or remove the annotation.",
    ),
    ReasonDoc("RolledBack", "Event", "The revision was rolled back; the previous one serves again.", "Nothing."),
)

EVENTS: tuple[ReasonDoc, ...] = (
    ReasonDoc(STEP_STARTED, "Event", "A canary has gone to its next step.", "Nothing."),
    ReasonDoc(MIRROR_STARTED, "Event", "The gateway is asked to copy requests to a shadow.", "Nothing."),
    ReasonDoc(
        STABLE_STOPPED,
        "Event",
        "The stable revision is stopped so that the new one can start; nothing answers in between.",
        "Nothing; see the condition Progressing.",
    ),
    ReasonDoc("RolloutStarted", "Event", "The rollout of a new revision has started.", "Nothing."),
    ReasonDoc("Promoted", "Event", "A revision became ready and receives all traffic.", "Nothing."),
    ReasonDoc("RolloutFailed", "Event", "The rollout of a revision has failed.", "See the condition RolloutFailed."),
)
