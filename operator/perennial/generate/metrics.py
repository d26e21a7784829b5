"""Lists the metrics, from the objects that expose them."""

from dataclasses import dataclass

from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.trainingjob.resource import TrainingJob
from perennial.core.decision import Gauge
from perennial.core.kinds import TRAINING_JOB
from perennial.core.reserved import reserved_gauges
from perennial.drift.controller import CONTROLLER as DRIFT
from perennial.runtime.process.metrics import Metrics
from perennial.serving.controller import CONTROLLER as SERVING
from perennial.training.controller import CONTROLLER as TRAINING


@dataclass(frozen=True)
class Metric:
    """One metric family."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str


def operator_metrics() -> tuple[Metric, ...]:
    """List the operator's metrics by name, without those of the Python process, which lack our prefix."""
    metrics = Metrics()
    labels = {item._name: item._labelnames for item in vars(metrics).values() if hasattr(item, "_labelnames")}  # noqa: SLF001
    families = (family for family in metrics.registry.collect() if family.name.startswith("perennial_"))
    return tuple(
        Metric(_exposed(family.name, family.type), family.type, tuple(labels[family.name]), family.documentation)
        for family in sorted(families, key=lambda family: family.name)
    )


def _exposed(name: str, kind: str) -> str:
    return f"{name}_total" if kind == "counter" else name


def resource_metrics() -> tuple[Metric, ...]:
    """List the gauges of resources by name, taken from examples whose status has every field."""
    gauges: dict[str, Gauge] = {gauge.name: gauge for gauge in _gauges()}
    return tuple(
        Metric(name, "gauge", ("namespace", "name", *(label for label, _ in gauge.labels)), gauge.help)
        for name, gauge in sorted(gauges.items())
    )


def _gauges() -> tuple[Gauge, ...]:
    score = {"name": "age", "method": "psi", "score": "0.3", "threshold": "0.2", "drifted": True}
    counts = {"driftedFeatures": 1, "comparedFeatures": 2, "referenceRows": 100, "currentRows": 100}
    check = {"check": "performance", "metric": "f1", "value": "0.8", "failed": True}
    states = {
        "degraded": True,
        "likelyDegraded": False,
        "unfair": False,
        "labelledRows": 1,
        "predictedRows": 2,
        "scores": [check],
    }
    verdict = {"id": "a", "time": "2026-01-31T12:00:00Z", "drifted": True, **counts, "features": [score], **states}
    target = {"target": {"modelDeployment": "a"}, "schedule": "@daily", "reference": {"from": "TrainingRun"}}
    model = {"model": {"trainingJob": "a"}, "runtime": {"name": "a"}}
    time = "2026-01-31T12:00:00Z"
    run = {"name": "a-1", "number": 1, "result": "Succeeded", "reason": "Succeeded", "trigger": {"kind": "Created"}}
    ended = {**run, "attempts": 1, "startTime": time, "completionTime": time, "specHash": "a", "generation": 1}
    artifact = {"uri": "s3://aaa/", "digest": "a", "run": "a-1", "metrics": {"auc": "0.9"}, "time": time}
    trained = {"runs": [ended], "artifact": artifact, "lastSuccessTime": time}
    return (
        *reserved_gauges(TRAINING_JOB, ()),
        *TRAINING.metrics(TrainingJob.model_validate({**_NAMED, "spec": {"image": "a"}, "status": trained})),
        *SERVING.metrics(ModelDeployment.model_validate({**_NAMED, "spec": model})),
        *DRIFT.metrics(DriftMonitor.model_validate({**_NAMED, "spec": target, "status": {"lastVerdict": verdict}})),
    )


_NAMED = {"metadata": {"name": "a"}}
