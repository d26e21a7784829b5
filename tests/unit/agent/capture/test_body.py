"""Bodies that are compressed or have binary tensors."""

import gzip
import json
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perennial.agent.capture.body import decoded
from perennial.agent.capture.exchange import Budget, Message

LIMIT = 10_000
ROWS = {"instances": [{"age": 1}]}


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        (b"", bytes),
        (b"identity", bytes),
        (b"gzip", gzip.compress),
        (b"x-gzip", gzip.compress),
        (b"deflate", zlib.compress),
    ],
)
def test_json_is_read_however_it_is_compressed(encoding, pack):
    assert decoded(pack(json.dumps(ROWS).encode()), encoding, None, LIMIT) == ROWS


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"\x1f\x8bnothing", b"gzip"),
        (gzip.compress(b"{}")[:-9], b"gzip"),
        (b"{}", b"br"),
        (gzip.compress(b"[" + b" " * 10 * LIMIT + b"]"), b"gzip"),
        (gzip.compress(b"no json"), b"gzip"),
        (b"[" * 100_000, b""),
    ],
    ids=["damaged", "cut off", "unknown", "too large", "no json", "too deep"],
)
def test_what_cannot_be_decoded_is_no_document(body, encoding):
    assert decoded(body, encoding, None, LIMIT) is None


def binary(*tensors):
    """Return the body of a request with binary tensors, and the size of its JSON part."""
    described = [
        {"name": name, "shape": [shape], "datatype": kind, "parameters": {"binary_data_size": len(data)}}
        for name, kind, shape, data in tensors
    ]
    head = json.dumps({"id": "7", "inputs": described}).encode()
    return head + b"".join(data for *_, data in tensors), len(head)


def test_binary_tensors_are_kept_as_if_they_had_been_sent_as_json():
    texts = b"".join(struct.pack("<I", len(text)) + text for text in (b"basic", b"pl\xc3\xbcs"))
    body, size = binary(
        ("age", "INT64", 2, struct.pack("<2q", 41, -3)),
        ("income", "FP32", 2, struct.pack("<2f", 0.5, float("nan"))),
        ("flag", "BOOL", 2, b"\x01\x00"),
        ("plan", "BYTES", 2, texts),
    )
    document = decoded(body, b"", size, LIMIT)
    assert document["id"] == "7"
    data = {tensor["name"]: tensor["data"] for tensor in document["inputs"]}
    assert data == {"age": [41, -3], "income": [0.5, None], "flag": [True, False], "plan": ["basic", "plüs"]}
    assert all(tensor["parameters"] == {} for tensor in document["inputs"])


@pytest.mark.parametrize(
    ("kind", "data", "cut"),
    [("FP64", b"1234567", 0), ("FP64", b"12345678", 3), ("XY", b"1", 0), ("BYTES", b"\xff\x00\x00\x00a", 0)],
)
def test_tensors_that_do_not_fit_are_no_document(kind, data, cut):
    body, size = binary(("t", kind, 1, data))
    assert decoded(body[: len(body) - cut], b"", size, LIMIT) is None


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60), st.sampled_from([b"", b"gzip", b"deflate"]), st.none() | st.integers(0, 80))
def test_no_bytes_do_more_than_be_left_out(body, encoding, size):
    json.dumps(decoded(body, encoding, size, LIMIT))


def test_headers_tell_how_to_decode():
    body, size = binary(("age", "UINT8", 2, b"\x01\x02"))
    message = Message()
    message.header(b"content-encoding", b" GZIP ")
    message.header(b"inference-header-content-length", b"%d" % size)
    message.take(gzip.compress(body), LIMIT, Budget(LIMIT))
    assert message.document()["inputs"][0]["data"] == [1, 2]
