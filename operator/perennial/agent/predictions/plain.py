"""Tells from the template of requests where the values of their columns are; `payload` reads requests of every form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from math import prod

from perennial.agent.predictions.payload import MAX_WIDTH
from perennial.agent.predictions.templates import Slot
from perennial.agent.tables.table import Scalar

_MOST_ROWS = 64
"""Rows of a request. One with more is read well on its own."""
_OTHER_FORMS = frozenset({"inputs", "dataframe_split", "dataframe_records"})


@dataclass(frozen=True)
class Layout:
    """Where the values of each column are among those of a request.

    Attributes:
        rows: rows of each request.
        columns: for each column, the place of its first value, and the distance to that of the next row.
    """

    rows: int
    columns: Mapping[str, tuple[int, int]]

    def column(self, name: str, values: Sequence[Scalar], stride: int, kept: Sequence[bool] | None) -> Sequence[Scalar]:
        """Return the values of a column for all rows of some requests.

        Args:
            name: the column.
            values: those of all requests, `stride` each.
            stride: number of values of a request.
            kept: which requests to use; None: all.
        """
        start, step = self.columns[name]
        rows = [_kept(values[start + row * step :: stride], kept) for row in range(self.rows)]
        if self.rows == 1:
            return rows[0]
        return [value for request in zip(*rows, strict=True) for value in request]


def layout_of(body: object) -> Layout | None:
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


def _kept(values: Sequence[Scalar], kept: Sequence[bool] | None) -> Sequence[Scalar]:
    return values if kept is None else list(compress(values, kept))
