"""Converts labelled predictions to the row types of `stats`."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from perennial.agent.drift.data.predictions import GROUP, LABEL, OUTPUT
from perennial.agent.drift.data.table import as_text
from perennial.api.common.measures import MetricName
from perennial.api.driftmonitor.checks import Predictions
from perennial.stats.classification import Bools, Classified
from perennial.stats.groups import Judged, crossed
from perennial.stats.intervals import Undefined
from perennial.stats.performance import METRICS, Rows
from perennial.stats.regression import Ranked, Regressed
from perennial.stats.samples import Floats

_BINARY = ("0", "1")


def rows_of(frame: pl.DataFrame, metric: MetricName, predictions: Predictions, k: int) -> Rows:
    """Return the rows with label and prediction, in the type that a metric needs.

    Args:
        frame: with the OUTPUT columns and LABEL.
        metric: determines whether rows are classes, numbers or ranked lists.
        predictions: class names and other settings.
        k: number of top ranks, for ranked lists.

    Raises:
        Undefined: the columns do not fit the metric; the message says why.
    """
    present = frame.drop_nulls([LABEL, *outputs_of(frame)])
    kind = METRICS[metric].rows
    if kind is Classified:
        return classified(present, predictions)
    label = _numbers(present.get_column(LABEL), "labels")
    output = _numbers(_single(present), "predictions")
    kept = np.isfinite(label) & np.isfinite(output)
    if kind is Regressed:
        return Regressed(label[kept], output[kept])
    if GROUP not in present.columns:
        raise Undefined("ndcg needs ranked lists: set predictions.group")
    groups = present.get_column(GROUP).fill_null("").rank("dense").to_numpy().astype(np.int64) - 1
    if np.any(label[kept] < 0):
        raise Undefined("ndcg needs non-negative labels")
    return Ranked(label[kept], output[kept], groups[kept], k)


def classified(frame: pl.DataFrame, predictions: Predictions) -> Classified:
    """Return rows of classes, from predicted classes or from probabilities.

    Raises:
        Undefined: a label is not a known class, the number of probabilities differs from that of the classes, or
            they are not within 0 and 1.
    """
    truth = as_text(frame.get_column(LABEL))
    names = predictions.classes or _BINARY
    scores = probabilities(frame, predictions)
    if scores is None:
        classes = as_text(_single(frame))
        names = tuple(sorted({*truth.unique(), *classes.unique()}))
        if len(names) <= 2 and predictions.positive not in names:  # noqa: PLR2004 - two classes
            text = f"neither labels nor predictions contain class {predictions.positive}, only {_some(names)}"
            raise Undefined(f"{text}: set predictions.positive")
        positive = names.index(predictions.positive) if len(names) <= 2 else None  # noqa: PLR2004
        return Classified(_indices(truth, names), _indices(classes, names), None, positive)
    if len(names) > 2:  # noqa: PLR2004
        return Classified(_indices(truth, names), scores.argmax(axis=1), scores)
    positive = _position(predictions, names)
    predicted = np.where(scores[:, positive] >= float(predictions.threshold), positive, 1 - positive)
    return Classified(_indices(truth, names), predicted, scores, positive)


def judged(frame: pl.DataFrame, predictions: Predictions, attributes: Sequence[str], *, labelled: bool) -> Judged:
    """Return favourable decisions and groups, for fairness metrics.

    Args:
        frame: with the OUTPUT columns, the attributes, and LABEL if `labelled`.
        predictions: names the favourable class.
        attributes: columns whose intersections form the groups.
        labelled: the metric needs labels; rows without one are left out.

    Raises:
        Undefined: an attribute is missing; the message names it.
    """
    for name in attributes:
        if name not in frame.columns:
            raise Undefined(f"neither requests nor labels have a column {name}")
    present = frame.drop_nulls([*outputs_of(frame), *([LABEL] if labelled else [])])
    groups = crossed(
        [as_text(present.get_column(name)).fill_null("").to_numpy().astype(np.str_) for name in attributes]
    )
    deserved = _is(present.get_column(LABEL), predictions.positive) if labelled else None
    return Judged(_favourable(present, predictions), groups, deserved)


def outputs_of(frame: pl.DataFrame) -> list[str]:
    """Return the columns with the prediction: one, or one per class in class order."""
    found = [name for name in frame.columns if name == OUTPUT or name.startswith(f"{OUTPUT}.")]
    return sorted(found, key=lambda name: int(name.removeprefix(OUTPUT).removeprefix(".") or 0))


def probabilities(frame: pl.DataFrame, predictions: Predictions) -> Floats | None:
    """Return the probability of each class, shape (n, classes), or None if predictions are classes.

    A single value per row is the probability of the positive class if any is fractional, otherwise a class.

    Raises:
        Undefined: the number of values differs from that of the classes, or they are not within 0 and 1.
    """
    columns = outputs_of(frame)
    names = predictions.classes or _BINARY
    if len(columns) > 1:
        if len(columns) != len(names):
            raise Undefined(
                f"the model returns {len(columns)} values for {len(names)} classes: set predictions.classes"
            )
        scores = np.column_stack([_numbers(frame.get_column(name), "predictions") for name in columns])
        return _validated(scores)
    values = _single(frame)
    if not values.dtype.is_float() or bool((values == values.round()).all()):
        return None
    if len(names) != 2:  # noqa: PLR2004
        raise Undefined(
            f"the model returns one probability for {len(names)} classes: set predictions.output to all of them"
        )
    chance = _numbers(values, "predictions")
    both = np.empty((chance.size, 2))
    positive = _position(predictions, names)
    both[:, positive], both[:, 1 - positive] = chance, 1 - chance
    return _validated(both)


def positive_scores(frame: pl.DataFrame, predictions: Predictions) -> Floats:
    """Return the probability of the positive class for rows with a prediction, shape (n,).

    Raises:
        Undefined: predictions are classes, or there are more than two.
    """
    present = frame.drop_nulls(outputs_of(frame))
    names = predictions.classes or _BINARY
    scores = probabilities(present, predictions)
    if scores is None:
        raise Undefined("estimates need probabilities, but predictions are classes")
    if len(names) != 2:  # noqa: PLR2004
        raise Undefined("estimates support two classes only")
    return np.asarray(scores[:, _position(predictions, names)])


def _favourable(frame: pl.DataFrame, predictions: Predictions) -> Bools:
    scores = probabilities(frame, predictions)
    if scores is None:
        return _is(_single(frame), predictions.positive)
    names = predictions.classes or _BINARY
    positive = _position(predictions, names)
    if len(names) == 2:  # noqa: PLR2004
        return np.asarray(scores[:, positive] >= float(predictions.threshold))
    return np.asarray(scores.argmax(axis=1) == positive)


def _position(predictions: Predictions, names: Sequence[str]) -> int:
    if predictions.positive not in names:
        raise Undefined(f"predictions.positive {predictions.positive} is not one of the classes {_some(names)}")
    return list(names).index(predictions.positive)


def _validated(scores: Floats) -> Floats:
    if not np.all((scores >= 0) & (scores <= 1)):
        raise Undefined("predictions are not probabilities, since some are outside of 0 to 1: set predictions.output")
    return scores


def _single(frame: pl.DataFrame) -> pl.Series:
    columns = outputs_of(frame)
    if len(columns) != 1:
        raise Undefined(f"the model returns {len(columns)} values per row, but one is needed")
    return frame.get_column(columns[0])


def _numbers(series: pl.Series, what: str) -> Floats:
    numbers = series.cast(pl.Float64, strict=False)
    if numbers.null_count():
        raise Undefined(f"{what} are not numbers, such as {as_text(series.filter(numbers.is_null()))[0]}")
    return numbers.to_numpy()


def _is(series: pl.Series, value: str) -> Bools:
    return np.asarray((as_text(series) == value).fill_null(value=False).to_numpy())


def _indices(texts: pl.Series, names: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    places = texts.replace_strict(list(names), list(range(len(names))), default=None, return_dtype=pl.Int64)
    if places.null_count():
        unknown = texts.filter(places.is_null())[0]
        raise Undefined(f"label {unknown} is not one of the classes {_some(names)}: set predictions.classes")
    return places.to_numpy()


def _some(names: Sequence[str]) -> str:
    return ", ".join(list(names)[:8]) or "nothing"
