"""The profile of one hour: what is kept of its rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl

from perennial.agent.drift.data.window import Window
from perennial.agent.drift.pairs import GROUP, count_table
from perennial.agent.drift.profiles.plan import ColumnPlan
from perennial.agent.tables.table import Table
from perennial.stats.binned import Binned
from perennial.stats.samples import Counts

MOST_VALUES = 100_000
"""Distinct values of a column that are kept of one hour; a column with more is one without values."""

Type = Literal["Null", "Boolean", "Int64", "Float64", "String", "mixed"]
NUMBERS: frozenset[Type] = frozenset({"Int64", "Float64"})
_TYPES: dict[Type, pl.DataType] = {
    "Null": pl.Null(),
    "Boolean": pl.Boolean(),
    "Int64": pl.Int64(),
    "Float64": pl.Float64(),
    "String": pl.String(),
}


@dataclass(frozen=True, eq=False)
class Values:
    """Distinct values of a column and how often each occurs.

    Attributes:
        distinct: values without nulls, shape (k,), of one of the types of `Type`.
        counts: at least 1 each, shape (k,).
    """

    distinct: pl.Series
    counts: Counts


@dataclass(frozen=True, eq=False)
class ColumnProfile:
    """One column of an hour.

    Attributes:
        type: type of its values; "mixed" for texts or booleans beside others.
        nulls: rows without a value.
        binned: counts in cells, if it is planned so and has numbers.
        values: None if they are not planned, too many, or of mixed types.
    """

    type: Type
    nulls: int
    binned: Binned | None = None
    values: Values | None = None


@dataclass(frozen=True)
class FileMark:
    """A capture file as it was listed: name below the hour's folder, bytes, ETag."""

    name: str
    size: int
    etag: str


@dataclass(frozen=True)
class HourProfile:
    """What is kept of one hour.

    Attributes:
        folder: the hour's folder below the capture's root, such as date=2026-03-10/hour=12.
        files: the capture files that it covers, by name.
        window: what was read and what was left out; its table is empty.
        rows: rows of all requests.
        names: all columns, in order of first occurrence.
        columns: those of the plan that occur.
    """

    folder: str
    files: tuple[FileMark, ...]
    window: Window
    rows: int
    names: tuple[str, ...]
    columns: dict[str, ColumnProfile]


def profile_of(folder: str, files: tuple[FileMark, ...], window: Window, plans: Sequence[ColumnPlan]) -> HourProfile:
    """Count the rows of one hour.

    Raises:
        AgentError: DataInvalid, if a file cannot be read.
    """
    table = window.table
    present = [plan for plan in plans if plan.name in table.columns]
    types = {plan.name: common_type(_types_of(table, plan.name)) for plan in present}
    counted = _count([plan for plan in present if types[plan.name] in NUMBERS], table)
    columns = {plan.name: _column(plan, table, types[plan.name], counted.get(plan.name)) for plan in present}
    return HourProfile(folder, files, replace(window, table=Table(())), table.rows, table.columns, columns)


def common_type(types: Iterable[Type]) -> Type:
    """Return the type of a column whose parts have these types. Whole and other numbers have a common one."""
    known = set(types) - {"Null"}
    if not known:
        return "Null"
    if known == NUMBERS:
        return "Float64"
    return known.pop() if len(known) == 1 else "mixed"


def polars_type(name: Type) -> pl.DataType:
    """Return the type of a column's values; not for "mixed"."""
    return _TYPES[name]


def _types_of(table: Table, name: str) -> list[Type]:
    kinds = [partition.schema[name] for partition in table.partitions if name in partition.schema]
    return [next((text for text, kind in _TYPES.items() if kind == found), "mixed") for found in kinds]


def _count(plans: Sequence[ColumnPlan], table: Table) -> dict[str, Binned]:
    found: dict[str, Binned] = {}
    binned = {plan.name: (plan.grid, plan.limits) for plan in plans if plan.grid is not None}
    names = list(binned)
    for at in range(0, len(names), GROUP):
        group = names[at : at + GROUP]
        grids = {name: binned[name][0] for name in group}
        found.update(count_table(group, table, grids, {name: binned[name][1] for name in group}))
    return found


def _column(plan: ColumnPlan, table: Table, kind: Type, binned: Binned | None) -> ColumnProfile:
    needed = kind != "mixed" and (binned is None or plan.values)
    if not needed:
        nulls = binned.missing if binned is not None else 0
        return ColumnProfile(kind, nulls, binned)
    series = table.column(plan.name)
    return ColumnProfile(kind, series.null_count(), binned, _values(series))


def _values(series: pl.Series) -> Values | None:
    tallied = series.alias("value").drop_nulls().value_counts(name="count", sort=False)
    if tallied.height > MOST_VALUES:
        return None
    tallied = tallied.sort("value")  # so that two writers write the same
    return Values(tallied.get_column("value"), tallied.get_column("count").cast(pl.Int64).to_numpy().astype(np.int64))
