"""Reads the labelled rows that both revisions score."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from perennial.agent.predictions.outputs import GROUP, LABEL
from perennial.agent.storage.errors import AgentError
from perennial.agent.tables.files import Store, read_tables, tables_under
from perennial.agent.tables.table import Table
from perennial.agent.text import cut
from perennial.api.contract.commands import EvaluateConfig
from perennial.core.failures import DATA_INVALID, OBJECT_NOT_FOUND

_SEED = 20_261_129
"""Fixed, so that the same data give the same sample, and a repeated Job the same figures."""
_SHOWN = 8

Positions = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True)
class Sample:
    """Rows to score.

    Attributes:
        features: columns to send, shape (n, columns), in the order of the data or of `data.features`.
        known: LABEL, GROUP and the protected attributes of the same rows, shape (n, ...).
        rows: rows in the data.
        unlabelled: rows among them that have no label.
    """

    features: pl.DataFrame
    known: pl.DataFrame
    rows: int
    unlabelled: int


def read_sample(config: EvaluateConfig, store: Store, folder: Path) -> Sample:
    """Read the labelled data and choose the rows to score.

    Args:
        config: location and columns of the data.
        store: storage.
        folder: an empty folder for downloads.

    Raises:
        AgentError: ObjectNotFound, DataInvalid naming the file or column, or what storage raises.
    """
    data = config.data
    listing = tables_under(store, data.uri)
    if not listing.files:
        raise AgentError(OBJECT_NOT_FOUND, f"there are no files under {data.uri}")
    table = read_tables(store, listing, folder, {data.id} if data.id else set())
    attributes = tuple(dict.fromkeys(name for check in config.fairness for name in check.attributes))
    _require(table, (data.label, *attributes, *((config.predictions.group,) if config.predictions.group else ())))
    label = table.column(data.label).alias(LABEL)
    if label.dtype.is_nested() or label.dtype == pl.Binary:
        raise AgentError(DATA_INVALID, f"the label {data.label} contains lists, records or binary data")
    labelled = _labelled(label)
    group = table.ids(config.predictions.group).alias(GROUP) if config.predictions.group else None
    chosen = choose(labelled, data.rows, None if group is None else group)
    known = [label, *(table.column(name) for name in attributes), *([] if group is None else [group])]
    return Sample(
        features=pl.DataFrame([table.column(name).gather(chosen) for name in _features(config, table)]),
        known=pl.DataFrame([series.gather(chosen) for series in known]),
        rows=table.rows,
        unlabelled=table.rows - labelled.size,
    )


def choose(labelled: Positions, most: int, group: pl.Series | None = None) -> Positions:
    """Choose at most `most` rows at random, always the same ones of the same data, in their order.

    With groups, such as ranked lists, whole groups are chosen until one no longer fits.

    Args:
        labelled: positions of the rows to choose from, ascending, shape (n,).
        most: number of rows to choose.
        group: group of every row of the data; None: rows are independent.
    """
    if labelled.size <= most:
        return labelled
    random = np.random.default_rng(_SEED)
    if group is None:
        return np.sort(random.choice(labelled, most, replace=False))
    codes = group.gather(labelled).fill_null("").rank("dense").to_numpy().astype(np.int64) - 1
    sizes = np.bincount(codes)
    order = random.permutation(sizes.size)
    fitting = order[: max(1, int(np.searchsorted(np.cumsum(sizes[order]), most, side="right")))]
    return labelled[np.isin(codes, fitting)]


def _labelled(label: pl.Series) -> Positions:
    present = label.is_not_null()
    if label.dtype.is_float():
        present = present & label.is_finite().fill_null(value=False)
    return np.flatnonzero(present.to_numpy())


def _features(config: EvaluateConfig, table: Table) -> Sequence[str]:
    data = config.data
    if data.features is not None:
        _require(table, data.features)
        return data.features
    others = {data.label, data.id, config.predictions.group}
    found = [name for name in table.columns if name not in others]
    if not found:
        raise AgentError(DATA_INVALID, f"{data.uri} has no columns to send to the model beside the label")
    return found


def _require(table: Table, names: Sequence[str]) -> None:
    for name in names:
        if name not in table.columns:
            shown = ", ".join(cut(column, 64) for column in table.columns[:_SHOWN])
            raise AgentError(DATA_INVALID, f"the data have no column {name}: they have {shown or 'none'}")
