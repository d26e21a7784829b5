import gzip
import os
import subprocess

import numpy as np
import polars as pl
import pytest

from perennial.agent.storage.errors import AgentError, classify
from perennial.agent.tables.files import Download, Listing, is_table, read_tables, tables_under
from perennial.agent.tables.table import PartitionWriter, Table
from perennial.core.failures import DATA_INVALID, OUT_OF_SPACE
from tests.unit.agent.drift.store import MemoryStore, csv, parquet


def read(tmp_path, as_text=(), **files) -> Table:
    store = MemoryStore({f"s3://data/ref/{name.replace('__', '.')}": content for name, content in files.items()})
    return read_tables(store, tables_under(store, "s3://data/ref/"), tmp_path, set(as_text))


def read_all(tmp_path, **files) -> list[pl.Series]:
    table = read(tmp_path, **files)
    return [table.column(name) for name in table.columns]


def failure(tmp_path, **files) -> AgentError:
    with pytest.raises(AgentError) as caught:
        read_all(tmp_path, **files)
    assert caught.value.failure is DATA_INVALID
    return caught.value


def test_parquet_csv_and_json_lines_are_one_table(tmp_path):
    table = read(
        tmp_path,
        a__parquet=parquet({"x": [1, 2], "y": ["a", "b"]}),
        b__csv=csv({"x": [3.5], "z": [True]}),
        c__jsonl=b'{"x": 4, "y": "c"}\n\n{"x": null}\n',
        d__csv__gz=gzip.compress(csv({"x": [6]})),
        e__ndjson__gz=gzip.compress(b'{"x": 7}\n'),
    )
    assert table.rows == 7
    assert table.columns == ("x", "y", "z")
    assert table.column("x").to_list() == [1.0, 2.0, 3.5, 4.0, None, 6.0, 7.0]
    assert table.column("y").to_list() == ["a", "b", None, "c", None, None, None]
    assert table.column("nowhere").null_count() == 7


def test_a_single_object_is_read_too(tmp_path):
    store = MemoryStore({"s3://data/ref.csv": csv({"x": [1]}), "s3://data/ref.csv.bak": b"?"})
    assert read_tables(store, tables_under(store, "s3://data/ref.csv"), tmp_path, set()).rows == 1


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("a.parquet", True),
        ("deep/b.PQ", True),
        ("c.csv.gz", True),
        ("d.json", True),
        ("C.CSV.GZ", True),
        ("c.csv.bz2", True),
        ("c.tsv", True),
        ("_region=eu/c.csv", True),
        ("_temporary/0/c.csv", False),
        (".staging/c.csv", False),
        ("_delta_log/0.json", False),
        ("metadata/v1.metadata.json", False),
        ("c.csv.xz", False),
        ("_SUCCESS", False),
        ("deep/_temporary.parquet", False),
        (".hidden.csv", False),
        ("model.pkl", False),
        ("notes.txt.gz", False),
    ],
)
def test_tables_are_told_by_their_names(name, answer):
    assert is_table(name) is answer


def test_files_that_are_no_tables_are_passed_over_but_not_all_may_be():
    store = MemoryStore({"s3://data/ref/a.csv": b"x\n1\n", "s3://data/ref/_SUCCESS": b"", "s3://data/img/a.png": b"?"})
    assert [item.uri for item in tables_under(store, "s3://data/ref/").files] == ["s3://data/ref/a.csv"]
    with pytest.raises(AgentError, match=r"none of the 1 objects under s3://data/img/ ends in \.parquet") as caught:
        tables_under(store, "s3://data/img/")
    assert caught.value.failure is DATA_INVALID


def test_a_uri_of_one_file_is_read_even_if_hidden_and_folders_above_it_do_not_count():
    store = MemoryStore({"s3://data/_old/_x.csv": b"x\n1\n"})
    assert [item.uri for item in tables_under(store, "s3://data/_old/_x.csv").files] == ["s3://data/_old/_x.csv"]
    assert tables_under(MemoryStore({"s3://data/_old/x.csv": b"x\n1\n"}), "s3://data/_old/").passed_over == ()


def test_a_neighbouring_prefix_is_never_read():
    store = MemoryStore({"s3://data/a-b/x.csv": b"x\n1\n"})
    assert tables_under(store, "s3://data/a/") == tables_under(store, "s3://data/a") == Listing(())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bad__parquet", b"PAR1 this is none"),
        ("empty__parquet", b""),
        ("half__parquet", parquet({"x": list(range(1000))})[:-40]),
        ("ragged__csv", b"x,y\n1,2\n3,4,5\n"),
        ("binary__csv", b"x,y\n\xff\xfe\x00,1\n"),
        ("cut__csv__gz", gzip.compress(csv({"x": list(range(1000))}))[:-20]),
        ("none__csv__gz", b"not gzip"),
        ("cut__jsonl", b'{"x": 1}\n{"x": 2, "y"'),
        ("array__json", b'[{"x": 1}, {"x": 2}]'),
        ("scalar__jsonl", b"1\n2\n"),
    ],
)
def test_a_corrupt_file_is_named(tmp_path, name, content):
    error = failure(tmp_path, good__csv=b"x\n1\n", **{name: content})
    assert f"s3://data/ref/{name.replace('__', '.')} cannot be read" in str(error)
    assert "\n" not in str(error)


def test_parquet_broken_in_the_middle_is_named_when_its_column_is_read(tmp_path):
    content = bytearray(parquet({"x": list(range(5000))}))
    content[50:400] = bytes(350)
    assert "mid.parquet cannot be read" in str(failure(tmp_path, mid__parquet=bytes(content)))


