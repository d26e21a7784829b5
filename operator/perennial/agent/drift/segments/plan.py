"""Decides which values of a column are judged as segments, from how many rows each has."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from perennial.api.contract.report import SegmentRows
from perennial.api.driftmonitor.segments import Segment

LEAST_NAMED = 10
"""Rows from which a value is named and its rows are counted: fewer may identify a person."""
_NAMED = 20


@dataclass(frozen=True)
class Counts:
    """Rows of one side by the value of a column.

    Attributes:
        rows: for each value, as text, its rows.
        missing: rows without a value.
    """

    rows: Mapping[str, int]
    missing: int = 0


@dataclass(frozen=True)
class Plan:
    """What happens to the values of one column.

    Attributes:
        judged: values that are judged, the most frequent current one first.
        counts: rows of each judged value, of the reference and of the current data.
        only_reference: values with enough rows that the current data lacks.
        only_current: values with enough rows that the reference lacks.
        too_few: values with too few rows on either side.
        not_judged: number of all values but the judged ones.
        not_judged_rows: current rows with one of them.
        without_value: current rows without a value.
        why: why nothing can be judged.
    """

    judged: tuple[str, ...] = ()
    counts: Mapping[str, tuple[int, int]] = field(default_factory=lambda: MappingProxyType({}))
    only_reference: tuple[SegmentRows, ...] = ()
    only_current: tuple[SegmentRows, ...] = ()
    too_few: tuple[SegmentRows, ...] = ()
    not_judged: int = 0
    not_judged_rows: int = 0
    without_value: int = 0
    why: str | None = None


def plan_of(segment: Segment, reference: Counts, current: Counts, least: int = LEAST_NAMED) -> Plan:
    """Plan the segments of one column.

    A value is judged if both sides have `minRows` rows of it, up to `maxValues` of them. Ties in the number of current
    rows are broken by those of the reference, then by name. Values with fewer than `least` rows are not named.
    """
    counts = {
        name: (reference.rows.get(name, 0), current.rows.get(name, 0)) for name in {*reference.rows, *current.rows}
    }
    names = sorted(counts, key=lambda name: (-counts[name][1], -counts[name][0], name))
    enough = [name for name in names if min(counts[name]) >= segment.min_rows]
    judged = tuple(enough[: segment.max_values])
    vanished = [name for name in names if counts[name][1] == 0 and counts[name][0] >= segment.min_rows]
    new = [name for name in names if counts[name][0] == 0 and counts[name][1] >= segment.min_rows]
    others = {*enough, *vanished, *new}
    few = [name for name in names if name not in others and max(counts[name]) >= least]
    left = counts.keys() - set(judged)
    return Plan(
        judged,
        {name: counts[name] for name in judged},
        only_reference=_rows(vanished, counts, least),
        only_current=_rows(new, counts, least),
        too_few=_rows(few, counts, least),
        not_judged=len(left),
        not_judged_rows=sum(counts[name][1] for name in left),
        without_value=current.missing,
    )


def plan_of_one_side(segment: Segment, rows: Counts, least: int = LEAST_NAMED) -> Plan:
    """Plan the segments of predictions with labels, which are judged by limits and not against a reference."""
    return plan_of(segment, rows, rows, least)


def _rows(names: list[str], counts: Mapping[str, tuple[int, int]], least: int) -> tuple[SegmentRows, ...]:
    return tuple(
        SegmentRows(value=name, reference=_shown(counts[name][0], least), current=_shown(counts[name][1], least))
        for name in names[:_NAMED]
    )


def _shown(rows: int, least: int) -> int | None:
    return rows if rows == 0 or rows >= least else None
