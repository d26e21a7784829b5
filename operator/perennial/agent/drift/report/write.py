"""Writes the report of a comparison, what it adds to the history, and the index of all comparisons."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import polars as pl

from perennial.agent.drift.history.rows import rows_of
from perennial.agent.drift.history.store import ReportStore, remember
from perennial.agent.drift.history.summary import summarise
from perennial.agent.drift.report.html import render
from perennial.agent.drift.report.index import render_index
from perennial.agent.storage.client import join_uri
from perennial.api.contract.commands import CaptureWindow, DriftConfig
from perennial.api.contract.report import DriftReport

INDEX = "index.html"
_HTML = "text/html; charset=utf-8"
_JSON = "application/json"
_KEEP, _LONGEST_KEEP = timedelta(days=365), timedelta(days=36_500)
"""Time for which the history keeps a comparison; the longest, since no date is before the year 1."""


def write_report(
    config: DriftConfig, store: ReportStore, now: datetime, job: str, report: DriftReport, *, files: Mapping[str, bytes]
) -> tuple[DriftReport, str | None]:
    """Write a report, if there is a place for it; return it with its history, and the URI of its page.

    Args:
        config: the comparison.
        store: storage of the reports.
        now: time from which the history's oldest comparisons are counted.
        job: name of the Job and of the report's folder.
        report: the result.
        files: content of further JSON files beside the report, by name.

    Raises:
        AgentError: what storage raises.
    """
    if config.report is None:
        return report, None
    told, rows = _remember(config, store, config.report, report, now)
    folder = join_uri(config.report, job)
    for name, content in files.items():
        store.put_bytes(join_uri(folder, name), content, _JSON)
    page = join_uri(folder, "report.html")
    store.put_bytes(join_uri(folder, "report.json"), told.to_json(), _JSON)
    store.put_bytes(page, render(told).encode(), _HTML)
    if rows is not None:
        store.put_bytes(join_uri(config.report, INDEX), render_index(rows).encode(), _HTML)
    return told, page


def _remember(
    config: DriftConfig, store: ReportStore, uri: str, report: DriftReport, now: datetime
) -> tuple[DriftReport, pl.DataFrame | None]:
    """Add the comparison to the history; return the report with what the history says, and the history."""
    keep = min(timedelta(seconds=config.keep_seconds), _LONGEST_KEEP) if config.keep_seconds else _KEEP
    kept = remember(store, uri, rows_of(report), now=now, keep=keep)
    notes = (*report.notes, kept.note) if kept.note else report.notes
    sliding = config.current.seconds if isinstance(config.current, CaptureWindow) else None
    history = None if kept.rows is None else summarise(kept.rows, report, timedelta(seconds=sliding or 0))
    return report.model_copy(update={"notes": notes, "history": history}), kept.rows
