"""Whether the values of a column are what they may be: by constraints set, and by those the reference suggests."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

import numpy as np

from perennial.agent.drift.columns import Pair
from perennial.agent.drift.report.text import number, percent
from perennial.api.driftmonitor.checks import ColumnConstraint, QualityCheck
from perennial.stats.samples import Categorical, Numeric, Sample

_SUGGESTED_TOLERANCE = 0.01
_MANY_VALUES = 100
_ENOUGH_ROWS = 500
_SIGMAS = 4.0
_SHOWN = 3
_NAMED_FROM = 5
"""Rows from which a value is named: a rarer one may identify someone."""


@dataclass(frozen=True)
class Constraint:
    """What the values of a column may be; None: anything.

    Attributes:
        origin: who says so, for the finding.
        low: smallest number.
        high: largest number.
        values: the categories there may be.
        missing: largest share of missing values, in [0, 1].
        tolerance: share of values that may be otherwise, in [0, 1].
    """

    origin: str
    low: float | None = None
    high: float | None = None
    values: frozenset[str] | None = None
    missing: float | None = None
    tolerance: float = 0.0


def quality_of(name: str, pair: Pair, check: QualityCheck | None) -> list[str]:
    """Return what is wrong with a column's values, as findings that name it."""
    if check is None:
        return []
    asked = [_asked(item) for item in check.columns if item.name == name]
    suggested = [suggest(pair.reference)] if check.suggested and not asked else []
    return [finding for constraint in (*asked, *suggested) for finding in _breaches(name, pair.current, constraint)]


def unknown_columns(check: QualityCheck | None, names: Iterable[str]) -> list[str]:
    """Return a finding for every constraint on a column that was not compared."""
    known = set(names)
    return [
        f"{item.name}: checks.quality.columns names it, but it is not among the compared columns"
        for item in (check.columns if check else ())
        if item.name not in known
    ]


def suggest(reference: Sample) -> Constraint:
    """Return what the reference suggests.

    Numbers that were never negative stay so; of at most a hundred categories all are known, where there were enough
    rows to have met them; missing values are hardly more frequent than in the reference. One of a hundred may differ.
    """
    enough = reference.rows >= _ENOUGH_ROWS
    share = reference.missing_share
    missing = share + _SIGMAS * sqrt(max(share * (1 - share), 1 / max(reference.rows, 1)) / max(reference.rows, 1))
    few = isinstance(reference, Categorical) and reference.distinct <= _MANY_VALUES
    return Constraint(
        origin="the reference suggests",
        low=0.0 if isinstance(reference, Numeric) and reference.size and reference.values[0] >= 0 else None,
        values=frozenset(reference.counts) if isinstance(reference, Categorical) and few and enough else None,
        missing=max(missing, share + _SUGGESTED_TOLERANCE) if enough else None,
        tolerance=_SUGGESTED_TOLERANCE,
    )


def _asked(item: ColumnConstraint) -> Constraint:
    return Constraint(
        origin="checks.quality.columns asks for",
        low=None if item.min is None else float(item.min),
        high=None if item.max is None else float(item.max),
        values=None if item.values is None else frozenset(item.values),
        missing=None if item.max_missing is None else float(item.max_missing),
        tolerance=float(item.tolerance),
    )


def _breaches(name: str, current: Sample, constraint: Constraint) -> list[str]:
    found = []
    if constraint.missing is not None and current.missing_share > constraint.missing:
        share, limit = percent(current.missing_share), percent(min(1.0, constraint.missing))
        found.append(f"{name}: {share} missing, {constraint.origin} at most {limit}")
    if isinstance(current, Numeric):
        found.extend(_range_breaches(name, current, constraint))
    return [*found, *_value_breaches(name, current, constraint)]


def _range_breaches(name: str, current: Numeric, constraint: Constraint) -> list[str]:
    below = 0 if constraint.low is None else int(np.searchsorted(current.values, constraint.low, "left"))
    above = (
        0 if constraint.high is None else current.size - int(np.searchsorted(current.values, constraint.high, "right"))
    )
    sides = ((below, "below", "least", constraint.low), (above, "above", "most", constraint.high))
    return [
        f"{name}: {percent(count / current.size)} of the values are {side} {number(limit)}, {constraint.origin} at "
        f"{word} that"
        for count, side, word, limit in sides
        if limit is not None and count > constraint.tolerance * current.size
    ]


def _value_breaches(name: str, current: Sample, constraint: Constraint) -> list[str]:
    if constraint.values is None or not isinstance(current, Categorical):
        return []
    strange = {value: count for value, count in current.counts.items() if value not in constraint.values}
    total = sum(strange.values())
    if total <= constraint.tolerance * current.size:
        return []
    frequent = [item for item in strange.items() if item[1] >= _NAMED_FROM]
    shown = [value[:32] for value, _ in sorted(frequent, key=lambda item: -item[1])[:_SHOWN]]
    named = f", such as {', '.join(shown)}" if shown else ""
    share, allowed = percent(total / current.size), len(constraint.values)
    return [f"{name}: {share} of the values are none of the {allowed} that {constraint.origin}{named}"]
