"""Reads the times of labels. A notation that is neither declared nor ISO 8601 is refused, never guessed."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

import polars as pl

from perennial.stats.intervals import Undefined

_ISO = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)?)?")
_MICROSECONDS = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def order_of(times: pl.Series, column: str, notation: str | None) -> pl.Series:
    """Convert times to numbers in time order: numbers stay, all others become instants (`pl.Datetime`).

    Args:
        times: dates, datetimes, numbers, or text in `notation`.
        column: name of the column, for the error.
        notation: as in strptime; also applies to numbers such as 20260131. None: ISO 8601.

    Raises:
        Undefined: a value has another notation; the message quotes it.
    """
    dtype = times.dtype
    if dtype in (pl.Date, pl.Datetime):
        return pl.Series(times.name, times.dt.epoch("us"), dtype=pl.Int64).cast(pl.Datetime("us"))
    if dtype == pl.Null:
        return times
    if notation is None and dtype.is_float():
        return times.cast(pl.Float64)
    if notation is None and dtype.is_integer():
        return times.cast(pl.Int64, strict=False)
    if dtype == pl.String or (notation is not None and dtype.is_integer()):
        return _parsed(times.cast(pl.String), column, notation)
    raise Undefined(f"groundTruth.time {column} contains {dtype}, which is no time")


def _parsed(texts: pl.Series, column: str, notation: str | None) -> pl.Series:
    read = _of_notation(notation) if notation is not None else _of_iso
    instants = {text: _instant(text, read, column, notation) for text in texts.unique().drop_nulls()}
    values = [None if text is None else instants[text] for text in texts]
    return pl.Series(texts.name, values, dtype=pl.Int64).cast(pl.Datetime("us"))


def _instant(text: str, read: Callable[[str], datetime], column: str, notation: str | None) -> int:
    """Return the microseconds since 1970."""
    try:
        moment = read(text.strip())
    except ValueError:
        wanted = f"in the notation {notation}" if notation is not None else "ISO 8601: set groundTruth.timeFormat"
        raise Undefined(f"groundTruth.time {column} contains {text[:64]!r}, which is not {wanted}") from None
    passed = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)) - _EPOCH
    return (passed.days * 86_400 + passed.seconds) * _MICROSECONDS + passed.microseconds


def _of_iso(text: str) -> datetime:
    if _ISO.fullmatch(text) is None:
        raise ValueError(text)
    return datetime.fromisoformat(text)


def _of_notation(notation: str) -> Callable[[str], datetime]:
    # Without an offset in the notation the result is taken as UTC by the caller.
    return lambda text: datetime.strptime(text, notation)  # noqa: DTZ007
