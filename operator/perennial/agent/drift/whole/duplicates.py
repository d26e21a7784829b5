"""Counts rows that repeat another one, on both sides."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from perennial.agent.tables.table import Table, as_text
from perennial.agent.text import percent
from perennial.api.driftmonitor.checks import QualityCheck

MOST_ROWS = 20_000_000
"""Rows of which the hashes are held, eight bytes each; beyond, only the first ones are looked at."""
_SEED = 20_017
_FEWEST = 2


def duplicate_findings(
    check: QualityCheck | None, reference: Table, current: Table, names: Sequence[str]
) -> tuple[str, ...]:
    """Return a finding if the current data repeat rows more often than the reference, by more than is allowed.

    The share of repeated rows grows with the number of rows, so the larger side is sampled down to the smaller one.

    Args:
        check: names the limit; without one nothing is read.
        reference: rows of the reference.
        current: rows of the current data.
        names: columns that make up a row.

    Raises:
        AgentError: DataInvalid, if a file cannot be read.
    """
    if check is None or check.max_duplicates is None or not names:
        return ()
    sides = [_hashes(table, names) for table in (reference, current)]
    size = min(side.size for side in sides)
    if size < _FEWEST:
        return ()
    random = np.random.default_rng(_SEED)
    before, now = (_repeated(random.choice(side, size, replace=False)) for side in sides)
    if now - before <= float(check.max_duplicates):
        return ()
    allowed = percent(min(1.0, float(check.max_duplicates)))
    shares = f"{percent(now)} of the rows repeat another one, {percent(before)} in as many rows of the reference"
    return (f"{shares}; at most {allowed} more allowed",)


def _hashes(table: Table, names: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Return a hash of each row, shape (n,). Numbers of all types hash alike, and texts of all partitions."""
    parts, rows = [], 0
    for batch in table.batches(names):
        columns = [_comparable(batch[name]).alias(str(at)) for at, name in enumerate(names)]
        parts.append(pl.DataFrame(columns).hash_rows(seed=_SEED).to_numpy())
        rows += parts[-1].size
        if rows >= MOST_ROWS:
            break
    return np.concatenate(parts)[:MOST_ROWS] if parts else np.empty(0, dtype=np.uint64)


def _comparable(series: pl.Series) -> pl.Series:
    if series.dtype.is_numeric() or series.dtype == pl.Null:
        return series.cast(pl.Float64)
    return as_text(series)


def _repeated(hashes: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> float:
    """Return the share of rows beyond the first of their kind, in [0, 1)."""
    return 1 - np.unique(hashes).size / hashes.size
