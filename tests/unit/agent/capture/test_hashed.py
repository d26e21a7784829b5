"""What capture hashes is never written in clear, and has the hash that a comparison gives to the same value."""

from __future__ import annotations

import json
from typing import Any

import pytest

from perennial.agent.capture.exchange import line
from perennial.agent.capture.hashed import Hashing, hashing_of
from perennial.agent.capture.recorder import Recorder
from perennial.agent.capture.redact import TooDeep
from perennial.agent.hashing import KeyedHash
from perennial.agent.storage.errors import AgentError
from perennial.api.common.pod import KeyRef
from perennial.api.contract.commands import HASH_KEY_VARIABLE, CaptureConfig
from perennial.api.modeldeployment.capture import CapturedHash, IdSource, RequestId
from perennial.core.failures import HASH_KEY_INVALID
from tests.unit.agent.records.test_files import config, exchange

KEY = "0123456789abcdef0123456789abcdef"
HIDE = KeyedHash(KEY.encode())
NAMES = frozenset({"ssn", "date of birth"})
HASHING = Hashing(NAMES, HIDE)
ONE, TWO = HIDE.of("1-2"), HIDE.of("5-6")


def hashing_config(*columns: str, **options: Any) -> CaptureConfig:
    return config(hash=CapturedHash(columns=columns, key_secret=KeyRef(name="privacy", key="hash")), **options)


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ({"age": 3, "SSN": "1-2"}, {"age": 3, "SSN": ONE}),
        ({"person": [{"ssn": "1-2", "age": 2}]}, {"person": [{"ssn": ONE, "age": 2}]}),
        ({"ssn": None, "Date of Birth": ["1-2", None, ["5-6"]]}, {"ssn": None, "Date of Birth": [ONE, None, [TWO]]}),
        (
            {
                "inputs": [
                    {"name": "ssn", "shape": [2], "datatype": "INT64", "data": [7, 7.0]},
                    {"name": "age", "data": [2]},
                ]
            },
            {
                "inputs": [
                    {"name": "ssn", "shape": [2], "datatype": "BYTES", "data": [HIDE.of("7")] * 2},
                    {"name": "age", "data": [2]},
                ]
            },
        ),
        ({"inputs": {"ssn": ["1-2"], "age": [2]}}, {"inputs": {"ssn": [ONE], "age": [2]}}),
        (
            {"dataframe_split": {"columns": ["age", "Ssn"], "data": [[1, "1-2"], ["5-6"], [4, "5-6"]]}},
            {"dataframe_split": {"columns": ["age", "Ssn"], "data": [[1, ONE], [4, TWO]]}},
        ),
        ({"data": {"names": ["ssn"], "ndarray": [["1-2"]]}}, {"data": {"names": ["ssn"], "ndarray": [[ONE]]}}),
        ({"ssn": {"1-2": "5-6"}}, {"ssn": None}),
        (
            {"name": "ssn", "shape": ["1-2"], "datatype": "1-2", "parameters": {"was": "5-6"}, "data": [True]},
            {"name": "ssn", "datatype": "BYTES", "parameters": None, "data": [HIDE.of("true")]},
        ),
        ([{"name": "ssn", "value": "1-2"}], [{"name": "ssn", "value": ONE}]),
        ("ssn", "ssn"),
        (None, None),
    ],
)
def test_values_of_a_name_are_hashed_and_the_rest_stays(body: Any, kept: Any) -> None:
    before = json.dumps(body)
    assert HASHING.document(body) == kept
    assert json.dumps(body) == before


@pytest.mark.parametrize("body", [{"ssn": 1}, 1])
def test_a_body_that_cannot_be_looked_through_is_not_kept(body: Any) -> None:
    for _ in range(100):
        body = [body]
    for deep in (body, {"ssn": body}):
        with pytest.raises(TooDeep):
            HASHING.document(deep)


