"""`perennial agent drift`: reads reference and current data, compares them, writes report and verdict.

`data.reference` and `data.window` store rows on disk, `columns` pairs the columns, `features` compares them with
`stats`, `performance` runs the other checks, `history` keeps the scores, `report` renders the result, `verdict` fits it
in the termination message.
"""

import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from polars.exceptions import PanicException, PolarsError

from perennial.agent.drift.columns import select_columns
from perennial.agent.drift.data.reference import read_reference
from perennial.agent.drift.data.window import Skipped, Window, read_window, window_files
from perennial.agent.drift.features import FeatureResult, compare_columns
from perennial.agent.drift.history.rows import rows_of
from perennial.agent.drift.history.store import ReportStore, remember
from perennial.agent.drift.history.summary import summarise
from perennial.agent.drift.performance.checks import CheckResults, run_checks
from perennial.agent.drift.report.html import render
from perennial.agent.drift.report.index import render_index
from perennial.agent.drift.verdict import no_verdict, verdict_of
from perennial.agent.records.captured import left_out
from perennial.agent.storage.client import join_uri
from perennial.agent.storage.errors import AgentError, classify
from perennial.agent.tables.files import Listing, Store, passed_over, read_tables, some, tables_under
from perennial.agent.tables.table import Table, clean_text
from perennial.agent.text import count
from perennial.api.contract.commands import CaptureWindow, DriftConfig, RunReference
from perennial.api.contract.messages import DriftVerdict, NoVerdict
from perennial.api.contract.report import DriftReport, Side
from perennial.api.driftmonitor.resource import Features
from perennial.core.failures import DATA_INVALID
from perennial.core.times import format_time

log = logging.getLogger(__name__)

JOB_VARIABLE = "PERENNIAL_JOB"
"""Name of the pod's Job, from the downward API. It identifies the verdict."""
INDEX = "index.html"
_HTML = "text/html; charset=utf-8"
_KEEP, _LONGEST_KEEP = timedelta(days=365), timedelta(days=36_500)
"""Time for which the history keeps a comparison; the longest, since no date is before the year 1."""
_NAMES_SHOWN = 8
_REASONS_SHOWN = 3
_FILES_SHOWN = 100
_NOTABLE = 0.01
"""Share of requests from which those that could not be read are a finding."""
_UNREADABLE: tuple[Skipped, ...] = ("malformed", "without a body", "with a truncated body")


@dataclass(frozen=True)
class Current:
    """Current data.

    Attributes:
        table: rows.
        unwanted: names of columns that were not kept.
        unreadable: fields that no request had in a readable form, with the reason.
        notes: sentences for the report.
        findings: problems of its quality.
    """

    table: Table
    unwanted: tuple[str, ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()


def run(
    config: DriftConfig, store: ReportStore, now: datetime | None = None, job: str | None = None
) -> DriftVerdict | NoVerdict:
    """Compare, write the report, and return the verdict or the reason why there is none.

    Args:
        config: what to compare, and how.
        store: storage for data and report.
        now: end of the window. None: the current time.
        job: name of the Job, used for the verdict and the report's folder. None: from PERENNIAL_JOB.

    Raises:
        AgentError: as in `core.failures`, such as DataInvalid and DigestMismatch.
    """
    moment = now or datetime.now(UTC)
    name = job or os.environ.get(JOB_VARIABLE) or f"{config.monitor}-by-hand"
    scratch = Path(config.scratch)
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="drift-", dir=scratch) as folder:
            report = _compare(config, store, moment, name, Path(folder))
    except OSError as error:  # a full disk, most likely
        raise classify(error, str(scratch)) from error
    except (PolarsError, PanicException) as error:
        raise AgentError(DATA_INVALID, f"the data cannot be read: {' '.join(str(error).split())[:300]}") from error
    if isinstance(report, NoVerdict):
        log.info("no verdict: %s", report.message)
        return report
    if config.report is None:
        uri = None
    else:
        report, rows = _remember(config, store, report, moment)
        uri = _write(store, f"{config.report.rstrip('/')}/{name}", report)
        if rows is not None:
            store.put_bytes(join_uri(config.report, INDEX), render_index(rows).encode(), _HTML)
    log.info(
        "%s: %d of %d columns drifted",
        "drift" if report.drifted else "no drift",
        report.drifted_features,
        report.compared_features,
    )
    return verdict_of(report, uri, config.message_bytes)


