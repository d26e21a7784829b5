"""Encodes captured records as JSON lines, or as Parquet with the same fields as columns."""

import gzip
from collections.abc import Callable, Sequence
from typing import Literal

Format = Literal["JsonLines", "Parquet"]

SUFFIX: dict[Format, str] = {"JsonLines": ".jsonl.gz", "Parquet": ".parquet"}
CONTENT_TYPE: dict[Format, str] = {"JsonLines": "application/gzip", "Parquet": "application/vnd.apache.parquet"}


def warm_up(form: Format) -> None:
    """Import and run the encoder once: the first use of polars is slow and would delay predictions."""
    if form == "Parquet":
        from perennial.agent.records import parquet

        parquet.encoded([])


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
