"""Runs the performance and fairness checks. A check that cannot be evaluated reports the reason."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from perennial.agent.drift.data.files import Store
from perennial.agent.drift.data.labels import join_labels
from perennial.agent.drift.data.predictions import LABEL, frame_of_files, read_predictions
from perennial.agent.drift.data.table import Table
from perennial.agent.drift.performance.estimates import run_estimates
from perennial.agent.drift.performance.limits import Limits, interval_of
from perennial.agent.drift.performance.rows import judged, rows_of
from perennial.agent.drift.report.model import CheckReport, GroupReport
from perennial.agent.drift.report.text import count, percent
from perennial.api.contract.commands import DriftConfig
from perennial.api.driftmonitor.checks import FairnessCheck, PerformanceCheck
from perennial.stats.fairness import disparity, is_signed
from perennial.stats.groups import Judged, group_rates
from perennial.stats.intervals import Undefined
from perennial.stats.performance import gain, measure

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckResults:
    """Results of all checks.

    Attributes:
        reports: one per check, failed ones first.
        labelled: number of predictions with a label; None without ground truth.
        predicted: number of predictions; None if none were read.
        notes: sentences for the report.
    """

    reports: tuple[CheckReport, ...] = ()
    labelled: int | None = None
    predicted: int | None = None
    notes: tuple[str, ...] = ()


def run_checks(config: DriftConfig, store: Store, reference: Table, folder: Path, now: datetime) -> CheckResults:
    """Run all checks.

    Args:
        config: checks, and location of predictions and labels.
        store: storage.
        reference: reference data, for checks with maxDrop.
        folder: an empty folder for downloads.
        now: current time.

    Raises:
        AgentError: DataInvalid, naming a file that cannot be read; or what storage raises.
    """
    labelled = _labelled_checks(config, store, reference, _subfolder(folder, "labelled"), now)
    estimates, notes = run_estimates(config, store, reference, _subfolder(folder, "estimates"), now)
    reports = sorted((*labelled.reports, *estimates), key=lambda item: not item.failed)
    if reports:
        failed = sum(report.failed for report in reports)
        log.info("%d of %d checks of performance and fairness failed", failed, len(reports))
    return replace(labelled, reports=tuple(reports), notes=(*labelled.notes, *notes))


def _labelled_checks(config: DriftConfig, store: Store, reference: Table, folder: Path, now: datetime) -> CheckResults:
    checks = config.checks
    if not (checks.performance or checks.fairness):
        return CheckResults()
    attributes = {name for check in checks.fairness for name in check.attributes}
    wanted = attributes | {name for name in (config.ground_truth.id if config.ground_truth else None,) if name}
    try:
        frame, labelled, notes = _read(config, store, wanted, folder, now)
    except Undefined as error:
        return CheckResults(tuple(_not_evaluated(config, str(error))))
    reports = [
        *(_performance(check, config, frame, reference) for check in checks.performance),
        *(_fairness(check, config, frame) for check in checks.fairness),
    ]
    return CheckResults(tuple(reports), labelled, frame.height, notes)


def state_of(reports: Sequence[CheckReport], kind: str) -> bool | None:
    """Whether a check of a kind failed; None if there is none, or none could be evaluated."""
    evaluated = [report for report in reports if report.check == kind and report.value is not None]
    return any(report.failed for report in evaluated) if evaluated else None


def _read(
    config: DriftConfig, store: Store, wanted: set[str], folder: Path, now: datetime
) -> tuple[pl.DataFrame, int | None, tuple[str, ...]]:
    predicted = read_predictions(config, store, wanted, _subfolder(folder, "predictions"), now)
    labels = config.ground_truth
    if labels is None:
        return predicted.frame, None, predicted.notes
    joined = join_labels(predicted.frame, labels, store, wanted, _subfolder(folder, "labels"))
    coverage = f"{percent(joined.coverage)} of {count(joined.frame.height, 'prediction')} have a label."
    return joined.frame, joined.labelled, (*predicted.notes, coverage, *joined.notes)


def _subfolder(folder: Path, name: str) -> Path:
    path = folder / name
    path.mkdir()
    return path


def _performance(check: PerformanceCheck, config: DriftConfig, frame: pl.DataFrame, reference: Table) -> CheckReport:
    limits = Limits.of(check.min, check.max)
    words = [limits.words, f"at most {check.max_drop} worse than the reference" if check.max_drop else ""]
    blank = CheckReport(check="performance", metric=check.metric, limit=" and ".join(word for word in words if word))
    try:
        rows = rows_of(frame, check.metric, config.predictions, check.k)
        if rows.size < config.checks.min_rows:
            raise Undefined(f"{count(rows.size, 'labelled row')}, but checks.minRows is {config.checks.min_rows:,}")
        found = measure(check.metric, rows)
        failed, before = limits.broken_by(found), None
        if check.max_drop is not None:
            earlier = rows_of(_reference_frame(config, reference), check.metric, config.predictions, check.k)
            before = measure(check.metric, earlier).value
            failed = failed or gain(check.metric, rows, earlier).high < -float(check.max_drop)
    except Undefined as error:
        return blank.model_copy(update={"why": str(error)})
    return blank.model_copy(update={**interval_of(found), "reference": before, "failed": failed, "rows": rows.size})


def _reference_frame(config: DriftConfig, reference: Table) -> pl.DataFrame:
    label = config.ground_truth.label if config.ground_truth else ""
    if label not in reference.columns:
        raise Undefined(f"maxDrop needs labels in the reference, but it has no column {label}: set min or max instead")
    try:
        frame = frame_of_files(reference, config, ())
    except Undefined as error:
        raise Undefined(f"maxDrop needs predictions in the reference ({error})") from error
    return frame.with_columns(reference.column(label).alias(LABEL))


def _fairness(check: FairnessCheck, config: DriftConfig, frame: pl.DataFrame) -> CheckReport:
    limits = _fair_limits(check)
    named = " & ".join(check.attributes)
    blank = CheckReport(check="fairness", metric=check.metric, subject=named, limit=limits.words)
    try:
        rows = judged(frame, config.predictions, check.attributes, labelled=check.needs_truth)
        blank = blank.model_copy(update={"groups": _groups(rows, check), "rows": int(rows.favourable.size)})
        found = disparity(check.metric, rows, check.privileged, least=check.min_group_rows)
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
