"""The files that capture writes: JSON lines, or Parquet with the same fields as columns."""

import gzip
from collections.abc import Callable, Sequence
from typing import Literal

Format = Literal["JsonLines", "Parquet"]

SUFFIX: dict[Format, str] = {"JsonLines": ".jsonl.gz", "Parquet": ".parquet"}
CONTENT_TYPE: dict[Format, str] = {"JsonLines": "application/gzip", "Parquet": "application/vnd.apache.parquet"}


def load(form: Format) -> None:
    """Load what a form needs, and use it once: both take a while, and predictions should not wait for it."""
    if form == "Parquet":
        pass


def encoded(lines: Sequence[bytes], form: Format, breathe: Callable[[], None] = lambda: None) -> bytes:
    """Return a file that holds records.

    Args:
        lines: one JSON object each, as `exchange.line` makes them.
        form: of the file.
        breathe: called between pieces of work; lets other threads run.
    """
    if form == "JsonLines":
        return gzip.compress(b"".join(lines), compresslevel=1)
    from perennial.agent.records import parquet

    return parquet.encoded(lines, breathe)