def test_files_without_rows_are_no_fault(tmp_path):
    table = read(tmp_path, a__csv=b"", b__csv=b"x,y\n", c__jsonl=b"", d__jsonl=b"\n", e__csv=b"x,y\n1,2\n")
    assert table.rows == 1
    assert table.column("x").cast(pl.Int64).to_list() == [1]


def test_a_column_with_one_text_far_down_becomes_text(tmp_path):
    rows = "\n".join(str(number) for number in range(3000))
    table = read(tmp_path, a__csv=f"x\n{rows}\nbroken\n".encode())
    assert table.column("x").dtype == pl.String
    assert table.column("x")[-1] == "broken"


def test_files_that_disagree_on_a_type_meet_as_text(tmp_path):
    table = read(tmp_path, a__parquet=parquet({"x": [1, 2]}), b__parquet=parquet({"x": ["a"]}))
    assert table.column("x").to_list() == ["1", "2", "a"]


def test_booleans_beside_numbers_are_numbers(tmp_path):
    table = read(tmp_path, a__parquet=parquet({"x": [True, False]}), b__parquet=parquet({"x": [0.5]}))
    assert table.column("x").to_list() == [1.0, 0.0, 0.5]


def test_json_lines_of_changing_types_are_read_line_by_line(tmp_path):
    lines = b'{"x": 1, "b": true}\n{"x": 1.5, "b": 2}\n{"x": NaN, "n": {"deep": 1}}\n{"x": 2, "s": "t"}\n'
    table = read(tmp_path, a__jsonl=lines)
    values = table.column("x").to_list()
    assert values[:2] == [1.0, 1.5]
    assert values[2] != values[2]
    assert table.column("b").to_list() == [1.0, 2.0, None, None]
    assert table.column("s").to_list() == [None, None, None, "t"]


def test_csv_keeps_leading_zeros_of_declared_categories(tmp_path):
    table = read(tmp_path, as_text={"zip", "nowhere"}, a__csv=b"zip,x\n01234,1\n,2\n")
    assert table.column("zip").to_list() == ["01234", None]


def test_missing_values_of_csv(tmp_path):
    table = read(tmp_path, a__csv=b"x,c\n1,NA\nNaN,\nnull,a\n,b\n")
    assert table.column("x").to_list() == [1, None, None, None]
    assert table.column("c").to_list() == ["NA", None, "a", "b"]


def test_downloads_are_used_up_so_that_the_volume_holds_each_file_once(tmp_path):
    read(tmp_path, a__csv__gz=gzip.compress(b"x\n1\n"), b__jsonl=b'{"x":1}\n')
    assert sorted(path.suffix for path in tmp_path.rglob("*") if path.is_file()) == [".parquet", ".parquet"]


def test_a_download_is_bound_to_the_listed_content(tmp_path):
    seen = []

    class Store(MemoryStore):
        def download(self, uri, path, size=None, etag=None):
            seen.append((uri, size, etag))
            return super().download(uri, path, size, etag)

    store = Store({"s3://data/a.csv": b"x\n1\n"})
    read_tables(store, Listing((Download("s3://data/a.csv", 4, "etag"),)), tmp_path, set())
    assert seen == [("s3://data/a.csv", 4, "etag")]


def test_parts_are_written_before_memory_fills(tmp_path, monkeypatch):
    monkeypatch.setattr("perennial.agent.tables.table.ROWS_PER_PARTITION", 3)
    writer = PartitionWriter(tmp_path, "s3://capture/")
    writer.add({"x": [1, 2]}, 2)
    writer.add({"y": ["a", None]}, 2)
    writer.add({}, 1)
    table = writer.finish()
    assert [partition.rows for partition in table.partitions] == [4, 1]
    assert table.rows == 5
    assert table.column("x").to_list() == [1.0, 2.0, None, None, None]
    assert table.column("y").to_list() == [None, None, "a", None, None]


def test_wide_rows_make_small_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("perennial.agent.tables.table._VALUES_PER_PARTITION", 100)
    writer = PartitionWriter(tmp_path, "s3://capture/")
    for _ in range(5):
        writer.add({f"x.{at}": [1.0] for at in range(50)}, 1)
    assert [partition.rows for partition in writer.finish().partitions] == [2, 2, 1]


def test_nothing_written_is_an_empty_table(tmp_path):
    table = PartitionWriter(tmp_path, "s3://capture/").finish()
    assert (table.rows, table.columns, table.column("x").len()) == (0, (), 0)


@pytest.fixture
def small_disk(tmp_path):
    """Return a folder on a disk of 256 KiB, by a mount of its own; only root can make one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("a small disk needs root and mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", ["a__csv", "a__jsonl", "mixed__jsonl", "a__csv__gz"])
def test_a_full_disk_is_not_blamed_on_the_data(small_disk, name):
    numbers = np.random.default_rng(0).random(10_000)
    if "csv" in name:
        content = csv({"x": numbers})
        content = gzip.compress(content) if name.endswith("gz") else content
    else:
        kinds = [f'{{"x": {"true" if name == "mixed__jsonl" and i % 2 else value}}}' for i, value in enumerate(numbers)]
        content = "\n".join(kinds).encode()

    class Elsewhere(MemoryStore):
        """Downloads cost no room, so that only the rows do."""

        def download(self, uri, path, size=None, etag=None):
            elsewhere = small_disk.parent / path.name
            digest = super().download(uri, elsewhere, size, etag)
            path.symlink_to(elsewhere)
            return digest

    store = Elsewhere({f"s3://data/ref/{name.replace('__', '.')}": content})
    numbers_filler = (small_disk / "filler").write_bytes(bytes(230_000))
    assert numbers_filler
    with pytest.raises((AgentError, OSError)) as caught:
        read_tables(store, tables_under(store, "s3://data/ref/"), small_disk, set())
    assert classify(caught.value, "s3://data/ref/").failure is OUT_OF_SPACE