def _compare(config: DriftConfig, store: Store, now: datetime, job: str, folder: Path) -> DriftReport | NoVerdict:
    files = _current_files(store, config.current, now)
    if not files.files:
        return no_verdict(
            "WindowEmpty", " ".join((_empty_text(config.current), *passed_over("current data", files.passed_over)))
        )
    types = config.features.types or {}
    as_text = {name for name, kind in types.items() if kind == "categorical"}
    reference = read_reference(store, config.reference, _subfolder(folder, "reference"), as_text)
    wanted = {*reference.columns, *(config.features.include or ())}
    current = _read_current(
        config.current, store, files, now=now, wanted=wanted, as_text=as_text, folder=_subfolder(folder, "current")
    )
    few = _too_few(config, reference, current)
    if few is not None:
        return few
    chosen = select_columns(config.features, reference.columns, (*current.table.columns, *current.unwanted))
    if not chosen.compared:  # a wrong features.include, not drift
        return no_verdict("NoCommonColumns", _no_common(reference, current, config.features))
    comparison = compare_columns(
        chosen,
        reference,
        current.table,
        checks=config.checks,
        types=types,
        roles=_roles(config),
        attributes={name for check in config.checks.fairness for name in check.attributes},
        unreadable=current.unreadable,
    )
    if not comparison.features:
        reasons = "; ".join(f"{item.name}: {item.reason}" for item in comparison.not_compared[:_NAMES_SHOWN])
        return no_verdict("NoCommonColumns", f"no column could be compared: {reasons}")
    results = run_checks(config, store, reference, _subfolder(folder, "checks"), now)
    return _report(config, reference, current, comparison, results, now=now, job=job)


def _roles(config: DriftConfig) -> dict[str, str]:
    """Columns that are no inputs of the model, with what they are; those in features.include are compared."""
    labels = config.ground_truth
    named = {
        labels.label if labels else None: "the label",
        (labels.id or labels.key) if labels else None: "the id of predictions",
        config.predictions.output: "the prediction",
        config.predictions.group: "the group of predictions",
    }
    included = config.features.include or ()
    return {name: role for name, role in named.items() if name is not None and name not in included}


def _current_files(store: Store, current: str | CaptureWindow, now: datetime) -> Listing:
    return window_files(store, current, now) if isinstance(current, CaptureWindow) else tables_under(store, current)


def _read_current(
    source: str | CaptureWindow,
    store: Store,
    files: Listing,
    *,
    now: datetime,
    wanted: set[str],
    as_text: set[str],
    folder: Path,
) -> Current:
    if not isinstance(source, CaptureWindow):
        table = read_tables(store, files, folder, as_text)
        return Current(table, notes=passed_over("current data", table.passed_over))
    window = read_window(store, source, files, folder, now=now, wanted=wanted)
    known = {*window.table.columns, *window.unwanted}
    unreadable = {name: reason for name, (_, reason) in window.unreadable.items() if name not in known}
    notes, findings = tuple(_window_notes(window)), tuple(_window_findings(window))
    return Current(window.table, window.unwanted, unreadable, notes, findings)


def _window_findings(window: Window) -> list[str]:
    """Requests and fields that could not be read, if they are more than a few."""
    lost = sum(window.skipped.get(cause, 0) for cause in _UNREADABLE)
    total = window.requests + lost
    reason = max(window.malformed, key=lambda name: window.malformed[name], default="no complete body")
    fields = [
        f"{name[:64]}: could not be read in {amount:,} of {count(window.requests, 'request')}: {why}"
        for name, (amount, why) in sorted(window.unreadable.items(), key=lambda item: -item[1][0])
        if amount >= _NOTABLE * window.requests
    ]
    requests = f"{lost:,} of {count(total, 'request')} could not be read, mostly: {reason}"
    return [
        *_unreadable_files(window),
        *([requests] if lost and lost >= _NOTABLE * total else []),
        *fields[:_REASONS_SHOWN],
    ]


def _unreadable_files(window: Window) -> list[str]:
    """Capture files that are left out. How many requests they hold is unknown, so a single one is a finding."""
    return [left_out(window.unreadable_files, window.files)] if window.unreadable_files else []


def _window_notes(window: Window) -> list[str]:
    notes = [f"The window holds {count(window.requests, 'request')}."]
    if window.skipped:
        counted = [f"{count(amount, 'record')} {cause}" for cause, amount in sorted(window.skipped.items())]
        notes.append(f"Left out: {', '.join(counted)}.")
    if window.malformed:
        reasons = sorted(window.malformed.items(), key=lambda item: (-item[1], item[0]))
        notes.append(f"Malformed: {'; '.join(f'{amount:,} {reason}' for reason, amount in reasons[:_REASONS_SHOWN])}.")
    if window.unreadable:
        fields = [
            f"{name[:64]} of {count(amount, 'request')} ({why})" for name, (amount, why) in window.unreadable.items()
        ]
        rest = f" and {len(fields) - _NAMES_SHOWN} more" if len(fields) > _NAMES_SHOWN else ""
        notes.append(f"Fields that could not be read: {', '.join(fields[:_NAMES_SHOWN])}{rest}.")
    if window.lost_rows:
        notes.append(f"Left out: {count(window.lost_rows, 'row')} of another length than the columns.")
    notes.extend(f"Left out: {text}." for text in _unreadable_files(window))
    return [*notes, *passed_over("current data", window.table.passed_over)]


def _too_few(config: DriftConfig, reference: Table, current: Current) -> NoVerdict | None:
    least = config.checks.min_rows
    if current.table.rows == 0:
        return no_verdict("WindowEmpty", _unusable_text(config.current, current))
    for side, rows in (("reference", reference.rows), ("current data", current.table.rows)):
        if rows < least:
            text = f"the {side} has {count(rows, 'row')}, but checks.minRows is {least:,}: "
            step = "wait for more requests, widen current.window or lower checks.minRows"
            notes = current.notes if side == "current data" else ()
            return no_verdict("TooFewRows", " ".join((text + step + ("." if notes else ""), *notes)))
    return None


