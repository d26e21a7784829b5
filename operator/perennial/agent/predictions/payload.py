"""Parses bodies of prediction requests and responses into columns."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod

from perennial.agent.tables.table import Scalar, clean_text
from perennial.agent.tables.vectors import spread

MAX_WIDTH = 4096
"""Maximum number of columns of a tensor. Drift per column is meaningless for wider ones: images and embeddings."""

NESTED = "a value is itself a list or an object"
_UNKNOWN = "neither Open Inference Protocol nor MLflow, instances or rows"


class MalformedPayload(ValueError):
    """The body is in no supported format, inconsistent, or has no field that can be read."""


@dataclass(frozen=True)
class Payload:
    """Rows of one request.

    Attributes:
        columns: values of the readable fields, `rows` each.
        rows: number of rows.
        unreadable: names of the other fields, with the reason; such as a field whose values are lists.
        lost_rows: number of rows left out because they do not fit the columns.
    """

    columns: Mapping[str, Sequence[Scalar]]
    rows: int
    unreadable: Mapping[str, str] = field(default_factory=dict)
    lost_rows: int = 0


@dataclass(frozen=True)
class _Field:
    """Columns of one field of a body, or the reason why it cannot be read."""

    name: str
    columns: Mapping[str, Sequence[Scalar]]
    problem: str | None = None


def parse_payload(body: object, lists: Collection[str] = ()) -> Payload:
    """Parse the rows of a request.

    Supported are the Open Inference Protocol v2 (`inputs`: a list of tensors), three forms of MLflow's scoring
    protocol (`dataframe_split`, `dataframe_records`, `inputs`: named columns), KServe's protocol V1 (`instances`: a
    list of records, of lists of equal length or of values, which have the names `instances.0` ... or `instances`), and
    a list of records. A tensor of shape [n] or
    [n, 1] is one column with its name; one of shape [n, d] is d columns, `<name>.0` to `<name>.<d-1>`. A field that
    cannot be read is left out and named.

    Args:
        body: decoded JSON.
        lists: fields of records and rows that may be lists, which become columns `<name>.0`, ... as tensors do.

    Raises:
        MalformedPayload: the body is in no supported format; the message says what is wrong.
    """
    match body:
        case {"inputs": [*tensors]}:
            return _of_tensors(tensors)
        case {"inputs": {**columns}}:
            return _payload([_field(str(name), partial(_named_columns, values)) for name, values in columns.items()])
        case {"dataframe_split": {"columns": [*names], "data": [*rows]}}:
            return _of_rows([str(name) for name in names], rows, lists)
        case {"dataframe_records": [*records]}:
            return _of_records(records, lists)
        case {"instances": [_, *_] as rows}:
            return _of_list(rows, "instances", lists)
        case [{}, *_] as records:
            return _of_records(records, lists)
    raise MalformedPayload(_UNKNOWN)


def parse_answer(body: object) -> Payload:
    """Parse the rows of a response: one per row of its request.

    Supported are the Open Inference Protocol v2 (`outputs`: a list of tensors), `predictions` of MLflow and KServe's
    protocol V1 (a list of values, of lists of equal length, or of records), and a list of records. Columns are named as
    in requests; those of values and lists are `predictions` or `predictions.0` ....

    Args:
        body: decoded JSON.

    Raises:
        MalformedPayload: the body is in no supported format; the message says what is wrong.
    """
    match body:
        case {"outputs": [*tensors]}:
            return _of_tensors(tensors)
        case {"predictions": [*rows]}:
            return _of_list(rows, "predictions")
        case [{}, *_] as records:
            return _of_records(records)
    raise MalformedPayload(_UNKNOWN)


def _of_list(rows: Sequence[object], name: str, lists: Collection[str] = ()) -> Payload:
    """Return the columns of a list of records, of lists of equal length, or of values."""
    match rows:
        case [{}, *_]:
            return _of_records(rows, lists)
        case [[*first], *_] if len(first) <= MAX_WIDTH:
            return _of_rows([f"{name}.{index}" for index in range(len(first))], rows)
    return _payload([_field(name, partial(_cell_column, rows))])


def _of_tensors(tensors: Sequence[object]) -> Payload:
    return _payload([_of_tensor(tensor) for tensor in tensors])


def _of_tensor(tensor: object) -> _Field:
    match tensor:
        case {"name": str(name), "shape": [*shape], "data": data}:
            return _field(name, partial(_tensor_columns, shape, data))
        case {"name": str(name)}:
            return _Field(clean_text(name), {}, "a tensor without name, shape or data")
    return _Field("unnamed", {}, "a tensor without name, shape or data")


def _field(name: str, read: Callable[[str], Mapping[str, Sequence[Scalar]]]) -> _Field:
    clean = clean_text(name)
    try:
        return _Field(clean, read(clean))
    except MalformedPayload as error:
        return _Field(clean, {}, str(error))


def _tensor_columns(shape: Sequence[object], data: object, name: str) -> Mapping[str, Sequence[Scalar]]:
    sizes = [size for size in shape if isinstance(size, int) and not isinstance(size, bool) and size >= 0]
    if not sizes or len(sizes) != len(shape):
        raise MalformedPayload("a tensor has no usable shape")
    width = prod(sizes[1:])
    if width > MAX_WIDTH:
        raise MalformedPayload(f"a tensor is wider than {MAX_WIDTH}")
    values = _flatten(data)
    if len(values) != sizes[0] * width:
        raise MalformedPayload(f"a tensor has {len(values)} values, but its shape has {sizes[0] * width}")
    return _columns_of_width(values, width, name)


def _named_columns(values: object, name: str) -> Mapping[str, Sequence[Scalar]]:
    """Return a column for one value per row, or several for lists of equal length."""
    if not isinstance(values, list):
        return {name: [_scalar(values)]}
    flat = _flatten(values)
    inner = [_flatten(item) for item in values if isinstance(item, list)]
    widths = {len(item) for item in inner} or {1}
    width = widths.pop()
    if widths or not 0 < width <= MAX_WIDTH:
        raise MalformedPayload("a field has lists of different lengths, or too long ones")
    return _columns_of_width(flat, width, name)


def _columns_of_width(values: list[Scalar], width: int, name: str) -> Mapping[str, Sequence[Scalar]]:
    if width == 1:
        return {name: values}
    return {f"{name}.{index}": values[index::width] for index in range(width)}


def _of_rows(names: Sequence[str], rows: Sequence[object], lists: Collection[str] = ()) -> Payload:
    cells = [row for row in rows if isinstance(row, list) and len(row) == len(names)]
    if rows and not cells:
        raise MalformedPayload("rows have another length than columns")
    columns = [[row[index] for row in cells] for index in range(len(names))]
    return _of_cells(dict(zip(names, columns, strict=True)), len(rows) - len(cells), lists)


def _of_records(records: Sequence[object], lists: Collection[str] = ()) -> Payload:
    rows = [record for record in records if isinstance(record, dict)]
    if records and not rows:
        raise MalformedPayload("an element is not an object")
    names = dict.fromkeys(str(name) for row in rows for name in row)
    return _of_cells({name: [row.get(name) for row in rows] for name in names}, len(records) - len(rows), lists)


def _of_cells(columns: Mapping[str, Sequence[object]], lost_rows: int, lists: Collection[str]) -> Payload:
    fields = [
        _field(name, partial(_list_columns if name in lists else _cell_column, cells))
        for name, cells in columns.items()
    ]
    return replace(_payload(fields), lost_rows=lost_rows)


def _payload(fields: Sequence[_Field]) -> Payload:
    columns = {name: values for item in fields for name, values in item.columns.items()}
    unreadable = {item.name: item.problem for item in fields if item.problem is not None}
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise MalformedPayload("columns of different lengths")
    if not lengths:
        raise MalformedPayload(next(iter(unreadable.values()), "no columns"))
    return Payload(columns, lengths.pop(), unreadable)


def _list_columns(cells: Sequence[object], name: str) -> Mapping[str, Sequence[Scalar]]:
    """Return the columns of a field that may be lists; one column without a value if it is none in any row."""
    return spread(name, cells) or {name: [None] * len(cells)}


def _cell_column(cells: Sequence[object], name: str) -> Mapping[str, Sequence[Scalar]]:
    return {name: [_scalar(cell) for cell in cells]}


def _flatten(data: object) -> list[Scalar]:
    """Return the scalars of nested lists in row-major order. Not recursive, since the depth is untrusted."""
    if not isinstance(data, list):
        raise MalformedPayload("data is not a list")
    flat = data
    while any(isinstance(item, list) for item in flat):
        if not all(isinstance(item, list) for item in flat):
            raise MalformedPayload("data mixes lists and values")
        flat = [item for inner in flat for item in inner]
    return [_scalar(item) for item in flat]


def _scalar(value: object) -> Scalar:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise MalformedPayload(NESTED)
