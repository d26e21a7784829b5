"""Estimates classification metrics from the model's own probabilities, calibrated on the reference."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from perennial.agent.drift.data.predictions import frame_of_files
from perennial.agent.predictions.outputs import LABEL
from perennial.agent.predictions.rows import class_scores, classified, position, summing_to_one, usable
from perennial.agent.predictions.vocabulary import class_names
from perennial.agent.tables.table import Table
from perennial.agent.text import percent
from perennial.api.common.measures import EstimatedOfClasses
from perennial.api.contract.commands import DriftConfig
from perennial.stats.class_estimation import (
    LEAST_OF_CLASS,
    ExpectedClasses,
    calibrate_classes,
    expected_of_classes,
    normalised,
)
from perennial.stats.estimation import Expected, calibrate, calibration_helps, expected
from perennial.stats.intervals import Estimate, Undefined
from perennial.stats.samples import Counts, Floats

_TWO = 2
_UNHELPFUL = "Estimated from the model's own probabilities: calibration on the reference does not improve them."


@dataclass(frozen=True, eq=False)
class ExpectedRows:
    """Predictions with calibrated probabilities, and how they were calibrated, for the report."""

    rows: Expected | ExpectedClasses
    note: str

    @property
    def size(self) -> int:
        """Number of rows."""
        return int(self.rows.predicted.size)


def expected_rows(config: DriftConfig, frame: pl.DataFrame, reference: Table) -> ExpectedRows:
    """Return the predictions with calibrated probabilities.

    Args:
        config: classes, and how to read predictions.
        frame: predictions of the window, with the OUTPUT columns.
        reference: used for calibration if it has predictions and labels.

    Raises:
        Undefined: predictions are no probabilities, their classes are unknown, or there are too few rows.
        AgentError: DataInvalid, naming a file of the reference that cannot be read.
    """
    scores = class_scores(frame, config.predictions)
    least = config.checks.min_rows
    if scores.shape[0] < least:
        raise Undefined(f"{scores.shape[0]:,} predictions, but checks.minRows is {least:,}")
    if scores.shape[1] == _TWO:
        return _of_two(config, scores, reference)
    return _of_several(config, scores, reference)


def estimate_of(metric: EstimatedOfClasses, found: ExpectedRows) -> Estimate:
    """Estimate a metric with its 95 % confidence interval.

    Raises:
        Undefined: the metric is undefined on these rows.
    """
    rows = found.rows
    return expected(metric, rows) if isinstance(rows, Expected) else expected_of_classes(metric, rows)


def _of_two(config: DriftConfig, scores: Floats, reference: Table) -> ExpectedRows:
    positive = position(config.predictions, class_names(config.predictions.classes))
    said = scores[:, positive]
    predicted = np.asarray(said >= float(config.predictions.threshold))
    try:
        known = classified(_labelled(config, reference), config.predictions)
        if known.positive is None:
            raise Undefined("the reference has more than two classes")
        before, outcomes = known.probabilities()[:, known.positive], np.asarray(known.truth == known.positive)
        learned = calibrate(before, outcomes) if calibration_helps(before, outcomes) else None
    except Undefined as error:
        return ExpectedRows(Expected(said, said, predicted), _uncalibrated(error))
    if learned is None:
        return ExpectedRows(Expected(said, said, predicted), _UNHELPFUL)
    return ExpectedRows(Expected(said, learned.apply(said), predicted), _covered(learned.covers(said)))


def _of_several(config: DriftConfig, scores: Floats, reference: Table) -> ExpectedRows:
    predicted = np.asarray(scores.argmax(axis=1))
    own = normalised(scores, scores)
    try:
        labelled = _labelled(config, reference)
    except Undefined as error:
        return ExpectedRows(ExpectedClasses(scores, own, predicted), _uncalibrated(error))
    known = classified(labelled, config.predictions)
    before = known.probabilities()
    kept = summing_to_one(before)
    truth = known.truth[kept]
    _require_each(truth, class_names(config.predictions.classes))
    learned = calibrate_classes(before[kept], truth)
    if not learned.changes:
        return ExpectedRows(ExpectedClasses(scores, own, predicted), _UNHELPFUL)
    covered = _covered(learned.covers(scores), "or more of those of each class")
    return ExpectedRows(ExpectedClasses(scores, learned.apply(scores), predicted), covered)


def _require_each(truth: Counts, names: tuple[str, ...]) -> None:
    """Refuse a reference that has too few rows of a class for a calibration.

    Raises:
        Undefined: naming the classes.
    """
    rows = np.bincount(truth, minlength=len(names))
    few = [names[at] for at in np.flatnonzero(rows < LEAST_OF_CLASS)]
    if few:
        shown = ", ".join(few[:5]) + (f" and {len(few) - 5} more" if len(few) > 5 else "")  # noqa: PLR2004
        raise Undefined(
            f"the reference has fewer than {LEAST_OF_CLASS} labelled rows of the classes {shown}, too few to calibrate "
            "their probabilities"
        )


def _labelled(config: DriftConfig, reference: Table) -> pl.DataFrame:
    """Return the predictions of the reference that have a label.

    Raises:
        Undefined: the reference has no labels, or no predictions.
    """
    label = config.ground_truth.label if config.ground_truth else None
    if label is None or label not in reference.columns:
        raise Undefined("the reference has no labels in the column groundTruth.label")
    frame = frame_of_files(reference, config, ()).with_columns(reference.column(label).alias(LABEL))
    return usable(frame).drop_nulls()


def _uncalibrated(cause: Undefined) -> str:
    return f"Estimated from the model's own probabilities without calibration: {cause}."


def _covered(share: float, of: str = "of them") -> str:
    return f"Estimated from probabilities calibrated on the reference; {percent(share)} {of} lie within its range."
