"""Entry point of the drift controller for the runtime, and its metrics."""

from perennial.api.driftmonitor.checks import CheckScore
from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.driftmonitor.status import FeatureScore, Verdict
from perennial.core.decision import Controller, Gauge
from perennial.core.gauges import condition_gauges, suspended_gauge
from perennial.core.kinds import DRIFT_MONITOR
from perennial.core.times import parse_time
from perennial.drift.audit import facts
from perennial.drift.decide import decide
from perennial.drift.observe import Observed, names, observe


def metrics(resource: DriftMonitor) -> tuple[Gauge, ...]:
    """Gauges of a DriftMonitor and of its newest verdict, with at most ten columns."""
    verdict = resource.status.last_verdict
    return (
        *condition_gauges(DRIFT_MONITOR, resource.status.conditions),
        suspended_gauge(DRIFT_MONITOR, suspended=resource.spec.suspend),
        *(_verdict_gauges(verdict) if verdict is not None else ()),
    )


def _verdict_gauges(verdict: Verdict) -> tuple[Gauge, ...]:
    share = verdict.drifted_features / verdict.compared_features if verdict.compared_features else 0.0
    return (
        *_age(verdict),
        Gauge("perennial_drift_detected", "1 while the newest verdict finds drift, else 0.", float(verdict.drifted)),
        Gauge("perennial_drift_share", "Share of the compared columns that have drifted.", share),
        *_check_states(verdict),
        *(_check_score(item) for item in verdict.scores if item.value is not None),
        *(_drift_score(item) for item in {(item.name, item.method): item for item in verdict.features}.values()),
    )


def _age(verdict: Verdict) -> tuple[Gauge, ...]:
    try:
        time = parse_time(verdict.time).timestamp()
    except ValueError:
        return ()
    return (Gauge("perennial_drift_verdict_timestamp_seconds", "Unix time of the newest verdict.", time),)


def _drift_score(item: FeatureScore) -> Gauge:
    return Gauge(
        "perennial_drift_score",
        "Score of one of the columns with the most drift; its meaning depends on the method.",
        float(item.score),
        (("feature", item.name), ("method", item.method)),
    )


def _check_states(verdict: Verdict) -> tuple[Gauge, ...]:
    """Gauges of checks. One that could not be evaluated has none, since 0 would look like a pass."""
    states = (
        (
            "perennial_model_degraded",
            "1 while the newest verdict has a failed performance check, else 0.",
            verdict.degraded,
        ),
        (
            "perennial_model_likely_degraded",
            "1 while the newest verdict has a failed estimated performance check, else 0.",
            verdict.likely_degraded,
        ),
        ("perennial_model_unfair", "1 while the newest verdict has a failed fairness check, else 0.", verdict.unfair),
        (
            "perennial_segment_deviates",
            "1 while a segment deviates in the newest verdict, else 0.",
            None if verdict.segments is None else verdict.segments.deviate,
        ),
        (
            "perennial_prediction_drift_detected",
            "1 while the newest verdict finds drift of the predictions, else 0.",
            verdict.prediction_drift,
        ),
        (
            "perennial_multivariate_drift_detected",
            "1 while the newest verdict finds drift of all columns together, else 0.",
            verdict.multivariate_drift,
        ),
    )
    found = tuple(Gauge(name, text, float(state)) for name, text, state in states if state is not None)
    if not verdict.predicted_rows or verdict.labelled_rows is None:
        return found
    coverage = verdict.labelled_rows / verdict.predicted_rows
    return (*found, Gauge("perennial_label_coverage", "Share of predictions with a label.", coverage))


def _check_score(item: CheckScore) -> Gauge:
    return Gauge(
        "perennial_model_score",
        "Value of a check beside drift of single columns, such as a metric of performance or fairness.",
        float(item.value or 0),
        (("check", item.check), ("metric", item.metric), ("subject", item.subject or "")),
    )


CONTROLLER: Controller[DriftMonitor, Observed] = Controller(
    kind=DRIFT_MONITOR,
    parse=DriftMonitor.model_validate,
    names=names,
    observe=observe,
    decide=decide,
    metrics=metrics,
    facts=facts,
)
