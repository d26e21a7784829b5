"""Reads the current data: captured requests of a window, or files; says what could not be read of them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from perennial.agent.drift.data.privacy import Guard
from perennial.agent.drift.data.records import Skipped
from perennial.agent.drift.data.span import span_of
from perennial.agent.drift.data.window import Window, read_window, window_files
from perennial.agent.drift.profiles.merge import WindowProfile
from perennial.agent.predictions.payload import NESTED
from perennial.agent.records.captured import left_out
from perennial.agent.tables.files import Listing, Store, passed_over, read_tables, tables_under
from perennial.agent.tables.table import Table
from perennial.agent.text import count
from perennial.api.contract.commands import CaptureWindow

_NAMES_SHOWN = 8
_REASONS_SHOWN = 3
_NOTABLE = 0.01
"""Share of requests from which those that could not be read are a finding."""
_UNREADABLE: tuple[Skipped, ...] = ("malformed", "without a body", "with a truncated body")


@dataclass(frozen=True)
class Current:
    """Current data.

    Attributes:
        table: rows; without any if there is a profile.
        unwanted: names of columns that were not kept.
        unreadable: fields that no request had in a readable form, with the reason.
        notes: sentences for the report.
        findings: problems of its quality.
        profile: counts of the rows, if they were not read.
    """

    table: Table
    unwanted: tuple[str, ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    profile: WindowProfile | None = None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.table.rows if self.profile is None else self.profile.rows

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in order of first occurrence."""
        return self.table.columns if self.profile is None else self.profile.names


def current_files(store: Store, current: str | CaptureWindow, now: datetime) -> Listing:
    """Return the files of the current data. Raises as `window_files` and `tables_under`."""
    return window_files(store, current, now) if isinstance(current, CaptureWindow) else tables_under(store, current)


def read_current(
    source: str | CaptureWindow,
    store: Store,
    files: Listing,
    *,
    now: datetime,
    wanted: set[str],
    as_text: set[str],
    folder: Path,
    guard: Guard,
    lists: Collection[str] = (),
) -> Current:
    """Read the current data.

    Args:
        source: URI of files, or the window of captured requests.
        store: storage of the files.
        files: result of `current_files`.
        now: time of the comparison.
        wanted: columns to keep of captured requests.
        as_text: columns whose CSV values are not parsed.
        folder: an empty folder for downloads and partitions.
        guard: columns that are dropped or hashed; dropped ones are not even named.
        lists: columns that may be lists of numbers.

    Raises:
        AgentError: DataInvalid, naming a file; or what storage raises.
    """
    if not isinstance(source, CaptureWindow):
        table = read_tables(store, files, folder, as_text, lists)
        return Current(guard.table(table), notes=passed_over("current data", table.passed_over))
    window = read_window(store, source, files, folder, now=now, wanted=wanted, lists=lists)
    return current_of(_without(window, guard))


def _without(window: Window, guard: Guard) -> Window:
    """Return a window without dropped columns, nor what else names them."""
    return replace(
        window,
        table=guard.table(window.table),
        unwanted=tuple(name for name in window.unwanted if name not in guard.dropped),
        unreadable={name: why for name, why in window.unreadable.items() if name not in guard.dropped},
    )


def current_of(window: Window, profile: WindowProfile | None = None) -> Current:
    """Return the current data of a window, by its rows or its profile."""
    known = {*(profile.names if profile else window.table.columns), *window.unwanted}
    unreadable = {name: reason for name, (_, reason) in window.unreadable.items() if name not in known}
    notes, findings = tuple(_window_notes(window)), tuple(_window_findings(window))
    return Current(window.table, window.unwanted, unreadable, notes, findings, profile)


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
    if any(why == NESTED for _, why in window.unreadable.values()):
        notes.append("Lists of numbers, all of one length, are compared if features.embeddings names their field.")
    if window.lost_rows:
        notes.append(f"Left out: {count(window.lost_rows, 'row')} of another length than the columns.")
    notes.extend(f"Left out: {text}." for text in _unreadable_files(window))
    return [*notes, *passed_over("current data", window.table.passed_over)]


def empty_text(current: str | CaptureWindow, now: datetime) -> str:
    """Say that there is no current data, and what to do."""
    if isinstance(current, CaptureWindow):
        return (
            f"no requests to model {current.digest[:19]} were captured under {current.uri} in "
            f"{span_of(current, now).text}: send requests, {widen(current)}, or check the deployment's capture."
        )
    return f"no rows found under current.uri {current}: upload data or correct the URI."


def unusable_text(source: str | CaptureWindow, current: Current, now: datetime) -> str:
    """Say that there is data, but no row of it can be compared."""
    if isinstance(source, CaptureWindow):
        period = span_of(source, now).text
        text = f"no usable requests to model {source.digest[:19]} under {source.uri} in {period}."
        return " ".join((text, *current.notes, f"Correct the requests, {widen(source)}, or check the capture."))
    return " ".join((empty_text(source, now), *current.notes))


def widen(current: str | CaptureWindow) -> str:
    """Say how a longer window is set."""
    calendar = isinstance(current, CaptureWindow) and current.calendar is not None
    return "set a longer current.calendar.unit" if calendar else "widen current.window"
