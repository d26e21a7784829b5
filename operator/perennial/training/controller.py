"""The training controller, as the runtime registers it."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from perennial.api.trainingjob.resource import TrainingJob
from perennial.core.decision import Controller, Gauge
from perennial.core.gauges import condition_gauges, suspended_gauge
from perennial.core.kinds import TRAINING_JOB, Key
from perennial.core.times import parse_time
from perennial.training.audit import facts
from perennial.training.decide import decide
from perennial.training.observe import Observed, observe

_MOST_METRICS = 20


def names(raw: Mapping[str, Any]) -> tuple[Key, ...]:  # noqa: ARG001 - the signature of every controller
    """Return nothing: a TrainingJob refers to no other resource of ours; DriftMonitors refer to it."""
    return ()


def metrics(resource: TrainingJob) -> tuple[Gauge, ...]:
    """Gauges of a TrainingJob: its runs, and the metrics of its artifact."""
    status = resource.status
    newest = status.runs[0] if status.runs else None
    succeeded = _seconds(status.last_success_time)
    return (
        *condition_gauges(TRAINING_JOB, status.conditions),
        suspended_gauge(TRAINING_JOB, suspended=resource.spec.suspend),
        Gauge("perennial_training_runs", "Number of runs started so far.", status.run_count),
        Gauge("perennial_training_running", "1 while a run is in progress, else 0.", float(bool(status.current_run))),
        *(
            (
                Gauge(
                    "perennial_training_failed",
                    "1 if the newest ended run has failed or its model was rejected, else 0.",
                    float(newest.result in {"Failed", "Rejected"}),
                ),
            )
            if newest is not None
            else ()
        ),
        *(
            (
                Gauge(
                    "perennial_training_last_success_timestamp_seconds",
                    "Unix time at which a run last succeeded.",
                    succeeded,
                ),
            )
            if succeeded is not None
            else ()
        ),
        *_artifact_metrics(resource),
    )


def _artifact_metrics(resource: TrainingJob) -> tuple[Gauge, ...]:
    """Numbers of the artifact's metrics.json. Its text is untrusted: what is no finite number is left out."""
    artifact = resource.status.artifact
    found = ((name, _number(text)) for name, text in ((artifact.metrics if artifact else None) or {}).items())
    return tuple(
        Gauge(
            "perennial_artifact_metric",
            "Metric of the accepted artifact, from metrics.json of its run.",
            value,
            (("metric", name),),
        )
        for name, value in list(found)[:_MOST_METRICS]
        if value is not None
    )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) else None


def _seconds(text: str | None) -> float | None:
    try:
        return parse_time(text).timestamp() if text else None
    except ValueError:
        return None


CONTROLLER: Controller[TrainingJob, Observed] = Controller(
    kind=TRAINING_JOB,
    parse=TrainingJob.model_validate,
    names=names,
    observe=observe,
    decide=decide,
    metrics=metrics,
    facts=facts,
)
