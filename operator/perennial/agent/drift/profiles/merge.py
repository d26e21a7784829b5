"""Adds up hours, in any order, to the profile of a window."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from polars.exceptions import PanicException, PolarsError

from perennial.agent.drift.columns import IDS, NESTED, NO_VALUES, ColumnPair, Kind, are_ids, pair_of
from perennial.agent.drift.data.hours import joined
from perennial.agent.drift.data.window import Window
from perennial.agent.drift.pairs import Pair, inconvertible, needs_values
from perennial.agent.drift.profiles.hour import (
    MOST_VALUES,
    NUMBERS,
    ColumnProfile,
    FileMark,
    HourProfile,
    Type,
    Values,
    common_type,
    polars_type,
)
from perennial.agent.drift.profiles.plan import ColumnPlan
from perennial.agent.tables.table import Table
from perennial.stats.binned import Binned, empty, merge


@dataclass
class _Column:
    """One column of the hours so far."""

    types: set[Type] = field(default_factory=set)
    binned: Binned | None = None
    values: list[Values] = field(default_factory=list)
    incomplete: bool = False

    def add(self, hour: ColumnProfile) -> None:
        self.types.add(hour.type)
        if hour.type == "Null":
            return
        if hour.binned is not None:
            self.binned = hour.binned if self.binned is None else merge(self.binned, hour.binned)
        if hour.values is None:
            self.incomplete = True
            self.values.clear()
        elif not self.incomplete:
            self.values.append(hour.values)


class Hours:
    """The hours that have been added."""

    def __init__(self, plans: Sequence[ColumnPlan]) -> None:
        self._plans = tuple(plans)
        self._columns = {plan.name: _Column() for plan in plans}
        self._parts: list[tuple[str, Window, tuple[str, ...]]] = []
        self._rows = 0

    def add(self, hour: HourProfile) -> None:
        """Add an hour."""
        self._rows += hour.rows
        self._parts.append((hour.folder, hour.window, hour.names))
        for name, column in hour.columns.items():
            self._columns[name].add(column)

    def finish(self) -> "WindowProfile":
        """Return the sum."""
        parts = sorted(self._parts, key=lambda part: part[0])
        names = tuple(dict.fromkeys(name for _, _, some in parts for name in some))
        window = joined([window for _, window, _ in parts])
        columns = {plan.name: _merged(plan, self._columns[plan.name], self._rows) for plan in self._plans}
        return WindowProfile(window, self._rows, names, self._plans, columns)


@dataclass(frozen=True, eq=False)
class MergedColumn:
    """One column of a window.

    Attributes:
        type: common type of its values.
        binned: counts in cells; None if it is not planned so, or has no numbers.
        values: parts of its distinct values; None if they are not known of each hour.
    """

    type: Type
    binned: Binned | None
    values: tuple[Values, ...] | None


@dataclass(frozen=True, eq=False)
class WindowProfile:
    """Profile of a window.

    Attributes:
        window: what was read and what was left out; its table is empty.
        rows: rows of all requests.
        names: all columns, in order of first occurrence.
        plans: the columns that may be compared, with the counts of the reference.
        columns: the same columns.
    """

    window: Window
    rows: int
    names: tuple[str, ...]
    plans: tuple[ColumnPlan, ...]
    columns: Mapping[str, MergedColumn]

    def lacks(self) -> str | None:
        """Return the first column that cannot be compared without its rows, and why; None: there is none."""
        for plan in self.plans:
            column = self.columns[plan.name]
            name = plan.name[:64]
            if column.type == "mixed":
                return f"column {name} has texts or booleans beside other values"
            if column.values is None and (not self._suffice(plan) or plan.ids):
                return f"column {name} has more than {MOST_VALUES:,} distinct values in an hour, or unusual ones"
        return None

    def as_part(self, folder: str, files: tuple[FileMark, ...]) -> HourProfile:
        """Return the sum as a profile that can be stored and added up in turn."""
        columns = {plan.name: _column(self.columns[plan.name], self.rows) for plan in self.plans}
        return HourProfile(folder, files, self.window, self.rows, self.names, columns)

    def pair(self, plan: ColumnPlan, reference: Table, declared: Kind | None) -> Pair:
        """Return a column of both sides, or why it cannot be compared, as `pairs.read_pairs` does with rows.

        Raises:
            AgentError: DataInvalid, if a file of the reference cannot be read.
        """
        column = self.columns[plan.name]
        if plan.reference is not None and column.binned is not None:
            if not (plan.reference.size or column.binned.size):
                return NO_VALUES
            if plan.ids and are_ids(self._series(column)):
                return IDS
            if self._suffice(plan):
                return ColumnPair("numeric", plan.reference, column.binned)
        if reference.nested(plan.name):
            return NESTED
        try:
            return pair_of(reference.column(plan.name), self._series(column), declared)
        except (PolarsError, PanicException) as error:
            return inconvertible(error)

    def _suffice(self, plan: ColumnPlan) -> bool:
        """Whether counts in cells suffice."""
        first, second = plan.reference, self.columns[plan.name].binned
        return first is not None and second is not None and not needs_values(first, second)

    def _series(self, column: MergedColumn) -> pl.Series:
        """Return all values of a column, in no order."""
        kind = polars_type(column.type)
        parts = column.values or ()
        if not parts:
            return pl.repeat(None, self.rows, dtype=kind, eager=True)
        distinct = pl.concat([part.distinct.cast(kind).alias("") for part in parts])
        counts = np.concatenate([part.counts for part in parts])
        known = distinct.gather(np.repeat(np.arange(counts.size), counts))
        return pl.concat([known, pl.repeat(None, self.rows - known.len(), dtype=kind, eager=True).alias("")])


def profiled_pairs(
    names: Sequence[str], reference: Table, current: WindowProfile, types: Mapping[str, Kind]
) -> Iterator[tuple[str, Pair]]:
    """Yield each column of both sides as `pairs.read_pairs` does with rows.

    Raises:
        AgentError: DataInvalid, if a file of the reference cannot be read.
    """
    plans = {plan.name: plan for plan in current.plans}
    for name in names:
        yield name, current.pair(plans[name], reference, types.get(name))


def _merged(plan: ColumnPlan, column: _Column, rows: int) -> MergedColumn:
    kind = common_type(column.types)
    binned = column.binned if kind in NUMBERS else None
    if binned is not None and binned.rows < rows:  # of hours without the column
        binned = merge(binned, empty(binned.grid, plan.limits, missing=rows - binned.rows))
    return MergedColumn(kind, binned, None if column.incomplete else tuple(column.values))


def _column(column: MergedColumn, rows: int) -> ColumnProfile:
    values = None if column.values is None or column.type == "mixed" else _tallied(column.values, column.type)
    if values is None:
        return ColumnProfile(column.type, 0 if column.binned is None else column.binned.missing, column.binned)
    return ColumnProfile(column.type, rows - int(values.counts.sum()), column.binned, values)


def _tallied(parts: Sequence[Values], kind: Type) -> Values:
    """Return the distinct values of several parts together, in an order that does not depend on theirs."""
    if not parts:
        return Values(pl.Series([], dtype=polars_type(kind)), np.zeros(0, dtype=np.int64))
    frames = [
        pl.DataFrame({"value": part.distinct.cast(polars_type(kind)), "count": pl.Series(part.counts, dtype=pl.Int64)})
        for part in parts
    ]
    found = pl.concat(frames).group_by("value").agg(pl.col("count").sum()).sort("value")
    return Values(found.get_column("value"), found.get_column("count").to_numpy().astype(np.int64))
