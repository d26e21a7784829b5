"""The ScaledObject by which KEDA scales a revision, also to and from zero pods."""

from typing import Any

from perennial.api.keda import ScaledObject
from perennial.api.kubernetes import condition
from perennial.api.modeldeployment.resource import ModelDeployment, ModelDeploymentSpec
from perennial.api.modeldeployment.revisions import Revision
from perennial.api.modeldeployment.scaling import AutoscalingMetric
from perennial.core.kinds import DEPLOYMENT, SCALED_OBJECT, Raw
from perennial.core.labels import REVISION_LABEL
from perennial.core.problem import Problem
from perennial.core.waiting import clean
from perennial.serving import pod_reasons as reasons
from perennial.serving.children.metadata import metadata_of
from perennial.serving.health import SERVER

_COOLDOWN = 300
"""Seconds; the default of KEDA as well."""
_STOP = "autoscaling.keda.sh/paused-replicas"
"""KEDA keeps the number of pods in this annotation; otherwise it would start what was stopped."""


def scaled_object(resource: ModelDeployment, revision: Revision, bounds: tuple[int, int], *, stopped: bool) -> Raw:
    """Build the ScaledObject of one revision.

    Args:
        resource: owner of the revision.
        revision: what is scaled.
        bounds: least and most pods; equal where a canary fixes the number.
        stopped: there are to be no pods, whatever the triggers say.
    """
    least, most = bounds
    spec = resource.spec
    behavior = spec.scaling_behavior.dump() if spec.scaling_behavior else {}
    labels, annotations = {REVISION_LABEL: revision.hash}, {_STOP: "0"} if stopped else {}
    return {
        "apiVersion": SCALED_OBJECT.api_version,
        "kind": SCALED_OBJECT.kind,
        "metadata": metadata_of(resource, revision.name, labels=labels, annotations=annotations),
        "spec": {
            "scaleTargetRef": {
                "apiVersion": DEPLOYMENT.api_version,
                "kind": DEPLOYMENT.kind,
                "name": revision.name,
            },
            "minReplicaCount": least,
            "maxReplicaCount": most,
            "cooldownPeriod": _COOLDOWN if spec.replicas.cooldown_seconds is None else spec.replicas.cooldown_seconds,
            "triggers": [_trigger(item) for item in spec.autoscaling or ()],
            **({"advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior}}} if behavior else {}),
        },
    }


def keda_problem(spec: ModelDeploymentSpec, found: ScaledObject | None, *, served: bool) -> Problem | None:
    """Find what keeps KEDA from scaling.

    Args:
        spec: the present spec.
        found: ScaledObject of the stable revision.
        served: the cluster has ScaledObjects.

    Returns:
        None without triggers, and while KEDA has not judged the ScaledObject yet.
    """
    if not spec.triggered:
        return None
    if not served:
        return Problem(
            reasons.KEDA_MISSING,
            f"the cluster has no {SCALED_OBJECT.kind} of {SCALED_OBJECT.api_version}, so the triggers of "
            "spec.autoscaling have no effect, and at least one pod stays: install KEDA, or remove the triggers",
        )
    ready = condition(found.status.conditions, "Ready") if found is not None else None
    if found is None or ready is None or ready.status != "False":
        return _paused(found)
    return Problem(
        reasons.TRIGGER_FAILED,
        f"KEDA cannot scale by ScaledObject {found.metadata.name} ({clean(ready.reason)}: {clean(ready.message)}): "
        f"correct spec.autoscaling or what it refers to; see kubectl describe scaledobject {found.metadata.name}",
    )


def _paused(found: ScaledObject | None) -> Problem | None:
    paused = condition(found.status.conditions, "Paused") if found is not None else None
    if found is None or paused is None or paused.status != "True" or found.metadata.annotations.get(_STOP) == "0":
        return None
    return Problem(
        reasons.TRIGGER_FAILED,
        f"ScaledObject {found.metadata.name} is paused by an annotation of autoscaling.keda.sh, so nothing scales: "
        "remove that annotation",
    )


def _trigger(metric: AutoscalingMetric) -> dict[str, Any]:
    if metric.trigger is not None:
        return metric.trigger.dump()
    name, percent = ("memory", metric.memory) if metric.memory is not None else ("cpu", metric.cpu)
    # The usage of a sidecar says nothing about the load.
    values = {"value": str(percent), "containerName": SERVER}
    return {"type": name, "metricType": "Utilization", "metadata": values}
