"""Parses bodies of prediction requests and responses into columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from perennial.agent.drift.data.table import Scalar

MAX_WIDTH = 4096
"""Maximum number of columns of a tensor. Drift per column is meaningless for wider ones: images and embeddings."""


class MalformedPayload(ValueError):
    """The body is in no supported format, or inconsistent."""


@dataclass(frozen=True)
class Payload:
    """Rows of one request: all columns have `rows` values."""

    columns: Mapping[str, Sequence[Scalar]]
    rows: int


def parse_payload(body: object) -> Payload:
    """Parse the rows of a request.

    Supported are the Open Inference Protocol v2 (`inputs`: a list of tensors) and three forms of MLflow's
    scoring protocol (`dataframe_split`, `dataframe_records`, `inputs`: named columns). A tensor of shape [n] or
    [n, 1] is one column with its name; one of shape [n, d] is d columns, `<name>.0` to `<name>.<d-1>`.

    Args:
        body: decoded JSON.

    Raises:
        MalformedPayload: the body is in no supported format; the message says what is wrong.
    """
    match body:
        case {"inputs": [*tensors]}:
            return _of_tensors(tensors)
        case {"inputs": {**columns}}:
            return _payload({str(name): _column(values) for name, values in columns.items()})
        case {"dataframe_split": {"columns": [*names], "data": [*rows]}}:
            return _of_rows([str(name) for name in names], rows)
        case {"dataframe_records": [*records]}:
            return _of_records(records)
    raise MalformedPayload("neither Open Inference Protocol nor MLflow")


def parse_answer(body: object) -> Payload:
    """Parse the rows of a response: one per row of its request.

    Supported are the Open Inference Protocol v2 (`outputs`: a list of tensors) and MLflow's `predictions`: a list of
    values, of lists of equal length, or of records. Columns are named as in requests; MLflow's is `predictions`.

    Args:
        body: decoded JSON.

    Raises:
        MalformedPayload: the body is in no supported format; the message says what is wrong.
    """
    match body:
        case {"outputs": [*tensors]}:
            return _of_tensors(tensors)
        case {"predictions": [{}, *_] as records}:
            return _of_records(records)
        case {"predictions": [[*first], *_] as rows}:
            return _of_rows([f"predictions.{index}" for index in range(len(first))], rows)
        case {"predictions": [*values]}:
            return _payload({"predictions": _column(values)})
    raise MalformedPayload("neither Open Inference Protocol nor MLflow")


def _of_tensors(tensors: Sequence[object]) -> Payload:
    columns: dict[str, Sequence[Scalar]] = {}
    for tensor in tensors:
        match tensor:
            case {"name": str(name), "shape": [*shape], "data": data}:
                columns.update(_of_tensor(name, shape, data))
            case _:
                raise MalformedPayload("a tensor without name, shape or data")
    return _payload(columns)


def _of_tensor(name: str, shape: Sequence[object], data: object) -> Mapping[str, Sequence[Scalar]]:
    sizes = [size for size in shape if isinstance(size, int) and not isinstance(size, bool) and size >= 0]
    if not sizes or len(sizes) != len(shape):
        raise MalformedPayload(f"tensor {name[:64]} has no usable shape")
    width = prod(sizes[1:])
    if width > MAX_WIDTH:
        raise MalformedPayload(f"tensor {name[:64]} is wider than {MAX_WIDTH}")
    values = _flatten(data)
    if len(values) != sizes[0] * width:
        raise MalformedPayload(f"tensor {name[:64]} has {len(values)} values, but its shape has {sizes[0] * width}")
    if width == 1:
        return {name: values}
    return {f"{name}.{index}": values[index::width] for index in range(width)}


def _of_rows(names: Sequence[str], rows: Sequence[object]) -> Payload:
    cells = [row for row in rows if isinstance(row, list) and len(row) == len(names)]
    if len(cells) != len(rows):
        raise MalformedPayload("dataframe_split has rows of another length than its columns")
    return _payload({name: [_scalar(row[index]) for row in cells] for index, name in enumerate(names)})


def _of_records(records: Sequence[object]) -> Payload:
    rows = [record for record in records if isinstance(record, dict)]
    if len(rows) != len(records):
        raise MalformedPayload("dataframe_records has an element that is not an object")
    names = dict.fromkeys(str(name) for row in rows for name in row)
    return _payload({name: [_scalar(row.get(name)) for row in rows] for name in names})


def _payload(columns: Mapping[str, Sequence[Scalar]]) -> Payload:
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1:
        raise MalformedPayload("columns of different lengths" if lengths else "no columns")
    return Payload(columns, lengths.pop())


def _column(values: object) -> Sequence[Scalar]:
    return _flatten(values) if isinstance(values, list) else [_scalar(values)]


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
    raise MalformedPayload("a value is itself a list or an object")
