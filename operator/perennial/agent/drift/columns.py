"""Selects the columns to compare and reads each of them as a pair of samples of one kind."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from perennial.agent.drift.hashes import hashed_apart
from perennial.agent.tables.table import Table, as_text
from perennial.api.driftmonitor.resource import Features
from perennial.stats.binned import Sample
from perennial.stats.binning import RARE, merge_rare, tabulated
from perennial.stats.samples import Categorical, numeric

Kind = Literal["numeric", "categorical"]

MOSTLY = 0.9
"""Share of numbers from which a text column counts as numeric; its other values count as missing."""
_EXACT_FLOATS = 2**53
_EXPECTED_REPEATS = 10
_ENOUGH_TEXTS = 20
"""Values on each side from which texts without repeats are taken for ids or free text."""
NO_VALUES = "both sides have no values"
NESTED = "it contains lists or records (features.embeddings compares lists of numbers, all of one length)"
IDS = "its whole numbers never repeat, as ids (declare it as numeric to compare it)"
_HARDLY_REPEATS = "its texts hardly ever repeat, as ids or free text: too few rows per value"
_DATE = r"^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})([T ]\d{1,2}:\d{2}.*)?$"
_MANY_CATEGORIES = 10_000
_MIN_EXPECTED = 5


@dataclass(frozen=True)
class ColumnSelection:
    """Columns by availability.

    Attributes:
        compared: columns that both sides have.
        absent: columns in features.include that the current data lacks.
        unknown: columns in features.include that the reference lacks.
        only_reference: other columns of the reference, such as the label.
        only_current: other columns of the current data.
    """

    compared: tuple[str, ...]
    absent: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    only_reference: tuple[str, ...] = ()
    only_current: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ColumnPair:
    """One column of both sides, as samples of one kind.

    Attributes:
        kind: kind of both samples.
        reference: sample of the reference.
        current: sample of the current data.
        unreadable_reference: non-numeric values of a numeric column in the reference; they count as missing.
        unreadable_current: the same in the current data.
    """

    kind: Kind
    reference: Sample
    current: Sample
    unreadable_reference: int = 0
    unreadable_current: int = 0


def select_columns(features: Features, reference: Sequence[str], current: Collection[str]) -> ColumnSelection:
    """Select columns by spec.features, in the reference's order."""
    excluded = set(features.exclude or ())
    if features.include is None:
        known = [name for name in reference if name not in excluded]
        return ColumnSelection(
            compared=tuple(name for name in known if name in current),
            only_reference=tuple(name for name in known if name not in current),
            only_current=tuple(sorted(set(current) - set(reference) - excluded)),
        )
    included = [name for name in dict.fromkeys(features.include) if name not in excluded]
    known = [name for name in included if name in reference]
    return ColumnSelection(
        compared=tuple(name for name in known if name in current),
        absent=tuple(name for name in known if name not in current),
        unknown=tuple(name for name in included if name not in reference),
    )


def read_pair(name: str, reference: Table, current: Table, declared: Kind | None) -> ColumnPair | str:
    """Return a column of both sides as samples of one kind, or the reason why it cannot be compared.

    The kind is the declared one. Otherwise a column is numeric if the reference has numbers, or strings of which at
    least 90 % are numbers; booleans are categorical unless the other side has numbers. Dates and times, also as text,
    are compared only if declared categorical, since they always increase. Numbers that are ids are compared only if
    declared numeric. Lists, records, bytes and texts that hardly ever repeat are never compared.

    Raises:
        AgentError: DataInvalid, if a file cannot be read.
    """
    if reference.nested(name) or current.nested(name):
        return NESTED
    return pair_of(reference.column(name), current.column(name), declared)


def pair_of(reference: pl.Series, current: pl.Series, declared: Kind | None) -> ColumnPair | str:
    """Return values of both sides as samples of one kind, or the reason why they cannot be compared."""
    # Without their name, since polars reads some names, such as *, as patterns.
    first, second = (series.alias("") for series in (reference, current))
    kind = hashed_apart(first, second) or _kind_or_reason(first, second, declared)
    if kind == "numeric":
        return _numeric_pair(first, second)
    if kind != "categorical":
        return kind
    pair = _categorical_pair(first, second)
    return _HARDLY_REPEATS if _hardly_repeats(pair) else pair


def _kind_or_reason(reference: pl.Series, current: pl.Series, declared: Kind | None) -> Kind | str:
    """Return the kind of a column, or why its type cannot be compared."""
    if pl.Binary in (reference.dtype, current.dtype):
        return "it contains binary data"
    if reference.null_count() == reference.len() and current.null_count() == current.len():
        return NO_VALUES
    kind = declared or _kind_of(reference, current)
    if kind is None:
        return "it contains dates or times, which always increase (declare it as categorical to compare it)"
    if declared is None and kind == "numeric" and are_ids(reference) and are_ids(current):
        return IDS
    return kind


