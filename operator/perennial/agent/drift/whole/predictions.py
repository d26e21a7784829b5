"""Compares the predictions of the newest window with those of the reference."""

from dataclasses import dataclass
from datetime import datetime
from math import inf
from pathlib import Path

import polars as pl

from perennial.agent.drift.columns import ColumnPair, pair_of
from perennial.agent.drift.data.predictions import frame_of_files, read_predictions
from perennial.agent.drift.features import feature_of
from perennial.agent.predictions.outputs import OUTPUT, tensor_of
from perennial.agent.predictions.rows import outputs_of
from perennial.agent.predictions.vocabulary import BINARY, canonical, class_names, known
from perennial.agent.storage.errors import AgentError
from perennial.agent.tables.files import Store
from perennial.agent.tables.table import Table
from perennial.agent.text import number
from perennial.api.contract.commands import DriftConfig
from perennial.api.contract.report import CheckReport, FeatureReport
from perennial.api.driftmonitor.resource import DriftCheck
from perennial.api.driftmonitor.whole import PredictionDriftCheck
from perennial.core.failures import DATA_INVALID
from perennial.stats.intervals import Undefined

_SHOWN = 20
_METRIC = "drift"


@dataclass(frozen=True)
class PredictionResult:
    """Drift of the predictions.

    Attributes:
        reports: one, about the output with the most drift; none if the check was not asked for and is not possible.
        features: comparison of each output, most drift first.
    """

    reports: tuple[CheckReport, ...] = ()
    features: tuple[FeatureReport, ...] = ()


def compare_predictions(
    config: DriftConfig, store: Store, reference: Table, folder: Path, now: datetime, *, least: int | None = None
) -> PredictionResult:
    """Compare the predictions of the newest window with those of the reference.

    Args:
        config: method and threshold, and location of the predictions.
        store: storage.
        reference: reference data, with predictions in the columns that predictions.output names.
        folder: an empty folder for downloads.
        now: end of the window.
        least: rows that whatever is shown must have behind it. None: the defaults.

    Raises:
        AgentError: what storage raises.
    """
    asked = config.checks.prediction_drift
    output = config.predictions.output
    has = output is not None and any(output in (name, tensor_of(name)) for name in reference.columns)
    if asked is None and not has:
        return PredictionResult()
    try:
        if not has:
            raise Undefined(_lacking(output))
        before, after = _frames(config, store, reference, folder, now)
        features = _features(config, before, after, asked or PredictionDriftCheck(), least)
    except Undefined as error:
        return PredictionResult((_blank(output, str(error)),))
    except AgentError as error:
        if error.failure is not DATA_INVALID:
            raise  # storage that is away comes back; a corrupt file does not
        return PredictionResult((_blank(output, error.message),))
    return PredictionResult((_report(features[0], drifted=any(item.drifted for item in features)),), features[:_SHOWN])


def _lacking(output: str | None) -> str:
    if output is None:
        return "set predictions.output to the output, and to the column of the reference with predictions"
    return f"the reference has no predictions: it has no column {output}"


def _blank(output: str | None, why: str) -> CheckReport:
    return CheckReport(check="predictions", metric=_METRIC, subject=output, why=why)


def _frames(
    config: DriftConfig, store: Store, reference: Table, folder: Path, now: datetime
) -> tuple[pl.DataFrame, pl.DataFrame]:
    newest = config.model_copy(update={"ground_truth": None})
    before = frame_of_files(reference, newest, ())
    after = read_predictions(newest, store, (), folder, now).frame
    columns, answered = outputs_of(before), outputs_of(after)
    if columns != answered:
        raise Undefined(
            f"the reference has {len(columns)} and responses have {len(answered)} values of {config.predictions.output}"
        )
    if after.height < config.checks.min_rows:
        raise Undefined(f"{after.height:,} predictions, but checks.minRows is {config.checks.min_rows:,}")
    return before.select(columns), after.select(columns)


def _features(
    config: DriftConfig, before: pl.DataFrame, after: pl.DataFrame, asked: PredictionDriftCheck, least: int | None
) -> tuple[FeatureReport, ...]:
    check = DriftCheck(method=asked.method, threshold=asked.threshold)
    found = []
    for column in before.columns:
        pair = _pair(config, before.get_column(column), after.get_column(column))
        found.append(feature_of(_title(config, column, before.width), pair, check, before.width, least=least))
    return tuple(sorted(found, key=lambda item: (not item.drifted, -(inf if item.badness is None else item.badness))))


def _pair(config: DriftConfig, before: pl.Series, after: pl.Series) -> ColumnPair:
    """Return both sides as numbers or as classes.

    Raises:
        Undefined: one side has classes and the other probabilities, or neither can be compared.
    """
    first, second = (_is_class(series) for series in (before, after))
    fractions = [side for side, series in (("reference", before), ("responses", after)) if _has_fractions(series)]
    if fractions and (first or second):
        raise Undefined(f"one side has classes, and the {' and '.join(fractions)} probabilities: both must be alike")
    if first and second and config.predictions.classes:
        names = class_names(config.predictions.classes)
        before, after = known(canonical(before), names, "reference"), known(canonical(after), names, "responses")
    elif not (before.dtype.is_numeric() and after.dtype.is_numeric()):
        before, after = canonical(before), canonical(after)
    numbers = before.dtype.is_numeric() and after.dtype.is_numeric()
    pair = pair_of(before, after, "numeric" if numbers else "categorical")
    if isinstance(pair, str):
        raise Undefined(f"predictions cannot be compared: {pair}")
    return pair


def _is_class(series: pl.Series) -> bool:
    """Whether values are classes for certain: texts, booleans, or nothing but 0 and 1."""
    return not series.dtype.is_numeric() or set(canonical(series).drop_nulls().unique()) <= set(BINARY)


def _has_fractions(series: pl.Series) -> bool:
    return series.dtype.is_float() and bool((series != series.round()).any())


def _title(config: DriftConfig, column: str, several: int) -> str:
    """Name an output: `predict`, or `predict (yes)` for the probability of a class."""
    output = config.predictions.output or OUTPUT
    place = column.removeprefix(OUTPUT).removeprefix(".")
    if not place:
        return output
    names = config.predictions.classes or ()
    return f"{output} ({names[int(place)]})" if len(names) == several else f"{output}.{place}"


def _report(worst: FeatureReport, *, drifted: bool) -> CheckReport:
    limit = f"{'p at least' if worst.p_value is not None else 'below'} {number(worst.threshold)}"
    return CheckReport(
        check="predictions",
        metric=worst.method,
        subject=worst.name,
        value=worst.score,
        p_value=worst.p_value,
        limit=limit,
        failed=drifted,
        rows=worst.current.rows,
    )
