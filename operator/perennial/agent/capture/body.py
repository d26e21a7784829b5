"""Decodes bodies: JSON, compressed by gzip or deflate, or with binary tensors of the Open Inference Protocol."""

import json
import struct
import zlib
from math import isfinite
from typing import Any

_NAMED = frozenset({b"gzip", b"x-gzip", b"deflate"})
_EITHER = 47
"""zlib's window size that accepts the headers of gzip and of zlib."""
_CODES = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
"""Format of one value in `struct`, by datatype. Values are little-endian."""
_LENGTH = struct.Struct("<I")


def decoded(body: bytes, encoding: bytes, header_size: int | None, limit: int) -> Any:
    """Return the document in a body; None if it cannot be decoded.

    Args:
        body: all bytes of the body.
        encoding: value of Content-Encoding, in lower case; empty for none.
        header_size: value of Inference-Header-Content-Length: size of the JSON part, behind which the values of tensors
            follow. None: the whole body is JSON.
        limit: most bytes after decompression, so that a small body cannot fill the memory.
    """
    plain = body if encoding in (b"", b"identity") else _unpacked(body, encoding, limit)
    if plain is None:
        return None
    try:
        if header_size is None:
            return json.loads(plain)
        return _with_values(json.loads(plain[:header_size]), plain[header_size:])
    except (ValueError, RecursionError, struct.error):
        return None


def _unpacked(body: bytes, encoding: bytes, limit: int) -> bytes | None:
    """Return a decompressed body; None if it is damaged, larger than the limit, or encoded in another way."""
    if encoding not in _NAMED:
        return None
    reader = zlib.decompressobj(_EITHER)
    try:
        plain = reader.decompress(body, max(1, limit))
    except zlib.error:
        return None
    return plain if reader.eof else None


def _with_values(document: Any, values: bytes) -> Any:
    """Return a document whose binary tensors have their values as `data`, as if it had been sent as JSON.

    Raises:
        ValueError: sizes, shapes and values do not fit.
    """
    if not isinstance(document, dict):
        return document
    for key in ("inputs", "outputs"):
        tensors = document.get(key)
        for tensor in tensors if isinstance(tensors, list) else ():
            size = _binary_size(tensor)
            if size is None:
                continue
            if not 0 <= size <= len(values):
                raise ValueError("a tensor is longer than the body")
            tensor["data"] = _values(tensor.get("datatype"), values[:size])
            del tensor["parameters"]["binary_data_size"]
            values = values[size:]
    return document


def _binary_size(tensor: Any) -> int | None:
    parameters = tensor.get("parameters") if isinstance(tensor, dict) else None
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    return size if isinstance(size, int) and not isinstance(size, bool) else None


def _values(datatype: Any, data: bytes) -> list[Any]:
    """Return the values of a tensor; NaN and infinity, which JSON cannot hold, as None.

    Raises:
        ValueError: the datatype is unknown, or the size does not fit it.
        struct.error: the same.
    """
    if datatype == "BYTES":
        return _texts(data)
    code = _CODES.get(datatype) if isinstance(datatype, str) else None
    if code is None:
        raise ValueError("a tensor has an unknown datatype")
    found = struct.unpack(f"<{len(data) // struct.calcsize('<' + code)}{code}", data)
    return [value if not isinstance(value, float) or isfinite(value) else None for value in found]


def _texts(data: bytes) -> list[str]:
    found, at = [], 0
    while at < len(data):
        (size,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if at + size > len(data):
            raise ValueError("a text is longer than its tensor")
        found.append(data[at : at + size].decode("utf-8", "replace"))
        at += size
    return found
