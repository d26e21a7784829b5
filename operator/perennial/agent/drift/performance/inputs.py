"""Turns inputs of the reference and of the window into numbers, for trees that learn errors."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from perennial.agent.drift.columns import Kind
from perennial.agent.drift.whole.matrix import numbers_of
from perennial.agent.tables.table import as_text
from perennial.stats.samples import Floats

_CATEGORIES = 30
"""Most categories of an input that are told apart."""


def encoded_inputs(
    before: pl.DataFrame, now: pl.DataFrame, names: Sequence[str], types: Mapping[str, Kind]
) -> tuple[list[Floats], list[Floats]]:
    """Return the columns of both sides as numbers, NaN if missing, each of shape (n,) and (m,).

    Categories become their rank in the reference, the most frequent 0; rarer and new ones share the last rank.

    Args:
        before: rows of the reference.
        now: rows of the window.
        names: columns that both sides have.
        types: declared kinds; a column is numeric otherwise if it is in the reference.
    """
    first, second = [], []
    for name in names:
        known, current = before.get_column(name), now.get_column(name)
        numeric = known.dtype.is_numeric() if name not in types else types[name] == "numeric"
        if numeric:
            first.append(_numbers(known))
            second.append(_numbers(current))
        else:
            texts = as_text(known).alias("")
            ranks = {text: float(rank) for rank, text in enumerate(_frequent(texts))}
            first.append(_ranks(texts, ranks))
            second.append(_ranks(as_text(current).alias(""), ranks))
    return first, second


def _frequent(texts: pl.Series) -> list[str]:
    """Return the most frequent categories, of equally frequent ones the first by name."""
    counted = Counter(texts.drop_nulls().to_list())
    return sorted(counted, key=lambda text: (-counted[text], text))[:_CATEGORIES]


def _ranks(texts: pl.Series, ranks: Mapping[str, float]) -> Floats:
    """Return the rank of each category, that behind all others for a rarer one, NaN for none."""
    if not ranks:
        return np.full(texts.len(), np.nan)
    found = texts.replace_strict(list(ranks), list(ranks.values()), default=float(len(ranks)), return_dtype=pl.Float64)
    return np.where(texts.is_null().to_numpy(), np.nan, found.fill_null(float("nan")).to_numpy())


def _numbers(series: pl.Series) -> Floats:
    """Return a column as numbers; dates, times and durations are none here."""
    return np.full(series.len(), np.nan) if series.dtype.is_temporal() else numbers_of(series)
