"""Runs the performance and fairness checks. A check that cannot be evaluated reports the reason."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from perennial.agent.drift.data.labels import join_labels
from perennial.agent.drift.data.predictions import frame_of_files, read_predictions
from perennial.agent.drift.data.privacy import Guard
from perennial.agent.drift.performance.estimates import run_estimates
from perennial.agent.drift.performance.limits import Limits, interval_of
from perennial.agent.predictions.outputs import LABEL
from perennial.agent.predictions.rows import bounded, judged, rows_of, usable
from perennial.agent.storage.errors import AgentError
from perennial.agent.tables.files import Store
from perennial.agent.tables.table import Table
from perennial.agent.text import count, percent
from perennial.api.contract.commands import DriftConfig
from perennial.api.contract.report import CheckReport, GroupReport
from perennial.api.driftmonitor.checks import FairnessCheck, PerformanceCheck
from perennial.core.failures import DATA_INVALID
from perennial.stats.fairness import disparity, is_signed
from perennial.stats.groups import Judged, group_rates
from perennial.stats.intervals import CONFIDENCE, Undefined
from perennial.stats.performance import gain, measure
from perennial.stats.regression import Ranked

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckResults:
    """Results of all checks.

    Attributes:
        reports: one per check, failed ones first.
        labelled: number of predictions with a label; None without ground truth.
        predicted: number of predictions; None if none were read.
        notes: sentences for the report.
        frame: the predictions, with labels and further columns as far as they exist; None if none were read.
    """

    reports: tuple[CheckReport, ...] = ()
    labelled: int | None = None
    predicted: int | None = None
    notes: tuple[str, ...] = ()
    frame: pl.DataFrame | None = None

    def joined(self, reports: Sequence[CheckReport], notes: Sequence[str]) -> "CheckResults":
        """Return the results with those of further checks."""
        together = sorted((*self.reports, *reports), key=lambda item: not item.failed)
        return replace(self, reports=tuple(together), notes=(*self.notes, *notes))


def run_checks(
    config: DriftConfig, store: Store, reference: Table, folder: Path, now: datetime, *, guard: Guard
) -> CheckResults:
    """Run all checks.

    Args:
        config: checks, and location of predictions and labels.
        store: storage.
        reference: reference data, for checks with maxDrop.
        folder: an empty folder for downloads.
        now: current time.
        guard: columns that are dropped or hashed.

    Raises:
        AgentError: DataInvalid, naming a file that cannot be read; or what storage raises.
    """
    labelled = _labelled_checks(config, store, reference, _subfolder(folder, "labelled"), now, guard=guard)
    estimates, notes = run_estimates(config, store, reference, _subfolder(folder, "estimates"), now, guard=guard)
    results = labelled.joined(estimates, notes)
    if results.reports:
        failed = sum(report.failed for report in results.reports)
        log.info("%d of %d checks of performance and fairness failed", failed, len(results.reports))
    return results


def _labelled_checks(
    config: DriftConfig, store: Store, reference: Table, folder: Path, now: datetime, *, guard: Guard
) -> CheckResults:
    checks = config.checks
    if not (checks.performance or checks.fairness):
        return CheckResults()
    attributes = {name for check in checks.fairness for name in check.attributes}
    identity = {name for name in (config.ground_truth.id if config.ground_truth else None,) if name}
    divided = {segment.column for segment in config.segments or ()}
    wanted = identity | ((attributes | divided) - guard.dropped)
    try:
        frame, labelled, notes = _read(config, store, wanted, folder, now, guard=guard)
        frame = guard.frame(frame)
    except Undefined as error:
        return CheckResults(tuple(_not_evaluated(config, str(error))))
    except AgentError as error:
        if error.failure is not DATA_INVALID:
            raise  # storage that is away comes back; a corrupt file does not
        return CheckResults(tuple(_not_evaluated(config, error.message)))
    return CheckResults(evaluate(config, frame, reference), labelled, frame.height, notes, frame)


def evaluate(
    config: DriftConfig, frame: pl.DataFrame, reference: Table | None, confidence: float = CONFIDENCE
) -> tuple[CheckReport, ...]:
    """Run the checks of performance and fairness on predictions.

    Args:
        config: checks, and how to read predictions.
        frame: one row per prediction, as `CheckResults.frame`.
        reference: reference data, for checks with maxDrop. None: it has no such rows.
        confidence: of the intervals, in (0, 1).

    Raises:
        AgentError: DataInvalid, naming a file of the reference that cannot be read.
    """
    checks = config.checks
    return (
        *(_performance(check, config, frame, reference, confidence) for check in checks.performance),
        *(_fairness(check, config, frame, confidence) for check in checks.fairness),
    )


def _read(
    config: DriftConfig, store: Store, wanted: set[str], folder: Path, now: datetime, *, guard: Guard
) -> tuple[pl.DataFrame, int | None, tuple[str, ...]]:
    identities, place = guard.identities, _subfolder(folder, "predictions")
    predicted = read_predictions(config, store, wanted, place, now, identities=identities)
    labels = config.ground_truth
    if labels is None:
        return predicted.frame, None, predicted.notes
    place = _subfolder(folder, "labels")
    joined = join_labels(predicted.frame, labels, store, wanted, place, identities=identities)
    coverage = f"{percent(joined.coverage)} of {count(joined.frame.height, 'prediction')} have a label."
    return joined.frame, joined.labelled, (*predicted.notes, coverage, *joined.notes)


def _subfolder(folder: Path, name: str) -> Path:
    path = folder / name
    path.mkdir()
    return path


def _performance(
    check: PerformanceCheck, config: DriftConfig, frame: pl.DataFrame, reference: Table | None, confidence: float
) -> CheckReport:
    limits = Limits.of(check.min, check.max)
    words = [limits.words, f"at most {check.max_drop} worse than the reference" if check.max_drop else ""]
    blank = CheckReport(check="performance", metric=check.metric, limit=" and ".join(word for word in words if word))
    try:
        _require_labels(frame, config)
        rows = rows_of(frame, check.metric, config.predictions, check.k)
        used = int(rows.relevance.size) if isinstance(rows, Ranked) else rows.size
        blank = blank.model_copy(update={"left_out": _labelled_rows(frame) - used})
        bounded(used, blank.left_out)
        if rows.size < config.checks.min_rows:
            raise Undefined(f"{count(rows.size, 'labelled row')}, but checks.minRows is {config.checks.min_rows:,}")
        found = measure(check.metric, rows, confidence)
        failed, before = limits.broken_by(found), None
        if check.max_drop is not None:
            earlier = rows_of(_reference_frame(config, reference), check.metric, config.predictions, check.k)
            before = measure(check.metric, earlier).value
            failed = failed or gain(check.metric, rows, earlier, confidence).high < -float(check.max_drop)
    except Undefined as error:
        return blank.model_copy(update={"why": str(error)})
    return blank.model_copy(update={**interval_of(found), "reference": before, "failed": failed, "rows": rows.size})


def _reference_frame(config: DriftConfig, reference: Table | None) -> pl.DataFrame:
    if reference is None or not reference.rows:
        raise Undefined("maxDrop needs rows of the reference")
    label = config.ground_truth.label if config.ground_truth else ""
    if label not in reference.columns:
        raise Undefined(f"maxDrop needs labels in the reference, but it has no column {label}: set min or max instead")
    try:
        frame = frame_of_files(reference, config, ())
    except Undefined as error:
        raise Undefined(f"maxDrop needs predictions in the reference ({error})") from error
    return frame.with_columns(reference.column(label).alias(LABEL))


def _require_labels(frame: pl.DataFrame, config: DriftConfig) -> None:
    """Refuse to evaluate predictions of which none has a label.

    Raises:
        Undefined: no label joined a prediction.
    """
    labels = config.ground_truth
    if labels is None or LABEL not in frame.columns:
        raise Undefined("there are no labels: set groundTruth")
    if not _labelled_rows(frame):
        identity = f"column {labels.id}" if labels.id else "the request's id"
        raise Undefined(
            f"no label joined any of {count(frame.height, 'prediction')}: column {labels.key} of the labels and "
            f"{identity} have no value in common"
        )


def _labelled_rows(frame: pl.DataFrame) -> int:
    """Number of rows with a label; NaN is none."""
    return frame.height if LABEL not in frame.columns else usable(frame).get_column(LABEL).drop_nulls().len()


def _fairness(check: FairnessCheck, config: DriftConfig, frame: pl.DataFrame, confidence: float) -> CheckReport:
    limits = _fair_limits(check)
    named = " & ".join(check.attributes)
    blank = CheckReport(check="fairness", metric=check.metric, subject=named, limit=limits.words)
    try:
        if check.needs_truth:
            _require_labels(frame, config)
        rows = judged(frame, config.predictions, check.attributes, labelled=check.needs_truth)
        size = int(rows.favourable.size)
        left_out = (_labelled_rows(frame) if check.needs_truth else frame.height) - size
        bounded(size, left_out)
        blank = blank.model_copy(update={"groups": _groups(rows, check), "rows": size, "left_out": left_out})
        found = disparity(check.metric, rows, check.privileged, least=check.min_group_rows, confidence=confidence)
    except Undefined as error:
        return blank.model_copy(update={"why": str(error)})
    subject = f"{named}: {found.group} vs {found.versus}"
    failed = limits.broken_by(found.estimate)
    return blank.model_copy(update={**interval_of(found.estimate), "subject": subject, "failed": failed})


def _groups(rows: Judged, check: FairnessCheck) -> tuple[GroupReport, ...]:
    return tuple(
        GroupReport(
            group=item.group,
            rows=item.rows,
            rates={name: (rate.value, rate.low, rate.high) for name, rate in item.rates.items()},
        )
        for item in group_rates(rows, check.min_group_rows)
    )


def _fair_limits(check: FairnessCheck) -> Limits:
    """Configured limits, or the defaults: the four-fifths rule for ratios, 0.1 for differences."""
    if check.min is not None or check.max is not None:
        return Limits.of(check.min, check.max)
    if check.metric == "disparateImpact":
        return Limits(0.8, 1.25)
    if check.metric == "demographicParityRatio":
        return Limits(0.8, None)
    return Limits(-0.1 if is_signed(check.metric) else None, 0.1)


def _not_evaluated(config: DriftConfig, why: str) -> list[CheckReport]:
    return [
        *(CheckReport(check="performance", metric=check.metric, why=why) for check in config.checks.performance),
        *(
            CheckReport(check="fairness", metric=check.metric, subject=" & ".join(check.attributes), why=why)
            for check in config.checks.fairness
        ),
    ]
