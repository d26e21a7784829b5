"""Requests in plain form are read in bulk, with the result of reading them one by one."""

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perennial.agent.drift.data import reading
from perennial.agent.drift.data.window import read_window, window_files
from perennial.agent.predictions import bulk
from perennial.agent.predictions.bulk import Forms, Gathered
from perennial.agent.predictions.payload import MalformedPayload, parse_payload
from perennial.agent.predictions.templates import Templates
from perennial.agent.records.files import Format, encoded
from perennial.api.contract.commands import CaptureWindow
from tests.unit.agent.drift.store import DIGEST, NOW, MemoryStore, capture_uri, record, tensors

ROOT = "s3://capture/churn/"
WINDOW = CaptureWindow(uri=ROOT, seconds=86400, period="24h", digest=DIGEST)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.just("\ud800"), st.just(2**70)
)
NAMES = st.sampled_from(["a", "b", "a.0", "ä", "*"])
SHAPES = st.one_of(
    st.sampled_from([[1], [1, 1], [1, 2], [2], [1, 0], [True], [1.0], [1, True], [1, 1, 2], [], ["1"], [-1], None])
)
TENSORS = st.builds(
    lambda name, shape, data: {"name": name, "shape": shape, "datatype": "FP64", "data": data},
    st.one_of(NAMES, st.none()),
    SHAPES,
    st.one_of(st.lists(SCALARS, max_size=3), st.lists(st.lists(SCALARS, max_size=2), max_size=2), SCALARS),
)
PLAIN = st.builds(
    lambda values: {"inputs": [{"name": n, "shape": [1], "data": [v]} for n, v in values.items()]},
    st.dictionaries(NAMES, SCALARS, max_size=3),
)
BODIES = st.one_of(
    PLAIN,
    st.builds(lambda items: {"inputs": items}, st.lists(TENSORS, max_size=3)),
    st.builds(
        lambda names, rows: {"dataframe_split": {"columns": names, "data": rows}},
        st.lists(st.one_of(NAMES, st.integers(0, 3)), max_size=3),
        st.lists(st.one_of(st.lists(SCALARS, max_size=3), SCALARS), max_size=2),
    ),
    st.builds(lambda items: {"inputs": items}, st.dictionaries(NAMES, st.lists(SCALARS, max_size=2), max_size=2)),
    st.builds(lambda items: {"dataframe_records": items}, st.lists(st.dictionaries(NAMES, SCALARS), max_size=2)),
    st.one_of(SCALARS, st.lists(SCALARS, max_size=2)),
)


@settings(deadline=None, max_examples=400)
@given(BODIES)
def test_a_plain_request_has_the_columns_that_the_parser_gives(body):
    found = Forms().read(body)
    if found is None:
        return
    wanted = parse_payload(body)
    gathered = Gathered()
    gathered.add(found)
    columns, rows = gathered.take()
    assert rows == wanted.rows == 1
    assert not wanted.unreadable
    assert not wanted.lost_rows
    assert repr({name: list(values) for name, values in columns.items()}) == repr(
        {name: list(values) for name, values in wanted.columns.items()}
    )


@pytest.mark.parametrize(
    "body",
    [
        tensors(a=[1.5], b=["x"]),
        {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP64", "data": [1, 2.5, None]}]},
        {"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"]]}},
    ],
)
def test_the_usual_requests_are_plain(body):
    assert Forms().read(body) is not None


@pytest.mark.parametrize(
    "body",
    [
        tensors(a=[1.5, 2.5]),
        {"inputs": [{"name": "a", "shape": [1], "data": [[1]]}]},
        {"inputs": [{"name": "a", "shape": [True], "data": [1]}]},
        {"inputs": [{"name": "a", "shape": [1], "data": [1]}, {"name": "a", "shape": [1], "data": [2]}]},
        {"inputs": []},
        {"inputs": {"a": [1]}},
        {"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}},
        [],
    ],
)
def test_others_are_left_to_the_parser(body):
    assert Forms().read(body) is None


def test_forms_that_a_client_makes_up_are_not_remembered_without_end(monkeypatch):
    monkeypatch.setattr(bulk, "_MOST_FORMS", 2)
    forms = Forms()
    read = [forms.read(tensors(**{name: [1.0]})) is not None for name in ("a", "b", "c", "a")]
    assert read == [True, True, False, True]


def content(found, folder: Path):
    table = found.table
    columns = {name: table.column(name) for name in sorted(table.columns)}
    kinds = {name: [str(value) for value in series.to_list()] for name, series in columns.items()}
    rest = (found.requests, found.skipped, found.unwanted, found.malformed, found.unreadable, found.lost_rows)
    return kinds, {name: series.dtype for name, series in columns.items()}, table.rows, rest


@settings(deadline=None, max_examples=40)
@given(st.lists(st.one_of(PLAIN, BODIES), max_size=12), st.sampled_from(["JsonLines", "Parquet"]))
def test_a_window_is_the_same_read_in_bulk_and_one_by_one(tmp_path_factory, bodies, form: Format):
    lines = [record(body) for body in bodies if json.dumps(body).isascii()]
    suffix = ".parquet" if form == "Parquet" else ".jsonl.gz"
    try:
        stored = encoded(lines, form)
    except UnicodeEncodeError:  # a lone surrogate, which capture does not write to Parquet
        return
    store = MemoryStore({capture_uri(ROOT, NOW).replace(".jsonl.gz", suffix): stored})
    wanted = {"a", "b", "a.0", "a.1", "*"}
    found = []
    for plain in (True, False):
        folder = tmp_path_factory.mktemp("rows")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Templates, "find", lambda self, text: None)
            if not plain:
                patch.setattr(Forms, "read", lambda self, body: None)
            patch.setattr(reading, "_GATHERED", 3)
            read = read_window(store, WINDOW, window_files(store, WINDOW, NOW), folder, now=NOW, wanted=wanted)
        found.append(content(read, folder))
    assert found[0] == found[1]


def test_an_order_of_forms_is_kept(tmp_path):
    bodies = [tensors(a=[1.0]), tensors(a=[2.0], b=[1]), {"inputs": {"a": [3.0, 4.0]}}, tensors(a=[5.0])]
    store = MemoryStore({capture_uri(ROOT, NOW): encoded([record(body) for body in bodies], "JsonLines")})
    read = read_window(store, WINDOW, window_files(store, WINDOW, NOW), tmp_path, now=NOW, wanted={"a", "b"})
    assert read.table.column("a").to_list() == [1, 2, 3, 4, 5]
    assert read.table.column("b").to_list() == [None, 1, None, None, None]
    assert read.table.column("b").dtype == pl.Int64


def test_the_parser_refuses_what_no_form_is():
    with pytest.raises(MalformedPayload):
        parse_payload({"inputs": []})
