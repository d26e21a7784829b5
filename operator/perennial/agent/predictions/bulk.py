"""Reads the rows of many requests of one form at once; `payload` reads every form, one request at a time.

Most requests of a deployment have the same fields in the same shapes. Their values are gathered as rows and turned into
columns together. Whatever differs from the plain form is left to `payload.parse_payload`, which gives the same result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import prod

from perennial.agent.predictions.payload import MAX_WIDTH
from perennial.agent.tables.table import Scalar

_PLAIN = frozenset({int, float, bool, str, type(None)})
_MOST_FORMS = 1000
_KEYS = ("name", "shape", "data")
_ONE = [1]
_NOTHING = (None, None, None)

Form = tuple[object, ...]
Row = Sequence[Scalar]


@dataclass(frozen=True)
class Request:
    """A request of one row in plain form.

    Attributes:
        names: names of its columns; the same object for all requests of this form.
        row: one value for each.
    """

    names: tuple[str, ...]
    row: Row


class Forms:
    """Recognizes requests of one row, and remembers their forms."""

    def __init__(self) -> None:
        self._names: dict[Form, tuple[str, ...] | None] = {}

    def read(self, body: object) -> Request | None:
        """Return the row of a request, None if it is not plain."""
        if type(body) is not dict:
            return None
        found = _of_tensors(body["inputs"]) if "inputs" in body else _of_split(body)
        if found is None:
            return None
        form, row = found
        names = self._known(form)
        if names is None or len(names) != len(row) or not _PLAIN.issuperset(map(type, row)):
            return None
        return Request(names, row)

    def _known(self, form: Form) -> tuple[str, ...] | None:
        if form not in self._names:
            if len(self._names) >= _MOST_FORMS:  # of a client that makes up names
                return None
            self._names[form] = _columns(form)
        return self._names[form]


class Gathered:
    """Rows of one form after another, in their order."""

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()
        self._rows: list[Row] = []

    def fits(self, request: Request, most: int) -> bool:
        """Whether a request can be added: its form is that of the others, and they are fewer than `most`."""
        return not self._rows or (request.names is self._names and len(self._rows) < most)

    def add(self, request: Request) -> None:
        """Add the row of a request."""
        self._names = request.names
        self._rows.append(request.row)

    def take(self) -> tuple[Mapping[str, Sequence[Scalar]], int]:
        """Return the columns of all rows and their number, and forget them."""
        rows, self._rows = self._rows, []
        return dict(zip(self._names, zip(*rows, strict=True), strict=True)) if rows else {}, len(rows)


def _of_tensors(tensors: object) -> tuple[Form, Row] | None:
    """Return name and shape of each tensor, and the values of all; None if one is not plain."""
    if type(tensors) is not list:
        return None
    form: list[object] = []
    parts: list[list[Scalar]] = []
    for tensor in tensors:
        name, shape, data = map(tensor.get, _KEYS) if type(tensor) is dict else _NOTHING
        if type(name) is not str or type(shape) is not list or type(data) is not list:
            return None
        if len(data) == 1 and shape == _ONE and type(shape[0]) is int:  # the usual form, without a call
            form += name, 1
        elif _is_one_row(shape, len(data)):
            form += name, *shape
        else:
            return None
        parts.append(data)
    return tuple(form), parts[0] if len(parts) == 1 else list(chain.from_iterable(parts))


def _is_one_row(shape: list[object], values: int) -> bool:
    """Whether a shape is [1, n] for n values. True equals 1, but is no size."""
    return shape == [1, values] and all(type(size) is int for size in shape)


def _of_split(body: Mapping[str, object]) -> tuple[Form, Row] | None:
    """Return names and values of a body `dataframe_split` with one row."""
    split = body.get("dataframe_split")
    if type(split) is not dict:
        return None
    names, rows = split.get("columns"), split.get("data")
    if type(names) is not list or type(rows) is not list or len(rows) != 1 or type(rows[0]) is not list:
        return None
    if any(type(name) is not str for name in names):
        return None
    return (*names, None), rows[0]


def _columns(form: Form) -> tuple[str, ...] | None:
    """Return the names of the columns of a form, None if it is not plain: equal or odd names, or wide tensors."""
    names: list[str] = []
    if not form:
        return None
    if form[-1] is None:
        names = [str(name) for name in form[:-1]]
    else:
        starts = [index for index, item in enumerate(form) if type(item) is str]
        for start, end in zip(starts, (*starts[1:], len(form)), strict=True):
            width = prod(size for size in form[start + 2 : end] if isinstance(size, int))
            if width > MAX_WIDTH:
                return None
            name = str(form[start])
            names += [name] if width == 1 else [f"{name}.{index}" for index in range(width)]
    plain = names and all(name.isascii() for name in names) and len(set(names)) == len(names)
    return tuple(names) if plain else None