def _kind_of(reference: pl.Series, current: pl.Series) -> Kind | None:
    leading, other = (reference, current) if reference.null_count() < reference.len() else (current, reference)
    if leading.dtype.is_numeric():
        return "numeric"
    if leading.dtype == pl.Boolean:
        return "numeric" if other.dtype.is_numeric() else "categorical"
    if leading.dtype.is_temporal() or _mostly_dates(leading):
        return None
    return "numeric" if _mostly_numbers(leading) else "categorical"


def _mostly_numbers(series: pl.Series) -> bool:
    """Whether strings are numbers. A leading zero, as in 01234, marks a code, not a number."""
    if series.dtype != pl.String:
        return False
    texts = series.drop_nulls().str.strip_chars()
    codes = texts.str.contains(r"^0\d").sum()
    return codes == 0 and texts.cast(pl.Float64, strict=False).count() >= MOSTLY * texts.len()


def _mostly_dates(series: pl.Series) -> bool:
    """Whether texts are dates or times: ISO 8601, or day, month and year in numbers."""
    if series.dtype != pl.String:
        return False
    texts = series.drop_nulls().str.strip_chars()
    return int(texts.str.contains(_DATE).sum()) >= MOSTLY * texts.len()


def are_ids(series: pl.Series) -> bool:
    """Whether numbers are ids: whole, and from 2^53 on, or without repeats though random numbers would have some.

    Of n random numbers in a range of r, about n²/2r pairs are equal. No pair at all where ten are expected (probability
    under 0.00005) means that the numbers were given out one by one.
    """
    values = series.drop_nulls()
    if values.dtype == pl.String:
        values = values.str.strip_chars().cast(pl.Int128, strict=False)
    elif values.dtype.is_float() and (values == values.round()).all():
        values = values.cast(pl.Int64, strict=False)
    if not values.dtype.is_integer() or values.null_count() or values.is_empty() or values.n_unique() < values.len():
        return False
    low, high = int(values.min()), int(values.max())  # type: ignore[arg-type]  # of integers
    return max(abs(low), abs(high)) >= _EXACT_FLOATS or values.len() ** 2 >= 2 * _EXPECTED_REPEATS * (high - low + 1)


def _hardly_repeats(pair: ColumnPair) -> bool:
    """Whether nearly all rows of both sides have a value too rare to be compared."""
    if not (isinstance(pair.reference, Categorical) and isinstance(pair.current, Categorical)):
        return False
    if min(pair.reference.size, pair.current.size) < _ENOUGH_TEXTS:
        return False
    table = merge_rare(tabulated(pair.reference, pair.current))
    if not table.rare:
        return False
    return all(int(side[-1]) >= MOSTLY * int(side.sum()) for side in (table.reference, table.current))


def _numeric_pair(reference: pl.Series, current: pl.Series) -> ColumnPair:
    (first, bad_first), (second, bad_second) = _numbers(reference), _numbers(current)
    return ColumnPair("numeric", numeric(first), numeric(second), bad_first, bad_second)


def _numbers(series: pl.Series) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], int]:
    """Return the values as float64, NaN if missing, and the count of non-numeric values."""
    if series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null):
        numbers = series.cast(pl.Float64)
    else:
        texts = as_text(series).str.strip_chars()
        numbers = texts.cast(pl.Float64, strict=False)
    bad = numbers.null_count() - series.null_count()
    return numbers.fill_null(float("nan")).to_numpy(), bad


def _categorical_pair(reference: pl.Series, current: pl.Series) -> ColumnPair:
    first, second = _texts(reference, current), _texts(current, reference)
    sides = [_frequencies(first, "reference"), _frequencies(second, "current")]
    joined = sides[0].join(sides[1], on="category", how="full", coalesce=True).fill_null(0).sort("category")
    if joined.height > _MANY_CATEGORIES:
        joined = _merge_rare(joined)
    return ColumnPair(
        "categorical",
        Categorical(_counts(joined, "reference"), missing=first.null_count()),
        Categorical(_counts(joined, "current"), missing=second.null_count()),
    )


def _texts(series: pl.Series, other: pl.Series) -> pl.Series:
    """Return the categories as strings, in lower case if the other side has booleans: True equals true."""
    texts = as_text(series)
    return texts.str.to_lowercase() if other.dtype == pl.Boolean else texts


def _frequencies(texts: pl.Series, side: str) -> pl.DataFrame:
    return texts.drop_nulls().rename("category").value_counts(name=side).cast({side: pl.Int64})


def _merge_rare(joined: pl.DataFrame) -> pl.DataFrame:
    """Merge rare categories as `stats.binning.merge_rare` does, before millions of them become Python objects."""
    first, second = int(joined["reference"].sum()), int(joined["current"].sum())
    share = min(first, second) / (first + second)
    frequent = (pl.col("reference") + pl.col("current")) * share >= _MIN_EXPECTED
    rare = joined.filter(~frequent).select(
        pl.lit(RARE).alias("category"), pl.col("reference").sum(), pl.col("current").sum()
    )
    return pl.concat([joined.filter(frequent), rare])


def _counts(joined: pl.DataFrame, side: str) -> dict[str, int]:
    present = joined.filter(pl.col(side) > 0)
    return dict(zip(present["category"].to_list(), present[side].to_list(), strict=True))
