"""What of a request is written, and that it can be read back, whichever the form of the file."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from perennial.agent.capture.exchange import Exchange, line
from perennial.agent.capture.redact import TooDeep, redacted, redacted_target
from perennial.agent.records import parquet
from perennial.agent.records.files import encoded, warm_up
from perennial.agent.records.parquet import parquet_lines
from perennial.api.contract.commands import CaptureConfig
from perennial.api.modeldeployment.capture import IdSource, RequestId

ROOT = Path(__file__).parents[4]
NAMES = frozenset({"ssn", "date of birth"})


def config(**options: Any) -> CaptureConfig:
    return CaptureConfig(
        uri="s3://capture/churn/",
        listen_port=9080,
        upstream_port=8080,
        namespace="default",
        deployment="churn",
        revision="abcd1234",
        digest="sha256:" + "d" * 64,
        **options,
    )


def exchange(asked: Any, answered: Any = None, target: str = "/v2/models/churn/infer") -> Exchange:
    found = Exchange(method="POST", target=target, status=200, wall=1769860800.25, seconds=0.0125)
    found.request.body += json.dumps(asked).encode()
    found.response.body += json.dumps(answered).encode() if answered is not None else b""
    return found


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ({"age": 3, "SSN": "1-2"}, {"age": 3}),
        ({"person": [{"ssn": "1", "age": 2}]}, {"person": [{"age": 2}]}),
        (
            {"inputs": [{"name": "ssn", "shape": [1], "data": ["1"]}, {"name": "age", "shape": [1], "data": [2]}]},
            {"inputs": [{"name": "age", "shape": [1], "data": [2]}]},
        ),
        ({"inputs": {"ssn": ["1"], "age": [2]}}, {"inputs": {"age": [2]}}),
        (
            {"dataframe_split": {"columns": ["age", "Ssn", "x"], "data": [[1, "1-2", 3], [4, "5-6", 6]]}},
            {"dataframe_split": {"columns": ["age", "x"], "data": [[1, 3], [4, 6]]}},
        ),
        ({"columns": ["ssn"], "data": [["1"], ["too", "long"], "odd"]}, {"columns": [], "data": [[]]}),
        ({"dataframe_records": [{"Date of Birth": "x", "a": 1}]}, {"dataframe_records": [{"a": 1}]}),
        (
            {"data": {"names": ["ssn", "age"], "ndarray": [["1-2", 3]]}},
            {"data": {"names": ["age"], "ndarray": [[3]]}},
        ),
        ({"output": {"name": "ssn", "data": ["1-2"]}, "a": 1}, {"a": 1}),
        ({"name": "ssn", "data": ["1-2"]}, None),
        ("ssn", "ssn"),
        (None, None),
        ([1, {"name": 3}], [1, {"name": 3}]),
    ],
)
def test_what_is_named_is_left_out(body: Any, kept: Any) -> None:
    before = json.dumps(body)
    assert redacted(body, NAMES) == kept
    assert json.dumps(body) == before


def test_a_body_that_cannot_be_looked_through_is_not_kept() -> None:
    body: Any = {"ssn": 1}
    for _ in range(100):
        body = [body]
    with pytest.raises(TooDeep):
        redacted(body, NAMES)


@pytest.mark.parametrize(
    ("target", "kept"),
    [("/a?ssn=1&b=2", "/a?b=2"), ("/a?SSN=1", "/a"), ("/a", "/a"), ("/a?b=ssn", "/a?b=ssn"), ("/ssn", "/ssn")],
)
def test_query_parameters_as_well(target: str, kept: str) -> None:
    assert redacted_target(target, NAMES) == kept


def test_nothing_of_a_name_is_in_the_line_but_the_id_is() -> None:
    asked = {"id": "order-7", "ssn": "123-45", "age": 3}
    text = line(exchange(asked, {"ssn": "123-45", "score": 0.5}, "/p?ssn=123-45"), config(redact=("SSN",)))
    assert b"123-45" not in text
    record = json.loads(text)
    assert (record["id"], record["request"], record["response"]) == (
        "order-7",
        {"id": "order-7", "age": 3},
        {"score": 0.5},
    )


@pytest.mark.parametrize("source", ["Auto", "Body", "Header"])
@pytest.mark.parametrize("given", ["customer-7", 4711])
def test_a_redacted_id_is_not_the_id_of_the_record(source: IdSource, given: str | int) -> None:
    settings = config(redact=("ID",), id=RequestId(source=source))
    text = line(exchange({"id": given, "age": 3}, {"id": given, "score": 0.5}, f"/p?id={given}"), settings)

    assert str(given).encode() not in text
    assert len(json.loads(text)["id"]) == 32


def test_a_redacted_header_is_not_the_id_of_the_record() -> None:
    found = exchange({"age": 3})
    found.given_id = "customer-7"

    assert b"customer-7" not in line(found, config(redact=("x-request-ID",)))


@pytest.mark.parametrize(
    ("source", "body", "header", "expected"),
    [
        ("Auto", {"id": "order-7"}, "from-the-mesh", "order-7"),
        ("Auto", {"id": 9007199254740993}, "from-the-mesh", "9007199254740993"),
        ("Auto", {"id": True}, "from-the-mesh", "from-the-mesh"),
        ("Auto", [1], "from-the-mesh", "from-the-mesh"),
        ("Auto", {"id": "order-7"}, "", "order-7"),
        ("Body", {"id": "order-7"}, "from-the-mesh", "order-7"),
        ("Body", {}, "from-the-mesh", None),
        ("Header", {"id": "order-7"}, "from-the-caller", "from-the-caller"),
        ("Header", {"id": "order-7"}, "", None),
    ],
)
def test_the_source_of_the_id(source: IdSource, body: Any, header: str, expected: str | None) -> None:
    found = exchange(body)
    found.given_id = header

    record = json.loads(line(found, config(id=RequestId(source=source))))

    assert record.get("requestId", "") == header
    assert record["id"] == expected if expected is not None else record["id"] not in (header, "order-7", "")


def test_a_parquet_file_without_the_newer_columns_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(encoded([line(exchange({"id": "a"}), config())], "Parquet"))
    pl.read_parquet(path).drop("requestId").write_parquet(path)

    (text,) = parquet_lines(path)

    assert json.loads(text)["id"] == "a"


def test_parquet_holds_what_lines_hold(tmp_path: Path) -> None:
    truncated = exchange({"b": 2})
    truncated.request.truncated = True
    with_header = exchange({"id": "b"})
    with_header.given_id = "from-the-mesh"
    lines = [
        line(exchange({"id": "a", "x": [1, 2.5, None, "é"]}, {"y": 1}), config()),
        line(truncated, config()),
        line(with_header, config()),
        *(line(exchange({"id": str(number)}), config()) for number in range(1200)),
    ]
    path = tmp_path / "a.parquet"
    path.write_bytes(encoded(lines, "Parquet"))
    back = [json.loads(text) for text in parquet_lines(path)]
    plain = [json.loads(text) for text in gzip.decompress(encoded(lines, "JsonLines")).splitlines()]
    flags = {"requestTruncated": False, "responseTruncated": False, "hidden": False}
    assert back == [{**flags, **record} for record in plain]
    frame = pl.read_parquet(path)
    assert frame.schema["time"] == pl.Datetime("ms", "UTC")
    assert frame["latencyMs"][0] == 12.5
    assert frame["request"][1] is None, "a body that was cut is not kept"


@pytest.mark.parametrize(
    ("found", "hidden"),
    [
        (exchange({"ssn": "1", "age": 2}), True),
        (exchange({"age": 2}, {"ssn": "1"}), True),
        (exchange({"age": 2}, target="/v2/models/churn/infer?ssn=1"), True),
        (exchange({"ssn": "1"}), True),
        (exchange({"age": 2}, {"y": 1}, target="/v2/models/churn/infer?a=1"), False),
    ],
    ids=["request", "answer", "query", "all of it", "nothing"],
)
def test_a_record_tells_whether_values_were_hidden_in_either_format(
    tmp_path: Path, found: Exchange, hidden: bool
) -> None:
    record = line(found, config(redact=("SSN",)))
    assert json.loads(record).get("hidden", False) is hidden
    path = tmp_path / "a.parquet"
    path.write_bytes(encoded([record], "Parquet"))
    assert [json.loads(text)["hidden"] for text in parquet_lines(path)] == [hidden]
    pl.read_parquet(path).drop("hidden").write_parquet(path)  # as an earlier version wrote it
    assert ["hidden" in json.loads(text) for text in parquet_lines(path)] == [False]


def test_an_empty_file_is_one_too(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(encoded([], "Parquet"))
    assert list(parquet_lines(path)) == []


@pytest.mark.parametrize(("count", "breaths"), [(0, 1), (16, 1), (17, 2), (100, 7)])
def test_a_large_file_is_made_in_pieces_between_which_predictions_go_on(
    tmp_path: Path, count: int, breaths: int
) -> None:
    lines = [line(exchange({"n": number}), config()) for number in range(count)]
    breathed: list[None] = []

    data = encoded(lines, "Parquet", lambda: breathed.append(None))

    assert len(breathed) == breaths
    path = tmp_path / "records.parquet"
    path.write_bytes(data)
    assert [json.loads(found)["request"] for found in parquet_lines(path)] == [{"n": number} for number in range(count)]


def test_warming_up_encodes_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a record, polars initializes most of its conversion with the first one: 67 ms instead of 1 ms."""
    encoded_lines: list[bytes] = []
    encode = parquet.encoded
    monkeypatch.setattr(parquet, "encoded", lambda lines: encoded_lines.extend(lines) or encode(lines))

    warm_up("Parquet")

    (sample,) = (json.loads(text) for text in encoded_lines)
    assert set(sample) >= {"time", "id", "status", "latencyMs", "request", "response"}


def test_warming_up_loads_the_encoder_before_the_first_record() -> None:
    program = (
        "import sys; from perennial.agent.records.files import warm_up; warm_up('{}'); print('polars' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
    loaded = {
        form: subprocess.run(
            [sys.executable, "-c", program.format(form)], check=True, capture_output=True, text=True, env=environment
        ).stdout.strip()
        for form in ("JsonLines", "Parquet")
    }
    assert loaded == {"JsonLines": "False", "Parquet": "True"}
