"""Decides, from the reference, what the profile of an hour holds of each column; names what a profile depends on."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np

from perennial import __version__
from perennial.agent.drift.columns import Kind, are_ids
from perennial.agent.drift.pairs import COARSE, GROUP, count_reference
from perennial.agent.tables.table import Table
from perennial.api.contract.commands import CaptureWindow, DriftConfig
from perennial.stats.binned import Binned
from perennial.stats.display import CATEGORIES
from perennial.stats.grid import Grid

FORMAT = 2
"""Number of the files' format; another one is another key."""
MOST_COLUMNS = 2000
"""Columns up to which profiles are kept: each takes 64 KiB of memory on either side while hours are added up."""
_DIGITS = 32


@dataclass(frozen=True, eq=False)
class ColumnPlan:
    """What is kept of one column.

    Attributes:
        name: the column.
        grid: cells in which its numbers are counted; None for columns that are not numbers in the reference.
        limits: numbers beyond which values are counted exactly, ascending.
        values: whether distinct values are kept beside the counts, since counts alone may not suffice.
        ids: whether the reference has ids, so that the column is compared unless the current data has none.
        reference: counts of the reference in these cells; None as well where only the grid is known, which suffices
            to count the current data but not to compare it.
    """

    name: str
    grid: Grid | None = None
    limits: tuple[float, ...] = ()
    values: bool = True
    ids: bool = False
    reference: Binned | None = None


def plan_columns(
    names: Sequence[str], reference: Table, types: Mapping[str, Kind], limits: Mapping[str, Sequence[float]]
) -> tuple[ColumnPlan, ...]:
    """Plan the columns of a comparison that counts columns of numbers in cells.

    Args:
        names: columns of the reference that may be compared.
        reference: rows of the reference; read in one or two passes.
        types: declared kinds.
        limits: for each column, the numbers beyond which values have to be counted.

    Raises:
        AgentError: DataInvalid, if a file cannot be read.
    """
    numbers = [name for name in names if types.get(name) != "categorical" and reference.numeric(name)]
    plans = {name: ColumnPlan(name) for name in names}
    for at in range(0, len(numbers), GROUP):
        group = numbers[at : at + GROUP]
        for name, counted in count_reference(group, reference, types, limits).items():
            ids = counted.suspect and are_ids(reference.column(name))
            values = ids or _may_need_values(counted.binned)
            beyond = tuple(sorted(limits[name]))
            plans[name] = ColumnPlan(name, counted.binned.grid, beyond, values, ids, counted.binned)
    return tuple(plans[name] for name in names)


def _may_need_values(reference: Binned) -> bool:
    """Whether `pairs.needs_values` may be true for some current data, apart from sums that overflow there."""
    if not reference.size or not (isfinite(reference.mean) and isfinite(reference.squares)):
        return True
    return reference.distinct <= CATEGORIES or bool(np.max(reference.counts) > COARSE * reference.size)


def needs_rows(config: DriftConfig) -> str | None:
    """Return the first field for which counts of the current data do not suffice, only rows; None: there is none."""
    checks = config.checks
    fields = (
        ("segments", bool(config.segments)),
        ("privacy", config.privacy is not None),
        ("checks.multivariate", checks.multivariate is not None),
        ("features.embeddings", bool(config.features.embeddings)),
        ("checks.quality.maxDuplicates", checks.quality is not None and checks.quality.max_duplicates is not None),
    )
    return next((f"{name} needs rows" for name, given in fields if given), None)


def key_of(window: CaptureWindow, plans: Sequence[ColumnPlan], wanted: Collection[str]) -> str:
    """Return the hash of all that the profile of an hour depends on, besides the capture files.

    These are the location, the model, the columns with their grids, limits and kinds, this program's version, and the
    format.
    """
    content = [
        FORMAT,
        __version__,
        window.uri.rstrip("/"),
        window.digest,
        sorted(wanted),
        [_described(plan) for plan in plans],
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:_DIGITS]


def _described(plan: ColumnPlan) -> list[object]:
    grid = plan.grid
    cells = None if grid is None else [grid.center.hex(), grid.width.hex(), grid.whole]
    return [plan.name, cells, [limit.hex() for limit in plan.limits], plan.values]
