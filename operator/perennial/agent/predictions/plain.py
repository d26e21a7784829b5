"""Tells from the template of requests where the values of their columns are; `payload` reads requests of every form."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, compress
from math import prod
from operator import itemgetter
from typing import Any

from perennial.agent.predictions.payload import MAX_WIDTH
from perennial.agent.predictions.templates import Slot
from perennial.agent.tables.table import Scalar

_MOST_ROWS = 64
"""Rows of a request. One with more is read well on its own."""
_BEFORE_RECORDS = frozenset({"inputs", "dataframe_split"})
_OTHER_FORMS = _BEFORE_RECORDS | {"dataframe_records"}


@dataclass(frozen=True)
class Rows:
    """Rows of some requests.

    Attributes:
        names: columns that the requests have.
        columns: values of those wanted, `rows` each.
        rows: number of rows.
    """

    names: Collection[str]
    columns: Mapping[str, Sequence[Scalar]]
    rows: int


@dataclass(frozen=True)
class Layout:
    """Where the values of each column are among those of a request.

    Attributes:
        rows: rows of each request.
        columns: for each column, the place of its first value, and the distance to that of the next row.
    """

    rows: int
    columns: Mapping[str, tuple[int, int]]

    def usable(self, values: Sequence[Any], stride: int, lists: Collection[str]) -> bool:  # noqa: ARG002
        """Whether the requests can be read together, which their template tells alone."""
        return True

    def read(self, values: Sequence[Any], stride: int, kept: Sequence[bool] | None, wanted: Collection[str]) -> Rows:
        """Return the rows of some requests.

        Args:
            values: those of all requests, `stride` each.
            stride: number of values of a request.
            kept: which requests to use; None: all.
            wanted: columns whose values are needed.
        """
        names = [name for name in self.columns if name in wanted]
        requests = len(values) // stride if kept is None else sum(kept)
        columns = {name: self._column(name, values, stride, kept) for name in names}
        return Rows(self.columns, columns, requests * self.rows)

    def _column(self, name: str, values: Sequence[Any], stride: int, kept: Sequence[bool] | None) -> Sequence[Scalar]:
        start, step = self.columns[name]
        rows = [_kept(values[start + row * step :: stride], kept) for row in range(self.rows)]
        if self.rows == 1:
            return rows[0]
        return [value for request in zip(*rows, strict=True) for value in request]


@dataclass(frozen=True)
class RecordLayout:
    """Where the records of a request are among its values: an array of objects with scalars.

    Attributes:
        place: that of the array.
    """

    place: int

    def usable(self, values: Sequence[Any], stride: int, lists: Collection[str]) -> bool:
        """Whether the requests can be read together: each record has fields, with plain names that are no lists.

        Args:
            values: those of all requests, `stride` each.
            stride: number of values of a request.
            lists: fields that may be lists of numbers.
        """
        requests = values[self.place :: stride]
        return all(map(all, requests)) and all(
            name.isascii() and name not in lists for name in _names(chain.from_iterable(requests))
        )

    def read(self, values: Sequence[Any], stride: int, kept: Sequence[bool] | None, wanted: Collection[str]) -> Rows:
        """Return the rows of some requests, as `Layout.read` does; a field that a record does not have is null."""
        records = list(chain.from_iterable(_kept(values[self.place :: stride], kept)))
        names = _names(records)
        return Rows(names, {name: _field(records, name) for name in names if name in wanted}, len(records))


def _names(records: Iterable[Mapping[str, Scalar]]) -> Collection[str]:
    """Return the names of the fields of some records."""
    return dict.fromkeys(chain.from_iterable(dict.fromkeys(map(tuple, records))))


def _field(records: Sequence[Mapping[str, Scalar]], name: str) -> Sequence[Scalar]:
    try:
        return list(map(itemgetter(name), records))
    except KeyError:
        return [record.get(name) for record in records]


def layout_of(body: object) -> Layout | RecordLayout | None:
    """Return where a request with slots in place of its values has its columns, with the names that `payload` gives.

    Args:
        body: decoded JSON with slots.

    Returns:
        The layout; None if the request is not in plain form.
    """
    match body:
        case {"inputs": [*tensors]}:
            return _of_tensors(tensors)
        case {"inputs": _}:
            return None
        case {"dataframe_split": {"columns": [*names], "data": [[Slot() as slot]]}}:
            return _laid_out(1, {_text(name): (slot.start + at, 0) for at, name in enumerate(names)}, slot, len(names))
        case {"instances": [[Slot() as slot]], **others} if _OTHER_FORMS.isdisjoint(others):
            places = {f"instances.{at}": (slot.start + at, 0) for at in range(slot.values)}
            return _laid_out(1, places, slot, slot.values)
    return _of_records(body)


def _of_records(body: object) -> RecordLayout | None:
    match body:
        case Slot() as slot:
            return RecordLayout(slot.start)
        case {"dataframe_records": Slot() as slot, **others} if _BEFORE_RECORDS.isdisjoint(others):
            return RecordLayout(slot.start)
        case {"instances": Slot() as slot, **others} if _OTHER_FORMS.isdisjoint(others):
            return RecordLayout(slot.start)
    return None


def _of_tensors(tensors: Sequence[object]) -> Layout | None:
    parts = [_of_tensor(tensor) for tensor in tensors]
    known = [part for part in parts if part is not None]
    columns = {name: place for part in known for name, place in part.columns.items()}
    equal = len({part.rows for part in known}) == 1 and len(columns) == sum(len(part.columns) for part in known)
    return Layout(known[0].rows, columns) if equal and len(known) == len(parts) else None


def _of_tensor(tensor: object) -> Layout | None:
    match tensor:
        case {"name": str(name), "shape": [int(rows), *sizes], "data": [Slot() as slot]}:
            if any(type(size) is not int or size < 1 for size in (rows, *sizes)):  # True is 1, but no size
                return None
            width = prod(size for size in sizes if isinstance(size, int))
            names = [name] if width == 1 else [f"{name}.{at}" for at in range(min(width, MAX_WIDTH))]
            return _laid_out(rows, {name: (slot.start + at, width) for at, name in enumerate(names)}, slot, width)
    return None


def _laid_out(rows: int, columns: Mapping[str, tuple[int, int]], slot: Slot, width: int) -> Layout | None:
    fits = len(columns) == width and rows * width == slot.values and 0 < rows <= _MOST_ROWS and 0 < width <= MAX_WIDTH
    return Layout(rows, columns) if fits and all(name.isascii() for name in columns) else None


def _text(name: object) -> str:
    return name if isinstance(name, str) else "\ud800"  # not ASCII, so that it is left to the parser


def _kept(values: Sequence[Any], kept: Sequence[bool] | None) -> Sequence[Any]:
    return values if kept is None else list(compress(values, kept))
