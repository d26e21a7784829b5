import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.stats.binning import (
    RARE,
    bin_counts,
    binned,
    merge_rare,
    pooled_edges,
    quantile_edges,
    tabulated,
)
from perennial.stats.samples import Categorical

finite = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=80)


def test_deciles_hold_equal_shares_and_their_upper_edge():
    values = np.arange(1.0, 101.0)
    edges = quantile_edges(values)
    assert edges.tolist() == [10, 20, 30, 40, 50, 60, 70, 80, 90]
    assert bin_counts(values, edges).tolist() == [10] * 10


def test_a_constant_shows_changes_to_either_side():
    edges = quantile_edges(np.full(50, 5.0))
    assert bin_counts(np.array([4.999]), edges).tolist() == [1, 0, 0]
    assert bin_counts(np.array([5.0]), edges).tolist() == [0, 1, 0]
    assert bin_counts(np.array([5.001]), edges).tolist() == [0, 0, 1]


def test_a_value_that_fills_several_bins_gets_its_own():
    values = np.sort(np.concatenate([np.zeros(80), np.arange(1.0, 21.0)]))
    edges = quantile_edges(values)
    assert bin_counts(values, edges)[:2].tolist() == [0, 80]


def test_no_values_have_no_quantiles():
    with pytest.raises(ValueError, match="no values"):
        quantile_edges(np.array([]))


@given(finite, finite)
def test_every_value_is_counted_once_and_edges_ascend(reference, current):
    edges = quantile_edges(np.sort(np.array(reference)))
    assert (np.diff(edges) > 0).all()
    table = binned(np.sort(np.array(reference)), np.sort(np.array(current)), edges)
    assert (table.reference.sum(), table.current.sum()) == (len(reference), len(current))
    assert table.cells == edges.size + 1 == len(table.reference)


def test_pooled_edges_do_not_favour_a_side():
    low, high = np.arange(0.0, 50.0), np.arange(50.0, 100.0)
    assert pooled_edges(low, high, 2).tolist() == pooled_edges(high, low, 2).tolist() == [49.0]


def test_new_and_vanished_categories_have_a_cell():
    table = tabulated(Categorical({"a": 5, "gone": 2}), Categorical({"a": 4, "new": 3}))
    assert table.labels == ("a", "gone", "new")
    assert table.reference.tolist() == [5, 2, 0]
    assert table.current.tolist() == [4, 0, 3]


def test_rare_categories_are_gathered_by_what_both_sides_expect():
    table = merge_rare(tabulated(Categorical({"a": 95, "b": 3, "c": 2}), Categorical({"a": 97, "d": 3})))
    assert table.labels == ("a", RARE)
    assert table.reference.tolist() == [95, 5]
    assert table.current.tolist() == [97, 3]
    assert table.rare


def test_frequent_categories_stay_as_they_are():
    table = tabulated(Categorical({"a": 50, "b": 50}), Categorical({"a": 40, "b": 60}))
    assert merge_rare(table) is table


def test_an_identifier_leaves_nothing_but_the_gathered_cell():
    first = Categorical({f"r{i}": 1 for i in range(1000)})
    second = Categorical({f"c{i}": 1 for i in range(1000)})
    assert merge_rare(tabulated(first, second)).labels == (RARE,)


def test_nothing_to_gather_in_an_empty_table():
    table = tabulated(Categorical({}), Categorical({}))
    assert merge_rare(table) is table
