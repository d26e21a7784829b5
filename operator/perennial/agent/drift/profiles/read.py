"""Reads a window hour by hour: closed hours from their profiles, the others from captured payloads."""

import logging
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from perennial.agent.drift.data.current import Current, current_of
from perennial.agent.drift.data.hours import WindowReader, by_hour, is_closed, joined
from perennial.agent.drift.data.span import Span, span_of
from perennial.agent.drift.data.window import Window
from perennial.agent.drift.history.store import ReportStore
from perennial.agent.drift.pairs import EXACT_ROWS
from perennial.agent.drift.profiles.hour import FileMark, HourProfile, profile_of
from perennial.agent.drift.profiles.merge import Hours, WindowProfile
from perennial.agent.drift.profiles.plan import ColumnPlan, key_of
from perennial.agent.drift.profiles.store import ProfileStore
from perennial.agent.records.captured import refuse_unreadable
from perennial.agent.storage.parallel import FILE_THREADS, in_parallel
from perennial.agent.tables.files import Download, Listing
from perennial.agent.text import count

log = logging.getLogger(__name__)

_AT_ONCE = 48
"""Profiles that are held in memory before they are added up."""


def read_profiled(
    reader: WindowReader,
    files: Listing,
    plans: Sequence[ColumnPlan],
    reference_rows: int,
    store: ReportStore,
    *,
    report: str,
    folder: Path,
) -> Current:
    """Read the current data by profiles of its hours, and keep those of the hours that had none.

    Windows that are short on both sides, and windows with a column whose values are needed one by one, are read whole.

    Args:
        reader: reads payloads.
        files: capture files of the window.
        plans: columns that may be compared.
        reference_rows: rows of the reference.
        store: storage of the profiles.
        report: URI of the reports.
        folder: an empty folder for downloads and partitions.

    Raises:
        AgentError: DataInvalid, naming a file, if none can be decoded; or what storage raises.
    """
    profiles = profile_store(reader, plans, store, report)
    hours = by_hour(reader.source.uri, files.files)
    added = add_hours(profiles, reader, hours, plans, folder)
    whole = added.total.finish()
    refuse_unreadable(whole.window.unreadable_files, len(files.files))
    notes = () if profiles.problem is None else (f"Profiles of hours could not all be kept: {profiles.problem}",)
    why = why_whole(whole, reference_rows)
    if why is None:
        shutil.rmtree(folder)
        note = f"{added.kept:,} of {count(len(hours), 'hour')} with requests were read from their profiles."
        current = current_of(passed(whole.window, files), whole)
        return replace(current, notes=(*current.notes, note, *notes))
    log.info("the window is read whole: %s", why)
    current = current_of(passed(read_whole(reader, hours, folder, added.read), files))
    told = () if whole.rows <= EXACT_ROWS else (f"All requests were read again, since {why}.",)
    return replace(current, notes=(*current.notes, *told, *notes))


@dataclass(frozen=True)
class Added:
    """What has been read of some hours.

    Attributes:
        total: their profiles.
        read: the hours that were read from payloads, as far as their rows are still on disk.
        kept: number of hours whose profile was there already.
    """

    total: Hours
    read: dict[str, Window]
    kept: int


def profile_store(reader: WindowReader, plans: Sequence[ColumnPlan], store: ReportStore, report: str) -> ProfileStore:
    """Return the profiles that fit these columns and this model."""
    key = key_of(reader.source, plans, reader.wanted)
    return ProfileStore(store, report, key, {plan.name: plan for plan in plans})


