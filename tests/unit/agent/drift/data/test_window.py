import gzip
import json
from datetime import timedelta

import pytest

from perennial.agent.drift.data.window import read_window, window_files
from perennial.agent.records.files import SUFFIX, encoded
from perennial.agent.records.parquet import _SCHEMA
from perennial.agent.storage.errors import AgentError
from perennial.agent.tables.files import Listing
from perennial.api.contract.commands import CaptureWindow
from perennial.core.failures import ACCESS_DENIED, DATA_INVALID
from tests.unit.agent.drift.store import DIGEST, NOW, MemoryStore, capture_file, capture_uri, parquet, record, tensors

ROOT = "s3://capture/churn/"
DAY = CaptureWindow(uri=ROOT, seconds=86400, digest=DIGEST)


def read(store, tmp_path, window=DAY, wanted=("x", "y")):
    files = window_files(store, window, NOW)
    return read_window(store, window, files, tmp_path, now=NOW, wanted=set(wanted))


def test_only_partitions_that_overlap_the_window_are_listed_and_read():
    inside, edge, outside = NOW, NOW - timedelta(hours=25), NOW - timedelta(hours=27)
    store = MemoryStore({capture_uri(ROOT, at): b"" for at in (inside, edge, outside)})
    assert [item.uri for item in window_files(store, DAY, NOW).files] == [
        capture_uri(ROOT, edge),
        capture_uri(ROOT, inside),
    ]
    assert len(store.listed) == 27
    assert f"{ROOT}date=2026-03-09/hour=11/" in store.listed
    assert f"{ROOT}date=2026-03-10/hour=13/" in store.listed


def test_a_long_window_is_one_listing():
    store = MemoryStore({capture_uri(ROOT, NOW - timedelta(days=days)): b"" for days in (1, 29, 40)})
    month = CaptureWindow(uri=ROOT, seconds=30 * 86400, digest=DIGEST)
    assert len(window_files(store, month, NOW).files) == 2
    assert store.listed == [ROOT]


def test_the_longest_window_that_the_schema_allows_is_no_overflow():
    ever = CaptureWindow(uri=ROOT, seconds=999_999 * 86400, digest=DIGEST)
    store = MemoryStore({capture_uri(ROOT, NOW - timedelta(days=3000)): b""})
    assert len(window_files(store, ever, NOW).files) == 1


def test_a_uri_without_a_slash_is_the_same_folder():
    store = MemoryStore({capture_uri(ROOT, NOW): b"", capture_uri("s3://capture/churn-b/", NOW): b""})
    window = CaptureWindow(uri="s3://capture/churn", seconds=60, digest=DIGEST)
    assert [item.uri for item in window_files(store, window, NOW).files] == [capture_uri(ROOT, NOW)]


def test_other_objects_are_passed_over():
    names = ("notes.txt", "date=2026-03-10/hour=12/x.tmp", "date=2026-03-99/hour=12/x.jsonl.gz")
    store = MemoryStore({ROOT + name: b"" for name in names})
    month = CaptureWindow(uri=ROOT, seconds=30 * 86400, digest=DIGEST)
    assert window_files(store, DAY, NOW) == window_files(store, month, NOW) == Listing((), (names[1],))


def test_only_files_directly_in_the_folder_of_an_hour_hold_requests():
    hour = "date=2026-03-10/hour=12/"
    others = [f"{hour}_temporary/0/x.parquet", f"{hour}.x.jsonl.gz", f"{hour}_x.parquet"]
    elsewhere = ["reports/job-1/report.json", f"other/{hour}x.jsonl.gz", f"_old/{hour}x.parquet"]
    store = MemoryStore({ROOT + name: b"" for name in (*others, *elsewhere, f"{hour}x.jsonl.gz")})
    month = CaptureWindow(uri=ROOT, seconds=30 * 86400, digest=DIGEST)
    for window in (DAY, month):
        found = window_files(store, window, NOW)
        assert [item.uri for item in found.files] == [f"{ROOT}{hour}x.jsonl.gz"]
        assert found.passed_over == tuple(sorted(others))


