"""Reasons of the conditions and Events of a ModelDeployment, with meaning and next step."""

from perennial.core import waiting
from perennial.core.failures import (
    DIGEST_MISMATCH,
    FORMAT_REFUSED,
    MANIFEST_INVALID,
    OUT_OF_SPACE,
    PICKLE_REFUSED,
    SIGNATURE_INVALID,
    SIGNATURE_MISSING,
    SIGNING_KEY_INVALID,
    UNSAFE_PATH,
)
from perennial.core.reasons import ReasonDoc

SERVING = "Serving"
DEGRADED = "Degraded"
ROLLING_OUT = "RollingOut"
SCALING_UP = "ScalingUp"
REPLICAS_UNAVAILABLE = "ReplicasUnavailable"
UNAVAILABLE = "Unavailable"
MODEL_NOT_FOUND = "ModelNotFound"
WAITING_FOR_MODEL = "WaitingForModel"
RUNTIME_NOT_FOUND = "RuntimeNotFound"
PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
CONTAINER_CRASHING = "ContainerCrashing"
COMMAND_NOT_FOUND = "CommandNotFound"
WRONG_ARCHITECTURE = "WrongArchitecture"
OUT_OF_MEMORY = "OutOfMemory"
EVICTED = "Evicted"
PODS_REFUSED = "PodsRefused"
REQUEST_MISSING = "RequestMissing"
RUNTIME_SERVES_ONE_MODEL = "RuntimeServesOneModel"
RUNTIME_DOES_NOT_BATCH = "RuntimeDoesNotBatch"
METRIC_NOT_FOUND = "MetricNotFound"
METRICS_UNAVAILABLE = "MetricsUnavailable"
KEDA_MISSING = "KedaMissing"
TRIGGER_FAILED = "TriggerFailed"
SCALED_TO_ZERO = "ScaledToZero"
WAKING = "Waking"
WAITING_FOR_STABLE = "WaitingForStable"
PODS_NOT_ALLOWED = "PodsNotAllowed"
ANNOTATION_NOT_ALLOWED = "AnnotationNotAllowed"
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

QUIET = frozenset(
    {
        ROLLING_OUT,
        SCALING_UP,
        WAITING_FOR_MODEL,
        WAITING_FOR_APPROVAL,
        PAUSED,
        MOVING_TRAFFIC,
        HOLDING,
        WAITING_FOR_OLD_PODS,
        RECREATING,
        WAITING_FOR_GATES,
        WAITING_FOR_STABLE,
        WAKING,
    }
)
"""Reasons for not being ready that are expected in a healthy rollout: no Event."""

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

_ROLLOUT = "Reconciling, Progressing, RolloutFailed, Stalled"

