"""Reasons that the pods of a revision and their autoscaler give, with meaning and next step."""

from perennial.core import waiting
from perennial.core.failures import OUT_OF_SPACE
from perennial.core.reasons import ReasonDoc

CONTAINER_CRASHING = "ContainerCrashing"
COMMAND_NOT_FOUND = "CommandNotFound"
WRONG_ARCHITECTURE = "WrongArchitecture"
OUT_OF_MEMORY = "OutOfMemory"
EVICTED = "Evicted"
PODS_REFUSED = "PodsRefused"
REQUEST_MISSING = "RequestMissing"
METRIC_NOT_FOUND = "MetricNotFound"
METRICS_UNAVAILABLE = "MetricsUnavailable"
KEDA_MISSING = "KedaMissing"
TRIGGER_FAILED = "TriggerFailed"

_ROLLOUT = "Reconciling, Progressing, RolloutFailed, Stalled"

PODS: tuple[ReasonDoc, ...] = (
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
)

SCALING: tuple[ReasonDoc, ...] = (
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
)