def test_nothing_of_a_name_is_in_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HASH_KEY_VARIABLE, KEY)
    asked = {"id": "order-7", "ssn": "1-2", "age": 3}
    text = line(exchange(asked, {"ssn": ["1-2"], "score": 0.5}, "/p?SSN=1-2&b=2"), hashing_config("SSN"))
    record = json.loads(text)
    assert b"1-2" not in text
    assert (record["id"], record["path"]) == ("order-7", f"/p?SSN={ONE}&b=2")
    assert record["request"] == {"id": "order-7", "ssn": ONE, "age": 3}
    assert record["response"] == {"ssn": [ONE], "score": 0.5}


@pytest.mark.parametrize("source", ["Auto", "Body"])
@pytest.mark.parametrize("given", ["customer-7", 4711])
def test_a_hashed_id_is_the_id_of_the_record(
    monkeypatch: pytest.MonkeyPatch, source: IdSource, given: str | int
) -> None:
    monkeypatch.setenv(HASH_KEY_VARIABLE, KEY)
    settings = hashing_config("ID", id=RequestId(source=source))
    text = line(exchange({"id": given}, {"id": given}, f"/p?id={given}"), settings)
    assert str(given).encode() not in text
    assert json.loads(text)["id"] == HIDE.of(str(given))


def test_a_hashed_header_is_the_id_of_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HASH_KEY_VARIABLE, KEY)
    found = exchange({"age": 3})
    found.given_id = "customer-7"
    record = json.loads(line(found, hashing_config("x-request-ID")))
    assert record["id"] == record["requestId"] == HIDE.of("customer-7")
    unnamed = json.loads(line(exchange({"age": 3}), hashing_config("x-request-ID")))
    assert "requestId" not in unnamed


def test_what_is_named_twice_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HASH_KEY_VARIABLE, KEY)
    record = json.loads(line(exchange({"ssn": "1-2", "age": 3}), hashing_config("ssn", redact=("SSN",))))
    assert record["request"] == {"age": 3}


@pytest.mark.parametrize("body", [b'{"ssn": "1-2"', b"ssn=1-2", b"\x1f\x8bssn 1-2"])
def test_a_body_that_cannot_be_parsed_is_not_written(monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    monkeypatch.setenv(HASH_KEY_VARIABLE, KEY)
    found = exchange({})
    found.request.body[:] = body
    text = line(found, hashing_config("ssn"))
    assert b"1-2" not in text
    assert json.loads(text)["request"] is None


@pytest.mark.parametrize("environment", [{}, {HASH_KEY_VARIABLE: ""}, {HASH_KEY_VARIABLE: "short"}])
def test_without_a_usable_key_the_sidecar_does_not_start(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    monkeypatch.delenv(HASH_KEY_VARIABLE, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    written: list[str] = []
    with pytest.raises(
        AgentError, match=r"key hash of Secret privacy \(capture.hash.keySecret\) .* too short"
    ) as caught:
        Recorder(hashing_config("ssn"), lambda uri, *_: written.append(uri))
    assert caught.value.failure is HASH_KEY_INVALID
    assert not caught.value.failure.retriable
    with pytest.raises(AgentError):
        line(exchange({"ssn": "1-2"}), hashing_config("ssn"))
    assert not written


def test_the_key_is_neither_shown_nor_in_a_hash() -> None:
    hashing = hashing_of(hashing_config("ssn"), {HASH_KEY_VARIABLE: KEY})
    assert KEY not in repr(hashing)
    assert hashing_of(config(), {}) == Hashing()
    other = KeyedHash(KEY[::-1].encode())
    assert HIDE.of("1-2") != other.of("1-2")
    assert HIDE.fingerprint != other.fingerprint
    assert HIDE.once(HIDE.of("a")) == HIDE.of("a")
    assert HIDE.once(other.of("a")) == other.of("a")
    assert HIDE.of(HIDE.of("a")) != HIDE.of("a"), "what a client sends is hashed, whatever it looks like"


def test_a_record_tells_that_values_were_hashed() -> None:
    hashing = Hashing(frozenset({"ssn"}), HIDE)
    told = [
        json.loads(line(exchange(body), hashing_config("ssn"), hashing)).get("hidden")
        for body in ({"ssn": "1-2", "age": 3}, {"age": 3}, {"ssn": None, "age": 3})
    ]
    assert told == [True, None, None]
