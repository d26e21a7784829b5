"""Reasons of the conditions and Events of a ModelDeployment, with meaning and next step.

Those of pods and autoscalers are in `pod_reasons`, those of a rollout in `rollout_reasons`; `REASONS` has all.
"""

from perennial.core.reasons import ReasonDoc
from perennial.serving.pod_reasons import PODS, SCALING
from perennial.serving.rollout_reasons import (
    EVENTS,
    HOLDING,
    MOVING_TRAFFIC,
    PAUSED,
    RECREATING,
    ROLLING_OUT,
    ROLLOUT,
    WAITING_FOR_APPROVAL,
    WAITING_FOR_GATES,
    WAITING_FOR_OLD_PODS,
    WAITING_FOR_STABLE,
)

SERVING = "Serving"
DEGRADED = "Degraded"
SCALING_UP = "ScalingUp"
REPLICAS_UNAVAILABLE = "ReplicasUnavailable"
UNAVAILABLE = "Unavailable"
MODEL_NOT_FOUND = "ModelNotFound"
WAITING_FOR_MODEL = "WaitingForModel"
RUNTIME_NOT_FOUND = "RuntimeNotFound"
PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
RUNTIME_SERVES_ONE_MODEL = "RuntimeServesOneModel"
RUNTIME_DOES_NOT_BATCH = "RuntimeDoesNotBatch"
SCALED_TO_ZERO = "ScaledToZero"
WAKING = "Waking"
PODS_NOT_ALLOWED = "PodsNotAllowed"
ANNOTATION_NOT_ALLOWED = "AnnotationNotAllowed"

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
    *ROLLOUT,
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
    *PODS,
    *SCALING,
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
    *EVENTS,
)
