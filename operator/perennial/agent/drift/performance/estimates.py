"""Estimates performance on the newest window without labels, from calibrated probabilities."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from perennial.agent.drift.data.predictions import frame_of_files, read_predictions
from perennial.agent.drift.performance.limits import Limits, interval_of
from perennial.agent.predictions.outputs import LABEL
from perennial.agent.predictions.rows import classified, positive_scores
from perennial.agent.tables.files import Store
from perennial.agent.tables.table import Table
from perennial.agent.text import percent
from perennial.api.contract.commands import DriftConfig
from perennial.api.contract.report import CheckReport
from perennial.api.driftmonitor.checks import EstimatedCheck
from perennial.stats.classification import Bools
from perennial.stats.estimation import Calibration, Expected, calibrate, calibration_helps, expected
from perennial.stats.intervals import Undefined
from perennial.stats.samples import Floats

_CAVEAT = (
    "Estimates account for changes of the inputs, not for changes of the relation between inputs and outcome "
    "(concept drift), which only labels show."
)


@dataclass(frozen=True, eq=False)
class _Basis:
    """Data of the estimates, and notes for the report."""

    rows: Expected
    notes: tuple[str, ...]


def run_estimates(
    config: DriftConfig, store: Store, reference: Table, folder: Path, now: datetime
) -> tuple[tuple[CheckReport, ...], tuple[str, ...]]:
    """Return one report per check, and notes on the calibration.

    Args:
        config: checks, and location of predictions.
        store: storage.
        reference: reference data; used for calibration if it has predictions and labels.
        folder: an empty folder for downloads.
        now: end of the window.

    Raises:
        AgentError: DataInvalid, naming a file that cannot be read; or what storage raises.
    """
    checks = config.checks.estimated
    if not checks:
        return (), ()
    try:
        basis = _basis(config, store, reference, folder, now)
    except Undefined as error:
        return tuple(_blank(check).model_copy(update={"why": str(error)}) for check in checks), ()
    return tuple(_evaluate(check, basis.rows) for check in checks), basis.notes


def _basis(config: DriftConfig, store: Store, reference: Table, folder: Path, now: datetime) -> _Basis:
    newest = config.model_copy(update={"ground_truth": None})
    frame = read_predictions(newest, store, (), folder, now).frame
    scores = positive_scores(frame, config.predictions)
    if scores.size < config.checks.min_rows:
        raise Undefined(f"{scores.size:,} predictions, but checks.minRows is {config.checks.min_rows:,}")
    predicted = np.asarray(scores >= float(config.predictions.threshold))
    try:
        known, outcomes = _known(config, reference)
        learned = calibrate(known, outcomes) if calibration_helps(known, outcomes) else None
    except Undefined as error:
        note = f"Estimated from the model's own probabilities without calibration: {error}."
        return _Basis(Expected(scores, scores, predicted), (note, _CAVEAT))
    if learned is None:
        note = "Estimated from the model's own probabilities: calibration on the reference does not improve them."
        return _Basis(Expected(scores, scores, predicted), (note, _CAVEAT))
    return _Basis(Expected(scores, learned.apply(scores), predicted), (_covered(learned, scores), _CAVEAT))


def _known(config: DriftConfig, reference: Table) -> tuple[Floats, Bools]:
    """Return the model's probabilities on the reference, and the outcomes."""
    label = config.ground_truth.label if config.ground_truth else None
    if label is None or label not in reference.columns:
        raise Undefined("the reference has no labels in the column groundTruth.label")
    frame = frame_of_files(reference, config, ()).with_columns(reference.column(label).alias(LABEL))
    rows = classified(frame.drop_nulls(), config.predictions)
    if rows.positive is None:
        raise Undefined("the reference has more than two classes")
    return rows.probabilities()[:, rows.positive], np.asarray(rows.truth == rows.positive)


def _covered(learned: Calibration, scores: Floats) -> str:
    share = percent(learned.covers(scores))
    return f"Estimated from probabilities calibrated on the reference; {share} of them lie within its range."


def _evaluate(check: EstimatedCheck, rows: Expected) -> CheckReport:
    limits = Limits.of(check.min, check.max)
    blank = _blank(check)
    try:
        found = expected(check.metric, rows)
    except Undefined as error:
        return blank.model_copy(update={"why": str(error)})
    failed = limits.broken_by(found)
    return blank.model_copy(update={**interval_of(found), "failed": failed, "rows": int(rows.scores.size)})


def _blank(check: EstimatedCheck) -> CheckReport:
    return CheckReport(check="estimated", metric=check.metric, limit=Limits.of(check.min, check.max).words)