REASONS: tuple[ReasonDoc, ...] = (
    ReasonDoc(SERVING, "Ready", "The stable revision serves.", "Nothing."),
    ReasonDoc(
        DEGRADED,
        "Ready",
        "The stable revision serves with fewer pods than replicas.min.",
        "Resolve the problem that the message names.",
    ),
    ReasonDoc(
        SCALED_TO_ZERO,
        "Ready",
        "The model sleeps without pods, as replicas.min 0 allows; a trigger of spec.autoscaling wakes it.",
        "Nothing. To keep it awake, set replicas.min to 1.",
    ),
    ReasonDoc(
        WAKING,
        "Ready",
        "A trigger has woken the model, or a rollout needs it, and its first pod is starting.",
        "Wait; requests are answered once the pod is ready.",
    ),
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
    ReasonDoc(
        SCALING_UP,
        "Reconciling",
        "More replicas are becoming ready.",
        "Wait; the message names the problem, if there is one.",
    ),
    ReasonDoc(
        REPLICAS_UNAVAILABLE,
        "Stalled",
        "Not all replicas became ready within rollout.progressDeadlineSeconds; the others serve.",
        "Resolve the problem that the message names, or lower replicas.min.",
    ),
    ReasonDoc(
        UNAVAILABLE, "Ready", "No pod of the stable revision is available.", "See its pods: kubectl describe pod."
    ),
    ReasonDoc(
        MODEL_NOT_FOUND,
        "Reconciling, Stalled",
        "spec.model refers to a TrainingJob that does not exist.",
        "Create the TrainingJob or correct the name.",
    ),
    ReasonDoc(
        WAITING_FOR_MODEL,
        "Reconciling",
        "The TrainingJob has published no model yet.",
        "Wait, or see kubectl describe trainingjob.",
    ),
    ReasonDoc(
        RUNTIME_NOT_FOUND,
        "Stalled",
        "The installation has no runtime of that name.",
        "Choose one that the message names, set runtime.container, or add it to the chart's values.",
    ),
    ReasonDoc(
        RUNTIME_SERVES_ONE_MODEL,
        "Stalled",
        "spec.models names further models, but the runtime serves only one.",
        "Choose a runtime with a folder for each model, such as mlserver or triton, or remove spec.models.",
    ),
    ReasonDoc(
        RUNTIME_DOES_NOT_BATCH,
        "Stalled",
        "runtime.batching is set, but the runtime has no variables for it.",
        "Choose a runtime that the message names, such as mlserver-sklearn, or remove runtime.batching.",
    ),
    ReasonDoc(
        PROGRESS_DEADLINE_EXCEEDED,
        "RolloutFailed, Stalled",
        "The new revision did not become ready in time, and no error was reported.",
        "See kubectl logs of its pods, or raise rollout.progressDeadlineSeconds.",
    ),
    ReasonDoc(
        CONTAINER_CRASHING,
        f"{_ROLLOUT}, Ready",
        "A container exits repeatedly instead of serving.",
        "See kubectl logs --previous.",
    ),
    ReasonDoc(
        COMMAND_NOT_FOUND, _ROLLOUT, "The image does not contain the command.", "Correct the command or the image."
    ),
    ReasonDoc(
        WRONG_ARCHITECTURE,
        _ROLLOUT,
        "The image was built for another kind of CPU than the node has, such as arm64.",
        "Build the image for it, or choose nodes by nodeSelector kubernetes.io/arch.",
    ),
    ReasonDoc(
        OUT_OF_MEMORY,
        f"{_ROLLOUT}, Ready",
        "A container exceeded its memory limit.",
        "Raise resources.limits.memory.",
    ),
    ReasonDoc(
        EVICTED,
        f"{_ROLLOUT}, Ready",
        "A pod was evicted because its node was low on resources.",
        "Raise resources.requests.",
    ),
    ReasonDoc(
        PODS_REFUSED,
        f"{_ROLLOUT}, Ready",
        "A quota or an admission policy rejects the pods.",
        "Raise the quota, or correct what the policy names.",
    ),
    ReasonDoc(
        waiting.UNSCHEDULABLE,
        f"{_ROLLOUT}, Ready",
        "No node fits the pod.",
        "Add nodes or free capacity, or correct resources, nodeSelector or tolerations.",
    ),
    ReasonDoc(
        waiting.IMAGE_PULL_FAILED,
        f"{_ROLLOUT}, Ready",
        "An image cannot be pulled.",
        "Check its name and tag, the registry, and imagePullSecrets.",
    ),
    ReasonDoc(waiting.IMAGE_INVALID, _ROLLOUT, "The image name is invalid.", "Correct it."),
    ReasonDoc(
        waiting.CONTAINER_CONFIG_ERROR,
        f"{_ROLLOUT}, Ready",
        "A container cannot be created, usually because a Secret or ConfigMap is missing.",
        "Create what the message names, or correct the name.",
    ),
    ReasonDoc(
        OUT_OF_SPACE.reason,
        f"{_ROLLOUT}, Ready",
        "The model does not fit the volume.",
        "Raise workspace.sizeLimit, or free disk space on the node.",
    ),
    ReasonDoc(
        KEDA_MISSING,
        "Autoscaling",
        "spec.autoscaling has a trigger, but the cluster has no KEDA: nothing scales, and at least one pod stays.",
        "Install KEDA, or remove the triggers. The operator finds it at its next resync.",
    ),
    ReasonDoc(
        TRIGGER_FAILED,
        "Autoscaling, Ready",
        "KEDA cannot read the triggers of spec.autoscaling, or its ScaledObject is paused: a sleeping model cannot "
        "wake.",
        "Correct what the message names; see kubectl describe scaledobject. To serve meanwhile, set replicas.min to 1.",
    ),
    ReasonDoc(
        REQUEST_MISSING,
        "Autoscaling",
        "A metric targets a percentage of a request that is not set, so nothing scales.",
        "Set resources.requests, or choose another metric.",
    ),
    ReasonDoc(
        METRIC_NOT_FOUND,
        "Autoscaling",
        "The runtime's preset has no metric of that name; the other metrics decide.",
        "Choose one that the message names, use a custom metric in pods, or add it to the chart's values.",
    ),
    ReasonDoc(
        METRICS_UNAVAILABLE,
        "Autoscaling",
        "The HorizontalPodAutoscaler has got no metrics for 45 seconds, so nothing scales.",
        "Install metrics-server, or the adapter that the message names; see `kubectl describe hpa`.",
    ),
    ReasonDoc(
        PODS_NOT_ALLOWED,
        "Stalled",
        "The installation does not allow the account or user of the spec; the stable revision keeps serving.",
        "Remove it, or ask the administrator to allow it under config.pods in the chart's values.",
    ),
    ReasonDoc(
        ANNOTATION_NOT_ALLOWED,
        "Stalled",
        "The installation does not allow an annotation that the spec adds; the stable revision keeps serving.",
        "Remove it, or ask the administrator to add its key to config.allowedAnnotations in the chart's values.",
    ),
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
