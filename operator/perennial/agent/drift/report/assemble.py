"""Assembles the report of one comparison: verdict, sources of both sides, results and notes."""

from datetime import datetime

from perennial.agent.drift.data.current import Current
from perennial.agent.drift.data.span import span_notes, span_of
from perennial.agent.drift.features import FeatureResult
from perennial.agent.drift.performance.checks import CheckResults
from perennial.agent.drift.segments.run import findings_of
from perennial.agent.tables.files import passed_over
from perennial.agent.tables.table import Table, clean_text
from perennial.api.contract.commands import CaptureWindow, DriftConfig, RunReference
from perennial.api.contract.report import DriftReport, FeatureReport, SegmentsReport, Side
from perennial.api.driftmonitor.window import CalendarWindow
from perennial.core.times import format_time

_FILES_SHOWN = 100


def assemble(
    config: DriftConfig,
    reference: Table,
    current: Current,
    comparison: FeatureResult,
    results: CheckResults,
    *,
    digest: str,
    segments: tuple[SegmentsReport, ...],
    predictions: tuple[FeatureReport, ...],
    declared: tuple[str, ...],
    repeated: tuple[str, ...],
    now: datetime,
    job: str,
) -> DriftReport:
    """Assemble the report of a comparison by one Job, with a reference whose files have this digest."""
    drifted = sum(feature.drifted for feature in comparison.features)
    compared = len(comparison.features)
    share = float(config.checks.drift.share)
    return DriftReport(
        job=job,
        time=format_time(now),
        window=_window(config.current, now),
        namespace=config.namespace,
        monitor=config.monitor,
        deployment=config.deployment,
        run=config.run,
        digest=config.digest,
        drifted=drifted > 0 and drifted / compared >= share,
        drifted_features=drifted,
        compared_features=compared,
        share_threshold=share,
        reference=_reference_side(config.reference, reference, digest),
        current=_current_side(config.current, current.rows, now),
        features=comparison.features,
        predictions=predictions,
        not_compared=comparison.not_compared,
        quality_findings=(*declared, *comparison.findings, *repeated, *findings_of(segments), *current.findings),
        checks=results.reports,
        segments=segments,
        labelled_rows=results.labelled,
        predicted_rows=results.predicted,
        passed_over_files=len(reference.passed_over) + len(current.table.passed_over),
        passed_over=tuple((*_uris(config.reference, reference), *_uris(config.current, current.table))[:_FILES_SHOWN]),
        notes=(
            *span_notes(config.current, now),
            *passed_over("reference", reference.passed_over),
            *current.notes,
            *results.notes,
        ),
    )


def _uris(source: str | RunReference | CaptureWindow, table: Table) -> list[str]:
    """URIs of the files that were passed over; those of a run's input are relative to it."""
    root = (
        ""
        if isinstance(source, RunReference)
        else f"{(source if isinstance(source, str) else source.uri).rstrip('/')}/"
    )
    return [clean_text(f"{root}{name}") for name in table.passed_over[:_FILES_SHOWN]]


def _reference_side(reference: str | RunReference, table: Table, digest: str) -> Side:
    if isinstance(reference, RunReference):
        name = f"input {reference.input} of the model's training run" if reference.input else "the training run's input"
        return Side(uri=reference.uri, description=name, rows=table.rows, digest=digest)
    return Side(uri=reference, description="reference data", rows=table.rows, digest=digest)


def _window(current: str | CaptureWindow, now: datetime) -> CalendarWindow | None:
    return span_of(current, now).calendar if isinstance(current, CaptureWindow) else None


def _current_side(current: str | CaptureWindow, rows: int, now: datetime) -> Side:
    if isinstance(current, CaptureWindow):
        description = f"captured requests of {span_of(current, now).text}"
        return Side(uri=current.uri, description=description, rows=rows)
    return Side(uri=current, description="current data", rows=rows)
