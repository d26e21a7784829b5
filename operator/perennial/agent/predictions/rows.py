"""Converts labelled predictions to the row types of `stats`."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from perennial.agent.predictions.outputs import GROUP, LABEL, OUTPUT
from perennial.agent.predictions.vocabulary import (
    canonical,
    class_name,
    class_names,
    common,
    known,
    require,
    some,
)
from perennial.agent.tables.table import as_text
from perennial.api.common.measures import MetricName
from perennial.api.driftmonitor.checks import Predictions
from perennial.stats.classification import Bools, Classified
from perennial.stats.groups import Judged, crossed
from perennial.stats.intervals import Undefined
from perennial.stats.performance import METRICS, Rows
from perennial.stats.regression import Ranked, Regressed
from perennial.stats.samples import Floats

UNUSABLE_SHARE = 0.05
"""Share of rows that may be left out because label or prediction is unusable; with more, nothing is evaluated."""
_ROW = "@row"
SUM_TOLERANCE = 0.01
"""How far the probabilities of a row may be from summing to 1: rounding and half precision come to less."""
_ROUNDING = 1e-6
"""How far a probability may lie outside of 0 to 1: sums in single precision do."""


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
    present = usable(frame).drop_nulls([LABEL, *outputs_of(frame)])
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


def usable_rows(frame: pl.DataFrame, metric: MetricName, predictions: Predictions) -> Bools:
    """Return which rows `rows_of` keeps, shape (n,): two models are compared on the rows that both of them keep.

    Args:
        frame: with the OUTPUT columns and LABEL.
        metric: determines whether rows are classes, numbers or ranked lists.
        predictions: class names and other settings.

    Raises:
        Undefined: the columns do not fit the metric; the message says why.
    """
    numbered = usable(frame).with_row_index(_ROW)
    present = numbered.drop_nulls([LABEL, *outputs_of(frame)])
    if METRICS[metric].rows is Classified:
        present = probabilities(present, predictions)[0]
    else:
        label = _numbers(present.get_column(LABEL), "labels")
        output = _numbers(_single(present), "predictions")
        present = present.filter(pl.Series(np.isfinite(label) & np.isfinite(output)))
    kept = np.zeros(frame.height, dtype=np.bool_)
    kept[present.get_column(_ROW).to_numpy()] = True
    return kept


def usable(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with NaN and infinity as null, in labels and predictions: neither is a class or a number."""
    floats = [name for name in (LABEL, *outputs_of(frame)) if name in frame.columns and frame.schema[name].is_float()]
    return frame.with_columns(pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in floats)


def bounded(rows: int, left_out: int) -> None:
    """Refuse to evaluate what is left of data that is mostly unusable.

    Raises:
        Undefined: more than UNUSABLE_SHARE of the rows were left out.
    """
    total = rows + left_out
    if left_out > UNUSABLE_SHARE * total:
        raise Undefined(
            f"{left_out:,} of {total:,} predictions cannot be used (missing, not a number, or no probability), "
            f"more than {UNUSABLE_SHARE:.0%}"
        )


def classified(frame: pl.DataFrame, predictions: Predictions) -> Classified:
    """Return rows of classes, from predicted classes or from probabilities; unusable probabilities are left out.

    Raises:
        Undefined: a label is not a known class, labels and predictions have different classes, or the number of
            probabilities differs from that of the classes.
    """
    kept, scores = probabilities(frame, predictions)
    if scores is None:
        truth, classes = common(kept.get_column(LABEL), _single(kept), predictions.classes)
        names = tuple(sorted({*truth.drop_nulls().unique(), *classes.drop_nulls().unique()}))
        if len(names) > 2:  # noqa: PLR2004 - two classes
            return Classified(_indices(truth, names), _indices(classes, names))
        positive = class_name(predictions.positive)
        if positive not in names:
            require(predictions.positive, pl.concat([truth, classes]), "labels and predictions")
        return Classified(_indices(truth, names), _indices(classes, names), None, names.index(positive))
    names = class_names(predictions.classes)
    truth = known(canonical(kept.get_column(LABEL)), names, "labels")
    if len(names) > 2:  # noqa: PLR2004
        return Classified(_indices(truth, names), scores.argmax(axis=1), scores)
    place = position(predictions, names)
    predicted = np.where(scores[:, place] >= float(predictions.threshold), place, 1 - place)
    return Classified(_indices(truth, names), predicted, scores, place)


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
    present = usable(frame).drop_nulls([*outputs_of(frame), *([LABEL] if labelled else [])])
    kept, scores = probabilities(present, predictions)
    favourable, truth = _decisions(kept, scores, predictions, labelled=labelled)
    groups = crossed([as_text(kept.get_column(name)).fill_null("").to_numpy().astype(np.str_) for name in attributes])
    return Judged(favourable, groups, truth)


def _decisions(
    frame: pl.DataFrame, scores: Floats | None, predictions: Predictions, *, labelled: bool
) -> tuple[Bools, Bools | None]:
    """Return whether the decision, and the label, is the favourable one.

    Raises:
        Undefined: the favourable class never occurs, or labels and predictions have different classes.
    """
    names = class_names(predictions.classes)
    if scores is None:
        classes = _single(frame)
        if labelled:
            truth, classes = common(frame.get_column(LABEL), classes, predictions.classes)
        else:
            classes = known(canonical(classes), names, "predictions") if predictions.classes else canonical(classes)
        positive = require(predictions.positive, classes, "predictions")
        favourable = _is(classes, positive)
    else:
        place = position(predictions, names)
        above = scores[:, place] >= float(predictions.threshold)
        favourable = np.asarray(above if len(names) == 2 else scores.argmax(axis=1) == place)  # noqa: PLR2004
        if labelled:
            truth = known(canonical(frame.get_column(LABEL)), names, "labels")
    if not labelled:
        return favourable, None
    return favourable, _is(truth, require(predictions.positive, truth, "labels"))


