"""Estimates performance on the newest window without labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import get_args

from perennial.agent.drift.data.predictions import read_predictions
from perennial.agent.drift.data.privacy import Guard
from perennial.agent.drift.performance.limits import Limits, interval_of
from perennial.agent.drift.performance.losses import estimate_loss, read_inputs
from perennial.agent.drift.performance.probabilities import estimate_of, expected_rows
from perennial.agent.tables.files import Store
from perennial.agent.tables.table import Table
from perennial.api.common.measures import EstimatedName, EstimatedOfNumbers
from perennial.api.contract.commands import DriftConfig
from perennial.api.contract.report import CheckReport
from perennial.api.driftmonitor.checks import EstimatedCheck
from perennial.stats.intervals import Estimate, Undefined

_CAVEAT = (
    "Estimates account for changes of the inputs, not for changes of the relation between inputs and outcome "
    "(concept drift), which only labels show."
)
_OF_NUMBERS = get_args(EstimatedOfNumbers)


@dataclass(frozen=True)
class _Estimated:
    """An estimate.

    Attributes:
        found: value and interval.
        rows: rows of the window.
        note: how it came about, for the report.
        reference: the same figure of the reference; None: not computed.
    """

    found: Estimate
    rows: int
    note: str
    reference: float | None = None


_Estimator = Callable[[EstimatedName], _Estimated]


def run_estimates(
    config: DriftConfig, store: Store, reference: Table, folder: Path, now: datetime, *, guard: Guard
) -> tuple[tuple[CheckReport, ...], tuple[str, ...]]:
    """Return one report per check, and notes on how the estimates came about.

    Args:
        config: checks, and location of predictions.
        store: storage.
        reference: reference data. Probabilities are calibrated on it if it has predictions and labels; errors of
            numbers are learned on it.
        folder: an empty folder for downloads.
        now: end of the window.
        guard: columns that are dropped or hashed.

    Raises:
        AgentError: DataInvalid, naming a file that cannot be read; or what storage raises.
    """
    checks = config.checks.estimated
    numbers = [check for check in checks if check.metric in _OF_NUMBERS]
    classes = [check for check in checks if check not in numbers]
    results = (
        *_judged(classes, lambda: _of_classes(config, store, reference, folder, now)),
        *_judged(numbers, lambda: _of_numbers(config, store, reference, folder, now, guard=guard)),
    )
    notes = tuple(dict.fromkeys(note for _, note in results if note))
    return tuple(report for report, _ in results), (*notes, _CAVEAT) if notes else ()


def _judged(
    checks: Sequence[EstimatedCheck], prepare: Callable[[], _Estimator]
) -> tuple[tuple[CheckReport, str | None], ...]:
    """Return the report of each check, with a note on how it came about."""
    if not checks:
        return ()
    try:
        estimator = prepare()
    except Undefined as error:
        return tuple((_not_judged(check, error), None) for check in checks)
    return tuple(_evaluate(check, estimator) for check in checks)


def _evaluate(check: EstimatedCheck, estimator: _Estimator) -> tuple[CheckReport, str | None]:
    limits = Limits.of(check.min, check.max)
    try:
        result = estimator(check.metric)
    except Undefined as error:
        return _not_judged(check, error), None
    figures = {**interval_of(result.found), "reference": result.reference, "rows": result.rows}
    return _blank(check).model_copy(update={**figures, "failed": limits.broken_by(result.found)}), result.note


def _of_classes(config: DriftConfig, store: Store, reference: Table, folder: Path, now: datetime) -> _Estimator:
    newest = config.model_copy(update={"ground_truth": None})
    rows = expected_rows(
        config, read_predictions(newest, store, (), _subfolder(folder, "classes"), now).frame, reference
    )

    def estimator(metric: EstimatedName) -> _Estimated:
        match metric:
            case "mae" | "rmse" | "mape":
                raise Undefined(f"{metric} is not of classes")
            case _:
                return _Estimated(estimate_of(metric, rows), rows.size, rows.note)

    return estimator


def _of_numbers(
    config: DriftConfig, store: Store, reference: Table, folder: Path, now: datetime, *, guard: Guard
) -> _Estimator:
    rows = read_inputs(config, store, reference, _subfolder(folder, "numbers"), now, guard=guard)

    def estimator(metric: EstimatedName) -> _Estimated:
        match metric:
            case "mae" | "rmse" | "mape":
                loss = estimate_loss(metric, rows)
                return _Estimated(loss.found, rows.size, loss.note, loss.reference)
            case _:
                raise Undefined(f"{metric} is not of numbers")

    return estimator


def _subfolder(folder: Path, name: str) -> Path:
    path = folder / name
    path.mkdir()
    return path


def _not_judged(check: EstimatedCheck, why: Undefined) -> CheckReport:
    return _blank(check).model_copy(update={"why": str(why)})


def _blank(check: EstimatedCheck) -> CheckReport:
    return CheckReport(check="estimated", metric=check.metric, limit=Limits.of(check.min, check.max).words)
