"""Estimates performance on the newest window without labels."""

from datetime import datetime
from pathlib import Path

from perennial.agent.drift.data.predictions import read_predictions
from perennial.agent.drift.performance.limits import Limits, interval_of
from perennial.agent.drift.performance.probabilities import ExpectedRows, estimate_of, expected_rows
from perennial.agent.tables.files import Store
from perennial.agent.tables.table import Table
from perennial.api.contract.commands import DriftConfig
from perennial.api.contract.report import CheckReport
from perennial.api.driftmonitor.checks import EstimatedCheck
from perennial.stats.intervals import Undefined

_CAVEAT = (
    "Estimates account for changes of the inputs, not for changes of the relation between inputs and outcome "
    "(concept drift), which only labels show."
)


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
    newest = config.model_copy(update={"ground_truth": None})
    try:
        frame = read_predictions(newest, store, (), folder, now).frame
        found = expected_rows(config, frame, reference)
    except Undefined as error:
        return tuple(_blank(check).model_copy(update={"why": str(error)}) for check in checks), ()
    return tuple(_evaluate(check, found) for check in checks), (found.note, _CAVEAT)


def _evaluate(check: EstimatedCheck, rows: ExpectedRows) -> CheckReport:
    limits = Limits.of(check.min, check.max)
    blank = _blank(check)
    try:
        found = estimate_of(check.metric, rows)
    except Undefined as error:
        return blank.model_copy(update={"why": str(error)})
    failed = limits.broken_by(found)
    return blank.model_copy(update={**interval_of(found), "failed": failed, "rows": rows.size})


def _blank(check: EstimatedCheck) -> CheckReport:
    return CheckReport(check="estimated", metric=check.metric, limit=Limits.of(check.min, check.max).words)
