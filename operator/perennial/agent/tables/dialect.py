"""Finds out how a CSV file is written: separator, decimal sign, and whether the first line has the names.

What cannot be told is refused, since a file read in the wrong way gives a verdict about columns that do not exist.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import islice
from pathlib import Path

SEPARATORS = (",", ";", "\t", "|")
_UNSUPPORTED = (":", "^", "~", "\x01")
_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_SAMPLE_BYTES = 256 * 1024
_SAMPLE_ROWS = 1000
_CONSECUTIVE = 3
"""Whole numbers in a row, such as 0, 1, 2 or 2019, 2020, 2021, from which they are names, not values."""
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
_WHOLE = re.compile(r"\d+")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_DECIMAL_POINT = re.compile(r"[+-]?\d+\.\d+")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?")
_VALUES = frozenset({"", "nan", "null", "none", "na", "true", "false"})
_UTF16 = (b"\xff\xfe", b"\xfe\xff")

Row = Sequence[str]


class UnknownDialect(ValueError):
    """The file cannot be read with certainty; the message says why, and what to change."""


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written.

    Attributes:
        separator: one of SEPARATORS.
        decimal_comma: whether numbers have a decimal comma, such as 1,5.
        names: names of the columns, without spaces around them.
    """

    separator: str
    decimal_comma: bool = False
    names: tuple[str, ...] = ()


def read_dialect(path: Path) -> Dialect:
    """Find out the dialect of a file from its first 256 KiB.

    Raises:
        UnknownDialect: the separator cannot be told, or the first line has values or the same name twice.
    """
    with path.open("rb") as stream:
        start = stream.read(_SAMPLE_BYTES)
        whole = not stream.read(1)
    if start.startswith(_UTF16):
        raise UnknownDialect("it is encoded as UTF-16: save it as UTF-8")
    if b"\n" not in start and b"\r" in start:
        raise UnknownDialect(r"its lines end with \r alone: save it with \n or \r\n")
    text = start.decode("utf-8-sig", "replace")
    return dialect_of(text if whole else text[: text.rfind("\n") + 1])


def dialect_of(text: str) -> Dialect:
    """Find out the dialect from the first lines of a file.

    Raises:
        UnknownDialect: as for `read_dialect`.
    """
    read = {separator: _rows(text, separator) for separator in SEPARATORS}
    separator = _separator(read)
    if separator is None:
        _refuse_other_separators(text, read)
    rows = read[separator or ","]
    if rows:
        _refuse_values_as_names(rows[0], rows[1:])
    names = tuple(name.strip() for name in rows[0]) if rows else ()
    return Dialect(separator or ",", separator not in (None, ",") and _has_decimal_comma(rows[1:]), names)


def _rows(text: str, separator: str) -> list[Row]:
    return [row for row in islice(_parsed(text, separator), _SAMPLE_ROWS) if row]


def _parsed(text: str, separator: str) -> Iterator[Row]:
    try:
        yield from csv.reader(StringIO(text, newline=""), delimiter=separator)
    except csv.Error:
        return  # what polars says about the file is clearer


def _separator(read: dict[str, list[Row]]) -> str | None:
    """Return the separator, or None if no line is separated.

    Raises:
        UnknownDialect: several are possible, or the first line is separated in another way than the others.
    """
    possible = [separator for separator, rows in read.items() if rows and len(rows[0]) > 1]
    if len(possible) == 1:
        return possible[0]
    regular = [separator for separator in possible or SEPARATORS if _is_regular(read[separator])]
    if len(regular) == 1 and possible:
        return regular[0]
    if possible:
        named = " or ".join(_NAMES[separator] for separator in possible)
        raise UnknownDialect(f"its separator may be {named}: quote the names that contain one of them")
    if regular:
        named = _NAMES[regular[0]]
        raise UnknownDialect(
            f"its first line has one column, but the others several, separated by {named}: remove that line, or quote "
            "the values"
        )
    return None


def _is_regular(rows: Sequence[Row]) -> bool:
    """Whether all lines have equally many columns, apart from a first line of one."""
    untitled = rows if len(rows) <= 1 or len(rows[0]) > 1 else rows[1:]
    widths = {len(row) for row in untitled}
    return len(widths) == 1 and widths != {1}


def _refuse_other_separators(text: str, read: dict[str, list[Row]]) -> None:
    if len(read[","]) <= 1:
        return
    for separator in _UNSUPPORTED:
        rows = _rows(text, separator)
        if rows and len(rows[0]) > 1 and _is_regular(rows):
            raise UnknownDialect(f"its separator seems to be {separator!r}: use comma, semicolon, tab or vertical bar")
    split = [row[0].split() for row in read[","]]
    numbers = all(_NUMBER.fullmatch(cell) for row in split[1:] for cell in row)
    if numbers and len({len(row) for row in split}) == 1 and len(split[0]) > 1:
        raise UnknownDialect("its separator seems to be a space: use comma, semicolon, tab or vertical bar")


def _refuse_values_as_names(names: Row, rows: Sequence[Row]) -> None:
    """Refuse a first line that looks like one of the other lines.

    A name is suspicious if it is a number, a date, a truth value or empty, or if it is also a value of its column.
    Refused are half of the names suspicious, and any number with decimals.
    """
    stripped = [name.strip() for name in names]
    twice = next((name for name in stripped if name and stripped.count(name) > 1), None)
    suspicious = sum(
        _is_value(name, index, names) or _recurs(name, index, names, rows) for index, name in enumerate(names)
    )
    decimals = any(_NUMBER.fullmatch(name.strip()) and not _WHOLE.fullmatch(name.strip()) for name in names)
    if decimals or suspicious * 2 >= len(names):
        shown = ", ".join(name[:32] or "(empty)" for name in names[:5])
        raise UnknownDialect(f"its first line looks like values, not like names of columns ({shown}): add a header")
    if twice is not None:
        raise UnknownDialect(f"two columns are named {twice[:64]}: rename one of them")


def _is_value(name: str, index: int, names: Row) -> bool:
    cell = name.strip()
    if not cell and index == 0:  # the row numbers that pandas writes have no name
        return False
    if _WHOLE.fullmatch(cell):
        return not _are_consecutive(names)
    return cell.lower() in _VALUES or bool(_NUMBER.fullmatch(cell) or _DATE.fullmatch(cell))


def _are_consecutive(names: Row) -> bool:
    """Whether the names that are whole numbers ascend by one, as those that pandas writes for unnamed columns."""
    numbers = [int(name) for name in names if _WHOLE.fullmatch(name.strip()) and len(name) < 10]  # noqa: PLR2004
    return len(numbers) >= _CONSECUTIVE and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _recurs(name: str, index: int, names: Row, rows: Sequence[Row]) -> bool:
    return any(len(row) > index and row[index] == name and list(row) != list(names) for row in rows)


def _has_decimal_comma(rows: Sequence[Row]) -> bool:
    cells = [cell.strip() for row in rows for cell in row]
    return any(map(_DECIMAL_COMMA.fullmatch, cells)) and not any(map(_DECIMAL_POINT.fullmatch, cells))
