"""Turns sampled rows of both sides into matrices of numbers, for comparisons of all columns together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl
from scipy import special

from perennial.agent.drift.columns import Kind
from perennial.agent.tables.table import Table, as_text
from perennial.stats.classification import Bools
from perennial.stats.samples import Floats

COLUMNS = 100
"""Most columns; of more the first ones are taken."""
CATEGORIES = 20
"""Most categories of a column that have a feature of their own, fewer with many columns."""
PRODUCTS = 300
"""Most products of two features; of more a random selection is taken."""
_FEATURES = 200
"""Features that all columns share, from which the number of categories follows."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """Rows of the reference, then those of the current data.

    Attributes:
        names: for each feature, its column, or both columns of a product.
        features: with mean 0 and variance 1, shape (n, d).
        values: one number for each column, NaN if missing, shape (n, columns); categories by their share of the rows.
        current: whether a row is current, shape (n,).
    """

    names: tuple[str, ...]
    features: Floats
    values: Floats
    current: Bools


@dataclass(frozen=True, eq=False)
class _Feature:
    column: str
    values: Floats
    numeric: bool = False


def encode(
    reference: Table, current: Table, kinds: Mapping[str, Kind], most: int, random: np.random.Generator
) -> Encoded:
    """Sample rows of both sides and encode them without regard to their side.

    Numbers become normal scores of their ranks, so that neither units nor outliers matter, missing ones 0 with a
    feature of its own; the most frequent categories become features of 0 and 1. Products of features of two columns
    and squares of numbers are added, by which a linear classifier sees how columns depend on each other.

    Args:
        reference: rows of the reference.
        current: rows of the current data.
        kinds: kind of each column, in the order of the reference.
        most: maximum number of rows of each side.
        random: source of the sample and of the selection of products.

    Raises:
        AgentError: DataInvalid, if a file cannot be read.
    """
    chosen = [sample_rows(table.rows, most, random) for table in (reference, current)]
    names = list(kinds)[:COLUMNS]
    categories = min(CATEGORIES, max(2, _FEATURES // max(1, len(names))))
    features: list[_Feature] = []
    values: list[Floats] = []
    for name in names:
        sides = [table.at(name, rows).alias("") for table, rows in zip((reference, current), chosen, strict=True)]
        if kinds[name] == "numeric":
            numbers = np.concatenate([numbers_of(side) for side in sides])
            values.append(numbers)
            features.extend(_of_numbers(name, numbers))
        else:
            texts = pl.concat([as_text(side) for side in sides]).fill_null("")
            codes, counts = np.unique(texts.to_numpy().astype(np.str_), return_inverse=True, return_counts=True)[1:]
            values.append(counts[codes] / codes.size)
            features.extend(_of_categories(name, codes, counts, categories))
    features.extend(_products(features, random))
    sides_of = np.repeat([False, True], [rows.size for rows in chosen])
    return Encoded(
        tuple(item.column for item in features),
        np.column_stack([item.values for item in features]) if features else np.empty((sides_of.size, 0)),
        np.column_stack(values),
        sides_of,
    )


def sample_rows(rows: int, most: int, random: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the numbers of at most `most` rows of a table, in ascending order."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(random.choice(rows, most, replace=False, shuffle=False))


def numbers_of(series: pl.Series) -> Floats:
    """Return a column as numbers of shape (n,), also from text; NaN where there is no finite number."""
    texts = series if series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null) else as_text(series)
    stripped = texts.str.strip_chars() if texts.dtype == pl.String else texts
    numbers = stripped.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _of_numbers(name: str, numbers: Floats) -> list[_Feature]:
    known = np.isfinite(numbers)
    scores = np.zeros(numbers.size)
    if known.any():
        _, codes, counts = np.unique(numbers[known], return_inverse=True, return_counts=True)
        ranks = np.cumsum(counts) - counts / 2  # of equal values the mean rank
        scores[known] = special.ndtri(ranks[codes] / codes.size)
    found = [(scores, True), ((~known).astype(np.float64), False)]
    return [_Feature(name, scaled, numeric) for values, numeric in found if (scaled := _scaled(values)) is not None]


def _of_categories(
    name: str,
    codes: np.ndarray[tuple[int], np.dtype[np.int64]],
    counts: np.ndarray[tuple[int], np.dtype[np.int64]],
    most: int,
) -> list[_Feature]:
    frequent = np.argsort(-counts, kind="stable")[:most]
    scaled = (_scaled((codes == code).astype(np.float64)) for code in frequent)
    return [_Feature(name, values) for values in scaled if values is not None]


def _products(features: Sequence[_Feature], random: np.random.Generator) -> list[_Feature]:
    pairs = [(a, b) for a, b in combinations(range(len(features)), 2) if features[a].column != features[b].column]
    pairs += [(at, at) for at, feature in enumerate(features) if feature.numeric]
    if len(pairs) > PRODUCTS:
        pairs = [pairs[at] for at in np.sort(random.choice(len(pairs), PRODUCTS, replace=False))]
    made = ((features[a], features[b], _scaled(features[a].values * features[b].values)) for a, b in pairs)
    return [
        _Feature(a.column if a is b else f"{a.column} × {b.column}", values)
        for a, b, values in made
        if values is not None
    ]


def _scaled(values: Floats) -> Floats | None:
    """Return values with mean 0 and variance 1; None if they are all alike."""
    spread = float(values.std())
    return None if spread < 1e-9 else np.asarray((values - values.mean()) / spread)  # noqa: PLR2004
