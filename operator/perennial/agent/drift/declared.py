"""Judges current data by what `checks.quality.columns` declares, as far as the comparison of columns has not.

The comparison judges missing values, the range of columns of numbers and the categories of others. Types are judged
here, by the rows, and everything about columns that are not compared, such as dates, ids, free text and labels.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import polars as pl
from polars.exceptions import PanicException, PolarsError

from perennial.agent.drift.data.current import Current
from perennial.agent.drift.data.privacy import Guard
from perennial.agent.drift.pairs import inconvertible
from perennial.agent.tables.table import Table, as_text
from perennial.agent.text import count, number, percent, share_of
from perennial.api.driftmonitor.checks import ColumnConstraint, ColumnType, QualityCheck

Kinds = Mapping[str, str]
Part = Literal["type", "missing", "values", "column"]
_JUDGED = {"numeric": ("max_missing", "min", "max"), "categorical": ("max_missing", "values")}
"""Fields that the comparison of a column judges, by the kind as which it was compared."""
_ORIGIN = "checks.quality.columns"
_ISO_TIME = r"^\d{4}-\d{2}-\d{2}([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.,]\d{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)?)?$"
_PLURALS: Mapping[ColumnType, str] = {
    "number": "numbers",
    "integer": "whole numbers",
    "text": "texts",
    "boolean": "true or false",
    "time": "dates or times",
}


@dataclass(frozen=True)
class Breach:
    """What breaks a declaration, or cannot be judged by it.

    Attributes:
        name: the column.
        text: what was found.
        part: what is broken, as far as tools know a name for it.
    """

    name: str
    text: str
    part: Part | None = None

    @property
    def finding(self) -> str:
        """The finding of data quality."""
        return f"{self.name}: {self.text}"


@dataclass(frozen=True)
class Tally:
    """Rows of a column by what a constraint says of them.

    Attributes:
        rows: all rows.
        values: those with a value.
        wrong: values of another type than declared.
        numbers: values that are numbers.
        below: numbers below the minimum.
        above: numbers above the maximum.
        unlisted: values that are not among the allowed ones.
    """

    rows: int = 0
    values: int = 0
    wrong: int = 0
    numbers: int = 0
    below: int = 0
    above: int = 0
    unlisted: int = 0

    def plus(self, other: "Tally") -> "Tally":
        """Return the tally of the rows of both."""
        return Tally(
            self.rows + other.rows,
            self.values + other.values,
            self.wrong + other.wrong,
            self.numbers + other.numbers,
            self.below + other.below,
            self.above + other.above,
            self.unlisted + other.unlisted,
        )


def declared_needs_rows(check: QualityCheck | None, compared: Collection[str]) -> bool:
    """Whether a constraint can be judged by rows only: it declares a type, or its column will not be compared."""
    return any(item.type is not None or item.name not in compared for item in (check.columns if check else ()))


def shown_parts(check: QualityCheck | None, guard: Guard) -> tuple[QualityCheck | None, tuple[str, ...]]:
    """Return the check without what privacy hides, and findings that say so. Dropped columns are not named."""
    if check is None:
        return None, ()
    kept: list[ColumnConstraint] = []
    findings = []
    for item in check.columns:
        if item.name in guard.dropped:
            continue
        hidden = item.name in guard.hashed and (item.type, item.min, item.max, item.values) != (None,) * 4
        if hidden:
            findings.append(
                f"{item.name}: only required and maxMissing are judged, since privacy.hash hides its values"
            )
        nothing = {"type": None, "min": None, "max": None, "values": None}
        kept.append(item.model_copy(update=nothing) if hidden else item)
    lost = len(check.columns) - len(kept)
    if lost:
        findings.append(f"not judged: {count(lost, 'column')} of {_ORIGIN}, since privacy.drop leaves them out")
    return check.model_copy(update={"columns": tuple(kept)}), tuple(findings)


def declared_breaches(
    check: QualityCheck | None, current: Current, kinds: Kinds, least: int | None = None
) -> tuple[Breach, ...]:
    """Return what breaks a declaration or cannot be judged by it, in the order of the declarations.

    Args:
        check: the declarations, as `shown_parts` returns them.
        current: the current data; declared columns are read once more, in parts.
        kinds: kind of each compared column.
        least: rows that a share must have behind it. None: every share is told.

    Raises:
        AgentError: DataInvalid, if a file cannot be read.
    """
    return tuple(
        found
        for item in (check.columns if check else ())
        for found in _judge(item, current, kinds.get(item.name), least or 1)
    )


def _judge(item: ColumnConstraint, current: Current, kind: str | None, least: int) -> Iterator[Breach]:
    name = item.name
    if name not in current.columns:
        if name in current.unreadable:
            yield Breach(name, f"not judged by {_ORIGIN}, since no request has it in a readable form")
        elif item.required:
            yield Breach(name, f"{_ORIGIN} requires it, but the current data lacks it", "column")
        return
    left = _unjudged(item, kind)
    if left == ColumnConstraint(name=name, required=item.required, tolerance=item.tolerance):
        return
    if current.profile is not None:
        yield Breach(
            name,
            f"{_ORIGIN} is judged in part only, since the window was read by profiles; with a type, its rows are read",
        )
        return
    if current.table.nested(name):
        yield Breach(name, f"not judged by {_ORIGIN}, since it contains lists or records")
        return
    try:
        found = tally(left, current.table)
    except (PolarsError, PanicException) as error:  # costs this column, not the comparison
        yield Breach(name, f"not judged by {_ORIGIN}, since {inconvertible(error)}")
    else:
        yield from _breaches(left, found, least)


def _unjudged(item: ColumnConstraint, kind: str | None) -> ColumnConstraint:
    """Return what the comparison has not judged of a constraint, given the kind of the column there."""
    names = _JUDGED.get(kind, ()) if kind is not None else ()
    return item.model_copy(update=dict.fromkeys(names))


def tally(item: ColumnConstraint, table: Table) -> Tally:
    """Count the rows of a column by a constraint, in parts that fit in memory."""
    parts = (_of_series(item, batch[item.name]) for batch in table.batches([item.name]))
    return reduce(Tally.plus, parts, Tally())


def _of_series(item: ColumnConstraint, series: pl.Series) -> Tally:
    # Without its name, since polars reads some names, such as *, as patterns.
    found = series.alias("")
    values = (found.fill_nan(None) if found.dtype.is_float() else found).drop_nulls()
    numbers = _numbers(values)
    allowed = None if item.values is None else as_text(values).is_in(list(item.values))
    return Tally(
        rows=series.len(),
        values=values.len(),
        wrong=0 if item.type is None else values.len() - _true(_of_type(item.type, values, numbers)),
        numbers=numbers.count(),
        below=0 if item.min is None else _true(numbers < float(item.min)),
        above=0 if item.max is None else _true(numbers > float(item.max)),
        unlisted=0 if allowed is None else values.len() - _true(allowed),
    )


def _true(flags: pl.Series) -> int:
    return int(flags.sum() or 0)


def _numbers(values: pl.Series) -> pl.Series:
    """Return numbers, also in texts, as float64; null for other values."""
    if values.dtype.is_numeric():
        return values.cast(pl.Float64)
    if values.dtype == pl.String:
        return values.str.strip_chars().cast(pl.Float64, strict=False).fill_nan(None)
    return pl.repeat(None, values.len(), dtype=pl.Float64, eager=True)


def _of_type(kind: ColumnType, values: pl.Series, numbers: pl.Series) -> pl.Series:
    """Whether each value has a type; null as well if it has not."""
    match kind:
        case "number":
            return numbers.is_not_null()
        case "integer":
            return numbers.is_finite() & (numbers == numbers.round())
        case "text":
            return _constant(values, value=values.dtype in (pl.String, pl.Categorical, pl.Enum))
        case "boolean":
            return _are_booleans(values) | numbers.is_in([0.0, 1.0]).fill_null(value=False)
        case "time":
            return _are_times(values)


def _are_booleans(values: pl.Series) -> pl.Series:
    if values.dtype != pl.String:
        return _constant(values, value=values.dtype == pl.Boolean)
    return values.str.strip_chars().str.to_lowercase().is_in(["true", "false"])


def _are_times(values: pl.Series) -> pl.Series:
    if values.dtype != pl.String:
        return _constant(values, value=values.dtype in (pl.Date, pl.Datetime))
    texts = values.str.strip_chars()
    dates = texts.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    return texts.str.contains(_ISO_TIME) & dates.is_not_null()


def _constant(values: pl.Series, *, value: bool) -> pl.Series:
    return pl.repeat(value, values.len(), dtype=pl.Boolean, eager=True)


def _breaches(item: ColumnConstraint, found: Tally, least: int) -> Iterator[Breach]:
    name, most = item.name, float(item.tolerance)
    if item.type is not None and _more(found.wrong, found.values, most):
        share = share_of(found.wrong, found.values, least)
        yield Breach(name, f"{share} of the values are not {_PLURALS[item.type]}, the type in {_ORIGIN}", "type")
    missing = found.rows - found.values
    if item.max_missing is not None and _more(missing, found.rows, float(item.max_missing)):
        share, limit = share_of(missing, found.rows, least), percent(float(item.max_missing))
        yield Breach(name, f"{share} missing; the maximum of {_ORIGIN} is {limit}", "missing")
    if (item.min is not None or item.max is not None) and found.values and not found.numbers:
        yield Breach(name, f"min and max of {_ORIGIN} are not judged, since none of its values is a number")
    for part, side, word, end in (
        (found.below, "below", "minimum", item.min),
        (found.above, "above", "maximum", item.max),
    ):
        if end is not None and _more(part, found.numbers, most):
            share = share_of(part, found.numbers, least)
            yield Breach(name, f"{share} of the values are {side} {number(float(end))}, the {word} of {_ORIGIN}")
    if item.values is not None and _more(found.unlisted, found.values, most):
        share = share_of(found.unlisted, found.values, least)
        yield Breach(name, f"{share} of the values are not among the {len(item.values)} of {_ORIGIN}", "values")


def _more(part: int, whole: int, share: float) -> bool:
    return whole > 0 and part / whole > share