def test_an_error_of_the_storage_is_not_an_empty_window():
    class Closed(MemoryStore):
        def list(self, uri):
            raise AgentError(ACCESS_DENIED, f"no access to {uri}")

    with pytest.raises(AgentError) as caught:
        window_files(Closed(), DAY, NOW)
    assert caught.value.failure is ACCESS_DENIED


def test_requests_become_rows_and_the_rest_is_counted(tmp_path):
    content = capture_file(
        record(tensors(x=[1.0, 2.0], y=["a", "b"])),
        record({"dataframe_split": {"columns": ["x"], "data": [[3]]}}),
        record(tensors(x=[9.0]), at=NOW - timedelta(hours=24, seconds=1)),
        record(tensors(x=[9.0]), at=NOW - timedelta(hours=24)),
        record(tensors(x=[9.0]), digest="sha256:" + "b" * 64),
        record(tensors(x=[9.0]), status=500),
        record(None),
        record({"inputs": [{"name": "x", "shape": [2], "data": [1]}]}),
        record(tensors(x=[9.0]), time="yesterday"),
        b'{"time": "2026-03-10T12:00:00Z"}\n',
        b"{broken\n",
        b"[" * 5000 + b"\n",
    )
    window = read(MemoryStore({capture_uri(ROOT, NOW): content}), tmp_path)
    assert window.table.column("x").to_list() == [1.0, 2.0, 3.0, 9.0]
    assert window.table.column("y").to_list() == ["a", "b", None, None]
    assert window.requests == 3
    assert window.skipped == {
        "outside the window": 1,
        "of another model": 1,
        "not answered with 200": 1,
        "without a body": 1,
        "malformed": 5,
    }


def test_columns_that_nobody_asked_for_are_named_but_not_kept(tmp_path):
    store = MemoryStore({capture_uri(ROOT, NOW): capture_file(record(tensors(x=[1.0], spam=[2.0])))})
    window = read(store, tmp_path)
    assert window.table.columns == ("x",)
    assert window.unwanted == ("spam",)


def test_names_from_clients_cannot_fill_the_memory(tmp_path):
    request = {"inputs": {f"spam{number}": [1] for number in range(1500)}}
    store = MemoryStore({capture_uri(ROOT, NOW): capture_file(record(request))})
    window = read(store, tmp_path)
    assert len(window.unwanted) == 1000
    assert (window.table.rows, window.table.columns) == (1, ())
    assert window.table.column("x").to_list() == [None]


def test_a_number_too_large_for_a_float_is_a_missing_value(tmp_path):
    line = record(tensors(x=[1.0])).replace(b"1.0]", b"1" + b"0" * 400 + b"]")
    assert json.loads(line)
    window = read(MemoryStore({capture_uri(ROOT, NOW): capture_file(line)}), tmp_path)
    assert window.table.column("x").to_list() == [None]


def test_a_record_longer_than_any_is_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr("perennial.agent.tables.files.MAX_LINE", 2000)
    content = capture_file(record(tensors(x=["a" * 9000])), record(tensors(x=[5.0])))
    window = read(MemoryStore({capture_uri(ROOT, NOW): content}), tmp_path)
    assert window.table.column("x").to_list() == [5.0]
    assert window.skipped == {"malformed": 1}


def corrupt(last):
    """Return a file of 100 records whose end is damaged, so that the first records could be decoded."""
    content = bytearray(capture_file(*(record(tensors(x=[float(number)])) for number in range(100))))
    return bytes(content[:-12]) if last == "cut" else bytes(content[:-6]) + b"wrong!"


