from datetime import date

import numpy as np
import polars as pl
import pytest

from perennial.agent.drift.columns import ColumnPair, ColumnSelection, read_pair, select_columns
from perennial.agent.tables.files import read_tables, tables_under
from perennial.agent.tables.table import as_text
from perennial.api.driftmonitor.resource import Features
from perennial.stats.binning import RARE
from perennial.stats.compare import compare
from perennial.stats.samples import Categorical, Numeric
from tests.unit.agent.drift.store import MemoryStore, parquet


@pytest.fixture
def pair(tmp_path):
    """Return a function that reads column x of two sides as the agent does."""

    def make(reference, current, declared=None):
        tables = []
        for side, values in (("reference", reference), ("current", current)):
            folder = tmp_path / side
            folder.mkdir()
            store = MemoryStore({f"s3://d/{side}/a.parquet": parquet({"x": values, "row": range(len(values))})})
            tables.append(read_tables(store, tables_under(store, f"s3://d/{side}/"), folder, set()))
        return read_pair("x", tables[0], tables[1], declared)

    return make


def test_without_features_all_common_columns_are_compared():
    chosen = select_columns(Features(exclude=("id",)), ["id", "b", "a", "label"], ["a", "b", "id", "new"])
    assert chosen == ColumnSelection(compared=("b", "a"), only_reference=("label",), only_current=("new",))


def test_with_include_only_these_are_compared_and_absent_ones_are_told():
    features = Features(include=("a", "b", "ghost", "id", "a"), exclude=("id",))
    chosen = select_columns(features, ["a", "b", "c", "id"], ["a", "c", "id"])
    assert chosen == ColumnSelection(compared=("a",), absent=("b",), unknown=("ghost",))


def test_numbers(pair):
    result = pair([1, 2, None], [1.5, float("nan"), float("inf")])
    assert (result.kind, result.reference.values.tolist(), result.reference.missing) == ("numeric", [1, 2], 1)
    assert (result.current.values.tolist(), result.current.missing, result.current.infinite) == ([1.5], 1, 1)


def test_categories(pair):
    result = pair(["a", "b", "a", None], ["a", "c"])
    assert (result.kind, dict(result.reference.counts), result.reference.missing) == (
        "categorical",
        {"a": 2, "b": 1},
        1,
    )
    assert dict(result.current.counts) == {"a": 1, "c": 1}


def test_the_reference_decides_and_what_does_not_fit_is_missing_and_counted(pair):
    result = pair([1.0, 2.0], ["3", " 4 ", "broken", None])
    assert result.current.values.tolist() == [3, 4]
    assert (result.current.missing, result.unreadable_current, result.unreadable_reference) == (2, 1, 0)


def test_texts_that_are_mostly_numbers_are_numbers_with_bad_values(pair):
    result = pair([*(str(number) for number in range(19)), "broken"], [1.0])
    assert (result.kind, result.unreadable_reference, result.reference.size) == ("numeric", 1, 19)


@pytest.mark.parametrize("values", [["01234", "99999"], ["1", "b", "c"], ["a", "b"]])
def test_codes_and_texts_are_categories(pair, values):
    assert pair(values, values).kind == "categorical"


def test_declared_categories_meet_whatever_number_type_each_side_has(pair):
    result = pair([1, 2, 2], [1.0, 2.0, 2.5], "categorical")
    assert dict(result.reference.counts) == {"1": 1, "2": 2}
    assert dict(result.current.counts) == {"1": 1, "2": 1, "2.5": 1}


def test_declared_numbers_are_read_from_texts(pair):
    assert pair(["01", "x"], ["3"], "numeric").reference.values.tolist() == [1]


def test_booleans_are_categories_and_meet_texts_and_numbers(pair):
    assert dict(pair([True, False], [True, None]).current.counts) == {"true": 1}


def test_booleans_beside_texts(pair):
    result = pair([True, False], ["True", "FALSE"])
    assert dict(result.current.counts) == dict(result.reference.counts) == {"true": 1, "false": 1}


def test_booleans_beside_numbers(pair):
    result = pair([True, False], [1, 0])
    assert (result.kind, result.reference.values.tolist()) == ("numeric", [0, 1])


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([[1, 2], [3]], "lists or records"),
        ([{"a": 1}], "lists or records"),
        ([date(2026, 1, 1)], "dates or times"),
        ([None, None], "no values"),
    ],
)
def test_what_cannot_be_compared_says_why(pair, values, reason):
    assert reason in pair(values, values)


def test_dates_can_be_declared_as_categories(pair):
    result = pair([date(2026, 1, 1)], [date(2026, 1, 2)], "categorical")
    assert dict(result.reference.counts) == {"2026-01-01": 1}


def test_a_side_without_any_values_is_compared_as_missing(pair):
    result = pair([1.0] * 20, [None] * 20)
    assert isinstance(result, ColumnPair)
    assert compare(result.reference, result.current).method == "missing"


def test_the_other_side_decides_when_the_reference_has_no_values(pair):
    assert pair([None, None], ["a", "b"]).kind == "categorical"


def test_polars_own_categories(pair):
    values = pl.Series(["a", "b"], dtype=pl.Categorical)
    assert dict(pair(values, ["b"]).reference.counts) == {"a": 1, "b": 1}


def test_many_thousand_categories_are_gathered_without_changing_the_result(pair):
    generator = np.random.default_rng(0)
    first, second = (generator.zipf(1.2, 30_000) % 10**9 for _ in range(2))
    result = pair([f"c{value}" for value in first], [f"c{value}" for value in second])
    assert isinstance(result, ColumnPair)
    assert RARE in result.reference.counts
    assert result.reference.distinct < 1000
    assert result.reference.size == result.current.size == 30_000

    def whole(values):
        names, counts = np.unique(values, return_counts=True)
        return Categorical({f"c{name}": int(count) for name, count in zip(names, counts, strict=True)})

    assert compare(result.reference, result.current).score == pytest.approx(
        compare(whole(first), whole(second)).score, abs=1e-12
    )


def test_numbers_as_texts():
    series = pl.Series([1.0, 1.5, None, float("nan"), -0.0, 1e300])
    assert as_text(series).to_list() == ["1", "1.5", None, None, "0", "1e+300"]
    assert as_text(pl.Series([3, None])).to_list() == ["3", None]


def test_kinds_of_samples_match(pair):
    result = pair([1.0], [2.0])
    assert isinstance(result.reference, Numeric)
    assert isinstance(result.current, Numeric)
