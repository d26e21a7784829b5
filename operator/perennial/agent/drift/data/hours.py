"""Divides a window into the hours of its capture files, and joins what was read of them."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from perennial.agent.drift.data.reading import MAX_NAMES, add_reason, add_unreadable
from perennial.agent.drift.data.records import Skipped
from perennial.agent.drift.data.span import Extent
from perennial.agent.drift.data.window import Window, read_window
from perennial.agent.records.captured import UnreadableFile
from perennial.agent.tables.files import Download, Listing, Store
from perennial.agent.tables.table import Table
from perennial.api.contract.commands import CaptureWindow

_FOLDER = re.compile(r"date=(\d{4}-\d{2}-\d{2})/hour=(\d{2})")
_LATE = timedelta(minutes=15)
"""Time after the end of an hour in which its files are still expected: buffered requests, and clocks that differ."""


@dataclass(frozen=True)
class WindowReader:
    """Reads files of one window.

    Attributes:
        store: storage.
        source: location and model.
        now: time of the comparison.
        wanted: columns to keep.
    """

    store: Store
    source: CaptureWindow
    now: datetime
    wanted: Collection[str]

    def read(self, files: Sequence[Download], folder: Path) -> Window:
        """Read some files of the window into an empty folder; it is no error if none of them can be decoded.

        Raises:
            AgentError: what storage raises.
        """
        listing = Listing(tuple(files))
        return read_window(self.store, self.source, listing, folder, now=self.now, wanted=self.wanted, refuse=False)


def by_hour(root: str, files: Sequence[Download]) -> dict[str, tuple[Download, ...]]:
    """Return the capture files by their folder below the root, such as date=2026-03-10/hour=12, in order of time."""
    start = root.rstrip("/") + "/"
    found: dict[str, list[Download]] = {}
    for item in files:
        found.setdefault(item.uri.removeprefix(start).rsplit("/", 1)[0], []).append(item)
    return {folder: tuple(found[folder]) for folder in sorted(found)}


def is_closed(folder: str, now: datetime) -> bool:
    """Whether no more files are expected of an hour. A file that comes nevertheless is seen in the listing."""
    match = _FOLDER.fullmatch(folder)
    if match is None:
        return False
    hour = datetime.strptime(f"{match[1]} {match[2]}", "%Y-%m-%d %H").replace(tzinfo=UTC)
    return now >= hour + timedelta(hours=1) + _LATE


def joined(windows: Sequence[Window]) -> Window:
    """Return what was read of several hours, in order of time, as one window; equal to reading them together."""
    skipped: Counter[Skipped] = Counter()
    unwanted: dict[str, None] = {}
    malformed: Counter[str] = Counter()
    unreadable: dict[str, tuple[int, str]] = {}
    files: list[UnreadableFile] = []
    for window in windows:
        skipped.update(window.skipped)
        files.extend(window.unreadable_files)
        for name in window.unwanted:
            if len(unwanted) < MAX_NAMES:
                unwanted[name] = None
        for reason, amount in window.malformed.items():
            add_reason(malformed, reason, amount)
        for name, (amount, why) in window.unreadable.items():
            add_unreadable(unreadable, name, amount, why)
    tables = [window.table for window in windows]
    extent = Extent()
    for window in windows:
        for moment in (window.extent.earliest, window.extent.latest):
            if moment is not None:
                extent.note(moment)
    return Window(
        Table(
            tuple(partition for table in tables for partition in table.partitions),
            tuple(name for table in tables for name in table.passed_over),
        ),
        sum(window.requests for window in windows),
        dict(skipped),
        tuple(unwanted),
        dict(malformed),
        unreadable,
        lost_rows=sum(window.lost_rows for window in windows),
        unreadable_files=tuple(files),
        files=sum(window.files for window in windows),
        extent=extent,
    )
