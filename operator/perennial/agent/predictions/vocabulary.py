"""Brings classes of labels and predictions to one vocabulary, or refuses those that have none in common.

A figure from two vocabularies that do not meet is always wrong: the accuracy of `yes` against `1` is 0. So classes are
mapped only where predictions.classes declares them, and everything else is not evaluated.
"""

from collections.abc import Sequence

import polars as pl

from perennial.agent.tables.table import as_text
from perennial.stats.intervals import Undefined

BINARY = ("0", "1")
"""Classes of a model for which predictions.classes declares none."""

_SHOWN = 8


def canonical(series: pl.Series) -> pl.Series:
    """Return classes as text, without surrounding spaces, and whole numbers alike: 1, 1.0 and "1.0" are one class."""
    return as_text(series).str.strip_chars().str.replace(r"^(-?\d+)\.0+$", "$1")


def class_name(text: str) -> str:
    """Return a configured class in the form of `canonical`."""
    return str(canonical(pl.Series([text]))[0])


def class_names(declared: Sequence[str] | None) -> tuple[str, ...]:
    """Return the declared classes, or 0 and 1."""
    return tuple(class_name(name) for name in declared) if declared else BINARY


def known(texts: pl.Series, names: Sequence[str], what: str) -> pl.Series:
    """Return classes by name, given names or, where no name matches, indices into the names.

    Args:
        texts: canonical classes, or indices of them.
        names: all classes, in the order of the model's probabilities.
        what: labels or predictions, for the message.

    Raises:
        Undefined: a value is neither, or it could be both.
    """
    found = set(texts.drop_nulls().unique())
    if found <= set(names):
        return texts
    indices = {str(place): name for place, name in enumerate(names)}
    if found <= set(indices) and not set(indices) & set(names):
        return texts.replace_strict(list(indices), list(indices.values()), default=None, return_dtype=pl.String)
    unknown = some(sorted(found - set(names)))
    raise Undefined(f"{what} contain {unknown}, which is not one of the classes {some(names)}: set predictions.classes")


def common(labels: pl.Series, predictions: pl.Series, declared: Sequence[str] | None) -> tuple[pl.Series, pl.Series]:
    """Return labels and predicted classes in one vocabulary.

    Args:
        labels: true classes, shape (n,).
        predictions: predicted classes, shape (n,).
        declared: predictions.classes.

    Raises:
        Undefined: no classes are declared, and neither side has all classes of the other; or a class is not declared.
    """
    truth, predicted = canonical(labels), canonical(predictions)
    if declared:
        names = class_names(declared)
        return known(truth, names, "labels"), known(predicted, names, "predictions")
    sides = set(truth.drop_nulls().unique()), set(predicted.drop_nulls().unique())
    if sides[0] <= sides[1] or sides[1] <= sides[0] or sides[0] | sides[1] <= set(BINARY):
        return truth, predicted
    raise Undefined(
        f"labels contain {some(sorted(sides[0]))} and predictions {some(sorted(sides[1]))}: "
        "set predictions.classes to all classes, in the order of the model's probabilities"
    )


def require(positive: str, series: pl.Series, what: str) -> str:
    """Return the positive class in canonical form.

    Raises:
        Undefined: it never occurs; the message says which classes do.
    """
    name = class_name(positive)
    occurring = sorted(series.drop_nulls().unique())
    if name not in occurring:
        raise Undefined(f"{what} never contain the positive class {positive}, only {some(occurring)}: "
                        "set predictions.positive")  # fmt: skip
    return name


def some(names: Sequence[str]) -> str:
    """Return the first names as text."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(name[:64] for name in names[:_SHOWN]) + more or "nothing"