def _empty_text(current: str | CaptureWindow) -> str:
    if isinstance(current, CaptureWindow):
        return (
            f"no requests to model {current.digest[:19]} were captured under {current.uri} in the last "
            f"{_period(current)}: send requests, widen current.window, or check the deployment's capture."
        )
    return f"no rows found under current.uri {current}: upload data or correct the URI."


def _unusable_text(source: str | CaptureWindow, current: Current) -> str:
    """Say that there is data, but no row of it can be compared."""
    if isinstance(source, CaptureWindow):
        text = f"no usable requests to model {source.digest[:19]} under {source.uri} in the last {_period(source)}."
        return " ".join((text, *current.notes, "Correct the requests, widen current.window, or check the capture."))
    return " ".join((_empty_text(source), *current.notes))


def _period(window: CaptureWindow) -> str:
    """Length of the window as the spec states it, such as 24h."""
    return window.period or f"{window.seconds} s"


def _no_common(reference: Table, current: Current, features: Features) -> str:
    seen = (*current.table.columns, *current.unwanted)
    included = "" if features.include is None else f" features.include names {some(features.include)}."
    return (
        f"reference and current data have no column in common. The reference has {some(reference.columns)}; "
        f"the current data has {some(seen)}."
        f"{included} Give request tensors the names of the reference's columns, or correct features."
    )


def _report(
    config: DriftConfig,
    reference: Table,
    current: Current,
    comparison: FeatureResult,
    results: CheckResults,
    *,
    now: datetime,
    job: str,
) -> DriftReport:
    drifted = sum(feature.drifted for feature in comparison.features)
    compared = len(comparison.features)
    share = float(config.checks.drift.share)
    return DriftReport(
        job=job,
        time=format_time(now),
        namespace=config.namespace,
        monitor=config.monitor,
        deployment=config.deployment,
        run=config.run,
        digest=config.digest,
        drifted=drifted > 0 and drifted / compared >= share,
        drifted_features=drifted,
        compared_features=compared,
        share_threshold=share,
        reference=_reference_side(config.reference, reference),
        current=_current_side(config.current, current.table),
        features=comparison.features,
        not_compared=comparison.not_compared,
        quality_findings=(*comparison.findings, *current.findings),
        checks=results.reports,
        labelled_rows=results.labelled,
        predicted_rows=results.predicted,
        passed_over_files=len(reference.passed_over) + len(current.table.passed_over),
        passed_over=tuple((*_uris(config.reference, reference), *_uris(config.current, current.table))[:_FILES_SHOWN]),
        notes=(*passed_over("reference", reference.passed_over), *current.notes, *results.notes),
    )


def _uris(source: str | RunReference | CaptureWindow, table: Table) -> list[str]:
    """URIs of the files that were passed over; those of a run's input are relative to it."""
    root = (
        ""
        if isinstance(source, RunReference)
        else f"{(source if isinstance(source, str) else source.uri).rstrip('/')}/"
    )
    return [clean_text(f"{root}{name}") for name in table.passed_over[:_FILES_SHOWN]]


def _reference_side(reference: str | RunReference, table: Table) -> Side:
    if isinstance(reference, RunReference):
        name = f"input {reference.input} of the model's training run" if reference.input else "the training run's input"
        return Side(uri=reference.uri, description=name, rows=table.rows)
    return Side(uri=reference, description="reference data", rows=table.rows)


def _current_side(current: str | CaptureWindow, table: Table) -> Side:
    if isinstance(current, CaptureWindow):
        description = f"captured requests of the last {_period(current)}"
        return Side(uri=current.uri, description=description, rows=table.rows)
    return Side(uri=current, description="current data", rows=table.rows)


def _remember(
    config: DriftConfig, store: ReportStore, report: DriftReport, now: datetime
) -> tuple[DriftReport, pl.DataFrame | None]:
    """Add the comparison to the history; return the report with what the history says, and the history."""
    keep = min(timedelta(seconds=config.keep_seconds), _LONGEST_KEEP) if config.keep_seconds else _KEEP
    kept = remember(store, config.report or "", rows_of(report), now=now, keep=keep)
    notes = (*report.notes, kept.note) if kept.note else report.notes
    window = timedelta(seconds=config.current.seconds if isinstance(config.current, CaptureWindow) else 0)
    history = None if kept.rows is None else summarise(kept.rows, report, window)
    return report.model_copy(update={"notes": notes, "history": history}), kept.rows


def _write(store: Store, prefix: str, report: DriftReport) -> str:
    """Write report.json and report.html; return the URI of the latter."""
    store.put_bytes(f"{prefix}/report.json", report.to_json(), "application/json")
    store.put_bytes(f"{prefix}/report.html", render(report).encode(), _HTML)
    return f"{prefix}/report.html"


def _subfolder(folder: Path, name: str) -> Path:
    path = folder / name
    path.mkdir()
    return path
