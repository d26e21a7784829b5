"""Gauges that all kinds of resources have."""

from collections.abc import Iterable

from perennial.api.common.status import Condition
from perennial.core.conditions import READY, STALLED, find
from perennial.core.decision import Gauge
from perennial.core.kinds import Kind


def condition_gauges(kind: Kind, conditions: Iterable[Condition]) -> tuple[Gauge, ...]:
    """Whether a resource is ready, and whether it waits for a person."""
    known = tuple(conditions)
    labels = (("kind", kind.kind),)
    return (
        Gauge("perennial_resource_ready", "1 if the condition Ready is True, else 0.", _holds(known, READY), labels),
        Gauge(
            "perennial_resource_stalled",
            "1 while the resource waits for a person to act (condition Stalled), else 0.",
            _holds(known, STALLED),
            labels,
        ),
    )


def suspended_gauge(kind: Kind, *, suspended: bool) -> Gauge:
    """Whether a resource starts nothing by its own wish."""
    told = "1 while spec.suspend of the resource is true, else 0."
    return Gauge("perennial_resource_suspended", told, float(suspended), (("kind", kind.kind),))


def _holds(conditions: tuple[Condition, ...], kind: str) -> float:
    found = find(conditions, kind)
    return float(found is not None and found.status == "True")