NAME = "churn-1-pod-0.jsonl.gz"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (NAME, b"not gzip"),
        (NAME, corrupt("cut")),
        (NAME, corrupt("checksum")),
        ("a.parquet", b"PAR1 not at all"),
        ("a.parquet", encoded([record(tensors(x=[1.0]))] * 600, "Parquet")[:-40]),
        ("a.parquet", parquet({"x": [1.0]})),
        ("a.parquet", parquet({**{column: ["text"] for column in _SCHEMA}, "request": [{"x": 1}], "time": ["2026"]})),
    ],
    ids=["no gzip", "cut off", "wrong checksum", "no Parquet", "Parquet cut off", "other columns", "other types"],
)
def test_a_file_that_cannot_be_decoded_is_left_out_whole_and_named(tmp_path, name, content):
    bad = capture_uri(ROOT, NOW).replace(NAME, name)
    good = capture_uri(ROOT, NOW, "churn-1-pod-1")
    window = read(MemoryStore({bad: content, good: capture_file(record(tensors(x=[7.0])))}), tmp_path)
    assert window.table.column("x").to_list() == [7.0]
    (left_out,) = window.unreadable_files
    assert left_out.uri == bad
    assert left_out.reason
    assert window.files == 2
    assert window.skipped == {}


@pytest.mark.parametrize("content", [b"not gzip", gzip.compress(b"x" * 5000, mtime=0)[:-12]])
def test_if_no_file_can_be_decoded_the_first_is_named(tmp_path, content):
    with pytest.raises(AgentError, match=r"churn-1-pod-0\.jsonl\.gz cannot be read") as caught:
        read(MemoryStore({capture_uri(ROOT, NOW): content}), tmp_path)
    assert caught.value.failure is DATA_INVALID


@pytest.mark.parametrize("form", ["JsonLines", "Parquet"])
def test_requests_of_a_pod_whose_clock_is_ahead_are_used_and_their_times_noted(tmp_path, form):
    ahead = NOW + timedelta(minutes=50)
    stored = encoded([record(tensors(x=[float(number)]), at=ahead) for number in range(20)], form)
    uri = capture_uri(ROOT, ahead).replace(".jsonl.gz", SUFFIX[form])
    found = read(MemoryStore({uri: stored}), tmp_path)
    assert (found.requests, found.skipped) == (20, {})
    assert (found.extent.earliest, found.extent.latest) == (ahead, ahead)


def test_long_texts_are_cut(tmp_path):
    store = MemoryStore({capture_uri(ROOT, NOW): capture_file(record(tensors(x=["a" * 1000])))})
    assert read(store, tmp_path).table.column("x").to_list() == ["a" * 256]


def test_parquet_holds_requests_as_well(tmp_path):
    lines = [record(tensors(x=[1.0, 2.0])), record(tensors(x=[3.0]), digest="sha256:" + "0" * 64)]
    uri = capture_uri(ROOT, NOW).replace(".jsonl.gz", ".parquet")
    store = MemoryStore(
        {uri: encoded(lines, "Parquet"), capture_uri(ROOT, NOW): capture_file(record(tensors(x=[4.0])))}
    )
    window = read(store, tmp_path)
    assert window.requests == 2
    assert window.skipped == {"of another model": 1}
    assert window.table.rows == 3


def test_if_no_file_can_be_decoded_the_others_are_counted(tmp_path):
    uris = [capture_uri(ROOT, NOW, name) for name in ("a", "b", "c")]
    with pytest.raises(AgentError, match=r"/a\.jsonl\.gz cannot be read: .*; nor can 2 other files"):
        read(MemoryStore(dict.fromkeys(uris, b"no")), tmp_path)


def test_if_no_parquet_file_can_be_decoded_it_is_named(tmp_path):
    uri = capture_uri(ROOT, NOW).replace(".jsonl.gz", ".parquet")
    with pytest.raises(AgentError, match=r"churn-1-pod-0\.parquet cannot be read") as caught:
        read(MemoryStore({uri: b"PAR1 not at all"}), tmp_path)
    assert caught.value.failure is DATA_INVALID
