"""The HorizontalPodAutoscaler of a revision, and what keeps it from working."""

from datetime import datetime
from typing import Any

from perennial.api.contract.settings import RuntimePreset
from perennial.api.kubernetes import HorizontalPodAutoscaler
from perennial.api.modeldeployment.resource import ModelDeployment, ModelDeploymentSpec
from perennial.api.modeldeployment.revisions import Revision
from perennial.api.modeldeployment.scaling import AutoscalingMetric, ExternalMetric
from perennial.core.kinds import AUTOSCALER, DEPLOYMENT, Raw
from perennial.core.labels import REVISION_LABEL
from perennial.core.problem import Problem
from perennial.core.times import parse_time
from perennial.core.waiting import clean
from perennial.serving import pod_reasons as reasons
from perennial.serving.children.metadata import metadata_of
from perennial.serving.health import SERVER

Presets = dict[str, RuntimePreset]

_DEFAULT_CPU_PERCENT = 80


def autoscaler(resource: ModelDeployment, revision: Revision, bounds: tuple[int, int], presets: Presets) -> Raw:
    """Build the HorizontalPodAutoscaler of one revision: an average over two would hide the overload of one.

    Args:
        resource: owner of the revision.
        revision: what is scaled.
        bounds: least and most pods; equal where a canary fixes the number.
        presets: runtime presets, which name metrics.
    """
    least, most = bounds
    spec = resource.spec
    metrics = _metrics(spec, _named_metrics(spec, presets))
    behavior = spec.scaling_behavior.dump() if spec.scaling_behavior else {}
    return {
        "apiVersion": AUTOSCALER.api_version,
        "kind": AUTOSCALER.kind,
        "metadata": metadata_of(resource, revision.name, labels={REVISION_LABEL: revision.hash}),
        "spec": {
            "scaleTargetRef": {
                "apiVersion": DEPLOYMENT.api_version,
                "kind": DEPLOYMENT.kind,
                "name": revision.name,
            },
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": metrics or [_resource("cpu", _DEFAULT_CPU_PERCENT)],
            **({"behavior": behavior} if behavior else {}),
        },
    }


def scaling_problems(spec: ModelDeploymentSpec, presets: Presets) -> tuple[Problem, ...]:
    """Find what keeps the autoscaler from working; empty without autoscaling."""
    if not spec.replicas.autoscaled:
        return ()
    return tuple(item for item in (_unknown_metric(spec, presets), _missing_request(spec)) if item is not None)


def without_metrics(found: HorizontalPodAutoscaler | None) -> tuple[datetime, Problem] | None:
    """Find since when the autoscaler gets no metrics, and what to do.

    Returns:
        When its condition ScalingActive became False, and the problem; None while it gets some, or was not judged yet.
    """
    active = next((item for item in found.status.conditions if item.type == "ScalingActive"), None) if found else None
    if found is None or active is None or active.status != "False" or active.last_transition_time is None:
        return None
    next_step = next((text for part, text in _NEXT_STEP if part in active.reason), None)
    if next_step is None:  # switched off by hand, or by a number of pods of 0
        return None
    message = (
        f"HorizontalPodAutoscaler {found.metadata.name} gets no metrics ({clean(active.reason)}), so nothing scales: "
        f"{next_step}"
    )
    try:
        return parse_time(active.last_transition_time), Problem(reasons.METRICS_UNAVAILABLE, message)
    except ValueError:
        return None


_NEXT_STEP = (
    ("ResourceMetric", "install metrics-server, and check that `kubectl top pods` answers"),
    ("PodsMetric", "install an adapter that serves custom.metrics.k8s.io, and check the metric's name there"),
    ("ExternalMetric", "install an adapter that serves external.metrics.k8s.io, and check the metric's name there"),
)
"""By a part of the reason, such as FailedGetContainerResourceMetric."""


def _named_metrics(spec: ModelDeploymentSpec, presets: Presets) -> dict[str, str]:
    preset = presets.get(spec.runtime.name or "")
    return preset.scaling_metrics if preset is not None else {}


def _metrics(spec: ModelDeploymentSpec, named: dict[str, str]) -> list[dict[str, Any]]:
    found = (_metric(metric, named) for metric in spec.autoscaling or ())
    return [metric for metric in found if metric is not None]


def _metric(metric: AutoscalingMetric, named: dict[str, str]) -> dict[str, Any] | None:
    """Build one metric; None if the preset does not define it."""
    if metric.runtime is not None:
        name = named.get(metric.runtime.metric)
        return _pods(name, metric.runtime.average) if name is not None else None
    if metric.pods is not None:
        return _pods(metric.pods.metric, metric.pods.average)
    if metric.external is not None:
        return _external(metric.external)
    if metric.memory is not None:
        return _resource("memory", metric.memory)
    return _resource("cpu", metric.cpu or _DEFAULT_CPU_PERCENT)


def _resource(name: str, percent: int) -> dict[str, Any]:
    """Target a percentage of the server's request only: the usage of a sidecar says nothing about the load."""
    target = {"type": "Utilization", "averageUtilization": percent}
    return {
        "type": "ContainerResource",
        "containerResource": {"name": name, "container": SERVER, "target": target},
    }


def _pods(name: str, average: str) -> dict[str, Any]:
    target = {"type": "AverageValue", "averageValue": average}
    return {"type": "Pods", "pods": {"metric": {"name": name}, "target": target}}


def _external(metric: ExternalMetric) -> dict[str, Any]:
    selector = {"selector": {"matchLabels": metric.selector}} if metric.selector else {}
    target = (
        {"type": "AverageValue", "averageValue": metric.average}
        if metric.average is not None
        else {"type": "Value", "value": metric.value or "0"}
    )
    return {"type": "External", "external": {"metric": {"name": metric.metric, **selector}, "target": target}}


def _unknown_metric(spec: ModelDeploymentSpec, presets: Presets) -> Problem | None:
    named = _named_metrics(spec, presets)
    asked = (metric.runtime.metric for metric in spec.autoscaling or () if metric.runtime is not None)
    unknown = sorted(set(asked) - named.keys())
    if not unknown:
        return None
    message = (
        f"spec.autoscaling: runtime {spec.runtime.name or 'container'} has no metric {', '.join(unknown)}; it has: "
        f"{', '.join(sorted(named)) or 'none'}. Choose one of them, or set a custom metric in pods"
    )
    return Problem(reasons.METRIC_NOT_FOUND, message)


def _missing_request(spec: ModelDeploymentSpec) -> Problem | None:
    """Find metrics relative to a request that is not set: the autoscaler does nothing then."""
    resources = spec.resources
    asked = {**(resources.limits or {}), **(resources.requests or {})} if resources else {}
    metrics = spec.autoscaling
    wanted = {"cpu"} if metrics is None else {name for m in metrics for name in ("cpu", "memory") if getattr(m, name)}
    missing = sorted(wanted - asked.keys())
    if not missing:
        return None
    fields = " and ".join(f"spec.resources.requests.{name}" for name in missing)
    message = f"spec.autoscaling targets a percentage of {fields}, which is not set: set it, or choose another metric"
    return Problem(reasons.REQUEST_MISSING, message)
