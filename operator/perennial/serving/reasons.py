"""Every reason that a ModelDeployment's conditions and Events give, with what it means and what to do."""

from perennial.core import waiting
from perennial.core.failures import (
    DIGEST_MISMATCH,
    FORMAT_REFUSED,
    MANIFEST_INVALID,
    OUT_OF_SPACE,
    PICKLE_REFUSED,
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
OUT_OF_MEMORY = "OutOfMemory"
EVICTED = "Evicted"
PODS_REFUSED = "PodsRefused"
REQUEST_MISSING = "RequestMissing"
RUNTIME_SERVES_ONE_MODEL = "RuntimeServesOneModel"
METRIC_NOT_FOUND = "MetricNotFound"
PODS_NOT_ALLOWED = "PodsNotAllowed"
ANNOTATION_NOT_ALLOWED = "AnnotationNotAllowed"
WAITING_FOR_APPROVAL = "WaitingForApproval"
PAUSED = "Paused"
ABORTED = "Aborted"

FINAL = frozenset(
    {
        waiting.IMAGE_INVALID,
        COMMAND_NOT_FOUND,
        ABORTED,
        DIGEST_MISMATCH.reason,
        MANIFEST_INVALID.reason,
        UNSAFE_PATH.reason,
        FORMAT_REFUSED.reason,
        PICKLE_REFUSED.reason,
    }
)
"""Failures that nothing outside the revision can cure: its pods are not left to try for ever."""

QUIET = frozenset({ROLLING_OUT, SCALING_UP, WAITING_FOR_MODEL, WAITING_FOR_APPROVAL, PAUSED})
"""Reasons for not being ready that are part of a healthy course, and so no news."""

BY_HAND = frozenset({WAITING_FOR_APPROVAL, PAUSED})
"""What a revision that is ready waits for."""

_ROLLOUT = "Reconciling, Progressing, RolloutFailed, Stalled"

REASONS: tuple[ReasonDoc, ...] = (
    ReasonDoc(SERVING, "Ready", "The stable revision answers.", "Nothing."),
    ReasonDoc(
        DEGRADED,
        "Ready",
        "The stable revision answers, but by fewer pods than replicas.min.",
        "Remove the cause that the message names.",
    ),
    ReasonDoc(ROLLING_OUT, "Reconciling, Progressing", "A new revision is becoming ready.", "Wait."),
    ReasonDoc(
        WAITING_FOR_APPROVAL,
        "Reconciling, Progressing",
        "A new revision is ready, and spec.rollout.approval is Manual.",
        "Look at it, then approve or abort it by the annotation that the message gives.",
    ),
    ReasonDoc(
        PAUSED,
        "Reconciling, Progressing",
        "A new revision is ready, and the annotation perennial.dev/pause holds it.",
        "Take the annotation off to go on.",
    ),
    ReasonDoc(
        ABORTED,
        "RolloutFailed, Stalled",
        "A person has aborted the revision, or taken it back, by the annotation perennial.dev/abort.",
        "Change the spec or publish another model; the same revision is not tried again.",
    ),
    ReasonDoc("RolledBack", "Event", "A person has taken the revision back; the one before serves again.", "Nothing."),
    ReasonDoc(
        SCALING_UP,
        "Reconciling",
        "More replicas were asked for and are becoming ready.",
        "Wait; the message names what keeps them.",
    ),
    ReasonDoc(
        REPLICAS_UNAVAILABLE,
        "Stalled",
        "The replicas asked for did not become ready within rollout.progressDeadlineSeconds; the others serve.",
        "Remove the cause that the message names, or ask for fewer.",
    ),
    ReasonDoc(
        UNAVAILABLE, "Ready", "No pod of the serving revision answers.", "Look at its pods: kubectl describe pod."
    ),
    ReasonDoc(
        MODEL_NOT_FOUND,
        "Reconciling, Stalled",
        "spec.model names nothing that exists.",
        "Create the TrainingJob or correct the name.",
    ),
    ReasonDoc(
        WAITING_FOR_MODEL,
        "Reconciling",
        "The TrainingJob has published no model yet.",
        "Wait, or see why it does not: kubectl describe trainingjob.",
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
        "spec.models names further models, and the runtime serves one alone.",
        "Choose a runtime with a folder for each model, such as mlserver or triton, or remove spec.models.",
    ),
    ReasonDoc(
        PROGRESS_DEADLINE_EXCEEDED,
        "RolloutFailed, Stalled",
        "The new revision did not become ready in time, though nothing is known to be wrong.",
        "See kubectl logs of its pods, or raise rollout.progressDeadlineSeconds.",
    ),
    ReasonDoc(
        CONTAINER_CRASHING,
        f"{_ROLLOUT}, Ready",
        "A container ends instead of serving, again and again.",
        "See kubectl logs --previous.",
    ),
    ReasonDoc(COMMAND_NOT_FOUND, _ROLLOUT, "The image has no such command.", "Correct the command or the image."),
    ReasonDoc(
        OUT_OF_MEMORY,
        f"{_ROLLOUT}, Ready",
        "A container needed more memory than its limit.",
        "Raise resources.limits.memory.",
    ),
    ReasonDoc(
        EVICTED, f"{_ROLLOUT}, Ready", "A node put a pod out for want of resources.", "Raise resources.requests."
    ),
    ReasonDoc(
        PODS_REFUSED,
        f"{_ROLLOUT}, Ready",
        "A quota or an admission policy refuses the pods.",
        "Raise the quota, or correct what the policy names.",
    ),
    ReasonDoc(
        waiting.UNSCHEDULABLE,
        f"{_ROLLOUT}, Ready",
        "No node can take the pod.",
        "Free or add nodes, or correct resources, nodeSelector or tolerations.",
    ),
    ReasonDoc(
        waiting.IMAGE_PULL_FAILED,
        f"{_ROLLOUT}, Ready",
        "An image cannot be pulled.",
        "Check its name and tag, the registry, and imagePullSecrets.",
    ),
    ReasonDoc(waiting.IMAGE_INVALID, _ROLLOUT, "That is not the name of an image.", "Correct it."),
    ReasonDoc(
        waiting.CONTAINER_CONFIG_ERROR,
        f"{_ROLLOUT}, Ready",
        "A container cannot be made, mostly for want of a Secret or ConfigMap.",
        "Create what the message names, or correct the name.",
    ),
    ReasonDoc(
        OUT_OF_SPACE.reason,
        f"{_ROLLOUT}, Ready",
        "The model does not fit the volume.",
        "Raise workspace.sizeLimit or free the node's disk.",
    ),
    ReasonDoc(
        REQUEST_MISSING,
        "Autoscaling",
        "A percentage of a request is aimed at that the pods do not make, so nothing scales.",
        "Set resources.requests, or choose another metric.",
    ),
    ReasonDoc(
        METRIC_NOT_FOUND,
        "Autoscaling",
        "The runtime's preset has no metric of that name; the other metrics decide.",
        "Choose one that the message names, use a metric of kind pods, or add it to the chart's values.",
    ),
    ReasonDoc(
        PODS_NOT_ALLOWED,
        "Stalled",
        "The installation does not allow the account or the user that the spec names; what serves goes on.",
        "Remove it, or have the administrator allow it under config.pods in the chart's values.",
    ),
    ReasonDoc(
        ANNOTATION_NOT_ALLOWED,
        "Stalled",
        "The installation does not allow an annotation that the spec adds; what serves goes on.",
        "Remove it, or have the administrator add its key to config.allowedAnnotations in the chart's values.",
    ),
    ReasonDoc("RolloutStarted", "Event", "A new revision is being made.", "Nothing."),
    ReasonDoc("Promoted", "Event", "A revision became ready and takes all traffic.", "Nothing."),
    ReasonDoc("RolloutFailed", "Event", "A revision was given up.", "See the condition RolloutFailed."),
)
