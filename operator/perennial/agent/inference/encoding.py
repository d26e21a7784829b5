"""Encodes rows as requests: the Open Inference Protocol v2, or a list of instances."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from perennial.agent.tables.table import as_text
from perennial.api.modeldeployment.evaluation import RequestFormat
from perennial.stats.intervals import Undefined

_DEFAULT_PATHS = {"OpenInference": "/v2/models/{}/infer", "Instances": "/v1/models/{}:predict"}

Encode = Callable[[pl.DataFrame], Mapping[str, Any]]


def path_of(form: RequestFormat, model: str) -> str:
    """Return the path of requests to a model."""
    return form.path or _DEFAULT_PATHS[form.protocol].format(model)


def prepared(frame: pl.DataFrame, form: RequestFormat) -> pl.DataFrame:
    """Return the rows with the types that all requests send, so that no request depends on the rows it happens to have.

    Whole numbers with gaps become floating-point, NaN and infinity become missing: JSON has neither. Dates become text.

    Args:
        frame: columns of the model, shape (n, columns).
        form: form of the requests.

    Raises:
        Undefined: a column contains lists, records or binary data, or a Matrix has one that is not numeric.
    """
    return frame.select(_typed(frame.get_column(name), form) for name in frame.columns)


def encoder(form: RequestFormat) -> Encode:
    """Return the function that encodes prepared rows as the body of a request."""
    match form.protocol, form.inputs:
        case "OpenInference", "Columns":
            return _columns
        case "OpenInference", _:
            return lambda frame: {"inputs": [_matrix(frame, form)]}
        case _, "Columns":
            return lambda frame: {"instances": frame.to_dicts()}
    return lambda frame: {"instances": [list(row) for row in frame.rows()]}


def _typed(series: pl.Series, form: RequestFormat) -> pl.Series:
    if series.dtype.is_nested() or series.dtype == pl.Binary:
        raise Undefined(f"the column {series.name} contains lists, records or binary data, which are not sent")
    if series.dtype.is_float() or series.dtype.is_decimal():
        return _finite(series.cast(pl.Float64))
    if series.dtype.is_integer():
        return series.cast(pl.Float64) if series.null_count() or form.inputs == "Matrix" else series
    if form.inputs == "Matrix":
        if series.dtype not in (pl.Boolean, pl.Null):
            raise Undefined(f"the column {series.name} is not numeric, so it has no place in a Matrix: use Columns")
        return series.cast(pl.Float64)
    return series if series.dtype == pl.Boolean else as_text(series)


def _finite(series: pl.Series) -> pl.Series:
    return series.to_frame().select(pl.when(pl.all().is_finite()).then(pl.all())).to_series()


def _columns(frame: pl.DataFrame) -> Mapping[str, Any]:
    """Encode one tensor per column; MLServer makes a DataFrame of them, as `pd` tells it."""
    return {"parameters": {"content_type": "pd"}, "inputs": [_column(frame.get_column(name)) for name in frame.columns]}


def _column(series: pl.Series) -> dict[str, Any]:
    values: Sequence[Any] = series.to_list()
    kind = "BOOL" if series.dtype == pl.Boolean else "FP64" if series.dtype.is_float() else "INT64"
    if series.dtype == pl.String:
        return {
            "name": series.name,
            "shape": [len(values), 1],
            "datatype": "BYTES",
            "parameters": {"content_type": "str"},
            "data": values,
        }
    return {"name": series.name, "shape": [len(values), 1], "datatype": kind, "data": values}


def _matrix(frame: pl.DataFrame, form: RequestFormat) -> dict[str, Any]:
    flat = [value for row in frame.rows() for value in row]
    return {"name": form.tensor, "shape": [frame.height, frame.width], "datatype": form.datatype, "data": flat}