def add_hours(
    profiles: ProfileStore,
    reader: WindowReader,
    hours: Mapping[str, Sequence[Download]],
    plans: Sequence[ColumnPlan],
    folder: Path,
    *,
    parts: Collection[str] = (),
    keep_rows: bool = True,
) -> Added:
    """Add up hours: closed ones by their profiles, which are kept if there are none yet, the others by payloads.

    Args:
        profiles: kept profiles.
        reader: reads payloads.
        hours: capture files by hour.
        plans: columns that may be compared.
        folder: a folder for downloads and partitions.
        parts: hours of which not all files are given, so that they have no profile and get none.
        keep_rows: whether rows that were read stay on disk.

    Raises:
        AgentError: what storage raises.
    """
    read: dict[str, Window] = {}
    kept = 0
    total = Hours(plans)
    for some in _chunks(list(hours), _AT_ONCE):
        found = _load(profiles, reader, {name: hours[name] for name in some if name not in parts})
        for name in some:
            profile = found.get(name)
            if profile is None:
                place = _subfolder(folder, name)
                window = reader.read(hours[name], place)
                profile = profile_of(name, marks_of(hours[name]), window, plans)
                if name not in parts and is_closed(name, reader.now) and "outside the window" not in window.skipped:
                    profiles.save(profile)
                if keep_rows:
                    read[name] = window
                else:
                    shutil.rmtree(place)
            else:
                kept += 1
            total.add(profile)
        log.info("hours up to %s: %d of %d from their profiles", some[-1], kept, len(hours))
    return Added(total, read, kept)


def read_whole(
    reader: WindowReader, hours: Mapping[str, Sequence[Download]], folder: Path, read: Mapping[str, Window]
) -> Window:
    """Read the rows of all hours but those that have been `read` already; return them together.

    Raises:
        AgentError: what storage raises.
    """
    windows = [
        read[name] if name in read else reader.read(downloads, _subfolder(folder, name))
        for name, downloads in hours.items()
    ]
    return joined(windows)


def why_whole(found: WindowProfile, reference_rows: int) -> str | None:
    """Return why counts do not suffice for this window; None: they do."""
    if max(found.rows, reference_rows) <= EXACT_ROWS:
        return f"both sides have at most {EXACT_ROWS:,} rows"
    return found.lacks()


def marks_of(files: Sequence[Download]) -> tuple[FileMark, ...]:
    """Return what identifies the content of an hour."""
    return tuple(FileMark(item.uri.rsplit("/", 1)[-1], item.size, item.etag) for item in files)


def _load(
    profiles: ProfileStore, reader: WindowReader, hours: Mapping[str, Sequence[Download]]
) -> dict[str, HourProfile]:
    """Return the profiles that cover their hours as these are listed now."""
    closed = [name for name in hours if is_closed(name, reader.now)]
    span = span_of(reader.source, reader.now)
    loaded = in_parallel(profiles.load, closed, FILE_THREADS)
    current = {
        name: _within(profile, span)
        for name, profile in zip(closed, loaded, strict=True)
        if profile is not None and profile.files == marks_of(hours[name])
    }
    return {name: profile for name, profile in current.items() if profile is not None}


def _within(profile: HourProfile, span: Span) -> HourProfile | None:
    """Return what a window has of an hour: all, nothing, or None: its records have to be read one by one."""
    first, last = profile.window.extent.earliest, profile.window.extent.latest
    if first is None or last is None or (span.has(first) and span.has(last)):
        return profile
    if last >= span.since and (span.until is None or first < span.until):
        return None
    window = profile.window
    left_out = window.requests + sum(window.skipped.values())
    nothing = Window(
        window.table,
        0,
        {"outside the window": left_out},
        (),
        unreadable_files=window.unreadable_files,
        files=window.files,
        extent=window.extent,
    )
    return replace(profile, window=nothing, rows=0, names=(), columns={})


def passed(window: Window, files: Listing) -> Window:
    """Return a window that names the files that were passed over."""
    return replace(window, table=replace(window.table, passed_over=files.passed_over))


def _chunks(names: Sequence[str], size: int) -> list[Sequence[str]]:
    return [names[at : at + size] for at in range(0, len(names), size)]


def _subfolder(folder: Path, name: str) -> Path:
    path = folder / name.replace("/", "-")
    path.mkdir()
    return path
