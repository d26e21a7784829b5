"""Checks the values of a column against configured constraints, or constraints derived from the reference."""

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from perennial.agent.drift.columns import ColumnPair
from perennial.agent.text import number, percent, share_of
from perennial.api.driftmonitor.checks import ColumnConstraint, QualityCheck
from perennial.stats.binned import Binned, Numbers, Sample
from perennial.stats.samples import Categorical

_SUGGESTED_TOLERANCE = 0.01
_MANY_VALUES = 100
_ENOUGH_ROWS = 500
_SIGMAS = 4.0
_SHOWN = 3
_NAMED_FROM = 5
"""Minimum count of a value to be shown: a rarer one may identify a person."""


@dataclass(frozen=True)
class Constraint:
    """Constraint on the values of a column; None: no constraint.

    Attributes:
        origin: source of the constraint, for the text of findings.
        low: minimum of numbers.
        high: maximum of numbers.
        values: allowed categories.
        missing: maximum share of missing values, in [0, 1].
        tolerance: share of values that may violate the constraint, in [0, 1].
    """

    origin: str
    low: float | None = None
    high: float | None = None
    values: frozenset[str] | None = None
    missing: float | None = None
    tolerance: float = 0.0


def quality_of(name: str, pair: ColumnPair, check: QualityCheck | None, least: int | None = None) -> list[str]:
    """Check one column; findings start with its name.

    Args:
        name: the column.
        pair: its values.
        check: what is asked of it.
        least: rows that a share or a value must have behind it to be told. None: every share, and values of five rows.
    """
    if check is None:
        return []
    configured = [_configured(item) for item in check.columns if item.name == name]
    suggested = [suggest(pair.reference)] if check.suggested and not configured else []
    return [
        finding
        for constraint in (*configured, *suggested)
        for finding in _breaches(name, pair.current, constraint, least)
    ]


def suggest(reference: Sample) -> Constraint:
    """Derive a constraint from the reference.

    No negative numbers if it has none; no new category if it has at most 100 and enough rows to contain all; no
    significantly higher share of missing values. 1 % of the values may violate it.
    """
    enough = reference.rows >= _ENOUGH_ROWS
    few = isinstance(reference, Categorical) and reference.distinct <= _MANY_VALUES
    return Constraint(
        origin="the reference",
        low=0.0 if not isinstance(reference, Categorical) and reference.size and _least(reference) >= 0 else None,
        values=frozenset(reference.counts) if isinstance(reference, Categorical) and few and enough else None,
        missing=_missing_limit(reference) if enough else None,
        tolerance=_SUGGESTED_TOLERANCE,
    )


def constraint_of(name: str, reference: Sample, check: QualityCheck | None) -> Constraint:
    """Return the constraint that is configured for a column, otherwise the one that follows from the reference.

    The share of missing values always has a maximum, with few rows of the reference a wide one.
    """
    configured = [_configured(item) for item in (check.columns if check else ()) if item.name == name]
    found = configured[0] if configured else suggest(reference)
    if found.missing is not None:
        return found
    if check is not None and check.max_missing is not None:
        return replace(found, missing=min(1.0, reference.missing_share + float(check.max_missing)))
    return replace(found, missing=min(1.0, _missing_limit(reference)))


def unknown_values(current: Sample, constraint: Constraint) -> dict[str, int]:
    """Return the categories that are not allowed, with their numbers of rows; none if they are within the tolerance."""
    if constraint.values is None or not isinstance(current, Categorical):
        return {}
    strange = {value: count for value, count in current.counts.items() if value not in constraint.values}
    return strange if sum(strange.values()) > constraint.tolerance * current.size else {}


def _missing_limit(reference: Sample) -> float:
    """Return the share of missing values that chance does not exceed, at least _SUGGESTED_TOLERANCE more than now."""
    share, rows = reference.missing_share, max(reference.rows, 1)
    chance = _SIGMAS * sqrt(max(share * (1 - share), 1 / rows) / rows)
    return share + max(chance, _SUGGESTED_TOLERANCE)


def _configured(item: ColumnConstraint) -> Constraint:
    return Constraint(
        origin="checks.quality.columns",
        low=None if item.min is None else float(item.min),
        high=None if item.max is None else float(item.max),
        values=None if item.values is None else frozenset(item.values),
        missing=None if item.max_missing is None else float(item.max_missing),
        tolerance=float(item.tolerance),
    )


def _breaches(name: str, current: Sample, constraint: Constraint, least: int | None) -> list[str]:
    found = []
    if constraint.missing is not None and current.missing_share > constraint.missing:
        share, limit = (
            share_of(current.rows - current.size, current.rows, least or 1),
            percent(min(1.0, constraint.missing)),
        )
        found.append(f"{name}: {share} missing; the maximum of {constraint.origin} is {limit}")
    if not isinstance(current, Categorical):
        found.extend(_range_breaches(name, current, constraint, least or 1))
    return [*found, *_value_breaches(name, current, constraint, least)]


def limits_of(name: str, check: QualityCheck | None) -> tuple[float, ...]:
    """Return the numbers beyond which the values of a column may have to be counted."""
    if check is None:
        return ()
    limits = [limit for item in check.columns if item.name == name for limit in (item.min, item.max)]
    return tuple(sorted({0.0, *(float(limit) for limit in limits if limit is not None)}))


def _least(sample: Numbers) -> float:
    return sample.low if isinstance(sample, Binned) else float(sample.values[0])


def _beyond(current: Numbers, constraint: Constraint) -> tuple[int, int]:
    """Return how many values are below the minimum, and how many above the maximum."""
    low, high = constraint.low, constraint.high
    if isinstance(current, Binned):
        return 0 if low is None else current.less[low], 0 if high is None else current.greater[high]
    below = 0 if low is None else int(np.searchsorted(current.values, low, "left"))
    above = 0 if high is None else current.size - int(np.searchsorted(current.values, high, "right"))
    return below, above


def _range_breaches(name: str, current: Numbers, constraint: Constraint, least: int) -> list[str]:
    below, above = _beyond(current, constraint)
    sides = ((below, "below", "minimum", constraint.low), (above, "above", "maximum", constraint.high))
    return [
        f"{name}: {share_of(count, current.size, least)} of the values are {side} {number(limit)}, the {word} of "
        f"{constraint.origin}"
        for count, side, word, limit in sides
        if limit is not None and count > constraint.tolerance * current.size
    ]


def _value_breaches(name: str, current: Sample, constraint: Constraint, least: int | None) -> list[str]:
    strange = unknown_values(current, constraint)
    if constraint.values is None or not strange:
        return []
    frequent = [item for item in strange.items() if item[1] >= (least or _NAMED_FROM)]
    shown = [value[:32] for value, _ in sorted(frequent, key=lambda item: -item[1])[:_SHOWN]]
    named = f", such as {', '.join(shown)}" if shown else ""
    share, allowed = share_of(sum(strange.values()), current.size, least or 1), len(constraint.values)
    return [f"{name}: {share} of the values are not among the {allowed} of {constraint.origin}{named}"]
