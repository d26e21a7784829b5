"""Requests whose texts differ in values only are read together, with the result of reading them one by one."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perennial.agent.drift.data import reading
from perennial.agent.drift.data.window import Window, read_window, window_files
from perennial.agent.predictions.templates import Templates
from perennial.agent.records import parquet
from perennial.agent.records.files import SUFFIX, Format
from perennial.api.contract.commands import CaptureWindow
from tests.unit.agent.drift.store import DIGEST, NOW, MemoryStore, capture_file, capture_uri

ROOT = "s3://capture/churn/"
WINDOW = CaptureWindow(uri=ROOT, seconds=3600, period="1h", digest=DIGEST)
WANTED = {"a", "b", "a.0", "b.1", "instances.0", "instances", "x", "x.0"}

# Texts of values, most of them usual, and texts that are no value, several, or none.
NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(["9007199254740993", "-0", "-0.0", "1e400", "1E5", "NaN", "-Infinity", "true", "null"]),
)
TEXTS = [
    '"x"',
    '"a,b"',
    '"1"',
    '"]"',
    '"ä"',
    '"\\u0041"',
    '"\\ud800"',
    '"\\"data\\": [1]"',
    '"\\\\"',
    '""',
    f'"{"y" * 300}"',
]
ODD = [
    "",
    "1, 2",
    "1,2,3",
    "[1]",
    "{}",
    '"',
    "01",
    "1 2",
    "1,",
    '"\x01"',
    "1]",
    "1}",
    "1:2",
    '"\x01",1',
    "9" * 5000,
    "nul",
]
VALUES = st.one_of(NUMBERS, NUMBERS, NUMBERS, st.sampled_from(TEXTS), st.sampled_from(ODD))

FORMS = [
    '{"inputs": [{"name": "a", "shape": [1], "data": [%s]}, {"name": "b", "shape": [1], "data": [%s]}]}',
    '{"id":%s,"inputs":[{"name":"a","shape":[1,2],"data":[%s,%s]}]}',
    '{"inputs":[{"name":"a","shape":[2],"data":[%s,%s]},{"name":"b","shape":[2,2],"data":[%s,%s,%s,%s]}]}',
    '{"inputs":[{"name":"a","shape":[2],"data":[%s,%s]},{"name":"b","shape":[1],"data":[%s]}]}',
    '{"inputs":[{"name":"a","shape":[1],"data":[[%s]]},{"name":"a","shape":[1],"data":[%s]}]}',
    '{"inputs":[{"name":"a","shape":[true],"data":[%s]},{"name":"b","shape":[1.0],"data":[%s]}]}',
    '{"inputs":[{"name":"a","shape":[1],"data":[%s],"data":[%s]}]}',
    '{"inputs":[{"name":"a","shape":[1],"x\\"data":[%s],"d\\u0061ta":[%s]}]}',
    '{"inputs":{"a":[%s],"b":[%s]}}',
    '{"dataframe_split":{"columns":["a","x"],"data":[[%s,%s]]}}',
    '{"dataframe_split":{"columns":["a",7],"data":[[%s,%s],[%s,%s]]}}',
    '{"dataframe_records":[{"a":%s,"x":%s}]}',
    '{"instances":[[%s,%s]]}',
    '{"instances":[%s,%s]}',
    '{"instances":[{"a":%s,"data":[%s]}]}',
    '{"instances":[[%s]],"inputs":{"a":[%s]}}',
    '[{"a":%s,"x":%s}]',
    '[{"a": %s, "x": %s}, {"x": %s, "other": %s}]',
    '{"instances": [{"a": %s, "b": %s, "x": %s}]}',
    '{"instances":[{"x":%s},{"a":%s,"\u00fc":%s}]}',
    '{"instances":[{"a":%s,"a":%s}],"parameters":{"id":%s}}',
    '{"instances":[{"a":%s},{}]}',
    '{"instances":[{"a":%s},%s]}',
    '{"instances":[{"a":[%s],"x":%s}]}',
    '{"instances":[{"a":%s}],"dataframe_split":{"columns":["x"],"data":[[%s]]}}',
    '{"dataframe_records":[{"x":%s}],"instances":[{"a":%s}]}',
    '{"inputs":[{"name":"a","shape":[9000001],"data":[%s]},{"name":"b","shape":[1],"data":[90000010,%s]}]}',
    "%s",
    "null",
]
TIMES = ["2026-03-10T12:00:00.000Z"] * 4 + [
    "2026-03-10T13:01:02+01:00",
    "2026-03-10T12:00:00",
    "2026-01-01T00:00:00Z",
    "x",
]
RESPONSES = [
    '{"predictions":[{"p":%s}]}',
    '[{"p":%s}]',
    '{"outputs":[{"name":"p","shape":[1],"data":[%s]}]}',
    '{"predictions":[%s]}',
    '{"id":"%.3s"}',
    "null",
]


@st.composite
def groups(draw: st.DrawFn) -> list[tuple[str, str, str, int, str]]:
    """Return time, response, digest, status and body of records of one form."""
    form = draw(st.sampled_from(FORMS))
    response = draw(st.sampled_from(RESPONSES))
    found = []
    for _ in range(draw(st.integers(1, 6))):
        body = form % tuple(draw(VALUES) for _ in range(form.count("%s")))
        answer = response % draw(VALUES) if "%" in response else response
        digest = draw(st.sampled_from([DIGEST, DIGEST, DIGEST, "sha256:b"]))
        status = draw(st.sampled_from([200, 200, 200, 500]))
        found.append((draw(st.sampled_from(TIMES)), answer, digest, status, body))
    return found


RECORDS = st.lists(groups(), max_size=4).map(lambda parts: [item for part in parts for item in part])


def line(time: str, response: str, digest: str, status: int, body: str) -> bytes:
    """Return a captured record; body and response are texts, which may be no JSON."""
    head = f'{{"time":{json.dumps(time)},"id":"0190","digest":"{digest}","status":{status},"latencyMs":1.25,'
    return f'{head}"request":{body},"response":{response}}}\n'.encode()


def parquet_file(records: list[tuple[str, str, str, int, str]]) -> bytes:
    """Return a file of captured records whose bodies may be no JSON."""
    moments = [datetime.fromisoformat(time) if time != "x" else None for time, *_ in records]
    times = [moment and moment.replace(tzinfo=moment.tzinfo or UTC) for moment in moments]
    rows = [
        {"time": time, "digest": digest, "status": status, "request": body if body != "null" else None}
        for time, (_, _, digest, status, body) in zip(times, records, strict=True)
    ]
    buffer = io.BytesIO()
    pl.DataFrame(rows, schema=parquet._SCHEMA).write_parquet(buffer)
    return buffer.getvalue()


def content(found: Window) -> object:
    """Return all that a window says, with values by their exact text."""
    table = found.table
    columns = {name: (table.column(name).dtype, repr(table.column(name).to_list())) for name in sorted(table.columns)}
    rest = (found.requests, found.skipped, found.unwanted, found.malformed, found.unreadable, found.lost_rows)
    return columns, table.rows, rest, found.extent


def both(content_of_file: bytes, form: Format, folder: Path, lists: tuple[str, ...] = ()) -> tuple[object, object, int]:
    """Read a file together and one by one; return what is found, and how many texts had a template."""
    store = MemoryStore({capture_uri(ROOT, NOW).replace(SUFFIX["JsonLines"], SUFFIX[form]): content_of_file})
    found, hits, find = [], 0, Templates.find

    def counted(self: Templates[object], text: str) -> object:
        nonlocal hits
        known = find(self, text)
        hits += known is not None
        return known

    for name, method in (("together", counted), ("alone", lambda self, text: None)):
        (folder / name).mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Templates, "find", method)
            patch.setattr(reading, "_GATHERED", 5)
            patch.setattr(reading, "_FEW", 2)
            files = window_files(store, WINDOW, NOW)
            window = read_window(store, WINDOW, files, folder / name, now=NOW, wanted=WANTED, lists=lists)
            found.append(content(window))
    return found[0], found[1], hits


@settings(deadline=None, max_examples=150)
@given(RECORDS, st.sampled_from(["JsonLines", "Parquet"]), st.sampled_from([(), (), ("x",)]))
def test_requests_read_together_are_those_read_one_by_one(tmp_path_factory, records, form: Format, lists):
    stored = parquet_file(records) if form == "Parquet" else capture_file(*(line(*item) for item in records))
    together, alone, _ = both(stored, form, tmp_path_factory.mktemp("rows"), lists)
    assert together == alone


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_a_damaged_line_is_read_as_it_is_alone(tmp_path_factory, data: st.DataObject):
    body = FORMS[0] % ("1.5", "2")
    whole = [line("2026-03-10T12:00:00.000Z", RESPONSES[0] % "0.5", DIGEST, 200, body)] * 4
    damaged = bytearray(whole[2])
    at = data.draw(st.integers(0, len(damaged) - 2))
    damaged[at : at + data.draw(st.integers(0, 3))] = data.draw(
        st.sampled_from([b"", b"1", b'"', b"[", b"\\", b",", b"\xff", b" "])
    )
    together, alone, _ = both(
        capture_file(*whole[:2], bytes(damaged), whole[3]), "JsonLines", tmp_path_factory.mktemp("rows")
    )
    assert together == alone


@pytest.mark.parametrize("form", ["JsonLines", "Parquet"])
@pytest.mark.parametrize("number", [0, 1, 2, 9, 11, 12, 16, 17, 18])
def test_the_usual_forms_are_read_together(tmp_path, form: Format, number: int):
    texts = [
        FORMS[number]
        % tuple(['"id"'] * FORMS[number].count('"id":%s') + ["1.5", str(2**53 + at), "3", "4", "5", "6"])[
            : FORMS[number].count("%s")
        ]
        for at in range(20)
    ]
    records = [
        ("2026-03-10T12:00:00.000Z", RESPONSES[0] % f"0.{at}", DIGEST, 200, text) for at, text in enumerate(texts)
    ]
    stored = parquet_file(records) if form == "Parquet" else capture_file(*(line(*item) for item in records))
    together, alone, hits = both(stored, form, tmp_path)
    assert together == alone
    assert hits == 20


@pytest.mark.parametrize("form", ["JsonLines", "Parquet"])
def test_values_of_one_tensor_are_not_taken_for_those_of_another(tmp_path, form: Format):
    """As many values in all as in the other requests, but three for the shape [2] and one for the other."""
    plain = '{"inputs":[{"name":"a","shape":[2],"data":[1,2]},{"name":"b","shape":[2],"data":[3,4]}]}'
    bodies = [plain, plain, plain.replace("[1,2]", "[1,2,3]").replace("[3,4]", "[4]"), plain]
    records = [("2026-03-10T12:00:00.000Z", "null", DIGEST, 200, body) for body in bodies]
    stored = parquet_file(records) if form == "Parquet" else capture_file(*(line(*item) for item in records))
    together, alone, hits = both(stored, form, tmp_path)
    assert together == alone
    assert hits == 4


def bodies_of_records(count: int) -> list[str]:
    """Return requests with one to four records each, with texts and a field that only some have."""
    return [
        json.dumps({"instances": [{"a": at + row / 2, "b": "Zürich", **optional(at)} for row in range(1 + at % 4)]})
        for at in range(count)
    ]


def optional(at: int) -> dict[str, None]:
    """Return a field that only some requests have."""
    return {"x": None} if at % 3 else {}


@pytest.mark.parametrize("form", ["JsonLines", "Parquet"])
def test_requests_of_any_number_of_records_are_read_together(tmp_path, form: Format):
    records = [
        ("2026-03-10T12:00:00.000Z", json.dumps({"predictions": [0.5] * (1 + at % 4)}), DIGEST, 200, body)
        for at, body in enumerate(bodies_of_records(20))
    ]
    stored = parquet_file(records) if form == "Parquet" else capture_file(*(line(*item) for item in records))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading.Reading, "_read_parts", lambda *_: pytest.fail("they are read one by one"))
        together, alone, hits = both(stored, form, tmp_path)
    assert together == alone
    assert hits == 20


@pytest.mark.parametrize("form", ["JsonLines", "Parquet"])
@pytest.mark.parametrize(
    "other",
    ['{"instances": [1.5, 2]}', '{"instances": []}', '{"instances": [{}]}', '{"instances": 7}', '{"instances": [[1]]}'],
)
def test_other_instances_among_records_are_read_as_alone(tmp_path, form: Format, other: str):
    """Also when a pattern of the form is tried first, as it is after some texts in a row."""
    bodies = bodies_of_records(20)
    bodies[15] = other
    records = [("2026-03-10T12:00:00.000Z", "null", DIGEST, 200, body) for body in bodies]
    stored = parquet_file(records) if form == "Parquet" else capture_file(*(line(*item) for item in records))
    together, alone, hits = both(stored, form, tmp_path)
    assert together == alone
    assert hits >= 19
