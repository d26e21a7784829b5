from dataclasses import replace
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perennial.agent.drift import pairs
from perennial.agent.drift.columns import ColumnPair
from perennial.agent.drift.data.window import Window
from perennial.agent.drift.pairs import read_pairs
from perennial.agent.drift.profiles.encoding import decode, encode
from perennial.agent.drift.profiles.hour import FileMark, profile_of
from perennial.agent.drift.profiles.merge import Hours, profiled_pairs
from perennial.agent.drift.profiles.plan import plan_columns
from perennial.agent.tables.table import Table, partition_of
from perennial.stats.binned import Binned
from perennial.stats.samples import Categorical

ROWS = 300


@pytest.fixture(autouse=True)
def long(monkeypatch):
    monkeypatch.setattr(pairs, "EXACT_ROWS", ROWS - 1)


def frame(seed, moved=0.0):
    generator = np.random.default_rng(seed)
    missing = np.where(generator.random(ROWS) < 0.1, np.nan, generator.normal(moved, 1, ROWS))
    return pl.DataFrame(
        {
            "normal": generator.normal(moved, 1, ROWS),
            "with gaps": [None if value > 1 else value for value in missing.tolist()],
            "infinite": np.where(generator.random(ROWS) < 0.1, np.inf, missing),
            "whole": generator.poisson(30 + moved, ROWS),
            "mostly zero": np.where(generator.random(ROWS) < 0.6, 0.0, generator.normal(moved, 1, ROWS)),
            "steps": generator.integers(0, 4, ROWS) / 4,
            "number text": [f"{value:.1f}" for value in generator.normal(moved, 1, ROWS)],
            "*": generator.choice(["basic", "plus"], ROWS),
            "flag": generator.integers(0, 2, ROWS).astype(bool),
            "id": np.arange(ROWS) + seed * ROWS,
            "empty": pl.Series([None] * ROWS, dtype=pl.Float64),
        }
    )


def table(folder, *parts):
    """Store each part as a partition."""
    folder.mkdir()
    partitions = []
    for number, part in enumerate(parts):
        path = folder / f"{number}.parquet"
        part.write_parquet(path)
        partitions.append(partition_of(path, "s3://d/x"))
    return Table(tuple(partitions))


def content(pair):
    """Return all of a pair that does not depend on the order of sums, and the moments to ten digits."""
    if not isinstance(pair, ColumnPair):
        return pair
    return pair.kind, pair.unreadable_reference, pair.unreadable_current, _sample(pair.reference), _sample(pair.current)


def _sample(sample):
    if isinstance(sample, Categorical):
        return sample.counts, sample.missing
    if isinstance(sample, Binned):
        moments = (f"{sample.mean:.10g}", f"{sample.squares:.10g}")
        counts = (sample.low, sample.high, sample.missing, sample.infinite, sample.fractional)
        return (*moments, *counts, dict(sample.less), dict(sample.greater), sample.counts.tolist())
    return sample.values.tolist(), sample.missing, sample.infinite


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.integers(0, ROWS), max_size=4).map(sorted),
    seed=st.integers(2, 1000),
    moved=st.sampled_from([0.0, 0.3, 3.0]),
    backwards=st.booleans(),
)
def test_division_into_hours_order_and_storage_of_profiles_change_no_sample(
    tmp_path_factory, cuts, seed, moved, backwards
):
    folder, current = tmp_path_factory.mktemp("tables"), frame(seed, moved)
    reference = table(folder / "reference", frame(1))
    names = reference.columns
    limits = dict.fromkeys(names, (0.0, 0.5))
    expected = dict(read_pairs(names, reference, table(folder / "whole", current), {}, limits))

    shuffled = current.sample(fraction=1, shuffle=True, seed=seed)
    ends = [0, *cuts, ROWS]
    parts = [shuffled.slice(start, end - start) for start, end in pairwise(ends)]
    plans = plan_columns(names, reference, {}, limits)
    total = Hours(plans)
    made = []
    for number, part in enumerate(parts):
        window = Window(table(folder / f"{number}", part), part.height, {}, ())
        marks = (FileMark("a.parquet", 1, "x"),)
        made.append(profile_of(f"date=2026-03-10/hour={number:02}", marks, window, plans))
    for profile in reversed(made) if backwards else made:
        total.add(decode(encode(profile), {plan.name: plan for plan in plans}))
    merged = total.finish()

    assert (merged.rows, merged.window.requests, merged.lacks()) == (ROWS, ROWS, None)
    found = dict(profiled_pairs(names, reference, merged, {}))
    assert {name: content(pair) for name, pair in found.items()} == {
        name: content(pair) for name, pair in expected.items()
    }


def test_notes_of_an_hour_survive_storage(tmp_path):
    plans = plan_columns((), table(tmp_path / "reference", frame(1)), {}, {})
    window = Window(
        table(tmp_path / "hour", frame(2)), 300, {"malformed": 2, "without a body": 1}, ("x", "y"), {"no JSON": 2},
        {"age": (4, "too deep")}, lost_rows=3, files=1,
    )  # fmt: skip
    hour = profile_of("date=2026-03-10/hour=01", (FileMark("a.parquet", 9, '"e"'),), window, plans)
    again = decode(encode(hour), {})
    assert again == replace(hour, columns=again.columns)
    assert again.names == tuple(frame(2).columns)
