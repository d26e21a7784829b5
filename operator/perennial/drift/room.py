"""The drift room, as the runtime sees it."""

from perennial.api.driftmonitor import DriftMonitor, FeatureScore
from perennial.core.decision import Gauge, Room
from perennial.core.kinds import DRIFT_MONITOR
from perennial.drift.decide import decide
from perennial.drift.observe import Observed, names, observe


def metrics(resource: DriftMonitor) -> tuple[Gauge, ...]:
    """Return the gauges of one DriftMonitor: those of its newest verdict, at most ten columns."""
    verdict = resource.status.last_verdict
    if verdict is None:
        return ()
    share = verdict.drifted_features / verdict.compared_features if verdict.compared_features else 0.0
    return (
        Gauge("perennial_drift_detected", "1 while the newest verdict finds drift, else 0.", float(verdict.drifted)),
        Gauge("perennial_drift_share", "Share of the compared columns that have drifted.", share),
        *(_score(item) for item in {(item.name, item.method): item for item in verdict.features}.values()),
    )


def _score(item: FeatureScore) -> Gauge:
    return Gauge(
        "perennial_drift_score",
        "Score of one of the worst columns; what it means depends on the method.",
        float(item.score),
        (("feature", item.name), ("method", item.method)),
    )


ROOM: Room[DriftMonitor, Observed] = Room(
    kind=DRIFT_MONITOR,
    parse=DriftMonitor.model_validate,
    names=names,
    observe=observe,
    decide=decide,
    metrics=metrics,
)
