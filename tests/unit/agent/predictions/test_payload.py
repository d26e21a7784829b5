import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.agent.predictions.payload import MalformedPayload, parse_payload


def tensor(shape, data, name="t"):
    return {"name": name, "shape": shape, "datatype": "FP64", "data": data}


@pytest.mark.parametrize(
    ("body", "columns"),
    [
        ({"inputs": [tensor([2], [1, 2])]}, {"t": [1, 2]}),
        ({"inputs": [tensor([2, 1], [[1], [2]])]}, {"t": [1, 2]}),
        ({"inputs": [tensor([2, 1], [1, 2]), tensor([2], ["a", None], "c")]}, {"t": [1, 2], "c": ["a", None]}),
        ({"inputs": [tensor([2, 3], [1, 2, 3, 4, 5, 6])]}, {"t.0": [1, 4], "t.1": [2, 5], "t.2": [3, 6]}),
        ({"inputs": [tensor([2, 2], [[1, 2], [3, 4]])]}, {"t.0": [1, 3], "t.1": [2, 4]}),
        ({"inputs": [tensor([1, 2, 1], [[[1], [2]]])]}, {"t.0": [1], "t.1": [2]}),
        ({"inputs": [tensor([0], [])]}, {"t": []}),
        ({"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"], [2, "y"]]}}, {"a": [1, 2], "b": ["x", "y"]}),
        ({"dataframe_split": {"columns": ["a"], "index": [0], "data": [[1]]}}, {"a": [1]}),
        ({"dataframe_records": [{"a": 1}, {"a": 2, "b": "x"}]}, {"a": [1, 2], "b": [None, "x"]}),
        ({"instances": [{"a": 1, "b": "x"}, {"a": 2}]}, {"a": [1, 2], "b": ["x", None]}),
        ({"instances": [[1, 2], [3, 4]]}, {"instances.0": [1, 3], "instances.1": [2, 4]}),
        ({"instances": [1.5, 2.5]}, {"instances": [1.5, 2.5]}),
        ([{"a": 1}, {"a": 2, "b": "x"}], {"a": [1, 2], "b": [None, "x"]}),
        ({"inputs": {"a": [1, 2], "b": [[3], [4]]}}, {"a": [1, 2], "b": [3, 4]}),
        ({"inputs": {"a": 1, "b": "x"}}, {"a": [1], "b": ["x"]}),
        ({"inputs": {"a": [[1, 2], [3, 4]], "b": [5, 6]}}, {"a.0": [1, 3], "a.1": [2, 4], "b": [5, 6]}),
    ],
)
def test_formats(body, columns):
    payload = parse_payload(body)
    assert {name: list(values) for name, values in payload.columns.items()} == columns
    assert all(len(values) == payload.rows for values in columns.values())


@pytest.mark.parametrize(
    ("body", "columns"),
    [
        ({"dataframe_records": [{"a": 1, "e": [2, 3]}, {"a": 4}]}, {"a": [1, 4], "e.0": [2, None], "e.1": [3, None]}),
        ({"dataframe_split": {"columns": ["a", "e"], "data": [[1, [2]], [3, [4, 5]]]}},
         {"a": [1, 3], "e.0": [2, 4], "e.1": [None, 5]}),
        ({"instances": [{"a": 1, "e": []}]}, {"a": [1], "e": [None]}),
        ([{"a": 1, "e": "none"}], {"a": [1], "e": [None]}),
        ([{"a": 1, "e": [[2]]}, {"a": 1, "e": [3]}], {"a": [1, 1], "e.0": [None, 3]}),
        ([{"a": 1, "e": [0] * 4097}], {"a": [1], "e": [None]}),
    ],
    ids=["records", "rows of two lengths", "an empty list", "a text", "a list of lists", "a long list"],
)  # fmt: skip
def test_fields_that_may_be_lists_become_a_column_for_each_number(body, columns):
    payload = parse_payload(body, {"e"})
    assert {name: list(values) for name, values in payload.columns.items()} == columns
    assert payload.unreadable == {}


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ({"dataframe_records": [{"a": 1, "tags": ["x", "y"]}]}, "tags", "itself a list"),
        ({"dataframe_split": {"columns": ["a", "at"], "data": [[1, {"lat": 2}]]}}, "at", "itself a list"),
        ({"inputs": {"a": [1], "tags": [{"x": 1}]}}, "tags", "itself a list"),
        ({"inputs": {"a": [1, 2], "tags": [["x", "y"], ["z"]]}}, "tags", "different lengths"),
        ({"inputs": [tensor([1], [1], "a"), tensor([2], [[1], 2], "t")]}, "t", "mixes"),
        ({"inputs": [tensor([1], [1], "a"), {"name": "raw", "shape": [1, 9], "datatype": "BYTES"}]}, "raw", "without"),
        ({"inputs": [tensor([1], [1], "a"), tensor([1, 9000], [0] * 9000, "image")]}, "image", "wider than"),
    ],
)
def test_a_field_that_cannot_be_read_is_left_out_alone(body, field, reason):
    payload = parse_payload(body)
    assert list(payload.columns) == ["a"]
    assert list(payload.unreadable) == [field]
    assert reason in payload.unreadable[field]


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["a"], "data": [[1], [2, 3], "x"]}},
        {"dataframe_records": [{"a": 1}, 5, None]},
    ],
)
def test_a_row_that_does_not_fit_is_left_out_alone(body):
    payload = parse_payload(body)
    assert (payload.columns["a"], payload.rows, payload.lost_rows) == ([1], 1, 2)


def test_names_that_utf8_cannot_hold_are_replaced():
    assert list(parse_payload({"inputs": {"a\ud800": [1]}}).columns) == ["a?"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (None, "neither"),
        ([], "neither"),
        ([1], "neither"),
        ({"instances": []}, "neither"),
        ({"instances": [[[1]]]}, "itself a list"),
        ({"instances": 1}, "neither"),
        ({"inputs": []}, "no columns"),
        ({"inputs": "x"}, "neither"),
        ({"inputs": [1]}, "without name"),
        ({"inputs": [{"name": "t", "shape": [1]}]}, "without name"),
        ({"inputs": [tensor([], [1])]}, "no usable shape"),
        ({"inputs": [tensor([-1], [1])]}, "no usable shape"),
        ({"inputs": [tensor([True], [1])]}, "no usable shape"),
        ({"inputs": [tensor([3], [1, 2])]}, "2 values, but its shape has 3"),
        ({"inputs": [tensor([1, 5000], [0] * 5000)]}, "wider than 4096"),
        ({"inputs": [tensor([2], [1, [2]])]}, "mixes"),
        ({"inputs": [tensor([1], [{"a": 1}])]}, "itself a list"),
        ({"inputs": [tensor([1], "x")]}, "not a list"),
        ({"inputs": [tensor([1], [1]), tensor([2], [1, 2], "u")]}, "different lengths"),
        ({"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}, "another length"),
        ({"dataframe_split": {"columns": ["a"]}}, "neither"),
        ({"dataframe_records": [1]}, "not an object"),
        ({"inputs": {"a": {"b": 1}}}, "itself a list"),
    ],
)
def test_other_bodies_are_refused_in_words(body, reason):
    with pytest.raises(MalformedPayload, match=reason):
        parse_payload(body)


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["inputs", "instances", "name", "shape", "data", "columns", "dataframe_split"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(documents)
def test_no_document_does_more_than_be_refused(document):
    try:
        payload = parse_payload(json.loads(json.dumps(document)))
    except MalformedPayload:
        return
    assert all(len(values) == payload.rows for values in payload.columns.values())
