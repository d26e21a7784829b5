"""Encodes captured records as JSON lines, or as Parquet with the same fields as columns."""

import gzip
from collections.abc import Callable, Sequence
from typing import Literal

Format = Literal["JsonLines", "Parquet"]

SUFFIX: dict[Format, str] = {"JsonLines": ".jsonl.gz", "Parquet": ".parquet"}
CONTENT_TYPE: dict[Format, str] = {"JsonLines": "application/gzip", "Parquet": "application/vnd.apache.parquet"}


_SAMPLE = b'{"time":"2026-01-31T12:00:00.000Z","id":"a","status":200,"latencyMs":1.5,"request":{"a":1},"response":[1]}'
"""A record for the warm-up: without one, polars initializes its conversion with the first record (67 ms)."""


def warm_up(form: Format) -> None:
    """Import and run the encoder once: the first use of polars is slow and would delay predictions."""
    if form == "Parquet":
        from perennial.agent.records import parquet

        parquet.encoded([_SAMPLE])


def encoded(lines: Sequence[bytes], form: Format, yield_control: Callable[[], None] = lambda: None) -> bytes:
    """Return the content of a file with the records.

    Args:
        lines: one JSON object each, as `exchange.line` makes them.
        form: file format.
        yield_control: called between chunks, to let other threads run.
    """
    if form == "JsonLines":
        return gzip.compress(b"".join(lines), compresslevel=1)
    from perennial.agent.records import parquet

    return parquet.encoded(lines, yield_control)
