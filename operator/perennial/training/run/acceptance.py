"""Checks a run's metrics against `spec.acceptance`. Metrics are untrusted: only finite numbers count."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from perennial.api.trainingjob.policies import Criterion


def unmet_criteria(
    criteria: tuple[Criterion, ...] | None, metrics: Mapping[str, str] | None, current: Mapping[str, str] | None
) -> str | None:
    """Return a sentence about the criteria that are not met; None if all are.

    `current` are the present artifact's metrics; None if there is no artifact.
    """
    found = (_unmet(item, metrics or {}, current or {}) for item in criteria or ())
    return "; ".join(item for item in found if item is not None) or None


def finite_number(text: str | None) -> Decimal | None:
    """Return a metric's value; None if it is missing or not a finite number."""
    try:
        value = Decimal(text) if text is not None else None
    except InvalidOperation:
        return None
    return value if value is not None and value.is_finite() else None


def _unmet(criterion: Criterion, metrics: Mapping[str, str], current: Mapping[str, str]) -> str | None:
    name = criterion.metric
    value = finite_number(metrics.get(name))
    if value is None:
        return f"metrics.json contains no number for {name}"
    if criterion.min is not None:
        return f"{name} is {value}, below the minimum of {criterion.min}" if value < Decimal(criterion.min) else None
    if criterion.max is not None:
        return f"{name} is {value}, above the maximum of {criterion.max}" if value > Decimal(criterion.max) else None
    return _compared(criterion, value, finite_number(current.get(name)))


def _compared(criterion: Criterion, value: Decimal, present: Decimal | None) -> str | None:
    margin = finite_number(criterion.not_worse_than_current_by)
    if present is None or margin is None:
        return None
    worse_by = present - value if criterion.goal == "Maximize" else value - present
    if worse_by <= margin:
        return None
    return f"{criterion.metric} is {value}, more than {margin} worse than the current {present}"
