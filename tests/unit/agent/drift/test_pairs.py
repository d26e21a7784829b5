import numpy as np
import polars as pl
import pytest

from perennial.agent.drift import pairs
from perennial.agent.drift.columns import IDS, NO_VALUES, ColumnPair, read_pair
from perennial.agent.drift.pairs import read_pairs
from perennial.agent.storage.errors import AgentError
from perennial.agent.tables.files import read_tables, tables_under
from perennial.agent.tables.table import Partition, Table
from perennial.core.failures import DATA_INVALID
from perennial.stats.binned import Binned
from perennial.stats.compare import compare
from perennial.stats.samples import Categorical, Numeric
from tests.unit.agent.drift.store import MemoryStore, parquet

ROWS = 5000


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(pairs, "EXACT_ROWS", ROWS - 1)
    monkeypatch.setattr(pairs, "GROUP", 3)


@pytest.fixture
def table(tmp_path):
    """Return a function that stores files as the table of one side."""
    made = iter(range(100))

    def make(*files):
        folder = tmp_path / str(next(made))
        folder.mkdir()
        store = MemoryStore({f"s3://d/x/{number}.parquet": parquet(columns) for number, columns in enumerate(files)})
        return read_tables(store, tables_under(store, "s3://d/x/"), folder, set())

    return make


def generated(seed, moved=0.0):
    generator = np.random.default_rng(seed)
    return {
        "normal": generator.normal(moved, 1, ROWS),
        "whole": generator.poisson(30 + moved, ROWS),
        "flag": generator.integers(0, 2, ROWS),
        "mostly zero": np.where(generator.random(ROWS) < 0.6, 0.0, generator.normal(moved, 1, ROWS)),
        "steps": generator.integers(0, 4, ROWS) / 4,
        "*": generator.exponential(1 + moved, ROWS),
        "text": generator.choice(["a", "b"], ROWS),
        "id": np.arange(ROWS) + seed * ROWS,
        "empty": pl.Series([None] * ROWS, dtype=pl.Float64),
    }


def read(reference, current, types=None, limits=None):
    names = list(reference.columns)
    wanted = {name: (limits or {}).get(name, ()) for name in names}
    return dict(read_pairs(names, reference, current, types or {}, wanted))


def test_long_columns_of_numbers_are_counted_and_the_verdicts_are_those_of_sorted_ones(table):
    reference, current = table(generated(0)), table(generated(1, moved=0.3))
    found = read(reference, current)
    assert list(found) == list(generated(0))
    for name in ("normal", "whole", "flag", "*"):
        pair, wanted = found[name], read_pair(name, reference, current, None)
        assert isinstance(pair, ColumnPair)
        assert isinstance(wanted, ColumnPair)
        assert isinstance(pair.reference, Binned), name
        counted, exact = compare(pair.reference, pair.current), compare(wanted.reference, wanted.current)
        assert counted.score == pytest.approx(exact.score, abs=0.001), name
        assert (counted.method, counted.drifted) == (exact.method, exact.drifted)


def test_columns_that_counts_cannot_tell_are_read_value_by_value(table):
    found = read(table(generated(0)), table(generated(1)))
    assert isinstance(found["mostly zero"].reference, Numeric)
    assert isinstance(found["steps"].reference, Numeric)
    assert isinstance(found["text"].reference, Categorical)
    assert (found["id"], found["empty"]) == (IDS, NO_VALUES)


def test_columns_whose_sums_overflow_are_read_value_by_value(table):
    huge = {"huge": np.random.default_rng(0).uniform(0.1, 1.0, ROWS) * 1.5e308}
    found = read(table(huge), table(huge))
    assert isinstance(found["huge"].reference, Numeric)


def test_declared_kinds_hold(table):
    found = read(table(generated(0)), table(generated(1)), types={"id": "numeric", "flag": "categorical"})
    assert isinstance(found["id"].reference, Binned)
    assert isinstance(found["flag"].reference, Categorical)


@pytest.mark.parametrize("held", [0, 10**9])
def test_a_reference_too_long_to_hold_is_read_twice_with_the_same_counts(table, monkeypatch, held):
    reference, current = table(generated(0)), table(generated(1))
    whole = read(reference, current)
    monkeypatch.setattr(pairs, "_HELD_BYTES", held)
    for name, pair in read(reference, current).items():
        if isinstance(pair, ColumnPair) and isinstance(pair.reference, Binned):
            assert (pair.reference.counts == whole[name].reference.counts).all()
            assert (pair.current.counts == whole[name].current.counts).all()


def test_neither_division_nor_order_of_the_rows_changes_a_count(table):
    columns = {"x": np.random.default_rng(3).normal(0, 1, 2 * ROWS)}
    backwards = [{"x": part[::-1]} for part in np.array_split(columns["x"], 7)][::-1]
    current = table(generated(1) | {"x": np.arange(ROWS) / 7})
    first, second = (read(side, current)["x"] for side in (table(columns), table(*backwards)))
    assert first.reference.grid == second.reference.grid
    assert (first.reference.counts == second.reference.counts).all()
    assert (first.current.counts == second.current.counts).all()


def test_missing_values_columns_and_types_of_single_files(table):
    values = np.random.default_rng(4).normal(0, 1, ROWS)
    odd = pl.Series([None, float("nan"), float("inf"), *range(7)], dtype=pl.Float64, strict=False)
    reference = table({"x": values}, {"x": odd, "y": range(10)}, {"y": range(5)}, {"x": pl.Series([3, None])})
    found = read(reference, table({"x": values.astype(np.float32)}), limits={"x": (0.0,), "y": ()})["x"]
    assert (found.reference.missing, found.reference.infinite, found.reference.rows) == (8, 1, ROWS + 17)
    assert found.current.less == {0.0: int((values.astype(np.float32) < 0).sum())}


def test_a_file_that_cannot_be_read_is_named(table, tmp_path):
    path = tmp_path / "torn.parquet"
    path.write_bytes(b"PAR1 torn PAR1")
    torn = Table((Partition(path, "s3://d/x/torn.parquet", {"x": pl.Float64()}, ROWS),))
    with pytest.raises(AgentError, match=r"torn\.parquet") as raised:
        read(torn, table({"x": np.arange(ROWS) / 3}))
    assert raised.value.failure is DATA_INVALID
