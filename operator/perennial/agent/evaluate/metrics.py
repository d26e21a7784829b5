"""Metrics of the candidate and of the stable revision on the rows that both have scored."""

import numpy as np
import polars as pl

from perennial.agent.predictions.rows import bounded, judged, outputs_of, rows_of, usable_rows
from perennial.agent.text import cut, decimal_text
from perennial.api.contract.commands import MetricWanted
from perennial.api.contract.messages import LINE_LENGTH, Measured
from perennial.api.driftmonitor.checks import FairnessCheck, Predictions
from perennial.stats.fairness import disparity
from perennial.stats.intervals import Estimate, Undefined
from perennial.stats.performance import measure, paired_gain

MIN_ROWS = 100
"""With fewer rows the intervals are not valid."""
_INFINITE = 999_999_000_000.0


def performance(
    wanted: MetricWanted, candidate: pl.DataFrame, stable: pl.DataFrame | None, predictions: Predictions
) -> Measured:
    """Measure a performance metric of the candidate, and its gain over the stable revision.

    Args:
        wanted: the metric.
        candidate: LABEL and the outputs of the candidate, one row per row asked.
        stable: the same of the stable revision, with the same rows; None: there is none.
        predictions: how to read predictions.
    """
    blank = Measured(metric=wanted.metric)
    try:
        _require_answers(candidate, stable)
        kept = usable_rows(candidate, wanted.metric, predictions)
        if stable is not None:
            kept = kept & usable_rows(stable, wanted.metric, predictions)
        size = int(np.count_nonzero(kept))
        blank = blank.model_copy(update={"rows": size, "left_out": candidate.height - size})
        _require_rows(size, candidate.height)
        ours = rows_of(candidate.filter(pl.Series(kept)), wanted.metric, predictions, wanted.k)
        found = _figures(measure(wanted.metric, ours), "value", "low", "high")
        if stable is not None:
            theirs = rows_of(stable.filter(pl.Series(kept)), wanted.metric, predictions, wanted.k)
            found["stable"] = decimal_text(measure(wanted.metric, theirs).value)
            found |= _figures(paired_gain(wanted.metric, ours, theirs), "gain", "gain_low", "gain_high")
    except Undefined as error:
        return blank.model_copy(update={"why": cut(str(error), LINE_LENGTH)})
    return blank.model_copy(update=found)


def fairness(
    check: FairnessCheck, candidate: pl.DataFrame, stable: pl.DataFrame | None, predictions: Predictions
) -> Measured:
    """Measure a fairness metric of the candidate; of the stable revision its value alone, to compare by eye.

    Args:
        check: metric, attributes and privileged group.
        candidate: LABEL, the attributes, and the outputs of the candidate, one row per row asked.
        stable: the same of the stable revision; None: there is none.
        predictions: how to read predictions; `positive` is the favourable outcome.
    """
    blank = Measured(metric=check.metric, subject=cut(" & ".join(check.attributes), LINE_LENGTH))
    try:
        _require_answers(candidate, None)
        rows = judged(candidate, predictions, check.attributes, labelled=check.needs_truth)
        size = int(rows.favourable.size)
        blank = blank.model_copy(update={"rows": size, "left_out": candidate.height - size})
        _require_rows(size, candidate.height)
        found = disparity(check.metric, rows, check.privileged, least=check.min_group_rows)
    except Undefined as error:
        return blank.model_copy(update={"why": cut(str(error), LINE_LENGTH)})
    subject = cut(f"{' & '.join(check.attributes)}: {found.group} vs {found.versus}", LINE_LENGTH)
    update = {**_figures(found.estimate, "value", "low", "high"), "subject": subject}
    return blank.model_copy(update={**update, "stable": _stable_disparity(check, stable, predictions)})


def _stable_disparity(check: FairnessCheck, stable: pl.DataFrame | None, predictions: Predictions) -> str | None:
    if stable is None:
        return None
    try:
        rows = judged(stable, predictions, check.attributes, labelled=check.needs_truth)
        value = disparity(check.metric, rows, check.privileged, least=check.min_group_rows).estimate.value
    except Undefined:
        return None
    return decimal_text(value)


def _require_answers(candidate: pl.DataFrame, stable: pl.DataFrame | None) -> None:
    """Refuse to measure a revision that has answered nothing.

    Raises:
        Undefined: the message says which.
    """
    for who, frame in (("candidate", candidate), ("stable revision", stable)):
        if frame is not None and not outputs_of(frame):
            raise Undefined(f"the {who} gave no usable answer to any of {frame.height:,} rows")


def _require_rows(size: int, total: int) -> None:
    """Refuse to measure on too few rows, or on what is left of mostly unusable ones.

    Raises:
        Undefined: the message says which.
    """
    bounded(size, total - size)
    if size < MIN_ROWS:
        raise Undefined(f"{size:,} usable rows, but at least {MIN_ROWS} are needed")


def _figures(found: Estimate, value: str, low: str, high: str) -> dict[str, str | None]:
    """Return an estimate as fields of a message; an infinite bound is None."""
    bounds = {low: found.low, high: found.high}
    texts = {name: decimal_text(bound) if abs(bound) < _INFINITE else None for name, bound in bounds.items()}
    return {value: decimal_text(found.value), **texts}