def outputs_of(frame: pl.DataFrame) -> list[str]:
    """Return the columns with the prediction: one, or one per class in class order."""
    found = [name for name in frame.columns if name == OUTPUT or name.startswith(f"{OUTPUT}.")]
    return sorted(found, key=lambda name: int(name.removeprefix(OUTPUT).removeprefix(".") or 0))


def probabilities(frame: pl.DataFrame, predictions: Predictions) -> tuple[pl.DataFrame, Floats | None]:
    """Return the rows with usable predictions and the probability of each class, shape (n, classes).

    A single value per row is the probability of the positive class if any is fractional, otherwise a class; the
    probabilities are then None. Rows with a value outside of 0 to 1 are left out; callers bound their share.

    Raises:
        Undefined: the number of values differs from that of the classes, or most are outside of 0 to 1.
    """
    columns = outputs_of(frame)
    names = class_names(predictions.classes)
    if len(columns) > 1:
        if len(columns) != len(names):
            raise Undefined(
                f"the model returns {len(columns)} values for {len(names)} classes: set predictions.classes"
            )
        scores = np.column_stack([_numbers(frame.get_column(name), "predictions") for name in columns])
        return _within_range(frame, scores)
    values = _single(frame)
    if not values.dtype.is_float() or bool((values == values.round()).all()):
        return frame, None
    if len(names) != 2:  # noqa: PLR2004
        raise Undefined(
            f"the model returns one probability for {len(names)} classes: set predictions.output to all of them"
        )
    chance = _numbers(values, "predictions")
    both = np.empty((chance.size, 2))
    positive = position(predictions, names)
    both[:, positive], both[:, 1 - positive] = chance, 1 - chance
    return _within_range(frame, both)


def class_scores(frame: pl.DataFrame, predictions: Predictions) -> Floats:
    """Return the probability of each class for rows with a prediction, shape (n, classes), for estimates.

    Raises:
        Undefined: predictions are classes; too many values are no probabilities, or do not sum to 1.
    """
    present = usable(frame).drop_nulls(outputs_of(frame))
    kept, scores = probabilities(present, predictions)
    if scores is None:
        raise Undefined("estimates need probabilities, but predictions are classes")
    bounded(kept.height, frame.height - kept.height)
    return scores[summing_to_one(scores)]


def numbered(frame: pl.DataFrame) -> tuple[pl.DataFrame, Floats]:
    """Return the rows with a predicted number, and these numbers, shape (n,); callers bound the share of the others.

    Raises:
        Undefined: there are several values per row, or most are not numbers.
    """
    present = usable(frame).drop_nulls(outputs_of(frame))
    values = _numbers(_single(present), "predictions")
    finite = np.isfinite(values)
    return present.filter(pl.Series(finite)), values[finite]


def summing_to_one(scores: Floats) -> Bools:
    """Return which rows have probabilities that sum to 1, shape (n,).

    Raises:
        Undefined: more than UNUSABLE_SHARE of them do not.
    """
    sums = scores.sum(axis=1)
    good = np.asarray(np.abs(sums - 1) <= SUM_TOLERANCE)
    bad = sums[~good]
    if bad.size > UNUSABLE_SHARE * good.size:
        raise Undefined(
            f"the probabilities of {bad.size:,} of {good.size:,} predictions do not sum to 1 but, for example, to "
            f"{bad[0]:.3g}: estimates need one class per row, and predictions.output that names its probabilities"
        )
    return good


def position(predictions: Predictions, names: Sequence[str]) -> int:
    """Return the index of the positive class.

    Raises:
        Undefined: it is not one of the classes.
    """
    positive = class_name(predictions.positive)
    if positive not in names:
        raise Undefined(f"predictions.positive {predictions.positive} is not one of the classes {some(names)}")
    return list(names).index(positive)


def _within_range(frame: pl.DataFrame, scores: Floats) -> tuple[pl.DataFrame, Floats]:
    good = np.all((scores >= -_ROUNDING) & (scores <= 1 + _ROUNDING), axis=1)
    if 2 * np.count_nonzero(good) < good.size:
        raise Undefined("predictions are not probabilities, since most are outside of 0 to 1: set predictions.output")
    return frame.filter(pl.Series(good)), np.clip(scores[good], 0.0, 1.0)


def _single(frame: pl.DataFrame) -> pl.Series:
    columns = outputs_of(frame)
    if len(columns) != 1:
        raise Undefined(f"the model returns {len(columns)} values per row, but one is needed")
    return frame.get_column(columns[0])


def _numbers(series: pl.Series, what: str) -> Floats:
    """Return the values as float64, NaN where one is not a number; callers bound their share."""
    numbers = series.cast(pl.Float64, strict=False)
    unreadable = series.filter(numbers.is_null())
    if unreadable.len() > UNUSABLE_SHARE * series.len():
        raise Undefined(f"{what} are not numbers, such as {as_text(unreadable)[0]}")
    return numbers.fill_null(float("nan")).to_numpy()


def _is(series: pl.Series, value: str) -> Bools:
    return np.asarray((series == value).fill_null(value=False).to_numpy())


def _indices(texts: pl.Series, names: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return texts.replace_strict(list(names), list(range(len(names))), return_dtype=pl.Int64).to_numpy()
